package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

// Clock is a clock that only waiting moves.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts at an hour of March 2026.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)} }

// Now tells the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Sleep moves the clock on.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(max(d, 0))
	return ctx.Err()
}

// Env is the environment of a source in a test: the clock, and no meter but its
// own.
func (c *Clock) Env(t testing.TB, name string) ingest.Env {
	return ingest.Env{Name: name, Base: t.TempDir(), Now: c.Now, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Sleep: c.Sleep, Meter: ingest.NewMemoryMeter(c.Now, nil)}
}

// Server simulates a platform.
type Server interface {
	http.Handler
	All() []string         // ids of everything that it has, had or will have
	Live() []string        // ids of what can be read at the moment
	Growing() bool         // whether something will appear
	Edited(id string) bool // whether a post comes in two versions
	Network() string       // as in raw.posts: of its ids
}

// Part is a server of which a source reads a part: the posts whose ids Reads
// holds for.
type Part struct {
	Server
	Reads func(id string) bool
}

// Live lists those of the part.
func (p Part) Live() []string { return p.only(p.Server.Live()) }

// All lists those of the part.
func (p Part) All() []string { return p.only(p.Server.All()) }

func (p Part) only(ids []string) []string {
	return slices.DeleteFunc(ids, func(id string) bool { return !p.Reads(id) })
}

// ReadBy makes the servers of start the part that a source reads of them: what
// comes of one with no fault, and of one with each of faults, which may show what
// another has deleted.
func ReadBy[F ~string](t *testing.T, start func([]F, func() time.Time) (Server, error), open func(*testing.T, ingest.Env, string) ingest.Source, faults ...F,
) func([]F, func() time.Time) (Server, error) {
	t.Helper()
	read := map[string]bool{}
	for _, set := range append([][]F{nil}, each(faults)...) {
		clock := NewClock()
		s, err := start(set, clock.Now)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(s)
		r := reader{t: t, clock: clock, open: func() ingest.Source { return open(t, clock.Env(t, "source"), server.URL) }}
		r.drain()
		server.Close()
		for _, p := range r.posts {
			read[p.ID] = true
		}
	}
	return func(faults []F, now func() time.Time) (Server, error) {
		s, err := start(faults, now)
		return Part{s, func(id string) bool { return read[id] }}, err
	}
}

func each[F any](list []F) (out [][]F) {
	for _, f := range list {
		out = append(out, []F{f})
	}
	return out
}

// A Contract of sources that ask an API, against a simulator of the platform:
// every post that can be read comes exactly once, whatever happens between, also
// with another source taking over from a cursor. start makes the simulator; open
// the source that reads all of it.
type Contract[F ~string] func(t *testing.T, faults []F, start func(faults []F, now func() time.Time) (Server, error),
	open func(t *testing.T, env ingest.Env, url string) ingest.Source)

// Connector is the Contract with no fault and with all faults at once, which takes
// a source through everything that it does: for the race detector.
func Connector[F ~string](t *testing.T, faults []F, start func(faults []F, now func() time.Time) (Server, error),
	open func(t *testing.T, env ingest.Env, url string) ingest.Source,
) {
	connector(t, map[string][]F{"no fault": nil, "all faults": faults}, start, open)
}

// ConnectorFaults is the Contract with each fault alone, so that none hides what
// another does: as often as there are faults, so on the plain binary where a source
// has much to read.
func ConnectorFaults[F ~string](t *testing.T, faults []F, start func(faults []F, now func() time.Time) (Server, error),
	open func(t *testing.T, env ingest.Env, url string) ingest.Source,
) {
	sets := map[string][]F{}
	for _, f := range faults {
		sets[string(f)] = []F{f}
	}
	connector(t, sets, start, open)
}

