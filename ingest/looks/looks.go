// Package looks reads posts of a source once more when they have reached an age,
// such as a day or a week: what people think of a post shows in the days after it
// was written.
//
// The source itself goes first, and to its end. Then each age has its turn: posts
// that have reached it since the last look are asked for again, a day of them at a
// time, and those that say something else by now come as new versions.
package looks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/frontier"
	"github.com/feedlake/feedlake/ingest/rounds"
)

// Options say how to look.
type Options struct {
	Ages []time.Duration // at which posts are looked at; none: only what Wrap is given is read
	Now  func() time.Time
	// Open opens a source that reads the posts created in a window, as far as they
	// are there; changed tells whether one of them says something else than what is
	// held of it.
	Open func(ctx context.Context, w feedlake.Window) (src ingest.Source, changed func(*feedlake.Post) bool, err error)
}

// longest is how much of the past one look reads: what is held of it is kept in
// memory meanwhile.
const longest = 24 * time.Hour

// prefix begins the cursors of sources that are looked at again. Others are those
// of the source itself.
const prefix = "looks:"

// place is the cursor.
type place struct {
	Main   feedlake.Cursor      `json:"main,omitempty"`   // of the source
	Looked map[string]time.Time `json:"looked,omitempty"` // by age: what was created before was looked at, or was there before looks began
	Look   *look                `json:"look,omitempty"`   // the one under way; nil: none
}

// look is a way through the posts of a window.
type look struct {
	Age    string          `json:"age"`
	Window feedlake.Window `json:"window"`
	At     feedlake.Cursor `json:"at,omitempty"`
}

// source is a source and its looks.
type source struct {
	ingest.Source
	o Options

	read    bool              // the source itself, in this run
	told    map[string]string // versions that it told in this run, of posts that may be looked at
	owed    error
	end     rounds.End
	window  feedlake.Window // that again is open for
	again   ingest.Source
	changed func(*feedlake.Post) bool
}

// listener is a source that hears, and its looks.
type listener struct {
	*source
	ingest.Listener
}

// Wrap makes a source look at its posts again. It also reads on from cursors that
// it left when ages were configured.
func Wrap(src ingest.Source, o Options) ingest.Source {
	o.Ages = slices.Compact(slices.Sorted(slices.Values(o.Ages)))
	s := &source{Source: src, o: o, told: map[string]string{}}
	if l, ok := src.(ingest.Listener); ok {
		return listener{s, l}
	}
	return s
}

func (s *source) parse(from feedlake.Cursor) (place, error) {
	p := place{Main: from}
	text, ok := strings.CutPrefix(string(from), prefix)
	if !ok {
		return p, nil
	}
	p = place{}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return p, fmt.Errorf("cursor %.60q: %w: %w", from, err, feedlake.ErrConfig)
	}
	if p.Looked == nil {
		p.Looked = map[string]time.Time{}
	}
	return p, nil
}

// spell writes the place: as the source itself does where nothing is looked at.
func (s *source) spell(p place) (feedlake.Cursor, error) {
	if len(s.o.Ages) == 0 {
		return p.Main, nil
	}
	b, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("spell cursor: %w", err)
	}
	return prefix + feedlake.Cursor(b), nil
}

// Fetch reads a page of the source, or of a look when that has no more.
func (s *source) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	if err := s.end.Due(from); err != nil {
		return ingest.Page{}, err
	}
	at, err := s.parse(from)
	if err != nil {
		return ingest.Page{}, err
	}
	var p ingest.Page
	if !s.read {
		p, err = s.main(ctx, &at)
	} else {
		p, err = s.look(ctx, &at)
	}
	if err != nil {
		return ingest.Page{}, err
	}
	due := s.due(&at)
	if p.Done = p.Done && !due; p.Done {
		s.read = false
	}
	if p.Next, err = s.spell(at); err != nil {
		return ingest.Page{}, err
	}
	if rows := len(p.Posts) + len(p.Rejects); rows == 0 && !p.Done && p.Next == from { // the look that was broken off goes on
		return s.Fetch(ctx, from)
	}
	owed := s.owed
	if p.Done {
		s.owed = nil
	}
	return s.end.Page(from, p, owed)
}

// main reads a page of the source itself. What it could not read is said at the
// end; a limit that is reached ends the looks too.
func (s *source) main(ctx context.Context, at *place) (ingest.Page, error) {
	p, err := s.Source.Fetch(ctx, at.Main)
	_, budget := errors.AsType[*ingest.BudgetError](err)
	_, limit := errors.AsType[*ingest.LimitError](err)
	_, again := errors.AsType[*feedlake.RetryError](err)
	if errors.Is(err, feedlake.ErrPartial) && !budget && !limit && !again && len(s.o.Ages) > 0 && ctx.Err() == nil {
		s.owed, err = err, nil
		p = ingest.Page{Next: at.Main, Done: true}
	}
	at.Main, s.read = p.Next, p.Done
	for i := range p.Posts {
		if post := &p.Posts[i]; len(at.Looked) > 0 && len(s.o.Ages) > 0 && post.CreatedAt.Before(s.o.Now().Add(-s.o.Ages[0])) {
			s.told[post.ID] = frontier.Version(post)
		}
	}
	return p, err
}

// due reports whether there is something to look at, and begins it.
func (s *source) due(at *place) bool {
	if !s.read || len(s.o.Ages) == 0 {
		return false
	}
	if at.Look != nil {
		return true
	}
	looked := map[string]time.Time{}
	now := s.o.Now().UTC().Truncate(time.Second)
	for i, age := range s.o.Ages {
		key := age.String()
		from, known := at.Looked[key]
		to := now.Add(-age)
		if !known {
			from = to
		}
		if i+1 < len(s.o.Ages) { // what has reached the next age too is looked at once
			if next := now.Add(-s.o.Ages[i+1]); from.Before(next) {
				from = next
			}
		}
		looked[key] = from
		if at.Look == nil && to.Sub(from) >= age/24 { // not a question for every run
			at.Look = &look{Age: key, Window: feedlake.Window{Start: from, End: from.Add(min(to.Sub(from), longest))}}
		}
	}
	at.Looked = looked
	return at.Look != nil
}

// look reads a page of the window that is looked at.
func (s *source) look(ctx context.Context, at *place) (ingest.Page, error) {
	l := at.Look
	if s.again == nil || s.window != l.Window {
		src, changed, err := s.o.Open(ctx, l.Window)
		if err != nil {
			return ingest.Page{}, fmt.Errorf("look at posts of age %s: %w", l.Age, err)
		}
		s.again, s.changed, s.window = src, changed, l.Window
	}
	p, err := s.again.Fetch(ctx, l.At)
	if err != nil {
		return p, fmt.Errorf("look at posts of age %s: %w", l.Age, err)
	}
	kept := p.Posts[:0]
	for i := range p.Posts {
		if post := &p.Posts[i]; s.told[post.ID] != frontier.Version(post) && s.changed(post) {
			kept = append(kept, p.Posts[i])
		}
	}
	// What is a reject now was one before, or is a post that is gone.
	p = ingest.Page{Posts: kept, Next: p.Next, Done: p.Done, Progress: p.Progress}
	p.Progress.Place = strings.TrimSpace("again at age " + l.Age + " " + p.Progress.Place)
	at.Look = &look{Age: l.Age, Window: l.Window, At: p.Next}
	if p.Done {
		at.Looked[l.Age], at.Look, s.again = l.Window.End, nil, nil
	}
	return p, nil
}
