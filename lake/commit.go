package lake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/feedlake/feedlake"
)

// Commit is one atomic change to a table.
type Commit struct {
	Table      string
	ID         string            // names the change: a second Commit with this ID changes nothing and returns the first's snapshot
	Add        []string          // paths of Parquet files, each within one partition, each from NewPath
	Replace    []Partition       // every live file of these partitions leaves in the same snapshot
	ReplaceAll bool              // every live file leaves
	Drop       []string          // these live files leave
	Base       int64             // with Replace, ReplaceAll or Drop: the snapshot it was computed from; 0: not checked. Files of Drop must then still be live
	Set        map[string]string // table properties written in the same commit; "" removes one
	Expect     map[string]string // table properties that must hold as the commit lands; "" means absent
	Summary    map[string]string // provenance, kept in the snapshot
	Partition  []string          // with ReplaceAll: what the table is partitioned by from now on, as in Spec; see Repartition
}

// attempts bounds how often a commit is tried against other writers; waits
// between them grow from 10 ms to half a second, with jitter.
const attempts = 40

// Commit lands c after the newest snapshot and returns the result.
//
// Errors: feedlake.ErrConflict when an expectation does not hold, or a replaced
// partition changed or a dropped file left since Base; feedlake.ErrUnknown when the outcome is not
// known, in which case nothing was deleted and a later Commit with the same ID
// finds out.
func (l *Lake) Commit(ctx context.Context, c Commit) (Snapshot, error) {
	s, err := l.commit(ctx, c)
	if err != nil {
		return Snapshot{}, fmt.Errorf("commit %s: %w", c.Table, err)
	}
	l.store.landed(c.Add)
	return s, nil
}

func (l *Lake) commit(ctx context.Context, c Commit) (Snapshot, error) {
	if s, _, done, err := l.ready(ctx, c); done || err != nil {
		return s, err
	}
	if err := l.store.land(ctx, c.Add); err != nil {
		return Snapshot{}, err
	}
	var s Snapshot
	err := contend(ctx, func() (err error) {
		s, err = l.attempt(ctx, c)
		return err
	})
	return s, err
}

// contend tries against other writers: try fails with an error that wraps
// table.ErrCommitFailed when one of them was faster, and is tried again. Every
// other error is returned.
func contend(ctx context.Context, try func() error) error {
	for n := range attempts {
		err := try()
		if !errors.Is(err, table.ErrCommitFailed) {
			return err
		}
		if err := backoff(ctx, n); err != nil {
			return err
		}
	}
	return fmt.Errorf("%d writers were faster: %w", attempts, feedlake.ErrConflict)
}

// CommitOrAsk lands c as Commit does. When the outcome is unknown it asks after
// it once, by the second Commit with the same ID: that finds the first, or lands
// the change.
func (l *Lake) CommitOrAsk(ctx context.Context, c Commit) (Snapshot, error) {
	s, err := l.Commit(ctx, c)
	if errors.Is(err, feedlake.ErrUnknown) && ctx.Err() == nil {
		s, err = l.Commit(ctx, c)
	}
	return s, err
}

// ready looks at the table before a commit: done when the change has landed
// already, an error when an expectation does not hold.
func (l *Lake) ready(ctx context.Context, c Commit) (s Snapshot, t *table.Table, done bool, err error) {
	if t, err = l.load(ctx, c.Table, l.catalog(c.Expect)); err != nil {
		return Snapshot{}, nil, false, err
	}
	if s, ok := l.landedBefore(t, c); ok {
		return s, t, true, nil
	}
	if err := (propertyGuard{c.Expect}).Validate(t.Metadata()); err != nil {
		return Snapshot{}, nil, false, err
	}
	return Snapshot{}, t, false, nil
}

// attempt tries the commit once, when it is this writer's turn; an error that
// wraps table.ErrCommitFailed says that another one was faster.
func (l *Lake) attempt(ctx context.Context, c Commit) (Snapshot, error) {
	defer l.turn(ctx, c.Table)()
	s, t, done, err := l.ready(ctx, c)
	if done || err != nil {
		return s, err
	}
	s, err = l.tryCommit(ctx, t, c)
	switch {
	case err == nil, errors.Is(err, table.ErrCommitFailed), errors.Is(err, feedlake.ErrConflict), errors.Is(err, feedlake.ErrRejected):
		return s, err
	}
	return l.resolve(ctx, c, err)
}

// landedBefore looks for an earlier commit of the same change. What a restore
// took away may land again.
func (l *Lake) landedBefore(t *table.Table, c Commit) (Snapshot, bool) {
	if c.ID == "" {
		return Snapshot{}, false
	}
	return l.landed.find(c.Table, t.Metadata(), c.ID)
}

