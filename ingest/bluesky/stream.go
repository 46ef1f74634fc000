package bluesky

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/bluesky"
)

// pageEvents is how many events a page is made of.
const pageEvents = 10_000

// stream reads Jetstream, one connection a page. A run ends when it has come to
// the moment that it began at.
type stream struct {
	env ingest.Env
	cfg Config
	o   api.Options

	flow  *api.Flow
	began time.Time // of this run; zero: it has not begun
	owed  string    // a gap to report with the next page
}

// mark is the cursor: the last event that was read.
type mark struct {
	US  int64    `json:"us"`            // when the server saw it, Unix microseconds
	Seq int64    `json:"seq,omitempty"` // its number there; version 2
	At  []string `json:"at,omitempty"`  // the events of that very moment that were read
	Gap string   `json:"gap,omitempty"` // what was missed and is not reported yet
}

func openStream(env ingest.Env, c Config) (ingest.Source, error) {
	c.Version = cmp.Or(c.Version, 1)
	c.MaxTime, c.Idle = cmp.Or(c.MaxTime, 30*time.Minute), cmp.Or(c.Idle, 30*time.Second)
	if c.Version != 1 && c.Version != 2 {
		return nil, feedlake.Hint(fmt.Errorf("version %d: %w", c.Version, feedlake.ErrConfig), "1 or 2")
	}
	if len(c.Collections) == 0 {
		c.Collections = []string{bluesky.Posts, bluesky.Reposts}
	}
	o, err := c.Options(env, jetstreamURL, platform())
	if err != nil {
		return nil, err
	}
	return &stream{env: env, cfg: c, o: o, flow: api.NewFlow(o, endpoint, api.Price{})}, nil
}

// Fetch reads the next events. A gap between the cursor and what the server
// still holds ends the run, once it has caught up, with feedlake.ErrPartial.
func (s *stream) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	var m mark
	if err := json.Unmarshal([]byte(from), &m); err != nil && from != "" {
		return ingest.Page{}, fmt.Errorf("cursor %.60q: %w: %w", from, err, feedlake.ErrConfig)
	}
	if gap := s.owed; gap != "" {
		s.owed, s.began = "", time.Time{}
		return ingest.Page{}, fmt.Errorf("jetstream no longer holds %s: %w", gap, feedlake.ErrPartial)
	}
	if s.began.IsZero() {
		s.began = s.env.Now()
	}
	r := &reading{stream: s, mark: m, from: m}
	if m.US == 0 {
		r.mark.US = s.cfg.first(s.env).UnixMicro()
		r.from = r.mark
	}
	done, err := r.read(ctx)
	if err = errors.Join(err, s.flow.Settle(ctx)); err != nil {
		return ingest.Page{}, err
	}
	if done = done || s.env.Now().Sub(s.began) >= s.cfg.MaxTime; done {
		s.began = time.Time{}
		s.owed, r.mark.Gap = r.mark.Gap, ""
	}
	next := from
	if !r.read0 || m.Gap != "" { // where nothing was read, the place stays as it was
		b, err := json.Marshal(r.mark)
		if err != nil {
			return ingest.Page{}, fmt.Errorf("spell cursor: %w", err)
		}
		next = feedlake.Cursor(b)
	}
	return page(r.batch, s.env, strings.Join(s.cfg.DIDs, ","), next, done && s.owed == "", "up to "+shown(time.UnixMicro(r.mark.US))), nil
}

// fresh reports whether an event was not read before, and moves the mark to it.
func (m *mark) fresh(h bluesky.Head) bool {
	us := h.Seen.UnixMicro()
	if us < m.US || h.Seq != 0 && h.Seq <= m.Seq && m.Seq != 0 || us == m.US && slices.Contains(m.At, h.Key) {
		return false // at least once, says the server
	}
	if us > m.US {
		m.At = nil
	}
	m.US, m.Seq, m.At = us, h.Seq, append(slices.Clip(m.At), h.Key)
	return true
}

