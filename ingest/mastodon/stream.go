package mastodon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/tidwall/gjson"
	"github.com/tmaxmax/go-sse"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/mastodon"
)

// stream reads the timeline up to now, and then listens for a while: to new
// posts, edits and deletions (docs.joinmastodon.org/methods/streaming). A stream
// tells nothing again, so the place in the timeline stays where it was: the next
// run reads from there, without what was heard, and nothing is lost between.
type stream struct {
	*source
	seen map[string]sighting // by the server's id
	flow *api.Flow
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

// Fetch reads a page of the timeline, or when there is none the stream.
func (s *stream) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	p, err := s.source.Fetch(ctx, from)
	if err != nil {
		return p, err
	}
	s.sight(p.Posts)
	if len(p.Posts)+len(p.Rejects) > 0 || !p.Done || p.Next == "" {
		return p, nil
	}
	at, err := parse(p.Next)
	if err != nil {
		return p, err
	}
	return s.listen(ctx, at)
}

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

// listen reads events for as long as the configuration says, until the server
// ends the stream, or the budget is used up: then the next page has its error.
func (s *stream) listen(ctx context.Context, at place) (p ingest.Page, err error) {
	defer func() { err = errors.Join(err, s.flow.Settle(ctx)) }()
	if err := s.flow.Admit(ctx); err != nil {
		return ingest.Page{}, err
	}
	short, stop := context.WithTimeout(ctx, s.cfg.Listen)
	defer stop()
	body, err := s.open(short)
	if err != nil && ctx.Err() == nil && short.Err() != nil {
		err = &feedlake.RetryError{Err: fmt.Errorf("open stream: no answer within %s", s.cfg.Listen)}
	}
	if err != nil {
		return ingest.Page{}, err
	}
	defer func() { _ = body.Close() }()
	var (
		b     wire.Batch
		fresh []string
		heard int
		full  error // the budget is
	)
	for e, err := range sse.Read(body, &sse.ReadConfig{MaxEventSize: maxEvent}) {
		if err != nil {
			if ctx.Err() != nil {
				return ingest.Page{}, ctx.Err()
			}
			s.env.Log.DebugContext(ctx, "stream ended", "source", s.env.Name, "err", err)
			break
		}
		id := gjson.Get(e.Data, "id").String()
		if _, known := s.seen[id]; e.Type == "update" && (known || slices.Contains(at.Seen, id)) {
			continue
		}
		n := len(b.Posts)
		mastodon.Event(e.Type, e.Data, s.cfg.Server, s.known, s.env.Now().UTC(), "event "+strconv.Itoa(at.Heard+heard+1)+" of "+s.cfg.Server, &b)
		if e.Type == "update" {
			fresh = append(fresh, id)
		}
		s.sight(b.Posts[n:])
		if e.Type == "update" || e.Type == "status.update" {
			s.flow.Came(1)
		}
		full = s.flow.Admit(ctx)
		if heard++; heard == maxEvents || full != nil {
			break
		}
	}
	for i := range b.Posts {
		b.Posts[i].Source, b.Posts[i].Query = s.env.Name, s.cfg.asked()
	}
	at.Heard += heard
	at.Seen = remember(at.Seen, fresh, s.cfg.late(at.At))
	return s.page(ingest.Page{Posts: b.Posts, Rejects: b.Rejects, Done: full == nil}, at)
}

func (s *stream) known(id string) (uri string, created time.Time, ok bool) {
	k, ok := s.seen[id]
	return k.uri, k.created, ok
}

// open asks for the stream, which ends with ctx.
func (s *stream) open(ctx context.Context) (io.ReadCloser, error) {
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
	if err == nil {
		context.AfterFunc(ctx, func() { _ = body.Close() }) // it lasts longer than its question otherwise
	}
	return body, err
}
