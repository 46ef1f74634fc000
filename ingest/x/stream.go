package x

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/x"
)

// stream listens to the filtered stream. X keeps no place in it: what was posted
// while nobody listened comes only with backfill, or from a search. A run
// listens for a while; its pages end when they are full or the time is over.
type stream struct {
	*asker
	stall time.Duration // silence after which a connection counts as lost
	flow  *api.Flow

	ruled bool
	pump  *api.Pump[string] // nil: not connected
	until time.Time         // end of the run; zero: none is under way
	tries int               // connections in a row that gave nothing
}

// stall is a few times the 20 seconds after which X sends an empty line.
const stall = 65 * time.Second

// Waits between connections.
const (
	firstPause = time.Second
	lastPause  = 2 * time.Minute
	mostTries  = 8
)

// longest is how long a line may be.
const longest = 4 << 20

// heard is the cursor: the last posts that came, and how many in all.
type heard struct {
	Count int64    `json:"count"`
	Last  []string `json:"last,omitempty"`
}

// remembered is how many posts a new connection's backfill is compared with.
const remembered = 2000

// Flush is how long a post that was heard may wait to be landed.
func (s *stream) Flush() time.Duration { return s.cfg.Flush }

// Fetch listens until a page is full, until a post has waited half the time that
// it may, or until the time of the run is over.
func (s *stream) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	at := heard{}
	if from != "" {
		if err := json.Unmarshal([]byte(from), &at); err != nil {
			return ingest.Page{}, fmt.Errorf("cursor %.60q is not one of this source: %w", from, feedlake.ErrConfig)
		}
	}
	if s.until.IsZero() {
		s.until = s.env.Now().Add(s.cfg.Listen)
	}
	if err := s.rule(ctx); err != nil {
		return ingest.Page{}, err
	}
	page, err := s.listen(ctx, from, at)
	if serr := s.flow.Settle(ctx); serr != nil {
		s.close()
		return ingest.Page{}, errors.Join(err, serr)
	}
	return page, err
}

// listen fills a page. All posts that X sends have their price, those that came
// before among them.
func (s *stream) listen(ctx context.Context, from feedlake.Cursor, at heard) (page ingest.Page, err error) {
	page = ingest.Page{Next: from, Progress: ingest.Progress{Place: "stream"}}
	rows := func() int { return len(page.Posts) + len(page.Rejects) }
	tick := time.NewTicker(s.cfg.Flush / 2)
	defer tick.Stop()
	for rows() < s.cfg.PageSize && s.env.Now().Before(s.until) {
		err := s.flow.Admit(ctx)
		if err == nil {
			err = s.hear(ctx, &at, &page, tick.C)
		}
		quiet := errors.Is(err, api.ErrQuiet)
		if err == nil || quiet && rows() == 0 {
			continue
		}
		if quiet {
			break
		}
		s.close()
		if rows() > 0 { // what came counts; the next page meets the error, if it lasts
			s.env.Log.DebugContext(ctx, "page ends early", "source", s.env.Name, "err", err)
			break
		}
		if err := s.pause(ctx, err); err != nil {
			return ingest.Page{}, err
		}
	}
	if page.Done = !s.env.Now().Before(s.until); page.Done {
		s.close()
		s.until = time.Time{}
	}
	if rows() > 0 || !page.Done {
		b, err := json.Marshal(at)
		page.Next = feedlake.Cursor(b)
		return page, err
	}
	return page, nil
}

// pause waits before the next connection, longer each time.
func (s *stream) pause(ctx context.Context, cause error) error {
	var again *feedlake.RetryError
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.tries++; !errors.As(cause, &again) || s.tries >= mostTries {
		s.tries = 0
		return cause
	}
	return s.o.Sleep(ctx, max(again.After, min(lastPause, firstPause<<(s.tries-1))))
}

func (s *stream) close() {
	if s.pump != nil {
		s.pump.Close()
		s.pump = nil
	}
}

