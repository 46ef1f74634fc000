package mastodon_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/mastodon"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
	wire "github.com/feedlake/feedlake/ingest/wire/mastodon"
)

// TestStreamBudget hears 100 posts with a budget for about 80: the run ends in
// part after those, and on the next day the timeline tells the others.
func TestStreamBudget(t *testing.T) {
	const heard, room = 100, 80
	clock := sourcetest.NewClock()
	s, _ := small(t, clock)
	live := s.Live()
	hide := wire.IDAt(idTime(t, live[len(live)-heard]))
	var nextDay atomic.Bool
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch q := r.URL.Query(); {
		case strings.Contains(r.URL.Path, "streaming"):
			w.Header().Set("Content-Type", "text/event-stream")
			if !nextDay.Load() {
				for _, status := range newest(t, s, heard) {
					_, _ = fmt.Fprintf(w, "event: update\ndata: %s\n\n", status)
				}
			}
			return
		case !nextDay.Load() && strings.Contains(r.URL.Path, "timelines") && (q.Get("max_id") == "" || wire.Compare(q.Get("max_id"), hide) > 0):
			q.Set("max_id", hide)
			r.URL.RawQuery = q.Encode()
		}
		s.ServeHTTP(w, r)
	}))
	defer h.Close()
	budget := int64(len(live) - heard + room)
	meter := ingest.NewMemoryMeter(clock.Now, map[string]ingest.Budget{"me": {Day: ingest.Use{Posts: budget}}})
	env := clock.Env(t, "source")
	env.Credential, env.Meter, env.Secrets = "me", meter, userToken
	c := mastodon.Config{Settings: settings(h.URL), Since: long, Stream: true, Overlap: time.Minute}
	got := map[string]int{}
	read := func(at feedlake.Cursor) (feedlake.Cursor, error) {
		src := open(t, env, c)
		for {
			p, err := src.Fetch(t.Context(), at)
			if err != nil {
				return at, err
			}
			for _, post := range p.Posts {
				got[post.ID]++
			}
			if at = p.Next; p.Done {
				return at, nil
			}
		}
	}
	at, err := read("")
	over, ok := errors.AsType[*ingest.BudgetError](err)
	if used := meter.Used("me", ingest.Day(clock.Now())); !ok || used.Posts != budget || len(got) < len(live)-heard+room-5 || len(got) > int(budget) { // the timeline told some twice, within the overlap
		t.Fatalf("%d posts, used %+v of %d, %v", len(got), used, budget, err)
	}
	if err := clock.Sleep(t.Context(), over.Until.Sub(clock.Now())); err != nil {
		t.Fatal(err)
	}
	nextDay.Store(true)
	if _, err := read(at); err != nil {
		t.Fatal(err)
	}
	for _, id := range live {
		if got[id] != 1 {
			t.Errorf("%s came %d times", id, got[id])
		}
	}
}

func userToken(v any) error {
	v.(*mastodon.Keys).AccessToken = serve.MastodonToken //nolint:errcheck,forcetypeassert // a test's own
	return nil
}

// newest are the newest statuses of a server, the oldest of them first, each on
// one line.
func newest(t *testing.T, s http.Handler, n int) []string {
	out := make([]string, 0, n)
	for below := ""; len(out) < n; {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/timelines/public?limit=20&max_id="+below, nil)
		r.Header.Set("Authorization", "Bearer "+serve.MastodonToken)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		page := gjson.Parse(w.Body.String()).Array()
		if len(page) == 0 {
			t.Errorf("no statuses: %.200s", w.Body)
			break
		}
		for _, status := range page {
			below = status.Get("id").String()
			out = append([]string{status.Get("@ugly").Raw}, out...)
		}
	}
	return out
}
