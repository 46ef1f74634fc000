package x

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/frontier"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/x"
)

// week is how far back recent search looks. X refuses a time before that; clocks
// differ, so one that is near goes unsaid, and what is too old is left out here.
const (
	week   = 7 * 24 * time.Hour
	margin = 2 * time.Hour
)

// listing goes down feeds that tell posts newest first, one after the other.
type listing struct {
	*asker
	feeds []feed
}

// feed is a search or a timeline.
type feed struct{ key, path, query, user string }

// places are the cursor: how far each feed is.
type places struct {
	Begin time.Time                    `json:"begin"`          // of the first pass
	Feed  string                       `json:"feed,omitempty"` // that is read; empty: the first
	At    map[string]frontier.Frontier `json:"at"`
}

func (s *listing) parse(from feedlake.Cursor) (places, error) {
	p := places{At: map[string]frontier.Frontier{}}
	if from == "" {
		p.Begin = cmp.Or(s.env.Window.Start, s.cfg.Since, s.env.Now().Add(-24*time.Hour)).UTC().Truncate(time.Second)
		return p, nil
	}
	if err := json.Unmarshal([]byte(from), &p); err != nil || p.At == nil {
		return p, fmt.Errorf("cursor %.60q is not one of this source: %w", from, feedlake.ErrConfig)
	}
	return p, nil
}

// Fetch reads the next page that holds something, or comes to the end of all
// feeds.
func (s *listing) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	at, err := s.parse(from)
	if err != nil {
		return ingest.Page{}, err
	}
	i := max(0, slices.IndexFunc(s.feeds, func(f feed) bool { return f.key == at.Feed }))
	var page ingest.Page
	for ; i < len(s.feeds) && len(page.Posts)+len(page.Rejects) == 0; i++ {
		f := s.feeds[i]
		var next frontier.Frontier
		var landed bool
		if page, next, landed, err = s.step(ctx, f, at.Begin, at.At[f.key]); err != nil {
			return ingest.Page{}, err
		}
		at = places{Begin: at.Begin, Feed: f.key, At: maps.Clone(at.At)}
		at.At[f.key] = next
		if !landed {
			break
		}
		if at.Feed = ""; i+1 < len(s.feeds) {
			at.Feed = s.feeds[i+1].key
		}
	}
	page.Done = at.Feed == ""
	b, err := json.Marshal(at)
	page.Next = feedlake.Cursor(b)
	return page, err
}

// fewest is how many answers without posts, or that came before, are read in one
// go: an empty page is not the end.
const fewest = 10

// step asks a feed for its next posts. landed says that the pass is at its end.
func (s *listing) step(ctx context.Context, f feed, begin time.Time, at frontier.Frontier) (page ingest.Page, next frontier.Frontier, landed bool, err error) {
	for try := 0; ; try++ {
		b := s.bounds(ctx, begin, at)
		if b.empty {
			return page, at.Landed(s.cfg.Overlap), true, nil
		}
		token := ""
		if at.Pass != nil {
			token = at.Pass.Page
		}
		q := s.ask(f, b, token)
		var read wire.Batch
		m, err := s.posts(ctx, f.path, s.endpoint(f), q, s.cfg.PageSize, &read)
		switch {
		case errors.Is(err, errToken) && token != "":
			s.env.Log.DebugContext(ctx, "token expired: going on by time", "source", s.env.Name)
			pass := *at.Pass
			pass.Page = ""
			at.Pass = &pass
			continue
		case err != nil:
			return page, at, false, err
		case m.NextToken != "" && m.NextToken == token: // the page before came again
			if try < fewest {
				continue
			}
			return page, at, false, &feedlake.RetryError{Err: fmt.Errorf("%s: the same page came %d times", s.endpoint(f), try+1)}
		}
		page, next, landed = s.take(f, at, b, m, read)
		if landed || len(page.Posts)+len(page.Rejects) > 0 || try >= fewest {
			return page, next, landed, nil
		}
		at = next
	}
}

// endpoint is the name of a feed's calls, for pace and messages. Timelines share
// one limit.
func (s *listing) endpoint(f feed) string {
	if f.user != "" {
		return "users/:id/tweets"
	}
	return f.path
}

// take keeps what is new in an answer.
func (s *listing) take(f feed, at frontier.Frontier, b bounds, m x.Meta, read wire.Batch) (page ingest.Page, next frontier.Frontier, landed bool) {
	old := slices.ContainsFunc(read.Posts, func(p feedlake.Post) bool { return p.CreatedAt.Before(b.window.Start) })
	posts := slices.DeleteFunc(read.Posts, func(p feedlake.Post) bool { return !b.window.Contains(p.CreatedAt) })
	fresh, next := at.Down(posts, m.NextToken, s.cfg.Overlap)
	if next.Pass == nil && m.NextToken != "" { // an empty first page
		next.Pass = &frontier.Pass{Page: m.NextToken}
	}
	for i := range fresh {
		fresh[i].Query = f.query + f.user
	}
	page = ingest.Page{Posts: fresh, Rejects: read.Rejects, Progress: ingest.Progress{Place: f.query + f.user}}
	if landed = m.NextToken == "" || old; landed {
		next = next.Landed(s.cfg.Overlap)
	}
	return page, next, landed
}

// bounds are the times that a question is about. New posts are asked for by id,
// a window and a first pass by time; X does not take both.
type bounds struct {
	startTime, endTime string
	sinceID, untilID   string
	window             feedlake.Window // the same, for what X gives beyond
	empty              bool            // nothing lies between
}

func (s *listing) bounds(ctx context.Context, begin time.Time, at frontier.Frontier) bounds {
	now := s.env.Now()
	b := bounds{window: feedlake.Window{Start: at.Floor(s.cfg.Overlap, begin), End: s.env.Window.End}}
	if b.window.Start.Before(s.env.Window.Start) {
		b.window.Start = s.env.Window.Start
	}
	below := s.env.Window.End
	resumed := at.Pass != nil && at.Pass.Page == "" && !at.Pass.Down.IsZero()
	if resumed {
		below = at.Pass.Down.Add(time.Second) // that second once more: an answer may have cut it in two
	}
	b.empty = !below.IsZero() && !b.window.Start.Before(below)
	late := s.cfg.Mode == modeRecent && b.window.Start.Before(now.Add(margin-week))
	if late && !at.To.IsZero() && at.To.Before(now.Add(-week)) {
		s.env.Log.WarnContext(ctx, "recent search no longer knows what came between: mode all does", "source", s.env.Name, "from", at.To, "to", now.Add(-week))
	}
	if at.To.IsZero() || s.env.Window != (feedlake.Window{}) {
		if !late {
			b.startTime = stamp(b.window.Start)
		}
		if !below.IsZero() && below.Before(now.Add(-time.Minute)) { // X wants it some seconds ago; what comes after is left out here
			b.endTime = stamp(below)
		}
		return b
	}
	if !late {
		b.sinceID = before(x.FirstID(b.window.Start))
	}
	if resumed {
		b.untilID = x.FirstID(below)
	}
	return b
}

// before is the id before an id.
func before(id string) string {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || n == 0 {
		return id
	}
	return strconv.FormatInt(n-1, 10)
}
