package instagram

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/instagram"
)

// page is an answer of a list.
type page struct {
	media []string // JSON
	asked string   // what of the link was asked with
	next  string   // what the link to the next page has beyond the question; "": there is none
}

// readPage reads {"data": […], "paging": {"cursors": {"after": …}, "next": …}}.
// The way on is the whole link: of hashtags "after" is the same on every page.
// Nothing but what it asks for is taken from the link, neither host nor token.
func readPage(body []byte) (page, error) {
	data := gjson.GetBytes(body, "data")
	if !gjson.ValidBytes(body) || !data.IsArray() {
		return page{}, &feedlake.RetryError{Err: errors.New("read answer: it holds no list of media")}
	}
	var p page
	for _, v := range data.Array() {
		p.media = append(p.media, v.Raw)
	}
	link := gjson.GetBytes(body, "paging.next").Str
	if link == "" {
		return p, nil
	}
	q := url.Values{}
	if u, err := url.Parse(link); err == nil {
		q = u.Query()
	}
	for _, k := range [...]string{"access_token", "appsecret_proof", "fields", "limit", "user_id", "since", "until"} {
		q.Del(k)
	}
	if after := gjson.GetBytes(body, "paging.cursors.after").Str; !q.Has("after") && after != "" {
		q.Set("after", after)
	}
	p.next = q.Encode()
	return p, nil
}

// take turns an answer into posts that were not handed out before.
func (s *source) take(ctx context.Context, at *place, a page) (ingest.Page, error) {
	l := at.list(at.Turn)
	var b wire.Batch
	now := s.env.Now().UTC()
	for i, raw := range a.media {
		instagram.Media(raw, now, fmt.Sprintf("%s, page %d, item %d of %s", at.Turn, l.Answers+1, i+1, now.Format(time.RFC3339)), &b)
	}
	posts := s.unread(l, b.Posts)
	fresh, moved := s.down(l, posts, a.next)
	fresh = s.mine(at, fresh)
	if err := s.deepen(ctx, fresh); err != nil {
		return ingest.Page{}, err
	}
	if a.next != "" && a.next == a.asked && len(posts) > 0 {
		l.Same = true
	}
	b.Rejects, moved.Bad = moved.Bad.Fresh(b.Rejects)
	l.At = moved
	l.Answers++
	s.meet(l, b.Posts)
	return ingest.Page{Posts: fresh, Rejects: b.Rejects}, nil
}

// unread leaves out what the last two answers held, since the platform repeats
// pages, and what lies below the floor of the pass: that was read before.
func (s *source) unread(l *list, posts []feedlake.Post) []feedlake.Post {
	known := make(map[string]bool, len(l.Last))
	for _, id := range l.Last {
		known[id] = true
	}
	floor, before := s.floor(l), apiIDs(l)
	out := make([]feedlake.Post, 0, len(posts))
	for _, p := range posts {
		if !known[p.ID] && !before[apiID(&p)] && !p.CreatedAt.Before(floor) {
			out = append(out, p)
		}
	}
	return out
}

// apiID is the id that the API knows a post by.
func apiID(p *feedlake.Post) string { return gjson.Get(p.Payload, "id").String() }

// apiIDs are the posts that a cursor of before kept by the API's ids.
func apiIDs(l *list) map[string]bool {
	ids := map[string]bool{}
	seen := l.At.Seen
	if l.At.Pass != nil {
		seen = slices.Concat(seen, l.At.Pass.Got)
	}
	for _, s := range seen {
		if s.V == "" {
			ids[s.ID] = true
		}
	}
	return ids
}

// meet counts answers in a row that hold nothing but what this process has met.
func (s *source) meet(l *list, posts []feedlake.Post) {
	ids, fresh := make([]string, 0, len(posts)), 0
	for _, p := range posts {
		if !s.walk.met[p.ID] {
			s.walk.met[p.ID] = true
			fresh++
		}
		ids = append(ids, p.ID)
	}
	l.remember(ids)
	s.walk.idle++
	if fresh > 0 {
		s.walk.idle = 0
	}
}

