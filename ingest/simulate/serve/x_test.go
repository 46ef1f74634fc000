package serve_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/wire/wiretest"
)

// paths lists the places of a value, each with the types that it has there.
func paths(v any, at string, to map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		to[at] += "object "
		for k, e := range v {
			paths(e, at+"."+k, to)
		}
	case []any:
		to[at] += "array "
		for _, e := range v {
			paths(e, at+"[]", to)
		}
	default:
		if kind := fmt.Sprintf("%T ", v); !strings.Contains(to[at], kind) {
			to[at] += kind
		}
	}
}

// recordedX are the places in all answers recorded of X.
func recordedX(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, raw := range wiretest.Glob(t, "x_v2", "*.jsonl") {
		for d := json.NewDecoder(strings.NewReader(raw)); ; {
			var v map[string]any
			if d.Decode(&v) != nil {
				break
			}
			if one, ok := v["data"].(map[string]any); ok {
				v["data"] = []any{one}
			}
			paths(v, "", out)
		}
	}
	return out
}

// TestXLikeRecorded wants the simulator to say nothing that X does not, and
// nothing in another type; and the parts that the connector reads to be there.
func TestXLikeRecorded(t *testing.T) {
	known := recordedX(t)
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	s, err := serve.New("x", serve.Options{Seed: 1, Posts: 900, Days: 5, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	hs := httptest.NewServer(s)
	defer hs.Close()
	fields := url.Values{
		"tweet.fields": {"author_id,conversation_id,created_at,entities,in_reply_to_user_id,lang,possibly_sensitive,public_metrics,referenced_tweets,reply_settings,source"},
		"expansions":   {"author_id,referenced_tweets.id"}, "user.fields": {"created_at,protected,public_metrics,verified"},
	}.Encode()
	got := map[string]string{}
	ids := strings.Join(s.All()[:100], ",")
	for _, path := range []string{"tweets/search/recent?query=-is:nullcast&max_results=100&", "tweets/search/all?query=a&max_results=500&", "tweets?ids=" + ids + "&", "tweets/counts/recent?query=a&"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, hs.URL+"/2/"+path+fields, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+serve.XToken)
		res, err := hs.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		if res.Body.Close(); err != nil || res.StatusCode != http.StatusOK || res.Header.Get("X-Rate-Limit-Reset") == "" {
			t.Fatalf("%s: %s %v", path, res.Status, err)
		}
		var v map[string]any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		paths(v, "", got)
	}
	for at, kinds := range got {
		for kind := range strings.FieldsSeq(kinds) {
			if !strings.Contains(known[at], kind) {
				t.Errorf("%s is %s here, and %q as recorded", at, kind, known[at])
			}
		}
	}
	for _, at := range []string{
		".data[].entities.hashtags[].tag", ".data[].entities.mentions[].username", ".data[].entities.urls[].expanded_url", ".data[].referenced_tweets[].type", ".meta.next_token",
		".data[].in_reply_to_user_id", ".data[].public_metrics.impression_count", ".includes.tweets[].text", ".includes.users[].public_metrics.followers_count", ".errors[].parameter", ".data[].tweet_count", ".meta.total_tweet_count",
	} {
		if got[at] == "" {
			t.Errorf("%s is missing", at)
		}
	}
}

// TestXRefuses answers wrong calls as X does.
func TestXRefuses(t *testing.T) {
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	s, err := serve.New("x", serve.Options{Posts: 50, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, token string
		status      int
		says        string
	}{
		{"tweets/search/recent?query=a", "", 401, "Unauthorized"},
		{"tweets/search/recent", serve.XToken, 400, "'query' is required"},
		{"tweets/search/recent?query=a&max_results=9", serve.XToken, 400, "not between 10 and 100"},
		{"tweets/search/recent?query=a&start_time=2026-02-22T00:00:00Z", serve.XToken, 400, "start_time"},
		{"tweets/search/recent?query=a&since_id=1", serve.XToken, 400, "since_id"},
		{"tweets/search/recent?query=a&next_token=x", serve.XToken, 400, "next_token"},
		{"tweets/search/stream", serve.XToken, 409, "Conflict"},
		{"tweets", serve.XToken, 400, "ids"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/2/"+c.path, nil)
		r.Header.Set("Authorization", "Bearer "+c.token)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: %d %s", c.path, w.Code, w.Body)
		}
	}
}
