package serve_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/ingest/simulate/serve"
)

// bluesky starts the simulator.
func bluesky(t *testing.T, faults ...serve.Fault) string {
	t.Helper()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	s, err := serve.New("bluesky", serve.Options{Seed: 7, Posts: 300, Days: 2, Faults: faults, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return srv.URL
}

// ask returns status, headers and body of an answer.
func ask(t *testing.T, method, url, token, body string) (int, http.Header, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return res.StatusCode, res.Header, out
}

func signIn(t *testing.T, url string) (access, refresh string) {
	t.Helper()
	status, _, s := ask(t, http.MethodPost, url+"/xrpc/com.atproto.server.createSession", "", `{"identifier":"a","password":"b"}`)
	if status != http.StatusOK {
		t.Fatalf("sign-in: %d %v", status, s)
	}
	access, _ = s["accessJwt"].(string)
	refresh, _ = s["refreshJwt"].(string)
	return access, refresh
}

// TestBlueskyLexicon holds the simulator's answers against the schemas.
func TestBlueskyLexicon(t *testing.T) {
	l, url := readLexicons(t), bluesky(t)
	token, _ := signIn(t, url)
	_, _, found := ask(t, http.MethodGet, url+"/xrpc/app.bsky.feed.searchPosts?q=*&limit=100", token, "")
	posts, _ := found["posts"].([]any)
	if len(posts) != 100 {
		t.Fatalf("%d posts, want 100", len(posts))
	}
	first, _ := posts[0].(map[string]any)
	author, _ := first["author"].(map[string]any)
	did, _ := author["did"].(string)
	_, _, feed := ask(t, http.MethodGet, url+"/xrpc/app.bsky.feed.getAuthorFeed?actor="+did, "", "")
	for name, answer := range map[string]any{"app.bsky.feed.searchPosts": found, "app.bsky.feed.getAuthorFeed": feed} {
		main, _ := l[name]["main"].(map[string]any)
		output, _ := main["output"].(map[string]any)
		schema, _ := output["schema"].(map[string]any)
		if len(l) > 0 && schema == nil {
			t.Fatalf("no schema for %s", name)
		}
		if d := cmp.Diff([]string(nil), l.check(name, schema, answer, "$")); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestBlueskyErrors(t *testing.T) {
	url := bluesky(t)
	token, refresh := signIn(t, url)
	search, feed := url+"/xrpc/app.bsky.feed.searchPosts", url+"/xrpc/app.bsky.feed.getAuthorFeed"
	for name, c := range map[string]struct {
		method, url, token, body string
		status                   int
		want                     string
	}{
		"nobody":         {http.MethodGet, search + "?q=x&cursor=25", "", "", 403, "Forbidden"},
		"foreign token":  {http.MethodGet, search + "?q=x", "y", "", 400, "InvalidToken"},
		"used token":     {http.MethodGet, search + "?q=x", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.e30", "", 400, "ExpiredToken"},
		"no query":       {http.MethodGet, search, token, "", 400, "InvalidRequest"},
		"limit":          {http.MethodGet, search + "?q=x&limit=101", token, "", 400, "InvalidRequest"},
		"no actor":       {http.MethodGet, feed, "", "", 400, "InvalidRequest"},
		"wrong password": {http.MethodPost, url + "/xrpc/com.atproto.server.createSession", "", `{"identifier":"a","password":"wrong"}`, 401, "AuthenticationRequired"},
		"refresh":        {http.MethodPost, url + "/xrpc/com.atproto.server.refreshSession", refresh, "", 200, ""},
		"no refresh":     {http.MethodPost, url + "/xrpc/com.atproto.server.refreshSession", "", "", 401, "AuthMissing"},
		"cursor too old": {http.MethodGet, url + "/xrpc/network.bsky.jetstream.subscribeEvents?cursor=0", "", "", 400, "CursorTooOld"},
	} {
		t.Run(name, func(t *testing.T) {
			status, h, out := ask(t, c.method, c.url, c.token, c.body)
			got, _ := out["error"].(string)
			if status != c.status || got != c.want {
				t.Errorf("%d %q, want %d %q", status, got, c.status, c.want)
			}
			if h.Get("RateLimit-Reset") == "" || h.Get("RateLimit-Policy") == "" {
				t.Errorf("headers tell no limit: %v", h)
			}
		})
	}
}

func TestBlueskySignInLimit(t *testing.T) {
	url := bluesky(t)
	for range 30 {
		signIn(t, url)
	}
	status, _, out := ask(t, http.MethodPost, url+"/xrpc/com.atproto.server.createSession", "", `{"identifier":"a","password":"b"}`)
	if status != http.StatusTooManyRequests || out["error"] != "RateLimitExceeded" {
		t.Errorf("sign-in 31: %d %v", status, out)
	}
}
