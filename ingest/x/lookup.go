package x

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/wire"
)

// lookup reads posts by their ids. Its cursor tells which were asked for.
type lookup struct {
	*asker
	ids []string
}

// Fetch asks for the next ids. Those that X does not give become rejects.
func (s *lookup) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	at, err := parseAsked(from, s.ids)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return ingest.Page{}, err
	}
	left := at.left(s.ids)
	if len(left) == 0 {
		return ingest.Page{Next: from, Done: true}, nil
	}
	ids := left[:min(s.cfg.PageSize, len(left))]
	var b wire.Batch
	if _, err := s.posts(ctx, "tweets", "tweets", url.Values{"ids": {strings.Join(ids, ",")}}, len(ids), &b); err != nil {
		return ingest.Page{}, err
	}
	next, err := at.after(left, len(ids)).cursor()
	if err != nil {
		return ingest.Page{}, err
	}
	posts := slices.DeleteFunc(b.Posts, func(p feedlake.Post) bool { return !s.env.Window.Contains(p.CreatedAt) })
	total, rest := max(len(s.ids), len(left)), len(left)-len(ids)
	return ingest.Page{
		Posts: posts, Rejects: b.Rejects, Next: next, Done: rest == 0,
		Progress: ingest.Progress{Done: int64(total - rest), Total: int64(total), Unit: "posts"},
	}, nil
}

// Merges is true: all ids are asked for, whatever the window.
func (s *lookup) Merges() bool { return true }

// Estimate is reckoned: every id may be a post.
func (s *lookup) Estimate(context.Context, feedlake.Window) (ingest.Estimate, error) {
	n, per := int64(len(s.ids)), int64(s.cfg.PageSize)
	return ingest.Estimate{Requests: (n + per - 1) / per, Posts: n, Micros: n * pricePost, Note: "at most: what is gone has no price"}, nil
}