// hear reads one line, and connects first where needed.
func (s *stream) hear(ctx context.Context, at *heard, page *ingest.Page, tick <-chan time.Time) error {
	if s.pump == nil {
		if err := s.connect(ctx); err != nil {
			return err
		}
	}
	line, err := s.pump.Next(ctx, tick)
	switch {
	case errors.Is(err, api.ErrQuiet) || err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		return &feedlake.RetryError{Err: fmt.Errorf("stream broke off: %w", err)}
	}
	if line = strings.TrimSpace(line); line == "" { // keeps the connection alive
		return nil
	}
	s.tries = 0
	return s.keep(line, at, page)
}

// keep reads a line into the page, unless it came before.
func (s *stream) keep(line string, at *heard, page *ingest.Page) error {
	var b wire.Batch
	m := x.Page(line, s.env.Now().UTC(), "stream, line "+strconv.FormatInt(at.Count+1, 10), &b)
	if len(b.Posts)+len(b.Rejects) == 0 && len(m.Problems) > 0 {
		return &feedlake.RetryError{Err: fmt.Errorf("stream ended: %s", m.Problems[0].Says())}
	}
	s.flow.Came(m.Results)
	s.own(&b)
	for i := range b.Posts {
		if !slices.Contains(at.Last, b.Posts[i].ID) {
			at.Last = append(at.Last, b.Posts[i].ID)
			page.Posts = append(page.Posts, b.Posts[i])
			at.Count++
		}
	}
	at.Count += int64(len(b.Rejects))
	page.Rejects = append(page.Rejects, b.Rejects...)
	keep := remembered
	if s.cfg.Backfill == 0 {
		keep = 0
	}
	at.Last = at.Last[max(0, len(at.Last)-keep):]
	return nil
}

// connect opens the stream.
func (s *stream) connect(ctx context.Context) error {
	q := s.fields()
	if s.cfg.Backfill > 0 {
		q.Set("backfill_minutes", strconv.Itoa(s.cfg.Backfill))
	}
	body, err := s.client.Stream(ctx, api.Call{Endpoint: "tweets/search/stream", Path: "tweets/search/stream", Query: q})
	if err != nil {
		return err
	}
	s.pump = api.NewPump(body, lines(body, s.stall))
	return nil
}

// lines reads a stream line by line. Silence ends it; it counts only while
// somebody listens.
func lines(body io.ReadCloser, stall time.Duration) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		r := bufio.NewReaderSize(body, longest)
		lost := time.AfterFunc(stall, func() { _ = body.Close() })
		defer lost.Stop()
		for {
			lost.Reset(stall)
			line, err := r.ReadSlice('\n')
			lost.Stop()
			if !yield(string(line), err) || err != nil {
				return
			}
		}
	}
}

// rule makes the rules of the app those of the configuration.
func (s *stream) rule(ctx context.Context) error {
	if s.ruled {
		return nil
	}
	const path = "tweets/search/stream/rules"
	a, err := s.client.Do(ctx, api.Call{Endpoint: path, Path: path})
	if err != nil {
		return err
	}
	var has struct {
		Data []struct {
			ID string `json:"id"`
			Rule
		} `json:"data"`
	}
	if err := json.Unmarshal(a.Body, &has); err != nil {
		return &feedlake.RetryError{Err: fmt.Errorf("read rules: %w", err)}
	}
	var extra []string
	lacking := slices.Clone(s.cfg.Rules)
	for _, r := range has.Data {
		n := len(lacking)
		if lacking = slices.DeleteFunc(lacking, func(l Rule) bool { return l == r.Rule }); len(lacking) == n {
			extra = append(extra, r.ID)
		}
	}
	for _, change := range []map[string]any{
		{"delete": map[string]any{"ids": extra}}, {"add": lacking},
	} {
		if _, deletes := change["delete"]; deletes && len(extra) == 0 || !deletes && len(lacking) == 0 {
			continue
		}
		body, err := json.Marshal(change)
		if err != nil {
			return fmt.Errorf("write rules: %w", err)
		}
		if _, err := s.client.Do(ctx, api.Call{Endpoint: path, Method: http.MethodPost, Path: path, JSON: body}); err != nil {
			return err
		}
	}
	s.ruled = true
	return nil
}
