package lake

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	"github.com/feedlake/feedlake"
)

// summaryRestored names the snapshot whose rows a restore made current again.
const summaryRestored = "feedlake.restored"

// isState reports whether a property says something of the table's rows: a
// cursor behind them, the inputs that they were made from. It goes back when
// they do. An outbox and the note of its delivery belong to two tables, so they
// stay.
func isState(key string) bool {
	for _, not := range []string{"feedlake.key", "feedlake.rejects.", "feedlake.delivered."} {
		if strings.HasPrefix(key, not) {
			return false
		}
	}
	return strings.HasPrefix(key, "feedlake.")
}

// At returns the snapshot that was current at an instant; feedlake.ErrNotFound
// before the first, and where it has expired.
func (l *Lake) At(ctx context.Context, name string, at time.Time) (Snapshot, error) {
	t, err := l.load(ctx, name, l.catalog(nil))
	if err != nil {
		return Snapshot{}, err
	}
	var found table.SnapshotLogEntry
	for e := range t.Metadata().SnapshotLogs() { // commits of two machines may stand out of order
		if e.TimestampMs <= at.UnixMilli() && e.TimestampMs >= found.TimestampMs {
			found = e
		}
	}
	s := t.Metadata().SnapshotByID(found.SnapshotID)
	if s == nil {
		return Snapshot{}, feedlake.Hint(fmt.Errorf("table %s: no snapshot of %s: %w", name, at.UTC().Format(time.RFC3339), feedlake.ErrNotFound),
			"feedlake lake log %s lists the snapshots that are kept", name)
	}
	return snapshotOf(s), nil
}

// RestoreOptions says how Restore goes back.
type RestoreOptions struct {
	RunID string // stands in the new snapshot
	// KeepState leaves the state properties as they are. Sources then do not
	// bring again what the restore takes away, and models take the restored
	// rows for those of their last run.
	KeepState bool
}

// Restore makes the rows of an older snapshot current again, as a new snapshot:
// history stays, and what came after it can be restored in turn until it
// expires. State goes back with the rows, in the same commit: the cursors, so
// that a source brings again what was taken away, and the inputs, so that a
// model computes again what differs. Where the way back to the state is not
// recorded (a snapshot between has expired, or another engine wrote it),
// Restore refuses with feedlake.ErrConflict unless KeepState is set.
//
// A table that holds these rows and this state already is left alone. Columns
// that were added since stay, as NULL.
func (l *Lake) Restore(ctx context.Context, name string, snapshot int64, o RestoreOptions) (Snapshot, error) {
	var out Snapshot
	err := l.careful(ctx, "restore", func() (err error) {
		out, err = l.restore(ctx, name, snapshot, o)
		return err
	})
	if err != nil {
		return Snapshot{}, fmt.Errorf("restore %s: %w", name, err)
	}
	return out, nil
}

func (l *Lake) restore(ctx context.Context, name string, snapshot int64, o RestoreOptions) (Snapshot, error) {
	var s Snapshot
	err := contend(ctx, func() error {
		t, err := l.load(ctx, name, l.catalog(nil))
		if err != nil {
			return err
		}
		c, err := l.restoreCommit(ctx, t, name, snapshot, o)
		if err != nil {
			return err
		}
		s, err = l.tryCommit(ctx, t, c)
		if err != nil && !errors.Is(err, table.ErrCommitFailed) {
			s, err = l.resolve(ctx, c, err)
		}
		return err
	})
	return s, err
}

