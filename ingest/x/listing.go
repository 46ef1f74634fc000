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
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/frontier"
	"github.com/feedlake/feedlake/ingest/rounds"
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
	ids   map[string]string // of users given by name, by the feed's key
	lacks map[string]string // users given by name that X does not tell, and why
	end   rounds.End
}

// feed is a search or a timeline.
type feed struct{ key, path, query, user string }

// places are the cursor: how far each feed is.
type places struct {
	Begin time.Time                    `json:"begin"`          // of the first pass
	Feed  string                       `json:"feed,omitempty"` // that is read; empty: the first
	At    map[string]frontier.Frontier `json:"at"`
	IDs   map[string]string            `json:"ids,omitempty"` // of users given by name, by the feed's key

	Failed rounds.Failed `json:"failed,omitempty"`
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

// Fetch reads the next page of a feed, or comes to its end and so to the next one.
func (s *listing) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	at, err := s.parse(from)
	if err != nil {
		return ingest.Page{}, err
	}
	i := max(0, slices.IndexFunc(s.feeds, func(f feed) bool { return f.key == at.Feed }))
	if err := s.end.Due(from); err != nil {
		return ingest.Page{}, err
	}
	f, err := s.find(ctx, &at, s.feeds[i])
	var (
		page   ingest.Page
		next   = at.At[f.key]
		landed bool
	)
	if err == nil {
		page, next, landed, err = s.step(ctx, f, at.Begin, next)
	}
	if len(s.feeds) > 1 && at.Failed.Alone(ctx, f.query+f.user, err) {
		page, next, landed, err = ingest.Page{}, at.At[f.key], true, nil
	}
	if err != nil {
		return ingest.Page{}, err
	}
	at = places{Begin: at.Begin, Feed: f.key, At: maps.Clone(at.At), IDs: at.IDs, Failed: at.Failed}
	at.At[f.key] = next
	if landed {
		if at.Feed = ""; i+1 < len(s.feeds) {
			at.Feed = s.feeds[i+1].key
		}
	}
	var missing error
	if page.Done = at.Feed == ""; page.Done {
		missing, at.Failed, s.lacks = at.Failed.Err(len(s.feeds)), nil, nil
	}
	b, err := json.Marshal(at)
	if err != nil {
		return ingest.Page{}, fmt.Errorf("spell cursor: %w", err)
	}
	page.Next = feedlake.Cursor(b)
	return s.end.Page(from, page, missing)
}

// fewest is how many answers without posts, or that came before, are read in one
// go: an empty page is not the end.
const fewest = 10

// step asks a feed for its next posts. landed says that the pass is at its end.
func (s *listing) step(ctx context.Context, f feed, begin time.Time, at frontier.Frontier) (page ingest.Page, next frontier.Frontier, landed bool, err error) {
	for try := 0; ; try++ {
		token, of := "", ""
		if at.Pass != nil {
			token, of, _ = strings.Cut(at.Pass.Page, " ")
		}
		b := s.bounds(ctx, begin, at)
		if token != "" && of != "" && !b.ask(of) {
			at = anew(at)
			continue
		}
		if b.empty {
			return page, at.Landed(s.cfg.Overlap), true, nil
		}
		q := s.ask(f, b, token)
		var read wire.Batch
		m, err := s.posts(ctx, f.path, s.endpoint(f), q, s.cfg.PageSize, &read)
		switch {
		case errors.Is(err, errToken) && token != "":
			s.env.Log.DebugContext(ctx, "token expired: going on by time", "source", s.env.Name)
			at = anew(at)
			continue
		case err != nil:
			return page, at, false, err
		case f.user != "" && m.Results == 0 && refusal(m, f) != nil:
			return page, at, false, refusal(m, f)
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

// refusal is the error that X gives in place of a timeline: of a user who is
// suspended or gone, or shows posts to some alone.
func refusal(m x.Meta, f feed) error {
	id := strings.TrimSuffix(strings.TrimPrefix(f.path, timelines1), timelines2)
	for _, e := range m.Problems {
		if e.Resource == "user" && e.Value == id {
			return rounds.OfFeed(feedlake.Hint(fmt.Errorf("%s: %w", e.Says(), feedlake.ErrNotFound), "take the user out of users"))
		}
	}
	return nil
}

// Estimate says that nothing is known: X counts what searches find, and of
// timelines it asks a price for every post that is looked at.
func (s *listing) Estimate(context.Context, feedlake.Window) (ingest.Estimate, error) {
	return ingest.Estimate{Unknown: fmt.Sprintf("X does not count the posts of timelines in a time; of each user at most the newest 3,200 can be had, for $%.2f", 3200*pricePost/1e6)}, nil
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
	after := m.NextToken
	if after != "" {
		after += " " + b.asked()
	}
	fresh, next := at.Down(posts, after, s.cfg.Overlap)
	if next.Pass == nil && after != "" { // an empty first page
		next.Pass = &frontier.Pass{Page: after}
	}
	for i := range fresh {
		fresh[i].Query = f.query + f.user
	}
	rejects, bad := next.Bad.Fresh(read.Rejects)
	next.Bad = bad
	page = ingest.Page{Posts: fresh, Rejects: rejects, Progress: ingest.Progress{Place: f.query + f.user}}
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

// asked spells what a question asked for. A token goes on with the question that
// it was given for, and with no other: the cursor keeps both.
func (b bounds) asked() string {
	return strings.Join([]string{b.startTime, b.endTime, b.sinceID, b.untilID}, ",")
}

// ask makes the question that asked spelled. It reports false when that begins
// too long ago by now.
func (b *bounds) ask(asked string) bool {
	f := strings.Split(asked, ",")
	if len(f) != 4 || f[0]+f[2] != "" && b.startTime+b.sinceID == "" {
		return false
	}
	b.startTime, b.endTime, b.sinceID, b.untilID = f[0], f[1], f[2], f[3]
	return true
}

// anew goes on by time, without a token.
func anew(at frontier.Frontier) frontier.Frontier {
	pass := *at.Pass
	pass.Page = ""
	at.Pass = &pass
	return at
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
