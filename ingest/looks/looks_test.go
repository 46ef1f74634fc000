package looks_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/frontier"
	"github.com/feedlake/feedlake/ingest/hackernews"
	"github.com/feedlake/feedlake/ingest/looks"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// site is a simulated Hacker News whose counts grow, and what a lake holds of it.
type site struct {
	*testing.T
	clock *sourcetest.Clock
	url   string
	held  map[string]string
	opens []feedlake.Window
}

func newSite(t *testing.T) *site {
	clock := sourcetest.NewClock()
	s, err := serve.New("hackernews", serve.Options{Seed: 7, Posts: 300, Days: 3, Now: clock.Now, Faults: []serve.Fault{serve.Grow}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return &site{T: t, clock: clock, url: server.URL, held: map[string]string{}}
}

func (s *site) open(w feedlake.Window) ingest.Source {
	env := s.clock.Env(s.T, "source")
	env.Window = w
	src, err := hackernews.Open(s.Context(), env, hackernews.Config{Settings: api.Settings{BaseURL: s.url + "/api/v1"}, Mode: "search", Since: s.clock.Now().AddDate(0, 0, -30), Overlap: time.Second})
	if err != nil {
		s.Fatal(err)
	}
	return src
}

func (s *site) wrapped(ages ...time.Duration) ingest.Source {
	return looks.Wrap(s.open(feedlake.Window{}), looks.Options{Ages: ages, Now: s.clock.Now, Open: func(_ context.Context, w feedlake.Window) (ingest.Source, func(*feedlake.Post) bool, error) {
		s.opens = append(s.opens, w)
		return s.open(w), func(p *feedlake.Post) bool { return s.held[p.ID] != frontier.Version(p) }, nil
	}})
}

// run drains a source as a run does, and lands what it tells.
func (s *site) run(at feedlake.Cursor, ages ...time.Duration) (ids map[string]int, next feedlake.Cursor) {
	s.Helper()
	s.opens = nil
	posts, bad, next := sourcetest.Drain(s.T, s.wrapped(ages...), at)
	ids = map[string]int{}
	for i := range posts {
		ids[posts[i].ID]++
		s.held[posts[i].ID] = frontier.Version(&posts[i])
	}
	if len(bad) > 0 {
		s.Errorf("rejects: %v", sourcetest.Reasons(bad))
	}
	return ids, next
}

func (s *site) wait(d time.Duration) {
	if err := s.clock.Sleep(s.Context(), d); err != nil {
		s.Fatal(err)
	}
}

// TestLooks reads posts again when they have reached an age, a day at a time, and
// hands out those that have changed.
func TestLooks(t *testing.T) {
	s := newSite(t)
	const day = 24 * time.Hour
	all, at := s.run("", day, 2*day)
	if len(all) < 250 || len(s.opens) > 0 {
		t.Fatalf("%d posts, looks %v", len(all), s.opens)
	}
	begun := s.clock.Now()
	s.wait(20 * time.Minute)
	if ids, _ := s.run(at, day, 2*day); len(s.opens) > 0 {
		t.Errorf("a look after 20 minutes: %d posts, %v", len(ids), s.opens)
	}
	s.wait(40*time.Hour - 20*time.Minute)
	ids, at := s.run(at, day, 2*day)
	want := []feedlake.Window{
		{Start: begun.Add(-8 * time.Hour), End: begun.Add(16 * time.Hour)},
		{Start: begun.Add(-2 * day), End: begun.Add(-day)},
		{Start: begun.Add(-day), End: begun.Add(-8 * time.Hour)}, // a day at a time
	}
	if d := cmp.Diff(want, s.opens); d != "" {
		t.Error(d)
	}
	if len(ids) < 50 {
		t.Errorf("%d posts have changed", len(ids))
	}
	for id, n := range ids {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
	if ids, again := s.run(at, day, 2*day); len(ids) > 0 || again != at || len(s.opens) > 0 {
		t.Errorf("a moment later: %d posts, looks %v", len(ids), s.opens)
	}
	if _, plain := s.run(at); strings.Contains(string(plain), "look") {
		t.Errorf("without ages the cursor is %s", plain)
	}
	s.wait(2 * time.Hour)
	for id := range s.held {
		s.held[id] = "" // to see which posts are looked at
	}
	ids, _ = s.run(at, 2*day)
	if len(s.opens) != 1 || len(ids) == 0 {
		t.Errorf("one age left: looks %v, %d posts", s.opens, len(ids))
	}
}

// TestResume goes on with a look that was broken off, after the source itself.
func TestResume(t *testing.T) {
	s := newSite(t)
	const day = 24 * time.Hour
	_, at := s.run("", day)
	s.wait(day)
	src := s.wrapped(day)
	p, err := src.Fetch(t.Context(), at)
	for err == nil && !strings.Contains(string(p.Next), `"look":{`) {
		p, err = src.Fetch(t.Context(), p.Next)
	}
	if err != nil || p.Done {
		t.Fatalf("done %v, %v", p.Done, err)
	}
	ids, end := s.run(p.Next, day)
	if len(ids) == 0 || len(s.opens) != 1 || strings.Contains(string(end), `"look":{`) {
		t.Errorf("%d posts, looks %v, cursor %s", len(ids), s.opens, end)
	}
}

// broken is a source whose feeds are not all there.
type broken struct{ err error }

func (b broken) Fetch(context.Context, feedlake.Cursor) (ingest.Page, error) {
	return ingest.Page{}, b.err
}

// TestPartial looks though a feed of the source cannot be read, and says so at the
// end; not when a limit is reached.
func TestPartial(t *testing.T) {
	clock := sourcetest.NewClock()
	old := feedlake.Cursor(`looks:{"main":"m","looked":{"24h0m0s":"2026-02-28T12:00:00Z"}}`)
	for _, c := range []struct {
		err   error
		looks int
	}{
		{fmt.Errorf("a feed is private: %w", feedlake.ErrPartial), 1}, {&ingest.BudgetError{}, 0}, {&ingest.LimitError{}, 0}, {feedlake.ErrConfig, 0},
	} {
		looked := 0
		src := looks.Wrap(broken{c.err}, looks.Options{Ages: []time.Duration{24 * time.Hour}, Now: clock.Now, Open: func(context.Context, feedlake.Window) (ingest.Source, func(*feedlake.Post) bool, error) {
			looked++
			return done{}, func(*feedlake.Post) bool { return true }, nil
		}})
		at, err := old, error(nil)
		for range 5 {
			var p ingest.Page
			if p, err = src.Fetch(t.Context(), at); err != nil || p.Done {
				break
			}
			at = p.Next
		}
		if err == nil || err.Error() != c.err.Error() || looked != c.looks {
			t.Errorf("%v: %d looks, %v", c.err, looked, err)
		}
	}
}

// done is a source that has nothing.
type done struct{}

func (done) Fetch(_ context.Context, from feedlake.Cursor) (ingest.Page, error) {
	return ingest.Page{Next: from, Done: true}, nil
}

// hears is a source that is to be landed by time.
type hears struct{ done }

func (hears) Flush() time.Duration { return time.Minute }

// TestListener says of a source that hears that it does.
func TestListener(t *testing.T) {
	l, ok := looks.Wrap(hears{}, looks.Options{}).(ingest.Listener)
	if !ok || l.Flush() != time.Minute {
		t.Error("the source no longer says how long a post may wait")
	}
	if _, ok := looks.Wrap(done{}, looks.Options{}).(ingest.Listener); ok {
		t.Error("a source that can be asked again says that it hears")
	}
}
