// Package frontier keeps the place in a source that tells posts newest first and
// has no cursor of its own that lasts. Reading goes in passes: from the newest
// post down to what the pass before has read. A pass that is broken off goes on
// where it was; what was posted meanwhile is for the next one. A pass goes a
// little further down than it must, since some posts show up late, and tells
// those it has from those that are new. A post that says something else by now,
// such as another count, is new once more; one that says the same is not.
package frontier

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
)

// Frontier is such a place. The zero value is the beginning.
type Frontier struct {
	To   time.Time `json:"to,omitzero"`    // everything up to here was read, but for what shows up late
	Seen []Seen    `json:"seen,omitempty"` // what was read, from the overlap behind To on
	Pass *Pass     `json:"pass,omitempty"` // nil: none is under way
	Bad  Rejects   `json:"bad,omitempty"`  // records that were rejected, as far down
}

// Pass is a way down that is not at its end.
type Pass struct {
	Top  time.Time `json:"top"`            // of the newest post when it began
	Down time.Time `json:"down"`           // everything from Top to here was read, but for posts of this very second
	Page string    `json:"page,omitempty"` // the platform's own token for what comes next, where it has one
	Got  []Seen    `json:"got,omitempty"`  // what was read and is needed later: at Down, and within the overlap behind Top
}

// Seen is a post that was read.
type Seen struct {
	ID string `json:"id"`
	At int64  `json:"at"`          // Unix seconds
	V  string `json:"v,omitempty"` // what it said, see Version; "": not known
}

// Parse reads a cursor that Cursor wrote.
func Parse(c feedlake.Cursor) (Frontier, error) {
	var f Frontier
	if c == "" {
		return f, nil
	}
	if err := json.Unmarshal([]byte(c), &f); err != nil {
		return f, fmt.Errorf("cursor %.60q: %w: %w", c, err, feedlake.ErrConfig)
	}
	return f, nil
}

// Cursor spells the place.
func (f Frontier) Cursor() (feedlake.Cursor, error) {
	b, err := json.Marshal(f)
	if err != nil {
		return "", fmt.Errorf("spell cursor: %w", err)
	}
	return feedlake.Cursor(b), nil
}

// fresh returns those of posts that were not read before, or say something else
// than in the passes before, in their order. In one pass a post comes once.
func (f Frontier) fresh(posts []feedlake.Post) []feedlake.Post {
	before, got := make(map[string]string, len(f.Seen)), map[string]bool{}
	for _, s := range f.Seen {
		before[s.ID] = s.V
	}
	if f.Pass != nil {
		for _, s := range f.Pass.Got {
			got[s.ID] = true
		}
	}
	fresh := make([]feedlake.Post, 0, len(posts))
	for i := range posts {
		p := &posts[i]
		v, known := before[p.ID]
		if got[p.ID] || known && (v == "" || v == Version(p)) {
			continue
		}
		got[p.ID] = true
		fresh = append(fresh, *p)
	}
	return fresh
}

// Floor is how far down a pass has to go: the overlap behind To, or first when
// nothing was read yet.
func (f Frontier) Floor(overlap time.Duration, first time.Time) time.Time {
	if f.To.IsZero() {
		return first
	}
	return f.To.Add(-overlap)
}

// Down takes one more answer of a pass: posts, newest first, with page as what
// comes next. It returns those that were not read before, and the place after
// them. A pass begins with its first answer.
//
// Every answer of a pass moves the place: one that holds nothing new, because
// more posts share a second than an answer holds, moves it below that second.
func (f Frontier) Down(posts []feedlake.Post, page string, overlap time.Duration) (fresh []feedlake.Post, next Frontier) {
	if len(posts) == 0 && f.Pass == nil {
		return nil, f
	}
	fresh = f.fresh(posts)
	return fresh, Frontier{To: f.To, Seen: f.Seen, Pass: f.down(posts, fresh, page, overlap), Bad: f.Bad}
}

func (f Frontier) down(posts, fresh []feedlake.Post, page string, overlap time.Duration) *Pass {
	next := Pass{Page: page}
	if f.Pass != nil {
		next.Top, next.Down, next.Got = f.Pass.Top, f.Pass.Down, slices.Clone(f.Pass.Got)
	}
	for i := range posts {
		at := posts[i].CreatedAt.Truncate(time.Second)
		if seen := posts[i].ObservedAt; !seen.IsZero() && at.After(seen.Add(feedlake.LatestAhead)) {
			continue // no pass would come down to what is there today
		}
		if next.Top.IsZero() {
			next.Top, next.Down = at, at
		}
		if at.Before(next.Down) {
			next.Down = at
		}
	}
	if f.Pass != nil && len(fresh) == 0 && next.Down.Equal(f.Pass.Down) && page == f.Pass.Page {
		next.Down = next.Down.Add(-time.Second)
	}
	for i := range fresh {
		next.Got = append(next.Got, Seen{fresh[i].ID, fresh[i].CreatedAt.Unix(), Version(&fresh[i])})
	}
	keep := next.Top.Add(-overlap).Unix()
	next.Got = slices.DeleteFunc(next.Got, func(s Seen) bool { return s.At < keep && s.At > next.Down.Unix() })
	return &next
}

// Landed returns the place when a pass is at its end.
func (f Frontier) Landed(overlap time.Duration) Frontier {
	if f.Pass == nil {
		f.Bad = f.Bad.Landed()
		return f
	}
	next := Frontier{To: f.Pass.Top, Bad: f.Bad.Landed()}
	if next.To.Before(f.To) {
		next.To = f.To
	}
	from := next.To.Add(-overlap).Unix()
	place := map[string]int{}
	for _, s := range slices.Concat(f.Seen, f.Pass.Got) { // the later one says what it is now
		i, known := place[s.ID]
		switch {
		case known:
			next.Seen[i] = s
		case s.At >= from:
			place[s.ID] = len(next.Seen)
			next.Seen = append(next.Seen, s)
		}
	}
	return next
}
