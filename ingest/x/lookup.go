package x

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/wire"
)

// lookup reads posts by their ids. Its cursor counts those asked for.
type lookup struct {
	*asker
	ids []string
}

// Fetch asks for the next ids. Those that X does not give become rejects.
func (s *lookup) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	done := 0
	if from != "" {
		n, err := strconv.Atoi(string(from))
		if err != nil || n < 0 {
			return ingest.Page{}, fmt.Errorf("cursor %.60q: not a number of ids: %w", from, feedlake.ErrConfig)
		}
		done = n
	}
	if done >= len(s.ids) {
		return ingest.Page{Next: from, Done: true}, ctx.Err()
	}
	ids := s.ids[done:min(done+s.cfg.PageSize, len(s.ids))]
	var b wire.Batch
	if _, err := s.posts(ctx, "tweets", "tweets", url.Values{"ids": {strings.Join(ids, ",")}}, len(ids), &b); err != nil {
		return ingest.Page{}, err
	}
	done += len(ids)
	posts := slices.DeleteFunc(b.Posts, func(p feedlake.Post) bool { return !s.env.Window.Contains(p.CreatedAt) })
	return ingest.Page{
		Posts: posts, Rejects: b.Rejects, Next: feedlake.Cursor(strconv.Itoa(done)), Done: done >= len(s.ids),
		Progress: ingest.Progress{Done: int64(done), Total: int64(len(s.ids)), Unit: "posts"},
	}, nil
}

// Merges is true: all ids are asked for, whatever the window.
func (s *lookup) Merges() bool { return true }

// Estimate is reckoned: every id may be a post.
func (s *lookup) Estimate(context.Context, feedlake.Window) (ingest.Estimate, error) {
	n, per := int64(len(s.ids)), int64(s.cfg.PageSize)
	return ingest.Estimate{Requests: (n + per - 1) / per, Posts: n, Micros: n * pricePost, Note: "at most: what is gone has no price"}, nil
}
