package hackernews_test

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/hackernews"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

func TestOpenRejects(t *testing.T) {
	r := ingest.Registry{}
	hackernews.Register(r)
	for with, says := range map[string]string{
		"mode: firehose":                "mode",
		"base_url: not a url":           "base_url",
		"base_url: ftp://example.org":   "base_url",
		"base_url: '::'":                "base_url",
		"tags: [story, 'comment),(x']":  "tags",
		"tags: ['']":                    "tags",
		"query: cats\nmode: items":      "query",
		"tags: [story]\nmode: items":    "tags",
		"from_item: -1\nmode: items":    "from_item",
		"overlap: -1h":                  "overlap",
		"base_url: http://x\nqeury: in": "qeury",
	} {
		env := sourcetest.NewClock().Env(t, "hn")
		_, err := r.Open(t.Context(), hackernews.Kind, env, func(v any) error {
			return yaml.UnmarshalWithOptions([]byte(with), v, yaml.Strict())
		})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", with, err)
			continue
		}
		if _, ok := errors.AsType[*feedlake.HintError](err); says != "qeury" && (!errors.Is(err, feedlake.ErrConfig) || !ok) {
			t.Errorf("%q: no hint, or another kind: %v", with, err)
		}
	}
}

func TestBrokenCursors(t *testing.T) {
	clock := sourcetest.NewClock()
	_, open := start(t, clock, serve.Options{Seed: 7, Posts: 50, Days: 1})
	w := feedlake.Window{Start: clock.Now().Add(-time.Hour), End: clock.Now()}
	span := `{"first":[1,9],"end":[1,9],"top":51,"last":0}`
	for name, c := range map[string]struct {
		src     ingest.Source
		cursors []feedlake.Cursor
	}{
		"search": {open("search", feedlake.Window{}), []feedlake.Cursor{"x", "12", "{", `{"to":"yesterday"}`, `{"pass":7}`}},
		"items":  {open("items", feedlake.Window{}), []feedlake.Cursor{"x", "-1", "1.5", "99999999999999999999", feedlake.Cursor(span)}},
		"window": {open("items", w), []feedlake.Cursor{
			"x", "12", "{}", "null", `{"first":[9,1],"end":[1,9],"top":51}`, `{"first":[1,9],"end":[1,99],"top":51}`,
			`{"first":[0,9],"end":[1,9],"top":51}`, `{"first":[1,9],"end":[1,9],"top":51,"last":-1}`, `{"first":[1,9],"end":[1,9],"top":51,"last":51}`,
		}},
	} {
		for _, at := range c.cursors {
			if _, err := c.src.Fetch(t.Context(), at); !errors.Is(err, feedlake.ErrConfig) {
				t.Errorf("%s takes %s: %v", name, at, err)
			}
		}
	}
	if _, err := open("items", w).Fetch(t.Context(), feedlake.Cursor(span)); err != nil {
		t.Errorf("a good cursor is refused: %v", err)
	}
}

func TestProbe(t *testing.T) {
	clock := sourcetest.NewClock()
	_, good := start(t, clock, serve.Options{Seed: 7, Posts: 50, Days: 1})
	_, bad := startHandler(t, clock, http.NotFoundHandler())
	_, odd := startHandler(t, clock, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>sign in to the wifi")) }))
	for _, mode := range modes {
		for i, open := range []func(string, feedlake.Window) ingest.Source{good, bad, odd} {
			p, ok := open(mode, feedlake.Window{}).(ingest.Prober)
			if !ok {
				t.Fatal("cannot be probed")
			}
			found := p.Probe(t.Context())
			if len(found) != 1 || found[0].What != mode || found[0].OK != (i == 0) || found[0].Says == "" || (found[0].Hint == "") != found[0].OK {
				t.Errorf("%s, server %d: %+v", mode, i, found)
			}
		}
	}
}

// TestSearchAsks wants the question to say all that is configured.
func TestSearchAsks(t *testing.T) {
	var asked url.Values
	clock := sourcetest.NewClock()
	_, open := startHandler(t, clock, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Query()
		_, _ = w.Write([]byte(`{"hits":[],"nbHits":0}`))
	}))
	w := feedlake.Window{Start: midnight.Add(time.Millisecond), End: midnight.Add(time.Hour)}
	if p, err := open("search", w).Fetch(t.Context(), ""); err != nil || !p.Done {
		t.Fatal(p, err)
	}
	after, before := strconv.FormatInt(midnight.Unix()+1, 10), strconv.FormatInt(midnight.Unix()+3600, 10)
	if got, want := asked.Get("numericFilters"), "created_at_i>="+after+",created_at_i<"+before; got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
	if asked.Get("tags") != "(story,comment)" || asked.Get("hitsPerPage") != "1000" {
		t.Errorf("asked %v", asked)
	}
}
