package reddit

import (
	"context"
	"fmt"
	"net/url"
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

// Estimate reckons from the newest posts of each feed, one request each: Reddit
// does not count. Posts are taken to come evenly.
func (s *source) Estimate(ctx context.Context, w feedlake.Window) (ingest.Estimate, error) {
	e := ingest.Estimate{Note: "reckoned from the newest posts; Reddit does not count"}
	for _, f := range s.feeds {
		a, err := s.newest(ctx, f, most)
		if err != nil {
			return e, fmt.Errorf("%s: %w", f.key, err)
		}
		requests, posts := s.reckon(a, w)
		if posts > 1000 || requests > 10 {
			e.Note = "reckoned from the newest posts; of a listing Reddit tells about 1000 posts and of what is older only a part"
		}
		e.Requests += requests
		e.Posts += posts
	}
	e.Took = time.Duration(e.Requests) * time.Minute / pace
	return e, nil
}

// reckon is what a feed costs whose beginning is known.
func (s *source) reckon(a answer, w feedlake.Window) (requests, posts int64) {
	n := int64(len(a.Posts))
	if s.cfg.Mode == modeTop {
		return 10 * int64(len(s.cfg.Periods)), 1000 * int64(len(s.cfg.Periods))
	}
	if s.cfg.Mode == modeTree {
		if n > 0 && a.Posts[0].Replies != nil {
			n = 1 + *a.Posts[0].Replies
		}
		return 1 + n/most, n
	}
	now := s.env.Now()
	from, to := w.Start, w.End
	if to.IsZero() || to.After(now) {
		to = now
	}
	if n < 2 || !from.Before(to) {
		return 1, n
	}
	over := max(a.Posts[0].CreatedAt.Sub(a.Posts[n-1].CreatedAt), time.Minute)
	if a.next == "" && !from.After(a.Posts[n-1].CreatedAt) {
		return 1, n
	}
	length := to.Sub(from)
	if from.IsZero() {
		length = now.Sub(a.Posts[n-1].CreatedAt)
	}
	posts = int64(float64(n) * float64(length) / float64(over))
	down := int64(float64(n) * float64(now.Sub(from)) / float64(over)) // everything since is gone through
	if from.IsZero() {
		down = posts
	}
	return 1 + min(down, 1000)/most, posts
}
