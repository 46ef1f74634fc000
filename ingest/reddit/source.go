package reddit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/rounds"
)

// source reads the feeds one after the other.
type source struct {
	env    ingest.Env
	cfg    Config
	client *api.Client
	login  *login
	feeds  []feed
	end    rounds.End
}

// part is what one step of a feed gave.
type part struct {
	posts   []feedlake.Post
	rejects []feedlake.Reject
	done    bool   // nothing newer for now
	where   string // for people
}

// Fetch reads on until there is something new, or all feeds are at their end.
func (s *source) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	c, err := parseCursor(from)
	if err != nil {
		return ingest.Page{}, err
	}
	if err := s.end.Due(from); err != nil {
		return ingest.Page{}, err
	}
	i := max(0, slices.IndexFunc(s.feeds, func(f feed) bool { return f.key == c.Turn }))
	page := ingest.Page{Next: from}
	for {
		f := s.feeds[i]
		got, err := s.step(ctx, f, c.at(f))
		if len(s.feeds) > 1 && c.Failed.Alone(ctx, f.key, err) {
			got, err = part{done: true, where: ", not to be read"}, nil
		}
		if err != nil && page.Next != from && ctx.Err() == nil { // what was done counts; the next page meets the error, if it lasts
			s.env.Log.DebugContext(ctx, "page ends early", "source", s.env.Name, "feed", f.key, "err", err)
			return page, nil
		}
		if err != nil {
			return ingest.Page{}, fmt.Errorf("%s: %w", f.key, err)
		}
		if got.done {
			i++
		}
		page.Done, c.Turn = i == len(s.feeds), ""
		if i > 0 && !page.Done {
			c.Turn = s.feeds[i].key
		}
		var missing error
		if page.Done {
			missing, c.Failed = c.Failed.Err(len(s.feeds)), nil
		}
		if page.Next, err = c.spell(); err != nil {
			return ingest.Page{}, err
		}
		page.Posts, page.Rejects, page.Covered = got.posts, got.rejects, feedlake.Window{}
		if !page.Done {
			page.Covered = s.covered(i, c)
		}
		page.Progress = ingest.Progress{Place: f.key + got.where}
		if len(page.Posts)+len(page.Rejects) > 0 || page.Done {
			return s.end.Page(from, page, missing)
		}
	}
}

// step asks once for a feed.
func (s *source) step(ctx context.Context, f feed, p *place) (got part, err error) {
	backfill := s.env.Window != feedlake.Window{}
	if p.Ended {
		return part{done: true}, ctx.Err()
	}
	switch s.cfg.Mode {
	case modeTop, modeTree:
		got, err = s.turn(ctx, f, p)
	default:
		got, err = s.descend(ctx, f, p)
	}
	if err != nil {
		return part{}, err
	}
	got.posts = slices.DeleteFunc(got.posts, func(post feedlake.Post) bool { return !s.env.Window.Contains(post.CreatedAt) })
	for i := range got.posts {
		got.posts[i].Source, got.posts[i].Query = s.env.Name, f.key
	}
	got.rejects, p.Bad = p.Bad.Fresh(got.rejects)
	if got.done {
		p.Bad = p.Bad.Landed()
	}
	if got.done && backfill {
		*p = place{Ended: true}
	}
	return got, nil
}

// Merges is true: Reddit has no search by time.
func (s *source) Merges() bool { return true }

// covered is the part of a backfill's window that was read whole, when only one
// feed is left to read and none has failed.
func (s *source) covered(i int, c cursor) (w feedlake.Window) {
	p := c.at(s.feeds[i])
	if len(c.Failed) == 0 && i == len(s.feeds)-1 && p.At.Pass != nil && !p.At.Pass.Down.IsZero() && s.env.Window != (feedlake.Window{}) {
		w = feedlake.Window{Start: p.At.Pass.Down.Add(time.Second), End: s.env.Window.End}
	}
	return w
}

// first is where a new cursor begins.
func (s *source) first() time.Time {
	switch {
	case s.env.Window != feedlake.Window{}:
		return s.env.Window.Start
	case !s.cfg.Since.IsZero():
		return s.cfg.Since
	}
	return s.env.Now().Add(-24 * time.Hour).Truncate(time.Second)
}
