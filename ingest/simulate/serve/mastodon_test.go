package serve_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/wire/wiretest"
)

// mastodonShared finds the recorded answers and the schema.
func mastodonShared(t *testing.T) string {
	t.Helper()
	return wiretest.Path(t, "mastodon")
}

// TestMastodonSchema holds the simulator's statuses and errors against the
// OpenAPI schema of Mastodon.
func TestMastodonSchema(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile(filepath.Join(mastodonShared(t), "mastodon_openapi_schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	s, err := serve.New("mastodon", serve.Options{Seed: 5, Posts: 400, Days: 5, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	status, fault := doc.Components.Schemas["Status"].Value, doc.Components.Schemas["Error"].Value
	seen, quotes := 0, 0
	for _, c := range []struct {
		path string
		code int
	}{
		{"/api/v1/timelines/public?limit=40", 200},
		{"/api/v1/timelines/public?limit=40&min_id=1", 200},
		{"/api/v1/timelines/tag/news?any[]=music", 200},
		{"/api/v1/timelines/tag/closed", 401},
		{"/api/v1/statuses/1", 404},
		{"/api/v1/streaming/public", 401},
	} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, c.path, nil))
		var v any
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != c.code {
			t.Fatalf("%s: answer %d: %v", c.path, w.Code, err)
		}
		if w.Code != http.StatusOK {
			if err := fault.VisitJSON(v); err != nil {
				t.Errorf("%s: %v", c.path, err)
			}
			continue
		}
		list, _ := v.([]any)
		for _, one := range list {
			seen++
			o, _ := one.(map[string]any)
			// A quote with its status fits the schema of a shallow one too, which
			// "oneOf" does not allow: it is looked at by itself.
			if q, ok := o["quote"].(map[string]any); ok {
				quotes++
				if inner, ok := q["quoted_status"].(map[string]any); ok {
					delete(inner, "quote")
				}
				if err := doc.Components.Schemas["Quote"].Value.VisitJSON(q); err != nil {
					t.Errorf("%s: quote: %v", c.path, err)
				}
				delete(o, "quote")
			}
			if err := status.VisitJSON(one); err != nil {
				t.Fatalf("%s: %v", c.path, err)
			}
		}
		if w.Header().Get("Link") == "" || w.Header().Get("X-Ratelimit-Reset") == "" {
			t.Errorf("%s: headers %v", c.path, w.Header())
		}
	}
	if seen < 80 || quotes == 0 {
		t.Errorf("%d statuses and %d quotes looked at", seen, quotes)
	}
}

// TestMastodonRecorded compares the keys of simulated statuses with those that a
// server of Mastodon answered without a token.
func TestMastodonRecorded(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(mastodonShared(t), "public_tl_anonymous.json"))
	if err != nil {
		t.Fatal(err)
	}
	var calls []struct {
		URI  string          `json:"uri"`
		Body json.RawMessage `json:"body"`
	}
	if err := json.Unmarshal(raw, &calls); err != nil {
		t.Fatal(err)
	}
	var want, got []map[string]any
	for _, c := range calls {
		if filepath.Base(c.URI) == "public" {
			if err := json.Unmarshal(c.Body, &want); err != nil {
				t.Fatal(err)
			}
		}
	}
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	s, err := serve.New("mastodon", serve.Options{Seed: 5, Posts: 400, Days: 5, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/api/v1/timelines/public", nil))
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(want) == 0 || len(got) == 0 {
		t.Fatalf("%d recorded, %d simulated", len(want), len(got))
	}
	sameKeys(t, "status", want[0], got[0])
}

// sameKeys compares two objects by keys and kinds of JSON; null fits all, and
// the items of lists are left out.
func sameKeys(t *testing.T, at string, want, got map[string]any) {
	t.Helper()
	for k := range got {
		if _, ok := want[k]; !ok {
			t.Errorf("%s.%s is not in the recorded answer", at, k)
		}
	}
	for k, w := range want {
		g, ok := got[k]
		switch {
		case !ok:
			t.Errorf("%s.%s is missing", at, k)
		case w == nil || g == nil:
		default:
			wo, isObject := w.(map[string]any)
			gObject, _ := g.(map[string]any)
			if isObject {
				sameKeys(t, at+"."+k, wo, gObject)
			} else if kind(w) != kind(g) {
				t.Errorf("%s.%s is %s, recorded %s", at, k, kind(g), kind(w))
			}
		}
	}
}

func kind(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case float64:
		return "number"
	case bool:
		return "bool"
	case []any:
		return "list"
	}
	return "object"
}
