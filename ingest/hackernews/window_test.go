package hackernews_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/hackernews"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// counted counts requests.
type counted struct {
	http.Handler
	n atomic.Int64
}

func (c *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.n.Add(1)
	c.Handler.ServeHTTP(w, r)
}

// start serves simulated items, and returns what opens a source of it.
func start(t *testing.T, clock *sourcetest.Clock, o serve.Options) (*counted, func(mode string, w feedlake.Window) ingest.Source) {
	t.Helper()
	o.Now = clock.Now
	s, err := serve.New("hackernews", o)
	if err != nil {
		t.Fatal(err)
	}
	return startHandler(t, clock, s)
}

func startHandler(t *testing.T, clock *sourcetest.Clock, h http.Handler) (*counted, func(mode string, w feedlake.Window) ingest.Source) {
	t.Helper()
	c := &counted{Handler: h}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return c, func(mode string, w feedlake.Window) ingest.Source {
		cfg := hackernews.Config{Mode: mode, Settings: api.Settings{BaseURL: server.URL + "/api/v1"}, Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
		if mode == "items" {
			cfg.BaseURL, cfg.FromItem = server.URL+"/v0", 1
		}
		env := clock.Env(t, "hn")
		env.Window = w
		src, err := hackernews.Open(t.Context(), env, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return src
	}
}

// drain reads a source to its end, again where the error allows it.
func drain(t *testing.T, clock *sourcetest.Clock, src ingest.Source) (posts []feedlake.Post) {
	t.Helper()
	var at feedlake.Cursor
	for tries := 0; ; {
		p, err := src.Fetch(t.Context(), at)
		if again, ok := errors.AsType[*feedlake.RetryError](err); ok && tries < 6 {
			tries++
			_ = clock.Sleep(t.Context(), max(time.Second, again.After))
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Rejects) > 0 {
			t.Fatal(sourcetest.Reasons(p.Rejects))
		}
		if p.Next == at && (len(p.Posts) > 0 || !p.Done) {
			t.Fatalf("the cursor did not move: %s", at)
		}
		if posts, at, tries = append(posts, p.Posts...), p.Next, 0; p.Done {
			return posts
		}
	}
}

func days(from time.Time, n int) (out []feedlake.Window) {
	for i := range n {
		out = append(out, feedlake.Window{Start: from.AddDate(0, 0, i), End: from.AddDate(0, 0, i+1)})
	}
	return out
}

var modes = []string{"search", "items"}

// TestWindows wants the day slices together to hold what following the source
// does, each post once and in its own slice, whatever goes wrong.
func TestWindows(t *testing.T) {
	for _, mode := range modes {
		for _, faults := range [][]serve.Fault{nil, {serve.Storm, serve.Failure, serve.Cut, serve.Skew}} {
			t.Run(fmt.Sprint(mode, faults), func(t *testing.T) {
				clock := sourcetest.NewClock()
				_, open := start(t, clock, serve.Options{Seed: 7, Posts: 900, Days: 4, Faults: faults})
				first := clock.Now().Truncate(24*time.Hour).AddDate(0, 0, -5)
				want := map[string]time.Time{}
				for _, p := range drain(t, clock, open(mode, feedlake.Window{})) {
					want[p.ID] = p.CreatedAt
				}
				got := map[string]time.Time{}
				for _, w := range days(first, 8) { // some before the first item, some after the last
					for _, p := range drain(t, clock, open(mode, w)) {
						if p.CreatedAt.Before(w.Start) || !p.CreatedAt.Before(w.End) {
							t.Errorf("item %s of %s is in the slice of %s", p.ID, p.CreatedAt, w.Start)
						}
						if _, ok := got[p.ID]; ok {
							t.Errorf("item %s came twice", p.ID)
						}
						got[p.ID] = p.CreatedAt
					}
				}
				if len(want) < 800 {
					t.Errorf("only %d items", len(want))
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// TestWindowContract holds backfills to the contract of sources.
func TestWindowContract(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			clock := sourcetest.NewClock()
			_, open := start(t, clock, serve.Options{Seed: 7, Posts: 900, Days: 4})
			now := clock.Now()
			w := feedlake.Window{Start: now.Add(-50*time.Hour - time.Millisecond), End: now.Add(-20*time.Hour + time.Millisecond)}
			sourcetest.Run(t, func(t *testing.T) ingest.Source {
				c := sourcetest.NewClock()
				env := c.Env(t, "hn")
				return still{open(mode, w), env.Now()}
			})
		})
	}
}

// still is a source whose clock stands still, and that has a name.
type still struct {
	ingest.Source
	now time.Time
}

func (s still) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	p, err := s.Source.Fetch(ctx, from)
	for i := range p.Posts {
		p.Posts[i].Source, p.Posts[i].ObservedAt = "hn", s.now
	}
	return p, err
}

// TestEstimate compares the requests that were predicted with those made.
func TestEstimate(t *testing.T) {
	for _, mode := range modes {
		for _, posts := range []int64{1500, 6000} {
			for name, length := range map[string]time.Duration{"hour": time.Hour, "day": 24 * time.Hour, "all": 99 * 24 * time.Hour} {
				t.Run(fmt.Sprint(mode, posts, name), func(t *testing.T) {
					clock := sourcetest.NewClock()
					c, open := start(t, clock, serve.Options{Seed: 3, Posts: posts, Days: 3})
					end := clock.Now().Add(-25 * time.Hour)
					if name == "all" {
						end = clock.Now()
					}
					w := feedlake.Window{Start: end.Add(-length), End: end}
					est, ok := open(mode, feedlake.Window{}).(ingest.Estimator)
					if !ok {
						t.Fatal("no estimate")
					}
					want, err := est.Estimate(t.Context(), w)
					if err != nil {
						t.Fatal(err)
					}
					c.n.Store(0)
					got := drain(t, clock, open(mode, w))
					n := c.n.Load()
					t.Logf("predicted %d requests, made %d; predicted %d posts, got %d", want.Requests, n, want.Posts, len(got))
					if math.Abs(float64(want.Requests-n)) > 0.05*float64(n) {
						t.Errorf("predicted %d requests, made %d", want.Requests, n)
					}
					if want.Posts != int64(len(got)) || want.Took <= 0 {
						t.Errorf("predicted %d posts, got %d; takes %s", want.Posts, len(got), want.Took)
					}
				})
			}
		}
	}
}

// tape is a Firebase with one item a minute, and holes.
type tape struct {
	mu    sync.Mutex
	items []string // items[i] is the answer for item i+1
}

func (f *tape) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var id int
	if _, err := fmt.Sscanf(r.URL.Path, "/v0/item/%d.json", &id); err != nil {
		_, _ = fmt.Fprint(w, len(f.items))
		return
	}
	if id < 1 || id > len(f.items) {
		_, _ = fmt.Fprint(w, "null")
		return
	}
	_, _ = fmt.Fprint(w, f.items[id-1])
}

var midnight = time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)

func newTape(n int, change func(i int, item string) string) *tape {
	f := &tape{}
	for i := range n {
		item := fmt.Sprintf(`{"id":%d,"type":"story","title":"t","by":"a","time":%d}`, i+1, midnight.Add(time.Duration(i)*time.Minute).Unix())
		f.items = append(f.items, change(i, item))
	}
	return f
}

// TestHoles looks for windows among numbers without an item, deleted items, and
// items that changed places.
func TestHoles(t *testing.T) {
	swapped := func(i int, _ string) string {
		at := midnight.Add(time.Duration((i+1)^1-1) * time.Minute).Unix() // across the ends of windows
		return fmt.Sprintf(`{"id":%d,"type":"story","title":"t","by":"a","time":%d}`, i+1, at)
	}
	for name, change := range map[string]func(i int, item string) string{
		"none":        func(_ int, item string) string { return item },
		"every third": func(i int, item string) string { return pick(i%3 == 0, "null", item) },
		"few there":   func(i int, item string) string { return pick(i%50 != 49, "null", item) },
		"a long one":  func(i int, item string) string { return pick(i >= 100 && i < 900, "null", item) },
		"at the top":  func(i int, item string) string { return pick(i >= 1400, "null", item) },
		"at the foot": func(i int, item string) string { return pick(i < 400, "null", item) },
		"all":         func(int, string) string { return "null" },
		"deleted": func(i int, item string) string {
			return pick(i%4 == 0, fmt.Sprintf(`{"id":%d,"deleted":true,"time":%d}`, i+1, midnight.Add(time.Duration(i)*time.Minute).Unix()), item)
		},
		"deleted without time": func(i int, item string) string {
			return pick(i%4 == 0, "null", item)
		},
		"swapped": swapped,
	} {
		t.Run(name, func(t *testing.T) {
			tape := newTape(1440, change)
			want := map[string]int{}
			for i, item := range tape.items {
				if item != "null" {
					want[fmt.Sprint(i+1)]++
				}
			}
			clock := sourcetest.NewClock()
			_, open := startHandler(t, clock, tape)
			got := map[string]int{}
			for h := -5; h < 25; h += 5 {
				w := feedlake.Window{Start: midnight.Add(time.Duration(h) * time.Hour), End: midnight.Add(time.Duration(h+5) * time.Hour)}
				for _, p := range drain(t, clock, open("items", w)) {
					got[p.ID]++
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func pick(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// TestNothingThere wants a word on a server whose items begin far up, not an
// endless look for them.
func TestNothingThere(t *testing.T) {
	_, open := startHandler(t, sourcetest.NewClock(), newTape(5000, func(i int, item string) string { return pick(i < 4990, "null", item) }))
	_, err := open("items", feedlake.Window{Start: midnight, End: midnight.Add(time.Hour)}).Fetch(t.Context(), "")
	if hint, ok := errors.AsType[*feedlake.HintError](err); !errors.Is(err, feedlake.ErrNotFound) || !ok || !strings.Contains(hint.Hint, "from_item") {
		t.Error(err)
	}
}

// TestLateItem wants an item that was numbered before it could be read.
func TestLateItem(t *testing.T) {
	tape := newTape(100, func(i int, item string) string { return pick(i >= 97, "null", item) })
	_, open := startHandler(t, sourcetest.NewClock(), tape)
	src := open("items", feedlake.Window{})
	first, _, at := sourcetest.Drain(t, src, "")
	tape.mu.Lock()
	tape.items = newTape(100, func(_ int, item string) string { return item }).items
	tape.mu.Unlock()
	second, _, _ := sourcetest.Drain(t, src, at)
	if len(first) != 97 || len(second) != 3 {
		t.Errorf("%d and %d items, want 97 and 3", len(first), len(second))
	}
}

// TestCovered tells no more of a window than was read.
func TestCovered(t *testing.T) {
	clock := sourcetest.NewClock()
	_, open := start(t, clock, serve.Options{Seed: 3, Posts: 1500, Days: 3})
	w := feedlake.Window{Start: clock.Now().Add(-50 * time.Hour), End: clock.Now().Add(-20 * time.Hour)}
	sourcetest.Covered(t, clock, func() ingest.Source { return open("items", w) }, 3)
}
