package lake

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/iceberg-go/table"

	"github.com/feedlake/feedlake"
)

// SummaryErased names, in a snapshot's summary, the request that rows were
// removed for.
const SummaryErased = "feedlake.erased"

// Affected counts the rows of one file that an erasure is about.
type Affected struct {
	Removed int64 // rows that leave
	Cleared int64 // rows that stay but lose a value
}

// Eraser knows which rows of a table must go, and writes the others. Files are
// local ones.
type Eraser interface {
	// Find counts, by path, the affected rows of the files that have some.
	Find(ctx context.Context, cols []Column, files []File) (map[string]Affected, error)
	// Rewrite writes the rows of in that stay, with these columns and types, as
	// one new Parquet file out, and returns their number. With none it may leave
	// no file.
	Rewrite(ctx context.Context, cols []Column, in []File, out string) (kept int64, err error)
}

// EraseOptions says what Erase removes.
type EraseOptions struct {
	Table   string
	Request string // names the request in the snapshot's summary
	RunID   string
	Rows    Eraser
	DryRun  bool // count only
}

// EraseResult tells what Erase did, or would do.
type EraseResult struct {
	Table      string `json:"table"`
	Removed    int64  `json:"removed"`           // rows
	Cleared    int64  `json:"cleared,omitempty"` // rows that lost a value
	Partitions int    `json:"partitions"`        // rewritten
	Snapshot   int64  `json:"snapshot,omitempty"`
}

// eraseTries bounds how often a table is tried against writers to the same
// partitions.
const eraseTries = 8

// Erase removes rows from the newest snapshot of a table: every partition that
// holds one is rewritten without them, all in one commit. Every other row and
// column stays as it is. A writer that changes one of these partitions
// meanwhile makes it try again; feedlake.ErrConflict when writers are always
// faster. Older snapshots still hold the rows until they expire. A table that is
// missing, or holds no such row, is left alone.
func (l *Lake) Erase(ctx context.Context, o EraseOptions) (EraseResult, error) {
	for try := range eraseTries {
		res, err := l.tryErase(ctx, o)
		switch {
		case err == nil:
			return res, nil
		case errors.Is(err, feedlake.ErrNotFound) && try == 0:
			return EraseResult{Table: o.Table}, nil
		case !errors.Is(err, feedlake.ErrConflict):
			return res, fmt.Errorf("erase rows of %s: %w", o.Table, err)
		}
		if err := backoff(ctx, try); err != nil {
			return res, fmt.Errorf("erase rows of %s: %w", o.Table, err)
		}
	}
	return EraseResult{Table: o.Table}, fmt.Errorf("erase rows of %s: %d writers were faster: %w", o.Table, eraseTries, feedlake.ErrConflict)
}

func (l *Lake) tryErase(ctx context.Context, o EraseOptions) (EraseResult, error) {
	res := EraseResult{Table: o.Table}
	cur, err := l.Current(ctx, o.Table)
	if err != nil || cur.ID == 0 {
		return res, err
	}
	files, err := l.Files(ctx, o.Table, cur.ID)
	if err != nil {
		return res, err
	}
	cols, err := l.Columns(ctx, o.Table)
	if err != nil {
		return res, err
	}
	parts, err := l.affected(ctx, o, cols, files, &res)
	if err != nil || len(parts) == 0 || o.DryRun {
		return res, err
	}
	c := Commit{
		Table: o.Table, ID: "erase " + rand.Text(), Base: cur.ID,
		Summary: map[string]string{SummaryErased: o.Request, SummaryRunID: o.RunID},
	}
	for _, p := range slices.Sorted(maps.Keys(parts)) {
		in := slices.DeleteFunc(slices.Clone(files), func(f File) bool { return f.Partition != p })
		out, err := l.without(ctx, o, cols, p, in, parts[p])
		if err != nil {
			l.Discard(c.Add...)
			return res, err
		}
		c.Replace = append(c.Replace, p)
		if out != "" {
			c.Add = append(c.Add, out)
		}
	}
	s, err := l.CommitOrAsk(ctx, c)
	if errors.Is(err, feedlake.ErrConflict) {
		l.Discard(c.Add...) // sure to be in no snapshot; after any other answer they stay
	}
	res.Partitions, res.Snapshot = len(parts), s.ID
	return res, err
}

