package bluesky

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/wire/bluesky"
)

// Bounds of what an estimate asks of all accounts together, and of each.
const (
	mostLooks = 400
	looksEach = 20
)

// The limit of the public servers: 3,000 requests in 5 minutes.
const (
	requestsAWindow = 3000
	limitWindow     = 5 * time.Minute
)

// errJumpless is why a long feed cannot be reckoned.
var errJumpless = errors.New("the server's places in a feed are no times")

// Estimate tells what reading feeds down to the window's beginning costs. Short
// ones are gone through; of what is left of longer ones some places are looked
// at, since the place in a feed is a time. Bluesky does not promise that it stays
// one: an answer that does not fit leaves the cost unknown.
func (s *feeds) Estimate(ctx context.Context, w feedlake.Window) (ingest.Estimate, error) {
	if w.Start.IsZero() {
		w.Start = s.cfg.first(s.env)
	}
	looks := min(looksEach, max(1, mostLooks/2/len(s.cfg.Actors)))
	e := ingest.Estimate{Exact: true}
	for _, actor := range s.cfg.Actors {
		one, err := s.reckon(ctx, actor, w, looks)
		if errors.Is(err, errJumpless) {
			return ingest.Estimate{Unknown: fmt.Sprintf("Bluesky does not count feeds, and that of %s is longer than %d requests: %s", actor, looks, errJumpless)}, nil
		}
		if err != nil {
			return e, fmt.Errorf("%s: %w", actor, err)
		}
		e.Requests, e.Posts, e.Exact = e.Requests+one.Requests, e.Posts+one.Posts, e.Exact && one.Exact
	}
	if e.Note = "every feed was gone through"; !e.Exact {
		e.Note = "reckoned from the newest posts of each feed and some places below"
	}
	e.Took = time.Duration(e.Requests/requestsAWindow) * limitWindow
	return e, nil
}

// reckon goes down the feed of an account for so many answers, then looks at as
// many places below.
func (s *feeds) reckon(ctx context.Context, actor string, w feedlake.Window, looks int) (ingest.Estimate, error) {
	e, cursor, low := ingest.Estimate{Exact: true}, "", s.env.Now()
	for range looks {
		rs, next, err := s.look(ctx, actor, cursor)
		if err != nil {
			return e, err
		}
		e.Requests++
		for _, r := range rs {
			if w.Contains(r.at) {
				e.Posts++
			}
		}
		if next == "" || len(rs) == 0 || slices.ContainsFunc(rs, func(r row) bool { return r.at.Before(w.Start) && !r.at.IsZero() }) {
			return e, nil
		}
		cursor, low = next, rs[len(rs)-1].at
	}
	e.Exact = false
	requests, posts := 0.0, 0.0
	step := low.Sub(w.Start) / time.Duration(looks)
	for i := range looks {
		middle := low.Add(-step/2 - time.Duration(i)*step)
		rs, _, err := s.look(ctx, actor, middle.UTC().Format(time.RFC3339Nano))
		if errors.Is(err, feedlake.ErrConfig) || err == nil && len(rs) > 0 && rs[0].at.After(middle) {
			return e, errJumpless
		}
		if err != nil {
			return e, err
		}
		if len(rs) == 0 { // nothing is older
			break
		}
		share := step.Seconds() / max(1, middle.Sub(rs[len(rs)-1].at).Seconds())
		requests += share
		if w.Contains(middle) {
			posts += share * float64(len(rs))
		}
	}
	e.Requests, e.Posts = e.Requests+int64(requests+0.5), e.Posts+int64(posts)
	return e, nil
}

// look is an answer of a feed.
func (s *feeds) look(ctx context.Context, actor, cursor string) (rs []row, next string, err error) {
	a, err := s.ask(ctx, actor, cursor)
	if err != nil {
		return nil, "", err
	}
	return rows(a.Feed, bluesky.FeedItem, s.env.Now().UTC()), a.Cursor, nil
}
