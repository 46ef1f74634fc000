package sourcetest

import (
	"fmt"
	"net/http/httptest"
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
	out := ""
	for _, n := range []*int64{p.Likes, p.Reposts, p.Replies, p.Views} {
		if n == nil {
			out += " -"
			continue
		}
		out += fmt.Sprintf(" %d", *n)
	}
	return out
}
