package mastodon_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/mastodon"
	"github.com/feedlake/feedlake/ingest/sourcetest"
	wire "github.com/feedlake/feedlake/ingest/wire/mastodon"
)

// told is a stream that tells so many new statuses, one by one, and then stays
// open; its timeline holds one.
type told struct{ posts int }

func (s *told) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := time.Date(2026, 3, 2, 11, 0, 0, 0, time.UTC)
	status := func(i int) string {
		at := at.Add(time.Duration(i) * time.Second)
		return fmt.Sprintf(`{"id":%q,"uri":"https://social.example/%d","created_at":%q,"visibility":"public","content":"x","account":{"acct":"a","uri":"https://social.example/a"}}`,
			wire.IDAt(at), i, at.Format(time.RFC3339))
	}
	if !strings.Contains(r.URL.Path, "streaming") {
		q, page := r.URL.Query(), "["+status(0)+"]"
		if id := wire.IDAt(at); q.Get("max_id") != "" && wire.Compare(q.Get("max_id"), id) <= 0 || q.Get("min_id") != "" && wire.Compare(q.Get("min_id"), id) >= 0 {
			page = "[]"
		}
		_, _ = w.Write([]byte(page))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for i := 1; i <= s.posts; i++ {
		_, _ = fmt.Fprintf(w, "event: update\ndata: %s\n\n", status(i))
	}
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// listening opens a source that has read the timeline, and returns where it is.
func listening(t *testing.T, clock *sourcetest.Clock, s *told, c mastodon.Config, meter ingest.Meter) (ingest.Source, feedlake.Cursor) {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.CloseClientConnections)
	env := clock.Env(t, "source")
	env.Secrets, env.Meter = signedIn, meter
	c.Settings, c.Since, c.Stream = settings(server.URL), long, true
	src := open(t, env, c)
	at := feedlake.Cursor("")
	for got := 0; got == 0; {
		p, err := src.Fetch(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		got, at = len(p.Posts), p.Next
	}
	return src, at
}

// TestListen hears as long as the configuration says, however much that is, and
// hands out what it has as soon as nothing more comes.
func TestListen(t *testing.T) {
	clock := sourcetest.NewClock()
	s := &told{posts: 2100}
	src, at := listening(t, clock, s, mastodon.Config{Listen: time.Hour, Flush: time.Second}, ingest.NewMemoryMeter(clock.Now, nil))
	heard := 0
	for heard < s.posts {
		p, err := src.Fetch(t.Context(), at)
		if err != nil || p.Done || p.Next == at {
			t.Fatalf("after %d posts: done %v, %v", heard, p.Done, err)
		}
		heard, at = heard+len(p.Posts), p.Next
		if len(at) > 40_000 {
			t.Errorf("a cursor of %d bytes after %d posts", len(at), heard)
		}
	}
	if err := clock.Sleep(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if p, err := src.Fetch(t.Context(), at); err != nil || !p.Done || heard != s.posts {
		t.Errorf("%d posts, and then done %v, %v", heard, p.Done, err)
	}
}

// stopping is a meter that ends a run when the stream's second block of posts is
// reserved: some were heard by then.
type stopping struct {
	ingest.Meter
	blocks int
	stop   func()
}

func (m *stopping) Reserve(ctx context.Context, now time.Time, credential, endpoint string, u ingest.Use) (time.Time, error) {
	if endpoint == "streaming" && u.Requests == 0 {
		if m.blocks++; m.blocks == 2 {
			m.stop()
		}
	}
	return m.Meter.Reserve(ctx, now, credential, endpoint, u)
}

// TestListenCancelled hands out what it has heard when it is to end, and says so
// with the next page.
func TestListenCancelled(t *testing.T) {
	clock := sourcetest.NewClock()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	meter := &stopping{Meter: ingest.NewMemoryMeter(clock.Now, nil), stop: stop}
	src, at := listening(t, clock, &told{posts: 150}, mastodon.Config{Listen: time.Hour, Flush: time.Hour}, meter)
	p, err := src.Fetch(ctx, at)
	if err == nil && len(p.Posts) == 0 { // the end of the way down
		p, err = src.Fetch(ctx, p.Next)
	}
	if err != nil || len(p.Posts) != 100 || p.Done {
		t.Fatalf("%d posts, done %v, %v", len(p.Posts), p.Done, err)
	}
	if _, err := src.Fetch(ctx, p.Next); err == nil {
		t.Error("no error after the end")
	}
}
