package serve_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake/ingest/simulate/serve"
)

// TestOtherClients holds the simulators against what clients of other makers
// insist on, which broke on them once: PRAW, tweepy, Mastodon.py, the SDK of
// Bluesky for Python, and whoever follows a link of the Graph API.
func TestOtherClients(t *testing.T) {
	t.Run("PRAW ends paths with a slash and reads whole seconds", func(t *testing.T) {
		get := redditSite(t)
		for _, path := range []string{"/r/simnews/comments", "/r/simnews/search/?q=a", "/r/simnews/comments/", "/r/simnews/rising", "/api/morechildren/?link_id=t3_zzz&children=a"} {
			status, h, _ := get(path)
			if _, err := strconv.Atoi(h.Get("X-Ratelimit-Reset")); status != http.StatusOK || err != nil {
				t.Errorf("%s: %d, %v", path, status, err)
			}
		}
		_, _, body := get("/r/simnews/comments/?limit=1")
		c := gjson.Get(body, "data.children.0.data")
		root := strings.TrimPrefix(c.Get("link_id").Str, "t3_")
		_, _, asked := get("/comments/" + root + "?comment=" + c.Get("id").Str)
		if _, _, body := get("/comments/" + root + "/_/" + c.Get("id").Str + "/"); body != asked || !strings.Contains(body, c.Get("name").Str) {
			t.Errorf("the thread of %s: %s, want %s", c.Get("name"), body, asked)
		}
		if status, _, body := get("/comments/zzz/"); status != http.StatusNotFound || !strings.Contains(body, `"error":404`) {
			t.Errorf("a tree that is not there: %d %s", status, body)
		}
	})
	t.Run("the SDK of Bluesky looks into tokens and asks for its profile", func(t *testing.T) {
		url := bluesky(t)
		access, refresh := signIn(t, url)
		for _, token := range []string{access, refresh} {
			parts := strings.Split(token, ".")
			if len(parts) != 3 {
				t.Fatalf("token %q is no JWT", token)
			}
			raw, err := base64.RawURLEncoding.DecodeString(parts[1])
			var claims struct{ Exp, Iat int64 }
			if err == nil {
				err = json.Unmarshal(raw, &claims)
			}
			if err != nil || claims.Exp <= claims.Iat {
				t.Errorf("claims %s: %v", raw, err)
			}
		}
		status, _, me := ask(t, http.MethodGet, url+"/xrpc/app.bsky.actor.getProfile?actor=a", access, "")
		if did, _ := me["did"].(string); status != http.StatusOK || !strings.HasPrefix(did, "did:plc:") || me["handle"] != "a" {
			t.Errorf("profile: %d %v", status, me)
		}
		if status, _, out := ask(t, http.MethodGet, url+"/xrpc/app.bsky.actor.getProfile", access, ""); status != http.StatusBadRequest {
			t.Errorf("a profile of nobody: %d %v", status, out)
		}
	})
	t.Run("the links of Instagram are followed as they are", func(t *testing.T) {
		s := site(t, "instagram")
		_, out := fetch(t, s, "/v25.0/ig_hashtag_search?user_id=17841400000000001&q="+serve.InstagramTag)
		found, _ := out["data"].([]any)
		hashtag, _ := found[0].(map[string]any)
		_, out = fetch(t, s, fmt.Sprintf("/v25.0/%s/recent_media?user_id=17841400000000001&fields=id&limit=5", hashtag["id"]))
		paging, _ := out["paging"].(map[string]any)
		next, _ := paging["next"].(string)
		if !strings.HasPrefix(next, "http://example.com/v25.0/") { // the host of httptest's requests
			t.Fatalf("the next page is at %q", next)
		}
		status, out := fetch(t, s, next)
		if media, _ := out["data"].([]any); status != http.StatusOK || len(media) != 5 {
			t.Errorf("next page: %d %v", status, out)
		}
	})
	t.Run("Mastodon.py asks for the version first", func(t *testing.T) {
		s := site(t, "mastodon")
		for _, path := range []string{"/api/v1/instance/", "/api/v2/instance/", "/api/v1/instance"} {
			status, out := fetch(t, s, path)
			if status != http.StatusOK || out["version"] != "4.5.0" {
				t.Errorf("%s: %d %v", path, status, out)
			}
		}
		r, w := httptest.NewRequest(http.MethodGet, "/api/v1/streaming/public", nil), httptest.NewRecorder()
		r.Header.Set("Authorization", "Bearer some-token")
		s.ServeHTTP(w, r)
		for event := range strings.SplitSeq(strings.TrimSuffix(w.Body.String(), "\n\n"), "\n\n") {
			if !strings.Contains(event, "event: ") || !strings.Contains(event, "data: ") {
				t.Errorf("an event without name or data: %.80q", event)
			}
		}
	})
}

// TestXCounts wants buckets without gaps, which end where the time asked for ends.
func TestXCounts(t *testing.T) {
	s := site(t, "x")
	for _, granularity := range []string{"minute", "hour", "day"} {
		status, out := fetch(t, s, "/2/tweets/counts/recent?query=lang:en&start_time=2026-03-01T01:30:30Z&end_time=2026-03-02T02:00:00Z&granularity="+granularity)
		buckets, _ := out["data"].([]any)
		meta, _ := out["meta"].(map[string]any)
		at, sum := "2026-03-01T01:30:30.000Z", 0.0
		for _, b := range buckets {
			bucket, _ := b.(map[string]any)
			if bucket["start"] != at {
				t.Fatalf("%s: bucket %v, want it to begin at %s", granularity, bucket, at)
			}
			at, _ = bucket["end"].(string)
			n, _ := bucket["tweet_count"].(float64)
			sum += n
		}
		want := map[string]int{"minute": 1470, "hour": 25, "day": 2}[granularity]
		if status != http.StatusOK || at != "2026-03-02T02:00:00.000Z" || len(buckets) != want || sum == 0 || meta["total_tweet_count"] != sum {
			t.Errorf("%s: %d, %d buckets to %s with %v, %v", granularity, status, len(buckets), at, sum, meta)
		}
	}
	if status, _ := fetch(t, s, "/2/tweets/counts/all?query=a&granularity=week"); status != http.StatusBadRequest {
		t.Errorf("weeks: %d", status)
	}
}

// site serves a platform.
func site(t *testing.T, platform string) http.Handler {
	t.Helper()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	s, err := serve.New(platform, serve.Options{Seed: 7, Posts: 600, Days: 5, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fetch asks with a token that every platform takes.
func fetch(t *testing.T, h http.Handler, path string) (status int, out map[string]any) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Authorization", "Bearer some-token")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", path, err))
	}
	return w.Code, out
}
