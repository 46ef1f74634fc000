package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"time"

	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	"github.com/feedlake/feedlake"
)

// The ages of files and snapshots are told by the clock of the storage alone:
// every machine's own may be wrong, and a file that looks a day older than it
// is may be one that a run is about to commit.

// storageNow is now by the clock that gives the warehouse's files their times.
func (l *Lake) storageNow(ctx context.Context) (time.Time, error) {
	if l.clock != nil {
		return l.clock(ctx)
	}
	now, err := l.store.notes().now(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask the storage for the time: %w", err)
	}
	return now, nil
}

// here are notes in this machine's part of the lake, whose files have times by
// another clock than those of a bucket.
func (l *Lake) here() notes {
	if _, ok := l.store.(*bucket); ok {
		return folderNotes(l.dir)
	}
	return l.store.notes()
}

// hereNow is storageNow for the files of this machine.
func (l *Lake) hereNow(ctx context.Context) (time.Time, error) {
	if l.clock != nil {
		return l.clock(ctx)
	}
	now, err := l.here().now(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask the disk for the time: %w", err)
	}
	return now, nil
}

const runsFolder = ownFolder + "/runs"

func runMark(run string) string { return runsFolder + "/" + url.PathEscape(run) }

// MarkRun notes in the storage that a run begins, so that lake care can tell by
// the storage's clock which files are as young as the run. It is called before
// the run writes.
func (l *Lake) MarkRun(ctx context.Context, run string) error {
	for _, n := range l.marks() {
		if err := n.write(ctx, runMark(run), []byte(run), true); err != nil {
			return fmt.Errorf("mark run %s: %w", run, err)
		}
	}
	return nil
}

// marks are the places of a run's mark.
func (l *Lake) marks() []notes {
	if _, ok := l.store.(*bucket); ok {
		return []notes{l.store.notes(), l.here()}
	}
	return []notes{l.store.notes()}
}

// oldest is when the oldest of the living runs began, by the clock of its mark;
// zero when none lives. A run without a mark is feedlake.ErrBusy: nothing is
// known to be older than it.
func oldest(ctx context.Context, n notes, running []string) (time.Time, error) {
	var first time.Time
	for _, run := range running {
		at, err := n.modified(ctx, runMark(run))
		if errors.Is(err, feedlake.ErrNotFound) {
			return first, feedlake.Hint(fmt.Errorf("run %s is under way and does not tell since when: %w", run, feedlake.ErrBusy),
				"wait for it to end; it has just begun, or an older feedlake runs it")
		}
		if err != nil {
			return first, fmt.Errorf("ask when run %s began: %w", run, err)
		}
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first, nil
}

// oldestHere is oldest for the files of this machine, which runs of others leave
// alone.
func (l *Lake) oldestHere(ctx context.Context, running []string) (time.Time, error) {
	var mine []string
	for _, run := range running {
		if _, err := l.here().modified(ctx, runMark(run)); err == nil {
			mine = append(mine, run)
		}
	}
	return oldest(ctx, l.here(), mine)
}

// unmark lets go of the marks of runs that have ended.
func (l *Lake) unmark(ctx context.Context, running []string, before time.Time) error {
	live := map[string]bool{}
	for _, run := range running {
		live[runMark(run)] = true
	}
	for _, n := range l.marks() {
		names, err := n.list(ctx, runsFolder)
		if err != nil {
			return err
		}
		for _, name := range names {
			name = runsFolder + "/" + name
			at, err := n.modified(ctx, name)
			if err != nil || live[name] || !at.Before(before) {
				continue
			}
			if err := n.remove(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// writtenAt tells when the snapshots of a table were written, by the times of
// their manifest lists: the time that stands in a snapshot is by the clock of
// whoever wrote it.
func writtenAt(ctx context.Context, t *table.Table) (map[int64]time.Time, error) {
	fsys, err := t.FS(ctx)
	if err != nil {
		return nil, err
	}
	walker, ok := fsys.(iceio.ListableIO)
	if !ok {
		return nil, fmt.Errorf("list metadata: storage %T: %w", fsys, errors.ErrUnsupported)
	}
	times := map[string]time.Time{}
	err = walker.WalkDir(localPath(t.Location()+"/metadata"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				times[localPath(path)] = info.ModTime()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return errors.Join(err, ctx.Err())
	})
	if err != nil {
		return nil, fmt.Errorf("list metadata: %w", err)
	}
	out := map[int64]time.Time{}
	for _, s := range t.Metadata().Snapshots() {
		at, ok := times[localPath(s.ManifestList)]
		if !ok {
			at = time.UnixMilli(s.TimestampMs)
		}
		out[s.SnapshotID] = at
	}
	return out, nil
}
