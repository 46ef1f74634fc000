package bluesky_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/bluesky"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// streaming serves events, whatever the cursor; one for which refuse is true is
// too old.
func streaming(t *testing.T, now func() time.Time, refuse func(cursor int64) bool, events ...string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", now().UTC().Format(http.TimeFormat))
		if n, err := strconv.ParseInt(r.URL.Query().Get("cursor"), 10, 64); err == nil && refuse != nil && refuse(n) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":"CursorTooOld","message":"floor is 7"}`))
			return
		}
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"xrpc.v1.json"}})
		if err != nil {
			return
		}
		ctx := c.CloseRead(r.Context())
		byTime := len(r.URL.Query().Get("cursor")) > 15
		for _, e := range events {
			if strings.Contains(e, "OutdatedCursor") && !byTime {
				continue // only a time is moved up
			}
			if c.Write(ctx, websocket.MessageText, []byte(e)) != nil {
				return
			}
		}
		<-ctx.Done()
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// identity is an event about nothing.
func identity(version, seq int, at time.Time) string {
	if version == 2 {
		return fmt.Sprintf(`{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#identity","seq":%d,"did":"did:plc:a","time":%q,"identity":{}}}`, seq, at.Format(time.RFC3339Nano))
	}
	return fmt.Sprintf(`{"did":"did:plc:a","time_us":%d,"kind":"identity","identity":{"seq":%d}}`, at.UnixMicro(), seq)
}

// TestGap: what the server no longer holds is reported, once, after what it does
// hold was read.
func TestGap(t *testing.T) {
	clock := sourcetest.NewClock()
	now := clock.Now()
	old, floor := now.Add(-80*time.Hour), now.Add(-36*time.Hour)
	info := `{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#info","name":"OutdatedCursor","message":"resumed from seq 7"}}`
	for version, events := range map[int][]string{
		1: {identity(1, 7, floor), identity(1, 8, now.Add(time.Second))},
		2: {info, identity(2, 7, floor), identity(2, 8, now.Add(time.Second))},
	} {
		t.Run(fmt.Sprint("v", version), func(t *testing.T) {
			url := streaming(t, clock.Now, func(cursor int64) bool { return version == 2 && cursor < 7 }, events...)
			src := open(t, clock.Env(t, "source"), bluesky.Config{Mode: "jetstream", Version: version}, url)
			at := feedlake.Cursor(fmt.Sprintf(`{"us":%d,"seq":3,"at":["x"]}`, old.UnixMicro()))
			if version == 1 {
				at = feedlake.Cursor(fmt.Sprintf(`{"us":%d,"at":["x"]}`, old.UnixMicro()))
			}
			p, err := src.Fetch(t.Context(), at)
			if err != nil || p.Done || p.Next == at {
				t.Fatalf("first page: done %v, error %v", p.Done, err)
			}
			_, err = src.Fetch(t.Context(), p.Next)
			wants(t, err, feedlake.ErrPartial)
			if err == nil || !strings.Contains(err.Error(), old.Format(time.DateTime)) {
				t.Errorf("the error names no gap: %v", err)
			}
			if p, err = src.Fetch(t.Context(), p.Next); err != nil || !p.Done {
				t.Errorf("the gap is told twice: done %v, error %v", p.Done, err)
			}
		})
	}
}

// TestQuiet: a stream on which nothing happens ends a run too.
func TestQuiet(t *testing.T) {
	clock := sourcetest.NewClock()
	src := open(t, clock.Env(t, "source"), bluesky.Config{Mode: "jetstream", Idle: 50 * time.Millisecond}, streaming(t, clock.Now, nil))
	p, err := src.Fetch(t.Context(), "")
	if err != nil || !p.Done || p.Next != "" {
		t.Errorf("done %v, cursor %q, error %v", p.Done, p.Next, err)
	}
}

// TestDeleted: a deletion has the creation time that its key tells.
func TestDeleted(t *testing.T) {
	clock := sourcetest.NewClock()
	url := serving(t, nil, clock.Now)
	posts, _, err := drain(t, open(t, clock.Env(t, "source"), bluesky.Config{Mode: "jetstream", Since: since}, url), clock)
	if err != nil {
		t.Fatal(err)
	}
	created, deleted := map[string]time.Time{}, 0
	for _, p := range posts {
		if !p.Deleted {
			created[p.ID] = p.CreatedAt
			continue
		}
		if deleted++; !p.CreatedAt.Equal(created[p.ID]) {
			t.Errorf("%s was created %s, its deletion says %s", p.ID, created[p.ID], p.CreatedAt)
		}
	}
	if deleted == 0 {
		t.Error("nothing was deleted")
	}
}

// TestSaid: an error that the stream tells is told.
func TestSaid(t *testing.T) {
	clock := sourcetest.NewClock()
	url := streaming(t, clock.Now, nil, `{"$type":"error","error":"ConsumerTooSlow","message":"x"}`)
	src := open(t, clock.Env(t, "source"), bluesky.Config{Mode: "jetstream", Idle: 50 * time.Millisecond}, url)
	if _, err := src.Fetch(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "ConsumerTooSlow") {
		t.Errorf("error %v", err)
	}
}

// TestWholeMaxTime: a run that has not caught up ends when its time is over, and the
// next one goes on where it was: every post comes once.
func TestWholeMaxTime(t *testing.T) {
	clock := sourcetest.NewClock()
	s, err := serve.New("bluesky", serve.Options{Seed: 7, Posts: 25_000, Days: 1, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	env := clock.Env(t, "source")
	var late atomic.Int64
	env.Now = func() time.Time { return clock.Now().Add(time.Duration(late.Add(1)) * time.Microsecond) } // every look at the clock takes a while
	got, runs := map[string]int{}, 0
	for at, done := feedlake.Cursor(""), false; !done; runs++ {
		posts, _, next := sourcetest.Drain(t, open(t, env, bluesky.Config{Mode: "jetstream", Since: since, MaxTime: time.Microsecond, Idle: 200 * time.Millisecond}, srv.URL), at)
		for _, p := range posts {
			if !p.Deleted {
				got[p.ID]++
			}
		}
		done, at = len(posts) == 0, next
	}
	for _, id := range s.Live() {
		if got[id] != 1 {
			t.Errorf("post %s came %d times", id, got[id])
		}
	}
	if runs < 4 {
		t.Errorf("all came in %d runs, although each may read one page", runs)
	}
}
