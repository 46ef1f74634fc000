package mastodon

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/peterhellberg/link"
	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/frontier"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/mastodon"
)

// most is how many posts a page may hold.
const most = 40

// source reads a timeline by its pages.
type source struct {
	env    ingest.Env
	cfg    Config
	client *api.Client
	signed bool // with a token
	warned bool // of a deprecation
}

// Fetch reads the next page: down at first, and for a backfill; up later on. A
// post comes again when it says something else: within the overlap, or by a stream
// when it was edited.
func (s *source) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	at, err := parse(from)
	switch {
	case err != nil:
		return ingest.Page{}, err
	case at.Ended:
		return ingest.Page{Next: from, Done: true}, ctx.Err()
	case at.At != "":
		return s.up(ctx, at)
	}
	return s.down(ctx, at)
}

// answer is a page of a timeline.
type answer struct {
	statuses []listed // as told: newest first
	nameless []listed // without an id
	older    string   // the page before is below this id
	newer    string   // the page behind is above this id
}

// listed is a status with what paging needs of it.
type listed struct {
	raw, id string
	created time.Time // zero: not told
}

// ask asks for a page of at most so many posts, below max and above since, or
// right above min; "" is open. A page that does not keep to that is one of
// before, sent again.
func (s *source) ask(ctx context.Context, posts int, below, since, above string) (answer, error) {
	q := s.cfg.question(posts)
	for name, id := range map[string]string{"max_id": below, "since_id": since, "min_id": above} {
		if id != "" {
			q.Set(name, id)
		}
	}
	a, err := s.client.Do(ctx, api.Call{Endpoint: "timelines/" + s.cfg.Mode, Path: s.cfg.path(), Query: q, Posts: int64(posts)})
	if err != nil {
		return answer{}, err
	}
	s.deprecated(ctx, a.Header)
	page, err := read(a)
	if err == nil {
		err = a.Settle(ctx, int64(len(page.statuses)))
	}
	if err != nil {
		return answer{}, err
	}
	for _, l := range page.statuses {
		if below != "" && mastodon.Compare(l.id, below) >= 0 || above != "" && mastodon.Compare(l.id, above) <= 0 {
			return answer{}, &feedlake.RetryError{Err: fmt.Errorf("read timeline: status %.40q is not of the page that was asked for", l.id)}
		}
	}
	return page, nil
}

func read(a api.Answer) (answer, error) {
	if !gjson.ValidBytes(a.Body) || !gjson.ParseBytes(a.Body).IsArray() {
		return answer{}, &feedlake.RetryError{Err: fmt.Errorf("read timeline: no list: %s", a.Excerpt())}
	}
	var page answer
	for _, v := range gjson.ParseBytes(a.Body).Array() {
		l := listed{raw: v.Raw, id: v.Get("id").String()}
		if at, err := time.Parse(time.RFC3339, v.Get("created_at").String()); err == nil {
			l.created = at.UTC()
		}
		if l.id == "" {
			page.nameless = append(page.nameless, l)
			continue
		}
		page.statuses = append(page.statuses, l)
		if page.older == "" || mastodon.Compare(l.id, page.older) < 0 {
			page.older = l.id
		}
		if page.newer == "" || mastodon.Compare(l.id, page.newer) > 0 {
			page.newer = l.id
		}
	}
	page.linked(a.Header)
	return page, nil
}

// linked takes the ids of the pages around from the header Link, where they lead
// further than the statuses: those that the reader may not see count too, also
// when they are all that the page had.
func (a *answer) linked(h http.Header) {
	links := link.ParseHeader(h)
	get := func(rel, key string) string {
		if links[rel] == nil {
			return ""
		}
		u, err := url.Parse(links[rel].URI)
		if err != nil {
			return ""
		}
		return u.Query().Get(key)
	}
	if id := get("next", "max_id"); id != "" && (a.older == "" || mastodon.Compare(id, a.older) < 0) {
		a.older = id
	}
	if id := get("prev", "min_id"); id != "" && (a.newer == "" || mastodon.Compare(id, a.newer) > 0) {
		a.newer = id
	}
}