// restoreCommit is the change from t as it is to the rows and state of a
// snapshot.
func (l *Lake) restoreCommit(ctx context.Context, t *table.Table, name string, snapshot int64, o RestoreOptions) (Commit, error) {
	want, err := l.filesOf(ctx, t, name, snapshot)
	if err != nil {
		return Commit{}, feedlake.Hint(err, "feedlake lake log %s lists the snapshots that are kept", name)
	}
	cur := snapshotOf(t.CurrentSnapshot())
	have, err := l.filesOf(ctx, t, name, cur.ID)
	if err != nil {
		return Commit{}, err
	}
	old := snapshotOf(t.SnapshotByID(snapshot))
	c := Commit{
		Table: name, ID: fmt.Sprintf("restore %d over %d", snapshot, cur.ID), Base: cur.ID,
		Add: missingFrom(want, have), Drop: missingFrom(have, want),
		Summary: map[string]string{SummaryRunID: o.RunID, summaryRestored: strconv.FormatInt(snapshot, 10)},
	}
	stillMadeBy(c.Summary, old)
	if o.KeepState {
		return c, nil
	}
	c.Set, err = l.stateAt(ctx, t, snapshot)
	return c, err
}

// missingFrom lists the paths of a that b lacks.
func missingFrom(a, b []File) []string {
	in := map[string]bool{}
	for _, f := range b {
		in[f.Path] = true
	}
	var out []string
	for _, f := range a {
		if !in[f.Path] {
			out = append(out, f.Path)
		}
	}
	return out
}

// stateAt finds the state properties as they were while a snapshot was current,
// as far as they differ from today's; "" for one that was absent.
func (l *Lake) stateAt(ctx context.Context, t *table.Table, snapshot int64) (map[string]string, error) {
	set, lost := l.undoTo(ctx, t.Metadata(), snapshot)
	if lost == "" {
		return set, nil
	}
	props, err := loggedProperties(ctx, t, snapshot)
	if err != nil {
		return nil, err
	}
	if props == nil {
		return nil, feedlake.Hint(fmt.Errorf("state of snapshot %d is not known, %s: %w", snapshot, lost, feedlake.ErrConflict),
			"restore a newer snapshot, or keep today's cursors and inputs (--keep-state): sources then do not bring again what this takes away")
	}
	set = map[string]string{}
	for k, v := range t.Properties() {
		if isState(k) && props[k] != v {
			set[k] = props[k]
		}
	}
	for k, v := range props {
		if isState(k) && t.Properties()[k] == "" {
			set[k] = v
		}
	}
	return set, nil
}

// undoneBy tells the snapshots whose change a later restore took away: those
// between the restore and what it restored, along the way that made the rows of
// today.
func undoneBy(meta table.Metadata) map[int64]bool {
	undone := map[int64]bool{}
	for s := meta.CurrentSnapshot(); s != nil; {
		next := s.ParentSnapshotID
		if s.Summary != nil {
			if id, err := strconv.ParseInt(s.Summary.Properties[summaryRestored], 10, 64); err == nil {
				if to := meta.SnapshotByID(id); to != nil {
					for _, o := range meta.Snapshots() {
						if o.SequenceNumber > to.SequenceNumber && o.SequenceNumber < s.SequenceNumber {
							undone[o.SnapshotID] = true
						}
					}
				}
				next = &id
			}
		}
		if next == nil {
			break
		}
		s = meta.SnapshotByID(*next)
	}
	return undone
}

// loggedProperties looks into the metadata files that the table still has for
// the last one of a snapshot; nil when there is none.
func loggedProperties(ctx context.Context, t *table.Table, snapshot int64) (map[string]string, error) {
	fsys, err := t.FS(ctx)
	if err != nil {
		return nil, err
	}
	var found map[string]string
	for e := range t.Metadata().PreviousFiles() { // oldest first
		b, err := readAll(fsys, e.MetadataFile)
		if err != nil {
			continue // the log may name files that another writer has just removed
		}
		meta, err := table.ParseMetadataBytes(b)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", localPath(e.MetadataFile), err)
		}
		if s := meta.CurrentSnapshot(); s != nil && s.SnapshotID == snapshot {
			found = meta.Properties()
		}
	}
	return found, nil
}

func readAll(fsys iceio.IO, name string) ([]byte, error) {
	if r, ok := fsys.(iceio.ReadFileIO); ok {
		return r.ReadFile(name)
	}
	return nil, fmt.Errorf("storage %T: %w", fsys, errors.ErrUnsupported)
}
