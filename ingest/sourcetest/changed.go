package sourcetest

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

// Changed holds a source to what a platform says of a post later on: a post that
// is read again with other counts comes as another version, once, and one that says
// the same does not come. Start makes a server whose counts grow with time; open a
// source that reads it, some hours of it again each time.
func Changed(t *testing.T, start func(now func() time.Time) (Server, error), open func(t *testing.T, env ingest.Env, url string) ingest.Source) {
	t.Helper()
	clock := NewClock()
	s, err := start(clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	defer server.Close()
	r := reader{t: t, clock: clock, open: func() ingest.Source { return open(t, clock.Env(t, "source"), server.URL) }}
	r.drain()
	said := map[string]string{}
	for run, waits := range []time.Duration{0, time.Hour, time.Hour} {
		if err := clock.Sleep(t.Context(), waits); err != nil {
			t.Fatal(err)
		}
		for i := range r.posts {
			said[r.posts[i].ID] = counts(&r.posts[i])
		}
		r.posts = nil
		r.drain()
		if more := len(r.posts) > 0; more != (waits > 0) || len(r.rejects) > 0 {
			t.Errorf("run %d, %s later: %d posts, rejects %v", run, waits, len(r.posts), Reasons(r.rejects))
		}
		came := map[string]bool{}
		for i := range r.posts {
			p := &r.posts[i]
			if before, known := said[p.ID]; !known || came[p.ID] || before == counts(p) {
				t.Errorf("run %d: %s came again with %s after %s, twice: %v", run, p.ID, counts(p), before, came[p.ID])
			}
			came[p.ID] = true
		}
	}
}

// counts spells the counts of a post.
func counts(p *feedlake.Post) string {
	var out strings.Builder
	for _, n := range []*int64{p.Likes, p.Reposts, p.Replies, p.Views} {
		if n == nil {
			out.WriteString(" -")
			continue
		}
		fmt.Fprintf(&out, " %d", *n)
	}
	return out.String()
}

// Looked holds a source to what it reads once more of a day that is past: every
// post of it that was read before, once and with the counts of today, and nothing
// of another day.
func Looked(t *testing.T, start func(now func() time.Time) (Server, error), open func(t *testing.T, env ingest.Env, url string) ingest.Source) {
	t.Helper()
	clock := NewClock()
	s, err := start(clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	defer server.Close()
	w := feedlake.Window{Start: clock.Now().Add(-20 * time.Hour), End: clock.Now().Add(-4 * time.Hour)}
	before, ids := map[string]string{}, []string(nil)
	posts, _, _ := Drain(t, open(t, clock.Env(t, "source"), server.URL), "")
	if err := clock.Sleep(t.Context(), 30*time.Hour); err != nil {
		t.Fatal(err)
	}
	live := map[string]bool{}
	for _, id := range s.Live() {
		live[id] = true
	}
	for i := range posts {
		if p := &posts[i]; w.Contains(p.CreatedAt) && !p.Deleted && live[p.ID] {
			before[p.ID], ids = counts(p), append(ids, p.ID)
		}
	}
	l, ok := open(t, clock.Env(t, "source"), server.URL).(ingest.Looker)
	if !ok || len(ids) == 0 {
		t.Fatalf("cannot be looked at again: %v; %d posts in the window", !ok, len(ids))
	}
	src, err := l.Look(t.Context(), w, ids)
	if err != nil {
		t.Fatal(err)
	}
	again, bad, _ := Drain(t, src, "")
	came := map[string]int{}
	for i := range again {
		p := &again[i]
		if came[p.ID]++; !w.Contains(p.CreatedAt) || p.Network != s.Network() {
			t.Errorf("%s of %s, %s, was read again", p.ID, p.CreatedAt, p.Network)
		}
		if was, known := before[p.ID]; known && p.Kind != feedlake.KindRepost && was != " - - - -" && was == counts(p) {
			t.Errorf("%s has the counts of before: %s", p.ID, was)
		}
	}
	for _, id := range ids {
		if came[id] != 1 {
			t.Errorf("%s came %d times", id, came[id])
		}
	}
	if len(bad) > 0 {
		t.Errorf("rejects: %v", Reasons(bad))
	}
}
