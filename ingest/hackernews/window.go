package hackernews

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
)

// slack is how many items are read on either side of a window, for those that
// got their number a moment before or after their neighbours'. A story that
// moderators gave a time far from its number's is in no window.
const slack = 10

// mostMissing is how many numbers in a row may have no item, before it is said
// that there are none.
const mostMissing = 1000

// span is the cursor of a backfill: Firebase knows no search by time, but items
// are numbered in time order, so the window's ends are found by bisection.
type span struct {
	First [2]int64 `json:"first"` // the first item of the window lies from the one to the other; both are the same once it is found
	End   [2]int64 `json:"end"`   // so does the first item after it
	Top   int64    `json:"top"`   // the first number that had no item when the backfill began
	Last  int64    `json:"last"`  // the last item read; 0: none
}

// ids are the numbers to read, the second not included.
func (p *span) ids(first int64) (start, end int64) {
	return max(first, p.First[0]-slack), min(p.Top, p.End[0]+slack)
}

// valid reports whether p is a span that this source wrote.
func (p *span) valid() bool {
	in := func(b [2]int64) bool { return 0 < b[0] && b[0] <= b[1] && b[1] <= p.Top }
	return in(p.First) && in(p.End) && p.Last >= 0 && p.Last < p.Top
}

func (p *span) cursor() (feedlake.Cursor, error) {
	b, err := json.Marshal(p)
	return feedlake.Cursor(b), err
}

func (s *items) windowed() bool { return s.env.Window != (feedlake.Window{}) }

// first is the lowest number that a backfill looks at.
func (s *items) first() int64 { return max(1, s.cfg.FromItem) }

// fetchWindow finds the window's ends, then reads the items between them. When
// an error that another try may mend comes between two looks, the page tells how
// far the search has come.
func (s *items) fetchWindow(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	at, err := s.span(ctx, from)
	if err != nil {
		return ingest.Page{}, err
	}
	if looks, err := s.bisect(ctx, &at, s.env.Window); err != nil {
		if _, again := errors.AsType[*feedlake.RetryError](err); !again || looks == 0 {
			return ingest.Page{}, err
		}
		next, bad := at.cursor()
		if bad != nil || next == from {
			return ingest.Page{}, errors.Join(err, bad)
		}
		s.env.Log.DebugContext(ctx, "search of a window is broken off", "source", s.env.Name, "err", err)
		return ingest.Page{Next: next, Progress: place(at.First[0])}, nil
	}
	start, end := at.ids(s.first())
	last := max(at.Last, start-1)
	if last+1 >= end {
		return ingest.Page{Next: from, Done: true, Progress: place(last)}, nil
	}
	r, err := s.read(ctx, last, min(last+pageItems, end-1))
	if err != nil {
		return ingest.Page{}, err
	}
	at.Last = r.to
	covered := s.covered(r.Posts)
	p := ingest.Page{Posts: s.inside(r.Posts), Rejects: r.Rejects, Covered: covered, Done: r.to == end-1, Progress: place(r.to)}
	p.Rejects = slices.DeleteFunc(p.Rejects, func(bad feedlake.Reject) bool { return !at.holds(bad.Position) })
	p.Next, err = at.cursor()
	return p, err
}

// Merges is true: to look for the ends of many windows takes long, and windows
// side by side share theirs.
func (s *items) Merges() bool { return true }

// covered is the part of the window that lies before all posts of a page, and a
// moment before them: see slack.
func (s *items) covered(posts []feedlake.Post) feedlake.Window {
	if len(posts) == 0 {
		return feedlake.Window{}
	}
	first := slices.MinFunc(posts, func(a, b feedlake.Post) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return feedlake.Window{Start: s.env.Window.Start, End: first.CreatedAt.Add(-time.Minute)}
}

// inside are the posts that were created in the window.
func (s *items) inside(posts []feedlake.Post) []feedlake.Post {
	return slices.DeleteFunc(posts, func(p feedlake.Post) bool { return !within(s.env.Window, p.CreatedAt) })
}

func within(w feedlake.Window, t time.Time) bool { return !t.Before(w.Start) && t.Before(w.End) }

// holds reports whether the item at a position is between the ends.
func (p *span) holds(at string) bool {
	var id int64
	_, err := fmt.Sscanf(at, "item %d", &id)
	return err == nil && p.First[0] <= id && id < p.End[0]
}

// span reads a cursor; the empty one is a span over everything.
func (s *items) span(ctx context.Context, from feedlake.Cursor) (p span, err error) {
	if from != "" {
		if err := json.Unmarshal([]byte(from), &p); err != nil || !p.valid() {
			return p, fmt.Errorf("cursor %.60q: not a place in a backfill: %w", from, feedlake.ErrConfig)
		}
		return p, nil
	}
	newest, err := s.maxItem(ctx)
	if err != nil {
		return p, err
	}
	top := newest + 1
	all := [2]int64{min(s.first(), top), top}
	return span{First: all, End: all, Top: top}, nil
}

// bisect narrows p until both ends of w are found, and counts its looks at
// items. p is as far as it came, also after an error.
func (s *items) bisect(ctx context.Context, p *span, w feedlake.Window) (looks int64, err error) {
	for _, b := range [...]*[2]int64{&p.First, &p.End} {
		for b[0] < b[1] {
			id, at, n, err := s.dated(ctx, b[0]+(b[1]-b[0])/2, b[1])
			looks += n
			if err != nil {
				return looks, err
			}
			if id == b[1] { // nothing exists from the middle on
				b[1] = b[0] + (b[1]-b[0])/2
				continue
			}
			narrow(&p.First, id, at.Before(w.Start))
			narrow(&p.End, id, at.Before(w.End))
		}
	}
	return looks, nil
}

// narrow takes in that an item is before an end, or not.
func narrow(b *[2]int64, id int64, before bool) {
	switch {
	case before && id >= b[0] && id < b[1]:
		b[0] = id + 1
	case !before && id >= b[0] && id < b[1]:
		b[1] = id
	}
}

// dated looks for the first item from id on, and before end, that tells its
// time: a number may have no item. It returns end when there is none.
func (s *items) dated(ctx context.Context, id, end int64) (found int64, at time.Time, looks int64, err error) {
	for ; id < end; id++ {
		body, err := s.item(ctx, id, 0)
		if err != nil {
			return id, at, looks, err
		}
		looks++
		if t := gjson.Get(body, "time").Int(); t > 0 {
			return id, time.Unix(t, 0), looks, nil
		}
		if looks == mostMissing {
			err := fmt.Errorf("look for a window: no items at %d to %d: %w", id+1-looks, id, feedlake.ErrNotFound)
			return id, at, looks, feedlake.Hint(err, "set from_item to the first item that the server has")
		}
	}
	return end, at, looks, nil
}

// Estimate tells what a window costs: the ends are looked for, and what lies
// between them counted.
func (s *items) Estimate(ctx context.Context, w feedlake.Window) (ingest.Estimate, error) {
	p, err := s.span(ctx, "")
	if err != nil {
		return ingest.Estimate{}, err
	}
	looks, err := s.bisect(ctx, &p, w)
	if err != nil {
		return ingest.Estimate{}, err
	}
	start, end := p.ids(s.first())
	n := 1 + looks + max(0, end-start)
	return ingest.Estimate{
		Requests: n, Posts: max(0, p.End[0]-p.First[0]), Took: time.Duration(n) * itemsPace,
		Note: "items that do not exist are counted too",
	}, nil
}

// trimmed is the body of an answer.
func trimmed(a api.Answer) string { return strings.TrimSpace(string(a.Body)) }