// tryCommit builds the change on t and lands it, or fails with
// table.ErrCommitFailed when another writer came between.
func (l *Lake) tryCommit(ctx context.Context, t *table.Table, c Commit) (Snapshot, error) {
	leave, err := l.leaving(ctx, t, c)
	if err != nil {
		return Snapshot{}, err
	}
	tx := t.NewTransaction()
	if len(leave) > 0 {
		if err := tx.AssertRefSnapshotID(table.MainBranch); err != nil {
			return Snapshot{}, err
		}
	}
	if err := stageProperties(tx, t, c.Set); err != nil {
		return Snapshot{}, err
	}
	if err := stagePartition(tx, t, c); err != nil {
		return Snapshot{}, err
	}
	props := iceberg.Properties{}
	maps.Copy(props, c.Summary)
	undo, err := l.undoOf(ctx, t, c.Set)
	if err != nil {
		return Snapshot{}, err
	}
	props[summaryUndo] = undo
	if c.ID != "" {
		props[summaryCommitID] = c.ID
	}
	switch add := slices.Sorted(slices.Values(c.Add)); {
	case len(leave) > 0:
		err = tx.ReplaceDataFiles(ctx, leave, l.locations(add), props)
	case len(add) > 0:
		// A new file's name was never used, and the ID keeps a change from landing
		// twice: only other changes look through all files of the table for theirs.
		fresh := c.ID != "" && c.Summary[summaryRestored] == ""
		err = tx.AddFiles(ctx, l.locations(add), props, fresh)
	case len(c.Set) == 0 && c.Partition == nil:
		return snapshotOf(t.CurrentSnapshot()), nil
	}
	if err != nil {
		return Snapshot{}, err
	}
	nt, err := tx.Commit(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	return snapshotOf(nt.CurrentSnapshot()), nil
}

// stageProperties puts c.Set into the transaction.
func stageProperties(tx *table.Transaction, t *table.Table, set map[string]string) error {
	put := iceberg.Properties{}
	var remove []string
	for k, v := range set {
		if v != "" {
			put[k] = v
		} else if t.Properties()[k] != "" {
			remove = append(remove, k)
		}
	}
	if len(put) > 0 {
		if err := tx.SetProperties(put); err != nil {
			return err
		}
	}
	if len(remove) > 0 {
		slices.Sort(remove)
		return tx.RemoveProperties(remove)
	}
	return nil
}

// leaving lists the live files (their locations) that c removes, and fails with
// feedlake.ErrConflict when their partitions changed since c.Base.
func (l *Lake) leaving(ctx context.Context, t *table.Table, c Commit) ([]string, error) {
	if !c.ReplaceAll && len(c.Replace) == 0 && len(c.Drop) == 0 {
		return nil, nil
	}
	cur := snapshotOf(t.CurrentSnapshot()).ID
	if cur == 0 {
		return nil, nil
	}
	now, err := l.filesOf(ctx, t, c.Table, cur)
	if err != nil {
		return nil, err
	}
	part := map[Partition]bool{}
	for _, p := range c.Replace {
		part[p] = true
	}
	if (c.ReplaceAll || len(part) > 0) && c.Base != 0 && c.Base != cur {
		changed, err := l.changedBetween(ctx, t, c.Table, c.Base, cur)
		if errors.Is(err, feedlake.ErrNotFound) {
			return nil, fmt.Errorf("snapshot %d has expired meanwhile: %w", c.Base, feedlake.ErrConflict)
		}
		if err != nil {
			return nil, err
		}
		for _, p := range changed {
			if c.ReplaceAll || part[p] {
				return nil, fmt.Errorf("partition %q changed since snapshot %d: %w", p, c.Base, feedlake.ErrConflict)
			}
		}
	}
	drop := map[string]bool{}
	for _, p := range c.Drop {
		drop[p] = true
	}
	var out []string
	for _, f := range now {
		if c.ReplaceAll || part[f.Partition] || drop[f.Path] {
			out = append(out, l.store.location(f.Path))
		}
		delete(drop, f.Path)
	}
	if len(drop) > 0 && c.Base != 0 {
		return nil, fmt.Errorf("%d of %d files to drop have left since snapshot %d: %w", len(drop), len(c.Drop), c.Base, feedlake.ErrConflict)
	}
	return out, nil
}

// resolve finds out what became of a commit whose answer was an error that is
// no conflict: it looks for the commit's ID, or its properties, in the newest
// metadata, and deletes nothing.
func (l *Lake) resolve(ctx context.Context, c Commit, cause error) (Snapshot, error) {
	if ctx.Err() != nil {
		return Snapshot{}, fmt.Errorf("%w: %w", feedlake.ErrUnknown, cause)
	}
	t, err := l.load(ctx, c.Table, l.catalog(nil))
	if err != nil {
		return Snapshot{}, fmt.Errorf("%w: %w", feedlake.ErrUnknown, cause)
	}
	if s, ok := l.landedBefore(t, c); ok {
		return s, nil
	}
	if len(c.Add) == 0 && len(c.Set) > 0 && (propertyGuard{c.Set}).Validate(t.Metadata()) == nil {
		return snapshotOf(t.CurrentSnapshot()), nil
	}
	return Snapshot{}, fmt.Errorf("%w: %w", feedlake.ErrUnknown, cause)
}

// backoff waits before another try, longer each time, and those who wait not in step.
func backoff(ctx context.Context, try int) error {
	wait := min(10*time.Millisecond<<min(try, 6), 500*time.Millisecond)
	return feedlake.Sleep(ctx, wait/2+rand.N(wait))
}

func (l *Lake) locations(paths []string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = l.store.location(p)
	}
	return out
}
