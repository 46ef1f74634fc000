package lake

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"
)

// Keys of a snapshot's summary.
const (
	summaryCommitID = "feedlake.commit-id"
	// SummaryRunID names the run that made the snapshot.
	SummaryRunID = "feedlake.run-id"
	// SummaryModel names the model that made the rows, as name@version.
	SummaryModel = "feedlake.model"
	// SummaryInputs names what it was made from: table@snapshot, table@snapshot.
	SummaryInputs = "feedlake.inputs"
)

// Snapshot is a table as of one commit.
type Snapshot struct {
	ID        int64 // 0: the table holds nothing yet
	Parent    int64 // 0: none
	At        time.Time
	Operation string // append, overwrite, delete, replace
	Summary   map[string]string
}

func snapshotOf(s *table.Snapshot) Snapshot {
	if s == nil {
		return Snapshot{}
	}
	out := Snapshot{ID: s.SnapshotID, At: time.UnixMilli(s.TimestampMs).UTC()}
	if s.ParentSnapshotID != nil {
		out.Parent = *s.ParentSnapshotID
	}
	if s.Summary != nil {
		out.Operation, out.Summary = string(s.Summary.Operation), s.Summary.Properties
	}
	return out
}

// stillMadeBy carries the model and the inputs of a snapshot over to the summary
// of one that holds rows of it, in other files or without some.
func stillMadeBy(summary map[string]string, s Snapshot) {
	for _, key := range []string{SummaryModel, SummaryInputs} {
		if v := s.Summary[key]; v != "" {
			summary[key] = v
		}
	}
}

// Current returns the newest snapshot of a table; its ID is 0 while the table
// holds nothing. A missing table is feedlake.ErrNotFound.
func (l *Lake) Current(ctx context.Context, name string) (Snapshot, error) {
	t, err := l.load(ctx, name, l.catalog(nil))
	if err != nil {
		return Snapshot{}, err
	}
	return snapshotOf(t.CurrentSnapshot()), nil
}

// Snapshots lists a table's snapshots, oldest first.
func (l *Lake) Snapshots(ctx context.Context, name string) ([]Snapshot, error) {
	t, err := l.load(ctx, name, l.catalog(nil))
	if err != nil {
		return nil, err
	}
	var out []Snapshot
	for _, s := range t.Metadata().Snapshots() {
		out = append(out, snapshotOf(&s))
	}
	slices.SortStableFunc(out, func(a, b Snapshot) int { return a.At.Compare(b.At) })
	return out, nil
}

// Property reads a table property; "" when it is absent.
func (l *Lake) Property(ctx context.Context, name, key string) (string, error) {
	t, err := l.load(ctx, name, l.catalog(nil))
	if err != nil {
		return "", err
	}
	return t.Properties()[key], nil
}

// Properties reads the table properties that begin with prefix, by the rest of
// their keys.
func (l *Lake) Properties(ctx context.Context, name, prefix string) (map[string]string, error) {
	t, err := l.load(ctx, name, l.catalog(nil))
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for key, v := range t.Properties() {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			out[rest] = v
		}
	}
	return out, nil
}

// Files lists the data files of a snapshot; snapshot 0 has none. A snapshot
// that is gone is feedlake.ErrNotFound.
func (l *Lake) Files(ctx context.Context, name string, snapshot int64) ([]File, error) {
	if snapshot == 0 {
		return nil, nil
	}
	t, err := l.load(ctx, name, l.catalog(nil))
	if err != nil {
		return nil, err
	}
	return l.filesOf(ctx, t, name, snapshot)
}

// removeQuietly deletes files that no snapshot names; an error leaves an
// orphan, which is harmless.
func removeQuietly(paths ...string) {
	for _, p := range paths {
		_ = os.Remove(p)
	}
}
