package lake

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/apache/iceberg-go/table"
)

// summaryCompacted marks a snapshot that holds the rows of its parent in other
// files.
const summaryCompacted = "feedlake.compacted"

// Changed lists the partitions whose rows may differ between two snapshots of a
// table, sorted: those whose files differ, but not those that compaction alone
// rewrote. Snapshot 0 holds nothing. A snapshot that is gone is
// feedlake.ErrNotFound. Where a compaction between the two, or its parent, has
// expired, its partitions are listed too: a reader then computes more than it
// must, never less.
func (l *Lake) Changed(ctx context.Context, name string, before, after int64) ([]Partition, error) {
	if before == after && after == 0 {
		return nil, nil
	}
	t, err := l.load(ctx, name, l.catalog(nil))
	if err != nil {
		return nil, err
	}
	return l.changedBetween(ctx, t, name, before, after)
}

// changedBetween goes from one snapshot to the other by way of compactions. A
// compaction leads from its parent to itself without any change of rows, so
// only the ways between compactions are compared.
func (l *Lake) changedBetween(ctx context.Context, t *table.Table, name string, before, after int64) ([]Partition, error) {
	plans := map[int64]manifests{0: {}}
	plan := func(id int64) (manifests, error) {
		if m, ok := plans[id]; ok {
			return m, nil
		}
		m, err := l.manifestsAt(ctx, t, name, id)
		if err == nil {
			plans[id] = m
		}
		return m, err
	}
	diff := func(from, to int64) ([]Partition, error) {
		if from == to {
			return nil, nil
		}
		a, err := plan(from)
		if err != nil {
			return nil, err
		}
		b, err := plan(to)
		if err != nil {
			return nil, err
		}
		return l.diffManifests(ctx, a, b)
	}
	if _, err := plan(before); err != nil {
		return nil, err
	}
	all, err := diff(before, after)
	hops := compactionsBetween(t.Metadata(), before, after)
	if err != nil || len(all) == 0 || len(hops) == 0 {
		return all, err
	}
	changed := map[Partition]bool{}
	from := before
	for _, c := range append(hops, Snapshot{ID: after, Parent: after}) {
		list, err := diff(from, c.Parent)
		if err != nil {
			return nil, fmt.Errorf("compare snapshots: %w", err)
		}
		for _, p := range list {
			changed[p] = true
		}
		from = c.ID
	}
	return slices.DeleteFunc(all, func(p Partition) bool { return !changed[p] }), nil
}

// compactionsBetween lists the compactions that came after one snapshot and up
// to another, oldest first, as far as they and their parents are kept.
func compactionsBetween(meta table.Metadata, before, after int64) []Snapshot {
	from, to := meta.SnapshotByID(before), meta.SnapshotByID(after)
	if from == nil || to == nil {
		return nil
	}
	var found []table.Snapshot
	consider := func(s *table.Snapshot) {
		if isCompaction(s) && s.SequenceNumber > from.SequenceNumber && s.SequenceNumber <= to.SequenceNumber && meta.SnapshotByID(*s.ParentSnapshotID) != nil {
			found = append(found, *s)
		}
	}
	s := to
	for s != nil && s.SequenceNumber > from.SequenceNumber {
		consider(s)
		s = parentOf(meta, s)
	}
	if s == nil { // the way is broken: one of all may be between
		found = nil
		for _, s := range meta.Snapshots() {
			consider(&s)
		}
	}
	slices.SortFunc(found, func(a, b table.Snapshot) int { return cmp.Compare(a.SequenceNumber, b.SequenceNumber) })
	out := make([]Snapshot, len(found))
	for i := range found {
		out[i] = snapshotOf(&found[i])
	}
	return out
}

func isCompaction(s *table.Snapshot) bool {
	return s.Summary != nil && s.Summary.Properties[summaryCompacted] == "true" && s.ParentSnapshotID != nil
}
