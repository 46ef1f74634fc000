package bluesky

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
)

// longest is the longest event that is read.
const longest = 8 << 20

// read reads events until the page is full or, done, the run is at its end.
func (r *reading) read(ctx context.Context) (done bool, err error) {
	r.read0 = true
	if err := r.flow.Admit(ctx); err != nil {
		return false, err
	}
	conn, ahead, err := r.dial(ctx, r.cursor())
	if tooOld(err) { // by time version 2 goes on with what it has, and says so
		r.mark.Seq = 0
		conn, ahead, err = r.dial(ctx, strconv.FormatInt(r.mark.US, 10))
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(longest)
	end := r.end(ahead)
	for r.events < pageEvents {
		var raw string
		err := r.flow.Admit(ctx)
		if err != nil && r.read0 {
			return false, err
		}
		if err == nil {
			raw, err = r.next(ctx, conn)
		}
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case errors.Is(err, context.DeadlineExceeded): // silence
			return true, nil
		case err != nil && !r.read0: // what was read counts; the next page meets the error, if it lasts
			r.env.Log.DebugContext(ctx, "page ends early", "source", r.env.Name, "err", err)
			return false, nil
		case err != nil:
			return false, &feedlake.RetryError{Err: fmt.Errorf("read jetstream: %w", err)}
		}
		before := r.mark.US
		ends, err := r.take(raw, end)
		if err != nil && r.read0 {
			return false, err
		}
		if err != nil {
			return false, nil //nolint:nilerr // what was read counts; the next page meets the error, if it lasts
		}
		r.read0 = r.read0 && r.mark.US == before && len(r.batch.Posts)+len(r.batch.Rejects) == 0
		if ends {
			return true, nil
		}
	}
	return false, nil
}

// cursor asks for what follows the mark; the event at it comes again.
func (r *reading) cursor() string {
	if r.mark.Seq > 0 && r.cfg.Version == 2 {
		return strconv.FormatInt(r.mark.Seq, 10)
	}
	return strconv.FormatInt(r.mark.US, 10)
}

// end is the moment that the run goes up to, by the server's clock.
func (r *reading) end(ahead time.Duration) time.Time {
	end := r.began.Add(ahead)
	if w := r.env.Window.End; !w.IsZero() && w.Add(r.cfg.Overlap).Before(end) {
		end = w.Add(r.cfg.Overlap)
	}
	return end
}

func (r *reading) next(ctx context.Context, c *websocket.Conn) (string, error) {
	ctx, stop := context.WithTimeout(ctx, r.cfg.Idle)
	defer stop()
	_, body, err := c.Read(ctx)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return string(body), err
}

// dial connects, and tells how far the server's clock is ahead.
func (s *stream) dial(ctx context.Context, cursor string) (*websocket.Conn, time.Duration, error) {
	if err := s.admit(ctx); err != nil {
		return nil, 0, err
	}
	u, o := s.address(cursor), &websocket.DialOptions{HTTPClient: s.client()}
	if s.cfg.Version == 2 {
		o.Subprotocols = []string{"xrpc.v1.json"}
	}
	c, res, err := websocket.Dial(ctx, u.String(), o) //nolint:bodyclose // the library closes it
	if res != nil {
		if l, ok := limit(res.Header, s.env.Now()); ok {
			if lerr := s.o.Meter.Limited(ctx, s.o.Credential, endpoint, l); lerr != nil {
				err = errors.Join(err, lerr)
			}
		}
	}
	switch {
	case err == nil:
		return c, api.Ahead(res.Header, s.env.Now()), nil
	case ctx.Err() != nil:
		return nil, 0, ctx.Err()
	case res == nil || res.StatusCode == http.StatusSwitchingProtocols:
		return nil, 0, &feedlake.RetryError{Err: fmt.Errorf("reach %s: %w", s.o.Base.Host, err)}
	}
	body, rerr := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if strings.Contains(string(body), `"CursorTooOld"`) && rerr == nil {
		return nil, 0, errTooOld
	}
	return nil, 0, fmt.Errorf("subscribe to jetstream: %w", s.refused(res, body))
}

// endpoint names the stream to the meter.
const endpoint = "jetstream"

// admit counts the connection and waits where the pace wants it.
func (s *stream) admit(ctx context.Context) error {
	for {
		until, err := s.o.Meter.Reserve(ctx, s.env.Now(), s.o.Credential, endpoint, ingest.Use{Requests: 1})
		if err != nil {
			return err
		}
		wait := until.Sub(s.env.Now())
		if until.IsZero() || wait <= 0 {
			return nil
		}
		if wait > s.o.MaxWait {
			return &ingest.LimitError{Endpoint: endpoint, Until: until}
		}
		if err := s.o.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// client is the source's, without its bound on a request: a stream is a long one.
func (s *stream) client() *http.Client {
	c := *s.o.HTTP
	c.Timeout = 0
	return &c
}

func (s *stream) address(cursor string) *url.URL {
	path, collections, dids := "subscribe", "wantedCollections", "wantedDids"
	if s.cfg.Version == 2 {
		path, collections, dids = "xrpc/network.bsky.jetstream.subscribeEvents", "collections", "dids"
	}
	u := s.o.Base.JoinPath(path)
	q := url.Values{collections: s.cfg.Collections}
	if len(s.cfg.DIDs) > 0 {
		q[dids] = s.cfg.DIDs
	}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	u.RawQuery = q.Encode()
	return u
}