// affected sums the affected rows by partition, and over all in res.
func (l *Lake) affected(ctx context.Context, o EraseOptions, cols []Column, files []File, res *EraseResult) (map[Partition]Affected, error) {
	parts := map[Partition]Affected{}
	for batch := range slices.Chunk(files, eraseAtOnce) {
		local, release, err := l.Local(ctx, batch)
		if err != nil {
			return nil, err
		}
		found, err := o.Rows.Find(ctx, cols, local)
		release()
		if err != nil {
			return nil, err
		}
		for _, f := range local {
			a := found[f.Path]
			if a == (Affected{}) {
				continue
			}
			p := parts[f.Partition]
			parts[f.Partition] = Affected{p.Removed + a.Removed, p.Cleared + a.Cleared}
			res.Removed += a.Removed
			res.Cleared += a.Cleared
		}
	}
	res.Partitions = len(parts)
	return parts, nil
}

// eraseAtOnce bounds the files that one search reads, so that a bucket's files
// need not all fit the cache at once.
const eraseAtOnce = 256

// without writes a partition anew; "" when nothing is left of it.
func (l *Lake) without(ctx context.Context, o EraseOptions, cols []Column, p Partition, in []File, a Affected) (string, error) {
	out, err := l.NewPath(o.Table, p)
	if err != nil {
		return "", err
	}
	local, release, err := l.Local(ctx, in)
	if err != nil {
		return "", err
	}
	defer release()
	rows, kept := rowsIn(in), int64(0)
	err = l.ic("create", out, func() (err error) {
		kept, err = o.Rows.Rewrite(ctx, cols, local, out)
		return err
	})
	if err == nil && kept != rows-a.Removed {
		err = fmt.Errorf("partition %q: %d of %d rows are to go, but %d stayed: %w", p, a.Removed, rows, kept, feedlake.ErrRejected)
	}
	if err == nil && kept > 0 {
		err = l.ic("close", out, func() error { return syncFile(out) })
	}
	if err != nil || kept == 0 {
		removeQuietly(out)
		return "", err
	}
	return out, nil
}

// Sweep takes out of a table's newest metadata what it says of files that left
// with the newest commits: their paths and the smallest and greatest values of
// their columns, which may be ids and beginnings of texts. It makes one snapshot
// with the same rows, or none where there is nothing to take out, and reports
// whether it did.
func (l *Lake) Sweep(ctx context.Context, name, request, runID string) (bool, error) {
	swept := false
	err := contend(ctx, func() (err error) {
		swept, err = l.trySweep(ctx, name, request, runID)
		return err
	})
	if errors.Is(err, feedlake.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("sweep %s: %w", name, err)
	}
	return swept, nil
}

// trySweep fails with table.ErrCommitFailed when a writer was faster.
func (l *Lake) trySweep(ctx context.Context, name, request, runID string) (bool, error) {
	t, err := l.load(ctx, name, l.catalog(nil))
	if err != nil {
		return false, err
	}
	if remembers, err := l.remembers(ctx, t); err != nil || !remembers {
		return false, err
	}
	tx := t.NewTransaction()
	if err := tx.AssertRefSnapshotID(table.MainBranch); err != nil {
		return false, err
	}
	props := map[string]string{SummaryErased: request, SummaryRunID: runID}
	stillMadeBy(props, snapshotOf(t.CurrentSnapshot()))
	if err := tx.ReplaceDataFiles(ctx, nil, nil, props); err != nil {
		return false, err
	}
	_, err = tx.Commit(ctx)
	if err != nil && !errors.Is(err, table.ErrCommitFailed) {
		err = fmt.Errorf("%w: %w", feedlake.ErrUnknown, err)
	}
	return err == nil, err
}

// remembers reports whether the newest manifests speak of files that left.
func (l *Lake) remembers(ctx context.Context, t *table.Table) (bool, error) {
	s := t.CurrentSnapshot()
	if s == nil {
		return false, nil
	}
	fsys, err := t.FS(ctx)
	if err != nil {
		return false, err
	}
	manifests, err := s.Manifests(fsys)
	if err != nil {
		return false, fmt.Errorf("read snapshot %d: %w", s.SnapshotID, err)
	}
	for _, m := range manifests {
		if m.DeletedDataFiles() != 0 {
			return true, nil
		}
	}
	return false, nil
}
