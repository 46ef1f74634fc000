package mastodon_test

import (
	"encoding/json"
	"errors"
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
)

func withToken(env ingest.Env, token string) ingest.Env {
	env.Secrets = func(v any) error { return json.Unmarshal([]byte(fmt.Sprintf(`{"AccessToken":%q}`, token)), v) }
	return env
}

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]mastodon.Config{
		"no server":            {},
		"an address":           {Server: "https://social.example/"},
		"mode":                 {Server: host, Mode: "home"},
		"tag without tag":      {Server: host, Mode: "tag"},
		"public with tags":     {Server: host, Mode: "public", Tag: "x"},
		"local and remote":     {Server: host, Local: true, Remote: true},
		"stream without token": {Server: host, Stream: true},
	} {
		_, err := mastodon.Open(t.Context(), sourcetest.NewClock().Env(t, "source"), c)
		if _, hint := errors.AsType[*feedlake.HintError](err); !errors.Is(err, feedlake.ErrConfig) || !hint {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProbe(t *testing.T) {
	clock := sourcetest.NewClock()
	_, url := small(t, clock)
	closed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := `[]`
		if strings.Contains(r.URL.Path, "instance") {
			body = `{"version":"4.5.0","configuration":{"timelines_access":{"live_feeds":{"local":"public","remote":"disabled"}}}}`
		}
		_, _ = w.Write([]byte(body)) // a client that went away
	}))
	defer closed.Close()
	for _, c := range []struct {
		name, url, token, tag string
		want                  string
	}{
		{"open", url, "", "", "server true, timeline true"},
		{"token", url, "simulated-user-token", "", "server true, token true, timeline true"},
		{"wrong token", url, "wrong-secret", "", "server true, token false, timeline false"},
		{"closed", url, "", "closed", "server true, timeline false"},
		{"empty", closed.URL, "", "", "server true, timeline false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := clock.Env(t, "source")
			if c.token != "" {
				env = withToken(env, c.token)
			}
			src := open(t, env, mastodon.Config{Settings: settings(c.url), Tag: c.tag})
			p, ok := src.(ingest.Prober)
			if !ok {
				t.Fatal("no prober")
			}
			var got []string
			for _, f := range p.Probe(t.Context()) {
				got = append(got, fmt.Sprintf("%s %v", f.What, f.OK))
				if !f.OK && f.Hint == "" || strings.Contains(f.Says, "secret") {
					t.Errorf("finding %+v", f)
				}
			}
			if s := strings.Join(got, ", "); s != c.want {
				t.Errorf("got %s, want %s", s, c.want)
			}
			_, err := src.Fetch(t.Context(), "")
			if bad := strings.Contains(c.want, "timeline false"); bad != errors.Is(err, feedlake.ErrConfig) {
				t.Errorf("fetch: %v", err)
			}
		})
	}
}

func TestEstimate(t *testing.T) {
	clock := sourcetest.NewClock()
	s, url := small(t, clock)
	src, ok := open(t, clock.Env(t, "source"), mastodon.Config{Settings: settings(url)}).(ingest.Estimator)
	if !ok {
		t.Fatal("no estimator")
	}
	e, err := src.Estimate(t.Context(), feedlake.Window{Start: clock.Now().Add(-5 * 24 * time.Hour), End: clock.Now()})
	if n := int64(len(s.Live())); err != nil || e.Exact || e.Posts < n/2 || e.Posts > 2*n {
		t.Errorf("reckoned %+v of %d: %v", e, n, err)
	}
}
