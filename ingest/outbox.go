package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// outbox is the value of propOutbox: files of rejects that belong to the posts
// landed in the same commit. They are written, but join raw.rejects only in a
// second commit; whoever finds an outbox that is not delivered delivers it
// before anything else. After names the outbox before this one, so that a late
// writer cannot deliver twice.
type outbox struct {
	ID    string   `json:"id"`
	After string   `json:"after,omitempty"`
	Files []string `json:"files"`
}

func parseBox(s string) (outbox, error) {
	var b outbox
	if s == "" {
		return b, nil
	}
	if err := json.Unmarshal([]byte(s), &b); err != nil {
		return b, fmt.Errorf("read property %s: %w", propOutbox, err)
	}
	return b, nil
}

// nextBox writes the batch's rejects and returns the outbox that names them;
// without rejects the present one stays.
func (r *run) nextBox(ctx context.Context, f *flight) (string, error) {
	if len(f.batch.rejects) == 0 {
		return f.box, nil
	}
	byDay := map[string][]feedlake.Reject{}
	for _, j := range f.batch.rejects {
		day := j.RejectedAt.UTC().Format(time.DateOnly)
		byDay[day] = append(byDay[day], j)
	}
	var paths []string
	for _, day := range slices.Sorted(maps.Keys(byDay)) {
		path, err := lake.WriteRows(ctx, r.Lake, lake.RawRejects().Name, lake.MakePartition("source", r.Name, "day", day), byDay[day])
		if err != nil {
			return "", err
		}
		paths = append(paths, path)
	}
	old, err := parseBox(f.box)
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(outbox{ID: f.id, After: old.ID, Files: paths})
	return string(b), err
}

// deliver adds the rejects of the landed outbox to raw.rejects, once, whoever
// else tries the same.
func (r *run) deliver(ctx context.Context, landed string) error {
	for range 10 {
		box, err := parseBox(landed)
		if err != nil || box.ID == "" {
			return err
		}
		last, err := r.Lake.Property(ctx, lake.RawRejects().Name, propDelivered+r.Name)
		if err != nil {
			return fmt.Errorf("deliver rejects of %s: %w", r.Name, err)
		}
		if last == box.ID {
			return nil
		}
		err = r.addRejects(ctx, box)
		if lost := missing(err, box.Files); lost != "" { // deleted by hand: the source must not be stuck on it
			r.Log.ErrorContext(ctx, "rejects are lost, their file is gone", "source", r.Name, "file", lost)
			box.Files = nil
			err = r.addRejects(ctx, box)
		}
		if !errors.Is(err, feedlake.ErrConflict) {
			return err
		}
		now, err := r.posts(ctx, propOutbox)
		if err != nil {
			return err
		}
		if now != landed { // another run went on, which it does only after it has delivered this box
			return nil
		}
	}
	return fmt.Errorf("deliver rejects of %s: %w", r.Name, feedlake.ErrConflict)
}

// Undelivered reports whether rejects of some source wait between the commit of
// their posts and their own.
func Undelivered(ctx context.Context, l *lake.Lake) (bool, error) {
	boxes, err := l.Properties(ctx, lake.RawPosts().Name, propOutbox)
	if err != nil {
		return false, fmt.Errorf("look for rejects that wait: %w", err)
	}
	delivered, err := l.Properties(ctx, lake.RawRejects().Name, propDelivered)
	if err != nil {
		return false, fmt.Errorf("look for rejects that wait: %w", err)
	}
	for source, text := range boxes {
		box, err := parseBox(text)
		if err != nil {
			return false, err
		}
		if box.ID != "" && delivered[source] != box.ID {
			return true, nil
		}
	}
	return false, nil
}

func (r *run) addRejects(ctx context.Context, box outbox) error {
	prop := propDelivered + r.Name
	_, err := r.Lake.Commit(ctx, lake.Commit{
		Table: lake.RawRejects().Name, ID: box.ID, Add: box.Files,
		Set: map[string]string{prop: box.ID}, Expect: map[string]string{prop: box.After},
		Summary: map[string]string{lake.SummaryRunID: r.RunID, "feedlake.source": r.Name},
	})
	if err != nil {
		return feedlake.Hint(fmt.Errorf("deliver rejects of %s: %w", r.Name, err), "run again: the posts are landed, and the next run adds their rejects first")
	}
	return nil
}

// missing names the file of files that an error says is not there; "" when it
// says another thing.
func missing(err error, files []string) string {
	var path *fs.PathError
	if errors.As(err, &path) && errors.Is(path, fs.ErrNotExist) && slices.Contains(files, path.Path) {
		return path.Path
	}
	return ""
}
