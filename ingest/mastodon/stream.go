package mastodon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tidwall/gjson"
	"github.com/tmaxmax/go-sse"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/frontier"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/mastodon"
)

// stream reads the timeline up to now, and then listens for a while: to new
// posts, edits and deletions (docs.joinmastodon.org/methods/streaming). A stream
// tells nothing again, so the place in the timeline stays where it was: the next
// run reads from there, without what was heard. What is posted while a connection
// is made is read from the timeline once the connection stands.
type stream struct {
	*source
	seen map[string]sighting // by the server's id
	flow *api.Flow
	o    api.Options

	pump   *api.Pump[sse.Event] // nil: not connected
	caught bool                 // since it was, the timeline was read
	until  time.Time            // end of the run; zero: none is under way
	tries  int                  // connections in a row that told nothing
}

// sighting is what a deletion needs of what was deleted.
type sighting struct {
	uri     string
	created time.Time
}

// Bounds of a stream.
const (
	maxSeen   = 200_000 // sightings in memory; then they begin anew
	maxEvent  = 1 << 20 // bytes of an event
	maxEvents = 2000    // of a page
)

// Waits between connections.
const (
	firstPause = time.Second
	lastPause  = time.Minute
	mostFails  = 8 // in a row, before the run is told
)

// Flush is how long a post that was heard may wait to be landed.
func (s *stream) Flush() time.Duration { return s.cfg.Flush }

// Fetch reads a page of the timeline, or when there is none the stream. A
// connection that ends, or cannot be made, is made anew while the run's time lasts.
func (s *stream) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	to := from
	for fails := 0; ; {
		p, err := s.next(ctx, &to)
		again, ok := errors.AsType[*feedlake.RetryError](err)
		switch {
		case err == nil:
			return p, nil
		case errors.Is(err, errEnded):
			err = s.rest(ctx, firstPause<<min(s.tries, 10))
			s.tries++
		case ok && !s.until.IsZero() && !s.over() && fails < mostFails:
			err = s.rest(ctx, max(again.After, firstPause<<fails))
			fails++
		}
		if err != nil {
			return ingest.Page{}, err
		}
	}
}

// next reads a page of the timeline, and of the stream when there is none; errEnded
// says that the stream told nothing.
func (s *stream) next(ctx context.Context, to *feedlake.Cursor) (ingest.Page, error) {
	for !s.caught {
		p, err := s.source.Fetch(ctx, *to)
		if err != nil {
			return p, err
		}
		s.sight(p.Posts)
		rows := len(p.Posts) + len(p.Rejects)
		if rows == 0 && !p.Done && !s.until.IsZero() { // the place may be the one that the run knows
			*to = p.Next
			return p, &feedlake.RetryError{Err: errors.New("read timeline: it broke off above the last post")}
		}
		if rows > 0 || !p.Done || p.Next == "" {
			p.Done = p.Next == ""
			return p, nil
		}
		*to = p.Next
		if s.caught = s.pump != nil || s.over(); s.caught {
			break
		}
		if err := s.connect(ctx); err != nil {
			return ingest.Page{}, err
		}
	}
	at, err := parse(*to)
	if err != nil {
		return ingest.Page{}, err
	}
	p, err := s.listen(ctx, at)
	return p, errors.Join(err, s.flow.Settle(ctx))
}

// rest waits before another connection, until the end of the run at most. Then
// there is one more page: what the stream told last.
func (s *stream) rest(ctx context.Context, d time.Duration) error {
	return s.o.Sleep(ctx, max(0, min(d, lastPause, s.until.Sub(s.env.Now()))))
}

// over reports whether the time of the run is.
func (s *stream) over() bool { return !s.until.IsZero() && !s.env.Now().Before(s.until) }

func (s *stream) sight(posts []feedlake.Post) {
	if len(s.seen) > maxSeen {
		clear(s.seen)
	}
	for i := range posts {
		if id := gjson.Get(posts[i].Payload, "id").String(); id != "" {
			s.seen[id] = sighting{posts[i].URI, posts[i].CreatedAt}
		}
	}
}

