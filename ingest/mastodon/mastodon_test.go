package mastodon_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/mastodon"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
	wire "github.com/feedlake/feedlake/ingest/wire/mastodon"
)

const host = "social.example"

// server simulates a server.
func server(faults []serve.Fault, now func() time.Time) (sourcetest.Server, error) {
	return serve.New("mastodon", serve.Options{Seed: 7, Posts: 1500, Days: 5, Faults: faults, Now: now})
}

func open(t *testing.T, env ingest.Env, c mastodon.Config) ingest.Source {
	t.Helper()
	c.Server = host
	src, err := mastodon.Open(t.Context(), env, c)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func settings(url string) api.Settings { return api.Settings{BaseURL: url} }

var long = time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)

// TestConnector holds every mode to the contract; TestWholeConnector with each
// fault alone.
func TestConnector(t *testing.T) { connector(t, sourcetest.Connector[serve.Fault]) }

func TestWholeConnector(t *testing.T) { connector(t, sourcetest.ConnectorFaults[serve.Fault]) }

func connector(t *testing.T, hold sourcetest.Contract[serve.Fault]) {
	t.Helper()
	for name, c := range map[string]mastodon.Config{
		"public":      {Since: long},
		"tag":         {Since: long, Tag: "news", Any: []string{"music"}},
		"stream":      {Since: long, Stream: true, Listen: 3 * time.Second},
		"tag, stream": {Since: long, Tag: "news", Stream: true, Listen: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from := func(t *testing.T, env ingest.Env, url string) ingest.Source {
				t.Helper()
				c.Settings, env.Secrets = settings(url), signedIn
				return open(t, env, c)
			}
			start := server
			if c.Tag != "" {
				start = sourcetest.ReadBy(t, server, from, serve.Vanish)
			}
			hold(t, serve.Passing(), start, from)
		})
	}
}

// signedIn is the credential that streams ask for.
func signedIn(v any) error {
	v.(*mastodon.Keys).AccessToken = serve.MastodonToken //nolint:errcheck,forcetypeassert // a test's own
	return nil
}

// small starts a server of few posts, so that its rate limit is never reached.
func small(t *testing.T, clock *sourcetest.Clock) (*serve.Server, string) {
	t.Helper()
	s, err := serve.New("mastodon", serve.Options{Seed: 3, Posts: 180, Days: 5, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return s, h.URL
}

func TestContract(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) ingest.Source {
		t.Helper()
		clock := sourcetest.NewClock()
		_, url := small(t, clock)
		return open(t, clock.Env(t, "source"), mastodon.Config{Settings: settings(url), Since: long})
	})
}

func TestWindow(t *testing.T) {
	clock := sourcetest.NewClock()
	s, url := small(t, clock)
	all, _, _ := sourcetest.Drain(t, open(t, clock.Env(t, "source"), mastodon.Config{Settings: settings(url), Since: long}), "")
	if len(all) != len(s.Live()) {
		t.Fatalf("%d posts, want %d", len(all), len(s.Live()))
	}
	for _, w := range []feedlake.Window{
		{Start: clock.Now().Add(-72 * time.Hour), End: clock.Now().Add(-24 * time.Hour)},
		{Start: clock.Now().Add(-30 * time.Hour)},
		{End: clock.Now().Add(-48 * time.Hour)},
		{Start: long, End: long.Add(time.Hour)},
		{Start: all[100].CreatedAt, End: all[50].CreatedAt}, // the one in, the other out
	} {
		env := clock.Env(t, "source")
		env.Window = w
		got, rejects, end := sourcetest.Drain(t, open(t, env, mastodon.Config{Settings: settings(url)}), "")
		var want, ids []string
		for _, p := range all {
			if w.Contains(p.CreatedAt) {
				want = append(want, p.ID)
			}
		}
		for _, p := range got {
			ids = append(ids, p.ID)
		}
		if d := cmp.Diff(want, ids); d != "" || len(rejects) > 0 {
			t.Errorf("%v: rejects %v, %s", w, rejects, d)
		}
		if p, err := open(t, env, mastodon.Config{Settings: settings(url)}).Fetch(t.Context(), end); err != nil || !p.Done || len(p.Posts) > 0 {
			t.Errorf("%v: behind the end: %d posts, %v", w, len(p.Posts), err)
		}
	}
}

func TestTag(t *testing.T) {
	clock := sourcetest.NewClock()
	_, url := small(t, clock)
	got, _, _ := sourcetest.Drain(t, open(t, clock.Env(t, "source"), mastodon.Config{Settings: settings(url), Since: long, Tag: "news", Any: []string{"music"}, None: []string{"coffee"}}), "")
	if len(got) == 0 {
		t.Fatal("no posts")
	}
	for _, p := range got {
		tags := map[string]bool{}
		for _, h := range p.Hashtags {
			tags[h] = true
		}
		if !tags["news"] && !tags["music"] || tags["coffee"] || p.Query != "#news" {
			t.Errorf("post of tags %v, query %q", p.Hashtags, p.Query)
		}
	}
}

// TestStream hides the newest three posts from the timeline, so that only the
// stream tells them; the next run must not read them again.
func TestStream(t *testing.T) {
	clock := sourcetest.NewClock()
	s, _ := small(t, clock)
	live := s.Live()
	hide := wire.IDAt(idTime(t, live[len(live)-3]))
	var hiding atomic.Bool
	hiding.Store(true)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); hiding.Load() && strings.Contains(r.URL.Path, "timelines") && (q.Get("max_id") == "" || wire.Compare(q.Get("max_id"), hide) > 0) {
			q.Set("max_id", hide)
			r.URL.RawQuery = q.Encode()
		}
		s.ServeHTTP(w, r)
	}))
	defer h.Close()
	env := clock.Env(t, "source")
	env.Secrets = signedIn
	c := mastodon.Config{Settings: settings(h.URL), Since: long, Stream: true}
	all, rejects, end := sourcetest.Drain(t, open(t, env, c), "")
	count, deleted, edited := map[string]int{}, "", ""
	for _, p := range all {
		count[p.ID]++
		if p.Deleted {
			deleted += p.ID
		} else if count[p.ID] == 2 && s.Edited(p.ID) {
			edited += p.ID
		}
	}
	for i, id := range live {
		want := 1
		if id == deleted || id == edited {
			want = 2
		}
		if count[id] != want {
			t.Errorf("post %d, %s, came %d times, want %d", i, id, count[id], want)
		}
	}
	if deleted != live[len(live)-10] || edited == "" || len(rejects) > 0 || end == "" {
		t.Errorf("deleted %q, edited %q, rejects %v", deleted, edited, rejects)
	}
	hiding.Store(false)
	c.Stream = false
	if again, _, _ := sourcetest.Drain(t, open(t, env, c), end); len(again) > 0 {
		t.Errorf("%d posts came again, such as %s", len(again), again[0].ID)
	}
}

// idTime is the time in an uri of the simulator.
func idTime(t *testing.T, uri string) time.Time {
	t.Helper()
	at, ok := wire.TimeOf(uri[strings.LastIndex(uri, "/")+1:])
	if !ok {
		t.Fatalf("uri %s", uri)
	}
	return at
}
