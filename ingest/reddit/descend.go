package reddit

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/frontier"
)

// wall is about where a listing ends, however much there is: 1000 items, less
// those that are deleted.
const wall = 900

// whole keeps all that a pass has read: at most as many as the wall lets through.
const whole = 100 * 365 * 24 * time.Hour

// descend goes down a listing, newest first.
func (s *source) descend(ctx context.Context, f feed, p *place) (part, error) {
	if p.Round != nil {
		return s.beyond(ctx, f, p)
	}
	q := request{path: f.path, query: s.query(f, "new", "all", most)}
	if p.At.Pass != nil {
		q.page = p.At.Pass.Page
	}
	a, err := s.get(ctx, q)
	if err != nil {
		return part{}, err
	}
	floor := p.At.Floor(s.cfg.Overlap, s.first())
	fresh, at := p.At.Down(a.Posts, a.next, whole)
	p.At = at
	p.Listed += len(a.Names)
	got := part{posts: above(fresh, floor), rejects: a.Rejects, where: down(at)}
	switch reached := at.Pass == nil || at.Pass.Down.Before(floor); {
	case !reached && a.next != "":
		return got, nil
	case !reached && p.Listed >= wall:
		got.where += s.hitWall(ctx, f, p, floor)
	}
	if p.Round == nil {
		s.land(p)
		got.done = true
	}
	return got, nil
}

// land ends a pass.
func (s *source) land(p *place) {
	p.At, p.Listed, p.Round = p.At.Landed(s.cfg.Overlap), 0, nil
}

func down(at frontier.Frontier) string {
	if at.Pass == nil {
		return ""
	}
	return " down to " + at.Pass.Down.Format(time.DateTime)
}

func above(posts []feedlake.Post, floor time.Time) []feedlake.Post {
	return slices.DeleteFunc(posts, func(p feedlake.Post) bool { return p.CreatedAt.Before(floor) })
}

// query is what a listing is asked with.
func (s *source) query(_ feed, sort, period string, limit int) url.Values {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if s.cfg.Mode != modeSearch {
		if period != "all" || sort != "new" {
			q.Set("t", period)
		}
		return q
	}
	q.Set("q", s.cfg.Query)
	q.Set("sort", sort)
	q.Set("t", period)
	if len(s.cfg.Subreddits) > 0 {
		q.Set("restrict_sr", "1")
	}
	return q
}
