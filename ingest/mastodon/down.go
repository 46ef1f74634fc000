package mastodon

import (
	"context"
	"fmt"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/wire/mastodon"
)

// down reads the next older page, until the floor: the beginning of a backfill's
// window, or of what is followed. Posts of other servers may have ids that are
// off by as much as the overlap: so far beyond the bounds they are looked for.
func (s *source) down(ctx context.Context, at place) (ingest.Page, error) {
	backfill := s.env.Window != (feedlake.Window{})
	if at.Down == "" {
		var err error
		if at, err = s.begin(ctx, at); err != nil {
			return ingest.Page{}, err
		}
		if at.Top == "" { // there is nothing
			return ingest.Page{Done: true}, nil
		}
	}
	floor := at.Floor.Add(-s.cfg.Overlap)
	since := ""
	if _, ok := mastodon.TimeOf(at.Top); ok && !at.Floor.IsZero() {
		since = mastodon.IDAt(floor)
	}
	a, err := s.ask(ctx, most, at.Down, since, "")
	if err != nil {
		return ingest.Page{}, err
	}
	p, seen := s.decode(a, &at, func(l listed, _ string) bool {
		return l.created.IsZero() || !l.created.Before(at.Floor) && (s.env.Window.End.IsZero() || l.created.Before(s.env.Window.End))
	})
	low := len(a.statuses) == 0 && (a.older == "" || at.Down != "" && mastodon.Compare(a.older, at.Down) >= 0)
	if !low {
		at.Down = a.older
		low = len(a.statuses) > 0 && below(a.statuses, floor)
		at.Seen = remember(at.Seen, seen, s.cfg.late(at.Top))
	}
	switch {
	case low && backfill:
		p.Done = true
		return s.page(p, place{Ended: true, At: at.Top})
	case low: // what came meanwhile is above
		return s.page(p, place{At: at.Top, Seen: at.Seen, Bad: at.Bad.Landed()})
	}
	if backfill {
		at.Seen = nil
	}
	return s.page(p, at)
}

// below reports whether all statuses were created before a time.
func below(statuses []listed, floor time.Time) bool {
	for _, l := range statuses {
		if l.created.IsZero() || !l.created.Before(floor) {
			return false
		}
	}
	return true
}

// begin looks at the newest post, which says whether ids hold times, and sets
// the bounds of a way down. An empty timeline is looked into.
func (s *source) begin(ctx context.Context, at place) (place, error) {
	a, err := s.ask(ctx, 1, "", "", "")
	if err != nil {
		return at, err
	}
	if len(a.statuses) == 0 {
		if why := s.closed(ctx); why != "" {
			return at, feedlake.Hint(fmt.Errorf("read timeline of %s: %s: %w", s.cfg.Server, why, feedlake.ErrConfig), closedHint)
		}
		return at, nil
	}
	at.Top, at.Floor = a.newer, s.env.Window.Start
	if s.env.Window == (feedlake.Window{}) {
		at.Floor = s.cfg.Since
		if at.Floor.IsZero() {
			at.Floor = s.env.Now().Add(-24 * time.Hour).Truncate(time.Second)
		}
	}
	at.Floor = at.Floor.UTC()
	// below max_id, so one more than the newest
	at.Down = next(at.Top)
	if end := s.env.Window.End; !end.IsZero() && at.Down != "" {
		at.Down = mastodon.IDAt(end.Add(s.cfg.Overlap))
	}
	return at, nil
}

// next is the least id above one that holds a time, so that a page below it holds
// the post itself; "" for an id of another make.
func next(id string) string {
	t, ok := mastodon.TimeOf(id)
	if !ok {
		return ""
	}
	return mastodon.IDAt(t.Add(time.Millisecond))
}