// reading is a page in the making.
type reading struct {
	*stream
	mark, from mark
	batch      wire.Batch
	read0      bool // nothing was read
	events     int
}

// take adds an event; ends: it is behind all that this run is for.
func (r *reading) take(raw string, end time.Time) (ends bool, err error) {
	h, ok := bluesky.HeadOf(raw)
	switch {
	case !ok:
		r.batch.Reject("no event of Jetstream", raw, fmt.Sprintf("event after %d", r.mark.US), r.env.Now().UTC())
		return false, nil
	case h.Kind == "error":
		return false, &feedlake.RetryError{Err: fmt.Errorf("jetstream says %s", h.Says)}
	case h.Kind == "info" && strings.HasPrefix(h.Says, "OutdatedCursor") && len(r.from.At) > 0:
		r.mark.Gap = r.gap("what came after", time.Time{})
		return false, nil
	case h.Kind == "info":
		return false, nil
	}
	if r.events++; r.events == 1 && r.clamped(h.Seen) {
		r.mark.Gap = r.gap("the time from", h.Seen)
	}
	if r.mark.fresh(h) {
		defer r.count(len(r.batch.Posts))
		bluesky.Event(raw, r.env.Now().UTC(), fmt.Sprintf("event %d of %s", r.mark.US, h.Key), &r.batch)
	}
	return h.Seen.After(end), nil
}

// count counts the posts of the batch from one on. A deletion is none.
func (r *reading) count(from int) {
	for i := from; i < len(r.batch.Posts); i++ {
		if !r.batch.Posts[i].Deleted {
			r.flow.Came(1)
		}
	}
}

// gap names what is missing.
func (r *reading) gap(what string, to time.Time) string {
	s := what + " " + shown(time.UnixMicro(r.from.US))
	if !to.IsZero() {
		s += " to " + shown(to)
	}
	return s
}

// Bounds of a cursor that the server moved up without a word, as version 1 does
// about 36 hours back. A quiet stream of few accounts looks much the same: only
// an old cursor counts.
const (
	clampAge  = 24 * time.Hour
	clampJump = 10 * time.Minute
)

func (r *reading) clamped(first time.Time) bool {
	from := time.UnixMicro(r.from.US)
	return r.cfg.Version == 1 && r.mark.Gap == "" && len(r.from.At) > 0 && r.env.Now().Sub(from) > clampAge && first.Sub(from) > clampJump
}

// refused reads an answer to the handshake that is no stream.
func (s *stream) refused(res *http.Response, body []byte) error {
	a := api.Answer{Status: res.StatusCode, Header: res.Header, Body: body}
	if err := fault(a, s.env.Now()); err != nil {
		return err
	}
	return a.Fault(s.env.Now(), s.o.Credential)
}

// tooOld reports whether version 2 no longer holds the cursor.
func tooOld(err error) bool { return err != nil && errors.Is(err, errTooOld) }

var errTooOld = errors.New("cursor too old")

// Probe connects.
func (s *stream) Probe(ctx context.Context) []ingest.Finding {
	c, _, err := s.dial(ctx, "")
	if err == nil {
		err = c.CloseNow()
	}
	return []ingest.Finding{ingest.Found("jetstream", "answers", err, "look at base_url and version")}
}

// Estimate says that nothing is known: Jetstream counts nothing, and is read by
// connections, not by questions.
func (s *stream) Estimate(_ context.Context, w feedlake.Window) (ingest.Estimate, error) {
	why := fmt.Sprintf("Jetstream counts nothing: it sends all events from a slice's beginning on, %d a connection", pageEvents)
	if !w.Start.IsZero() && s.env.Now().Sub(w.Start) > clampAge {
		why += ", and holds those of about the last 36 hours only"
	}
	return ingest.Estimate{Unknown: why}, nil
}

var (
	_ ingest.Prober    = (*stream)(nil)
	_ ingest.Estimator = (*stream)(nil)
)
