package lake

import (
	"context"
	"slices"

	"github.com/apache/iceberg-go/table"
)

// Difference says how the rows of a partition came from those of an earlier
// snapshot: these, without the rows of Removed and with those of Added, are the
// rows of the later one. Files that only held rows between the two snapshots are
// in neither list. A file may have left the later snapshot by compaction.
type Difference struct {
	Partition      Partition
	Added, Removed []File
}

// Differences tells for each partition of Changed, in the same order, which files
// made the difference. Where compactions between the two snapshots have expired,
// their files are in the lists: a reader then takes rows for new that are not, and
// sees it by what was removed.
func (l *Lake) Differences(ctx context.Context, name string, before, after int64) ([]Difference, error) {
	if before == after {
		_, err := l.Changed(ctx, name, before, after) // whether the snapshot is there
		return nil, err
	}
	t, err := l.load(ctx, name, l.catalog(nil))
	if err != nil {
		return nil, err
	}
	changed, err := l.changedBetween(ctx, t, name, before, after)
	if err != nil || len(changed) == 0 {
		return nil, err
	}
	byPartition := make(map[Partition]*Difference, len(changed))
	out := make([]Difference, len(changed))
	for i, p := range changed {
		out[i].Partition = p
		byPartition[p] = &out[i]
	}
	if err := l.collect(ctx, t, name, before, after, byPartition); err != nil {
		return nil, err
	}
	for i := range out {
		out[i].cancel()
	}
	return out, nil
}

// collect adds the files of each way between two compactions.
func (l *Lake) collect(ctx context.Context, t *table.Table, name string, before, after int64, to map[Partition]*Difference) error {
	from := before
	for _, c := range append(compactionsBetween(t.Metadata(), before, after), Snapshot{ID: after, Parent: after}) {
		a, err := l.plannedAt(ctx, t, name, from)
		if err != nil {
			return err
		}
		b, err := l.plannedAt(ctx, t, name, c.Parent)
		if err != nil {
			return err
		}
		for _, f := range without(b, a) {
			if d := to[f.Partition]; d != nil {
				d.Added = append(d.Added, f)
			}
		}
		for _, f := range without(a, b) {
			if d := to[f.Partition]; d != nil {
				d.Removed = append(d.Removed, f)
			}
		}
		from = c.ID
	}
	return nil
}

// plannedAt is filesOf for a snapshot that may be none.
func (l *Lake) plannedAt(ctx context.Context, t *table.Table, name string, snapshot int64) ([]File, error) {
	if snapshot == 0 {
		return nil, nil
	}
	return l.filesOf(ctx, t, name, snapshot)
}

// cancel takes out the files that came and went.
func (d *Difference) cancel() {
	added, removed := d.Added, d.Removed
	d.Added, d.Removed = without(added, removed), without(removed, added)
}

// without lists the files of a that are not in b.
func without(a, b []File) []File {
	in := make(map[string]bool, len(b))
	for _, f := range b {
		in[f.Path] = true
	}
	return slices.DeleteFunc(slices.Clone(a), func(f File) bool { return in[f.Path] })
}