// deprecated says once that the server will take the endpoint away (RFC 9745).
func (s *source) deprecated(ctx context.Context, h http.Header) {
	if d := h.Get("Deprecation"); d != "" && !s.warned {
		s.warned = true
		s.env.Log.WarnContext(ctx, "the server says that this timeline is deprecated", "source", s.env.Name, "deprecation", d)
	}
}

// decode makes a page of those statuses that keep, and returns what is to be
// remembered of them. A status that has no id is a reject, once.
func (s *source) decode(a answer, at *place, keep func(l listed, version string) bool) (ingest.Page, []string) {
	var (
		b    wire.Batch
		seen []string
	)
	read := func(l listed) (version string) {
		n := len(b.Posts)
		mastodon.Status(l.raw, s.cfg.Server, s.env.Now().UTC(), "status "+l.id+" of "+s.cfg.Server, &b)
		if len(b.Posts) > n {
			version = frontier.Version(&b.Posts[n])
		}
		return version
	}
	for _, l := range a.nameless {
		posts := len(b.Posts)
		if read(l); len(b.Posts) > posts {
			b.Posts = b.Posts[:posts]
			b.Reject("the status has no id", l.raw, "a status of "+s.cfg.Server, s.env.Now().UTC())
		}
	}
	b.Rejects, at.Bad = at.Bad.Fresh(b.Rejects)
	for _, l := range a.statuses {
		posts, rejects := len(b.Posts), len(b.Rejects)
		if v := read(l); keep(l, v) {
			seen = append(seen, spell(l.id, v))
			continue
		}
		b.Posts, b.Rejects = b.Posts[:posts], b.Rejects[:rejects]
	}
	for i := range b.Posts {
		b.Posts[i].Source, b.Posts[i].Query = s.env.Name, s.cfg.asked()
	}
	return ingest.Page{Posts: b.Posts, Rejects: b.Rejects}, seen
}

// up reads the page right above the place. From the overlap below it on, pages
// may hold nothing new: they are passed over.
func (s *source) up(ctx context.Context, at place) (ingest.Page, error) {
	if at.Low == "" {
		at.Low = at.low(s.cfg.late(at.At))
	}
	for moved := false; ; moved = true {
		a, err := s.ask(ctx, most, "", "", at.Low)
		if err != nil && moved && ctx.Err() == nil { // how far the way is counts; the next page meets the error, if it lasts
			s.env.Log.DebugContext(ctx, "page ends early", "source", s.env.Name, "err", err)
			return s.page(ingest.Page{}, at)
		}
		if err != nil {
			return ingest.Page{}, err
		}
		if len(a.statuses) == 0 && (a.newer == "" || mastodon.Compare(a.newer, at.Low) <= 0) {
			p, _ := s.decode(a, &at, nil)
			at.Low, at.Bad, p.Done = "", at.Bad.Landed(), true
			return s.page(p, at)
		}
		known := versionsOf(at.Seen)
		p, seen := s.decode(a, &at, func(l listed, version string) bool {
			v, ok := known[l.id]
			return !ok || v != "" && version != "" && v != version
		})
		at.Low = a.newer
		if len(p.Posts)+len(p.Rejects) == 0 && len(seen) == 0 {
			continue
		}
		if mastodon.Compare(at.Low, at.At) > 0 {
			at.At = at.Low
		}
		at.Seen = remember(at.Seen, seen, s.cfg.late(at.At))
		return s.page(p, at)
	}
}

func (s *source) page(p ingest.Page, at place) (ingest.Page, error) {
	shown := at.At
	if at.Down != "" {
		shown = at.Down
	}
	p.Progress.Place = "status " + shown
	if t, ok := mastodon.TimeOf(shown); ok {
		p.Progress.Place = t.Format(time.DateTime)
	}
	var err error
	p.Next, err = at.cursor()
	return p, err
}