func connector[F ~string](t *testing.T, sets map[string][]F, start func(faults []F, now func() time.Time) (Server, error),
	open func(t *testing.T, env ingest.Env, url string) ingest.Source,
) {
	t.Helper()
	for name, set := range sets {
		t.Run(name, func(t *testing.T) {
			for _, restart := range []int{0, 3} {
				clock := NewClock()
				s, err := start(set, clock.Now)
				if err != nil {
					t.Fatal(err)
				}
				posts := readAll(t, clock, s, restart, open)
				if restart == 0 && len(set) == 0 {
					Land(t, Slice(posts), clock.Now)
				}
			}
		})
	}
}

// readAll reads a server empty; after so many pages another source takes over.
func readAll(t *testing.T, clock *Clock, s Server, restart int, open func(*testing.T, ingest.Env, string) ingest.Source) []feedlake.Post {
	server := httptest.NewServer(s)
	defer server.Close()
	r := reader{t: t, clock: clock, restart: restart, open: func() ingest.Source { return open(t, clock.Env(t, "source"), server.URL) }}
	for r.drain(); s.Growing(); {
		r.drain()
	}
	r.drain() // what appeared while the last page was read
	got := map[string]int{}
	for _, p := range r.posts {
		if p.Network != s.Network() {
			t.Fatalf("post %s is of network %q, not %q", p.ID, p.Network, s.Network())
		}
		if !p.Deleted {
			got[p.ID]++
		}
	}
	for id, n := range got {
		if n > 1 && !s.Edited(id) {
			t.Errorf("post %s came %d times", id, n)
		}
	}
	for _, id := range s.Live() {
		if got[id] == 0 {
			t.Errorf("post %s did not come", id)
		}
	}
	known := map[string]bool{}
	for _, id := range s.All() {
		known[id] = true
	}
	if d := cmp.Diff([]string(nil), slices.Sorted(maps.Keys(without(got, known)))); d != "" {
		t.Errorf("posts that the server does not have: %s", d)
	}
	if len(r.rejects) > 0 {
		t.Errorf("rejects: %s", strings.Join(Reasons(r.rejects), "\n"))
	}
	return r.posts
}

func without(got map[string]int, known map[string]bool) map[string]int {
	out := map[string]int{}
	for id, n := range got {
		if !known[id] {
			out[id] = n
		}
	}
	return out
}

// reader drains a source as a run does: again where the error allows it.
type reader struct {
	t       *testing.T
	clock   *Clock
	restart int
	open    func() ingest.Source

	at      feedlake.Cursor
	posts   []feedlake.Post
	rejects []feedlake.Reject
}

// Bounds of a drain that ends.
const (
	maxPages = 5000
	maxTries = 6
)

func (r *reader) drain() {
	r.t.Helper()
	src := r.open()
	for page := 1; ; page++ {
		if page > maxPages {
			r.t.Fatalf("no end after %d pages, at cursor %.200s", maxPages, r.at)
		}
		if r.restart > 0 && page%r.restart == 0 {
			src = r.open()
		}
		p, err := r.fetch(src)
		if err != nil {
			r.t.Fatalf("page %d from %.200s: %v", page, r.at, err)
		}
		if rows := len(p.Posts) + len(p.Rejects); p.Next == r.at && (rows > 0 || !p.Done) {
			r.t.Fatalf("page %d of %d records did not move the cursor %.200s", page, rows, r.at)
		}
		r.posts, r.rejects, r.at = append(r.posts, p.Posts...), append(r.rejects, p.Rejects...), p.Next
		if p.Done {
			return
		}
	}
}

func (r *reader) fetch(src ingest.Source) (ingest.Page, error) {
	for try := 1; ; try++ {
		p, err := src.Fetch(r.t.Context(), r.at)
		var again *feedlake.RetryError
		if err == nil || !errors.As(err, &again) {
			return p, err
		}
		if try == maxTries {
			return p, fmt.Errorf("after %d tries: %w", try, err)
		}
		if err := r.clock.Sleep(r.t.Context(), max(again.After, time.Second)); err != nil {
			return p, err
		}
	}
}