// mine keeps what no other list has told and what lies in the window, and says
// how it was found: a post with several of the hashtags comes once.
func (s *source) mine(at *place, posts []feedlake.Post) []feedlake.Post {
	known, out := at.elsewhere(), posts[:0]
	for _, p := range posts {
		if known[p.ID] || !s.env.Window.Contains(p.CreatedAt) || p.CreatedAt.Before(s.cfg.Since) {
			continue
		}
		p.Source, p.Query = s.env.Name, "#"+at.Turn
		if s.cfg.Mode == modeAccount {
			p.Query = "account " + s.cfg.UserID
		}
		out = append(out, p)
		if at.Turn != s.lists()[len(s.lists())-1] {
			at.Told = append(at.Told, p.ID)
		}
	}
	return out
}

// maxIdle is how many answers in a row may hold nothing new. One or two do when
// a page is repeated; more is a ring of links.
const maxIdle = 3

// ended reports whether a pass is at its end: no link goes on, or the page is
// older than what has to be read.
func (s *source) ended(ctx context.Context, name string, l *list, a page) bool {
	switch {
	case a.next == "" || l.At.Pass == nil:
		return true
	case s.walk.idle >= maxIdle && len(a.media) == 0:
		return true
	case s.walk.idle >= maxIdle:
		s.env.Log.WarnContext(ctx, "the links to next pages go in a circle: the list ends here", "source", s.env.Name, "list", name, "answers", l.Answers)
		return true
	case s.cfg.Mode == modeTop:
		return l.Answers >= s.cfg.TopPages
	case len(a.media) == 0: // the link goes on, past what the reader may not see
		return false
	}
	floor := s.floor(l)
	for _, raw := range a.media {
		var b wire.Batch
		instagram.Media(raw, s.env.Now(), "", &b)
		if len(b.Posts) == 0 || !b.Posts[0].CreatedAt.Before(floor) {
			return false
		}
	}
	return true
}

// floor is how far down a pass goes. A list without order of time has none.
func (s *source) floor(l *list) time.Time {
	first := s.cfg.Since
	switch {
	case s.cfg.Mode == modeTop:
		return time.Time{}
	case !s.env.Window.Start.IsZero():
		first = s.env.Window.Start
	}
	return l.At.Floor(s.cfg.Overlap, first)
}

// deepen adds the insights of the account's posts, when they are wanted. Those
// that were asked for are kept until the page is complete.
func (s *source) deepen(ctx context.Context, posts []feedlake.Post) error {
	if len(s.cfg.Insights) == 0 {
		return nil
	}
	if s.insights == nil {
		s.insights = map[string]string{}
	}
	for i := range posts {
		p := &posts[i]
		body, ok := s.insights[p.ID]
		if !ok {
			a, err := s.ask(ctx, apiID(p)+"/insights", url.Values{"metric": {strings.Join(s.cfg.Insights, ",")}}, 0)
			switch {
			case errors.Is(err, errUnfit), errors.Is(err, feedlake.ErrNotFound): // too few viewers, too old, or deleted meanwhile
			case err != nil:
				return fmt.Errorf("insights of %s: %w", p.ID, err)
			case !gjson.ValidBytes(a.Body):
				return &feedlake.RetryError{Err: fmt.Errorf("insights of %s: the answer is no JSON", p.ID)}
			}
			body = string(a.Body)
			s.insights[p.ID] = body
		}
		if body != "" {
			var b wire.Batch
			end := strings.LastIndexByte(p.Payload, '}')
			instagram.Media(p.Payload[:end]+`,"insights":`+body+"}", p.ObservedAt, "", &b)
			if len(b.Posts) == 1 {
				b.Posts[0].Source, b.Posts[0].Query = p.Source, p.Query
				*p = b.Posts[0]
			}
		}
	}
	s.insights = nil
	return nil
}
