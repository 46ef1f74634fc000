package hackernews

import (
	"context"
	"fmt"
	"strconv"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/hackernews"
)

// pageItems is how many items a page holds.
const pageItems = 50

// items counts up through all items. Its cursor is the last one read; that of a
// backfill is a span.
type items struct {
	env    ingest.Env
	cfg    Config
	client *api.Client
	newest int64 // of this pass; 0: not asked yet
}

// Fetch reads the next items, one request each: Firebase knows no lists.
func (s *items) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	if s.windowed() {
		return s.fetchWindow(ctx, from)
	}
	last, err := s.last(ctx, from)
	if err != nil {
		return ingest.Page{}, err
	}
	r, err := s.read(ctx, last, min(last+pageItems, s.newest))
	if err != nil {
		return ingest.Page{}, err
	}
	p := ingest.Page{Posts: r.Posts, Rejects: r.Rejects, Next: from, Done: r.to >= s.newest, Progress: place(r.to)}
	if p.Done {
		r.to = max(last, r.seen) // what is null at the end was numbered and is not there yet: it is for the next pass
		s.newest = 0
	}
	if r.to > last {
		p.Next = feedlake.Cursor(strconv.FormatInt(r.to, 10))
	}
	return p, nil
}

func place(id int64) ingest.Progress {
	return ingest.Progress{Place: "item " + strconv.FormatInt(id, 10)}
}

// reading is what items hold.
type reading struct {
	wire.Batch
	to   int64 // the last item that was read
	seen int64 // the last one that exists
}

// read reads the items after one up to another. What was read before an error
// counts; the next page meets the error, if it lasts.
func (s *items) read(ctx context.Context, after, upto int64) (reading, error) {
	r := reading{to: upto}
	for id := after + 1; id <= upto; id++ {
		body, err := s.item(ctx, id, 1)
		if err != nil && id == after+1 {
			return r, err
		}
		if err != nil {
			s.env.Log.DebugContext(ctx, "page ends early", "source", s.env.Name, "item", id, "err", err)
			r.to = id - 1
			break
		}
		if body == "" {
			continue
		}
		hackernews.Item(body, s.env.Now().UTC(), position(id), &r.Batch)
		r.seen = id
	}
	return r, nil
}

func position(id int64) string { return fmt.Sprintf("item %d", id) }

// last is the last item read, and asks for the newest with the first page.
func (s *items) last(ctx context.Context, from feedlake.Cursor) (int64, error) {
	last := int64(-1)
	if from != "" {
		n, err := strconv.ParseInt(string(from), 10, 64)
		if err != nil || n < 0 {
			return 0, fmt.Errorf("cursor %.60q: not an item's number: %w", from, feedlake.ErrConfig)
		}
		last = n
	}
	if s.newest == 0 {
		var err error
		if s.newest, err = s.maxItem(ctx); err != nil {
			return 0, err
		}
	}
	switch {
	case last >= 0:
	case s.cfg.FromItem > 0:
		last = s.cfg.FromItem - 1
	default:
		last = max(0, s.newest-firstItems)
	}
	return last, nil
}

// firstItems is how far back a new cursor begins: about an hour.
const firstItems = 1000

// maxItem is the number of the newest item.
func (s *items) maxItem(ctx context.Context) (int64, error) {
	a, err := s.client.Do(ctx, api.Call{Endpoint: "maxitem", Path: "maxitem.json"})
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(trimmed(a), 10, 64)
	if err != nil || n <= 0 {
		return 0, &feedlake.RetryError{Err: fmt.Errorf("read maxitem: no number of an item: %s", a.Excerpt())}
	}
	return n, nil
}

// item is an item as Firebase tells it; "" when it does not exist. So many posts
// are counted for it.
func (s *items) item(ctx context.Context, id, posts int64) (string, error) {
	a, err := s.client.Do(ctx, api.Call{Endpoint: "item", Path: fmt.Sprintf("item/%d.json", id), Posts: posts})
	if err != nil {
		return "", err
	}
	body := trimmed(a)
	if body == "null" || body == "" {
		return "", a.Settle(ctx, 0)
	}
	return body, nil
}
