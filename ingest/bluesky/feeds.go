package bluesky

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/frontier"
	"github.com/feedlake/feedlake/ingest/rounds"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/bluesky"
)

// feeds reads accounts one after another, each from its newest post down.
type feeds struct {
	env    ingest.Env
	cfg    Config
	client *client
	end    rounds.End
}

// place is the cursor: that of each account, and which one is read now.
type place struct {
	Actor string                       `json:"actor,omitempty"` // "": the first
	At    map[string]frontier.Frontier `json:"at"`

	Failed rounds.Failed `json:"failed,omitempty"`
}

// maxIdle is how many answers of a feed may bring nothing: a filter can leave out
// many items in a row, and does so after the server cut the page.
const maxIdle = 100

// Fetch reads the next items of an account.
func (s *feeds) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	var p place
	if err := json.Unmarshal([]byte(from), &p); err != nil && from != "" {
		return ingest.Page{}, fmt.Errorf("cursor %.60q: %w: %w", from, err, feedlake.ErrConfig)
	}
	if err := s.end.Due(from); err != nil {
		return ingest.Page{}, err
	}
	if p.At == nil {
		p.At = map[string]frontier.Frontier{}
	}
	var b wire.Batch
	moved, idle := false, 0
	for i := s.index(p.Actor); ; {
		actor := s.cfg.Actors[i]
		last, err := s.step(ctx, actor, p.At, &b)
		if len(s.cfg.Actors) > 1 && p.Failed.Alone(ctx, actor, err) {
			last, err = true, nil
		}
		if idle++; err == nil && !last && idle > maxIdle {
			return ingest.Page{}, fmt.Errorf("%d answers in a row of the feed of %s hold nothing new: its cursors seem to go in a circle", idle, actor)
		}
		if err != nil && (!moved || ctx.Err() != nil) {
			return ingest.Page{}, err
		}
		if err != nil { // what was read before counts; the next page meets the error, if it lasts
			return s.answered(from, b, p, actor, false)
		}
		moved = true
		p.Actor = actor
		if last {
			i, idle = i+1, 0
			p.Actor = ""
			if i < len(s.cfg.Actors) {
				p.Actor = s.cfg.Actors[i]
			}
		}
		done := i == len(s.cfg.Actors)
		if done || len(b.Posts)+len(b.Rejects) > 0 {
			return s.answered(from, b, p, actor, done)
		}
	}
}

// Merges is true: a feed is listed from its newest post down.
func (s *feeds) Merges() bool { return true }

// covered is the part of a backfill's window that was read whole, when only one
// account is left to read and none has failed.
func (s *feeds) covered(p place) (w feedlake.Window) {
	last := s.cfg.Actors[len(s.cfg.Actors)-1]
	if pass := p.At[last].Pass; len(p.Failed) == 0 && p.Actor == last && pass != nil && !pass.Down.IsZero() && s.env.Window != (feedlake.Window{}) {
		w = feedlake.Window{Start: pass.Down.Add(time.Second), End: s.env.Window.End}
	}
	return w
}

// answered is a page of what was read so far, from a cursor on.
func (s *feeds) answered(from feedlake.Cursor, b wire.Batch, p place, actor string, done bool) (ingest.Page, error) {
	var missing error
	covered := s.covered(p)
	if done {
		missing, p.Failed = p.Failed.Err(len(s.cfg.Actors)), nil
	}
	to, err := json.Marshal(p)
	if err != nil {
		return ingest.Page{}, fmt.Errorf("spell cursor: %w", err)
	}
	out := page(b, s.env, actor, feedlake.Cursor(to), done, actor)
	out.Covered = covered
	return s.end.Page(from, out, missing)
}

func (s *feeds) index(actor string) int {
	for i, a := range s.cfg.Actors {
		if a == actor {
			return i
		}
	}
	return 0
}

// step reads one more answer of an account; last: there is no more of it that
// is new.
func (s *feeds) step(ctx context.Context, actor string, at map[string]frontier.Frontier, b *wire.Batch) (last bool, err error) {
	f := at[actor]
	floor, cursor := f.Floor(s.cfg.Overlap, s.cfg.first(s.env)), ""
	if f.Pass != nil {
		cursor = f.Pass.Page
	}
	a, err := s.ask(ctx, actor, cursor)
	if err != nil {
		return false, err
	}
	rs := rows(a.Feed, bluesky.FeedItem, s.env.Now().UTC())
	if len(rs) > 0 && a.Cursor == cursor && cursor != "" {
		return false, &feedlake.RetryError{Err: fmt.Errorf("the page of %s after %s came again", actor, cursor)}
	}
	last = a.Cursor == "" || a.Cursor == cursor // an empty page with another cursor is not the end: what the reader may not see leaves gaps
	if f.Pass != nil && !f.Pass.Down.IsZero() { // what is above was read, unless it is newer than the pass
		rs = slices.DeleteFunc(rs, func(r row) bool { return r.at.Truncate(time.Second).After(f.Pass.Down) })
	}
	for i, r := range rs {
		if r.at.Before(floor) && !r.at.IsZero() {
			rs, last = rs[:i], true
			break
		}
	}
	f, _ = take(f, rs, a.Cursor, s.cfg.Overlap, b)
	if f.Pass == nil && !last { // an empty first page
		f.Pass = &frontier.Pass{Page: a.Cursor}
	}
	if last {
		f = f.Landed(s.cfg.Overlap)
	}
	at[actor] = f
	return last, nil
}

func (s *feeds) ask(ctx context.Context, actor, cursor string) (answer, error) {
	q := url.Values{"actor": {actor}, "limit": {strconv.Itoa(most)}, "filter": {s.cfg.Filter}, "includePins": {"false"}}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	a, err := s.client.do(ctx, api.Call{Endpoint: "getAuthorFeed", Path: "xrpc/app.bsky.feed.getAuthorFeed", Query: q, Posts: most})
	if errors.Is(err, feedlake.ErrConfig) { // nobody is signed in: it is the account that was asked for
		err = rounds.OfFeed(err)
	}
	if err != nil {
		return answer{}, err
	}
	out, err := readAnswer(a.Body)
	return out, errors.Join(err, a.Settle(ctx, int64(len(out.Feed))))
}

// Probe asks for the first account.
func (s *feeds) Probe(ctx context.Context) []ingest.Finding {
	return []ingest.Finding{ingest.Found("author "+s.cfg.Actors[0], "answers", second(s.ask(ctx, s.cfg.Actors[0], "")), "look at actors")}
}

var (
	_ ingest.Prober    = (*feeds)(nil)
	_ ingest.Prober    = (*search)(nil)
	_ ingest.Estimator = (*search)(nil)
	_ ingest.Estimator = (*feeds)(nil)
	_ ingest.Merger    = (*feeds)(nil)
)