// listen hears a page of events: as many as fit, what came within half the time
// that a post may wait, or what came until the run is to end or the budget is used
// up. Then the next page has its error.
func (s *stream) listen(ctx context.Context, at place) (ingest.Page, error) {
	h := hearing{known: versionsOf(at.Seen)}
	tick := time.NewTicker(s.cfg.Flush / 2)
	defer tick.Stop()
	for h.events < maxEvents && !s.over() {
		err := s.flow.Admit(ctx)
		if err == nil {
			err = s.hear(ctx, at, &h, tick.C)
		}
		switch {
		case err == nil, errors.Is(err, api.ErrQuiet) && h.events == 0:
			continue
		case h.events == 0:
			return ingest.Page{}, err
		}
		if !errors.Is(err, api.ErrQuiet) { // what came counts; the next page meets the error, if it lasts
			s.env.Log.DebugContext(ctx, "page ends early", "source", s.env.Name, "err", err)
		}
		break
	}
	for i := range h.b.Posts {
		h.b.Posts[i].Source, h.b.Posts[i].Query = s.env.Name, s.cfg.asked()
	}
	at.Heard += h.events
	at.Seen = remember(at.Seen, h.fresh, s.cfg.late(at.At))
	done := s.over()
	if done {
		s.hangUp()
		s.until = time.Time{}
	}
	return s.page(ingest.Page{Posts: h.b.Posts, Rejects: h.b.Rejects, Done: done}, at)
}

// hearing is a page in the making.
type hearing struct {
	b      wire.Batch
	known  map[string]string // ids that were read before
	fresh  []string
	events int
}

// hear takes one event.
func (s *stream) hear(ctx context.Context, at place, h *hearing, tick <-chan time.Time) error {
	e, err := s.pump.Next(ctx, tick)
	switch {
	case err == nil:
	case errors.Is(err, api.ErrQuiet) || ctx.Err() != nil:
		return err
	default:
		s.hangUp()
		return fmt.Errorf("%w: %w", errEnded, err)
	}
	s.tries = 0
	h.events++
	id := gjson.Get(e.Data, "id").String()
	_, heard := s.seen[id]
	if _, known := h.known[id]; e.Type == "update" && (heard || known) {
		return nil
	}
	n := len(h.b.Posts)
	mastodon.Event(e.Type, e.Data, s.cfg.Server, s.known, s.env.Now().UTC(), "event "+strconv.Itoa(at.Heard+h.events)+" of "+s.cfg.Server, &h.b)
	if e.Type == "update" {
		version := ""
		if len(h.b.Posts) > n {
			version = frontier.Version(&h.b.Posts[n])
		}
		h.fresh = append(h.fresh, spell(id, version))
	}
	s.sight(h.b.Posts[n:])
	if e.Type == "update" || e.Type == "status.update" {
		s.flow.Came(1)
	}
	return nil
}

// errEnded says that a connection is to be made anew.
var errEnded = errors.New("the stream has ended")

func (s *stream) hangUp() {
	if s.pump != nil {
		s.pump.Close()
	}
	s.pump, s.caught = nil, false
}

func (s *stream) known(id string) (uri string, created time.Time, ok bool) {
	k, ok := s.seen[id]
	return k.uri, k.created, ok
}

// connect opens the stream. The run's time begins with its first connection.
func (s *stream) connect(ctx context.Context) error {
	if s.until.IsZero() {
		s.until = s.env.Now().Add(s.cfg.Listen)
	}
	path, q := "api/v1/streaming/public", url.Values{}
	switch {
	case s.cfg.Mode == modeTag:
		path = "api/v1/streaming/hashtag"
		q.Set("tag", s.cfg.Tag)
	case s.cfg.Remote:
		path = "api/v1/streaming/public/remote"
	}
	if s.cfg.Local {
		path += "/local"
	}
	if s.cfg.OnlyMedia {
		q.Set("only_media", "true")
	}
	body, err := s.client.Stream(ctx, api.Call{Endpoint: "streaming", Path: path, Query: q, Header: http.Header{"Accept": {"text/event-stream"}}})
	if err != nil {
		return err
	}
	s.pump = api.NewPump(body, sse.Read(body, &sse.ReadConfig{MaxEventSize: maxEvent}))
	return nil
}
