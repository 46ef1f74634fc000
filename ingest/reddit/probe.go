package reddit

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

// Probe tries the keys and looks at every feed, with one request each.
func (s *source) Probe(ctx context.Context) []ingest.Finding {
	if err := s.login.renew(ctx); err != nil {
		return []ingest.Finding{ingest.Found("token", "", err, "")}
	}
	out := []ingest.Finding{ingest.Found("token", "good for an hour", nil, "")}
	for _, f := range s.feeds {
		a, err := s.newest(ctx, f, 1)
		says := "nothing there"
		if len(a.Posts) > 0 {
			says = "newest of " + a.Posts[0].CreatedAt.Format(time.DateTime)
		}
		out = append(out, ingest.Found(f.key, says, err, ""))
	}
	return out
}

// newest asks for the newest of a feed, or for the beginning of a tree.
func (s *source) newest(ctx context.Context, f feed, limit int) (answer, error) {
	q := request{path: f.path, query: s.query(f, "new", "all", limit)}
	if s.cfg.Mode == modeTree {
		q.query = url.Values{"limit": {fmt.Sprint(limit)}}
	}
	return s.get(ctx, q)
}

// pace is how many requests Reddit takes in a minute.
const pace = 100

// Estimate goes through the listing of each feed down to the window's beginning,
// ten requests at most: Reddit does not count. What lies behind a listing's end
// is looked for in ways whose length nobody knows.
func (s *source) Estimate(ctx context.Context, w feedlake.Window) (ingest.Estimate, error) {
	switch s.cfg.Mode {
	case modeTop:
		return ingest.Estimate{Unknown: fmt.Sprintf("Reddit does not count what its top lists hold; they take %d requests at most", 10*len(s.feeds)*len(s.cfg.Periods))}, nil
	case modeTree:
		return ingest.Estimate{Unknown: "Reddit does not tell in how many parts a tree of comments comes"}, nil
	}
	e := ingest.Estimate{Requests: 1, Exact: true, Note: "every listing was gone through; one request is for a token"}
	for _, f := range s.feeds {
		requests, posts, whole, err := s.reckon(ctx, f, w)
		if err != nil {
			return e, fmt.Errorf("%s: %w", f.key, err)
		}
		if !whole && !s.cfg.StayInside && s.cfg.Mode != modeComments {
			return ingest.Estimate{Unknown: "Reddit lists about 1000 posts, which do not go back far enough in " + f.key + ": what is older can be had in part, from other lists, and it does not tell in how many requests"}, nil
		}
		if !whole {
			e.Note = "Reddit lists about 1000 posts: what is older than those of " + f.key + " cannot be had"
		}
		e.Requests += requests
		e.Posts += posts
	}
	e.Took = time.Duration(e.Requests) * time.Minute / pace
	return e, nil
}

// reckon is what a listing costs; whole: it goes down to the window's beginning,
// or to the first post of the feed.
func (s *source) reckon(ctx context.Context, f feed, w feedlake.Window) (requests, posts int64, whole bool, err error) {
	q := request{path: f.path, query: s.query(f, "new", "all", most)}
	for listed := 0; ; {
		a, err := s.get(ctx, q)
		if err != nil {
			return requests, posts, false, err
		}
		requests++
		listed += len(a.Names)
		for i := range a.Posts {
			if w.Contains(a.Posts[i].CreatedAt) {
				posts++
			}
		}
		if a.next == q.page && a.next != "" || requests > 2*wall/most {
			return requests, posts, false, &feedlake.RetryError{Err: fmt.Errorf("the listing goes in a circle after %s", q.page)}
		}
		reached := slices.ContainsFunc(a.Posts, func(p feedlake.Post) bool { return p.CreatedAt.Truncate(time.Second).Before(w.Start) })
		if reached || a.next == "" {
			return requests, posts, reached || listed < wall, nil
		}
		q.page = a.next
	}
}
