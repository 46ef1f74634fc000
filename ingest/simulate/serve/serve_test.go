package serve_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/simulate/serve/shapetest"
	"github.com/feedlake/feedlake/ingest/wire/wiretest"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func start(t *testing.T, o serve.Options) (*serve.Server, string) {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return noon }
	}
	s, err := serve.New("hackernews", o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

// get returns a status, and the error that the body ends with.
func get(t *testing.T, url string) (status int, h http.Header, body string, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, string(b), err
}

func TestNewRejects(t *testing.T) {
	now := func() time.Time { return noon }
	for name, open := range map[string]func() (*serve.Server, error){
		"platform": func() (*serve.Server, error) { return serve.New("friendster", serve.Options{Now: now}) },
		"fault": func() (*serve.Server, error) {
			return serve.New("hackernews", serve.Options{Now: now, Faults: []serve.Fault{serve.Storm, "flood"}})
		},
	} {
		_, err := open()
		if hint, ok := errors.AsType[*feedlake.HintError](err); !errors.Is(err, feedlake.ErrConfig) || !ok || hint.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !slices.Contains(serve.Platforms(), "hackernews") {
		t.Errorf("platforms are %v", serve.Platforms())
	}
}

func TestSeedDecides(t *testing.T) {
	answers := func(seed uint64) (all []string) {
		_, url := start(t, serve.Options{Seed: seed, Posts: 200, Days: 2})
		for _, path := range []string{"/api/v1/search_by_date?hitsPerPage=50", "/v0/maxitem.json", "/v0/item/1.json", "/v0/item/100.json"} {
			status, _, body, err := get(t, url+path)
			if status != http.StatusOK || err != nil {
				t.Fatal(status, err)
			}
			all = append(all, body)
		}
		return all
	}
	first := answers(7)
	if diff := cmp.Diff(first, answers(7)); diff != "" {
		t.Errorf("one seed, two answers: %s", diff)
	}
	if cmp.Equal(first, answers(8)) {
		t.Error("two seeds, one answer")
	}
}

// TestFaultsStrike counts what goes wrong in a hundred requests.
func TestFaultsStrike(t *testing.T) {
	type count struct{ OK, Limited, Failed, Cut int }
	for _, c := range []struct {
		faults []serve.Fault
		want   count
	}{
		{nil, count{OK: 100}},
		{[]serve.Fault{serve.Storm}, count{OK: 82, Limited: 18}},
		{[]serve.Fault{serve.Failure}, count{OK: 86, Failed: 14}},
		{[]serve.Fault{serve.Cut}, count{OK: 80, Cut: 20}},
		{[]serve.Fault{serve.Storm, serve.Failure, serve.Cut}, count{OK: 55, Limited: 18, Failed: 12, Cut: 15}},
	} {
		t.Run(fmt.Sprint(c.faults), func(t *testing.T) {
			_, url := start(t, serve.Options{Seed: 7, Posts: 50, Days: 1, Faults: c.faults})
			var got count
			for range 100 {
				status, h, body, err := get(t, url+"/v0/item/7.json")
				switch {
				case status == http.StatusTooManyRequests:
					got.Limited++
					if h.Get("Retry-After") == "" || !json.Valid([]byte(body)) {
						t.Errorf("an answer 429 with %v: %s", h, body)
					}
				case status >= 500:
					got.Failed++
				case err != nil:
					got.Cut++
				case status == http.StatusOK && json.Valid([]byte(body)):
					got.OK++
				default:
					t.Errorf("status %d: %s", status, body)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSkew(t *testing.T) {
	for want, faults := range map[time.Time][]serve.Fault{noon: nil, noon.Add(time.Hour): {serve.Skew}} {
		_, url := start(t, serve.Options{Posts: 10, Days: 1, Faults: faults})
		_, h, _, _ := get(t, url+"/v0/maxitem.json")
		if got, err := http.ParseTime(h.Get("Date")); err != nil || !got.Equal(want) {
			t.Errorf("%v: the date is %s, want %s; %v", faults, got, want, err)
		}
	}
}

func TestAppearAndVanish(t *testing.T) {
	s, url := start(t, serve.Options{Posts: 500, Days: 2, Faults: []serve.Fault{serve.Appear}})
	before := len(s.Live())
	if !s.Growing() {
		t.Error("nothing will appear")
	}
	for range 100 {
		if status, _, _, err := get(t, url+"/v0/maxitem.json"); status != http.StatusOK || err != nil {
			t.Fatal(status, err)
		}
	}
	if after := len(s.Live()); s.Growing() || after <= before || len(s.All()) != 500 {
		t.Errorf("%d items, then %d, of %d", before, after, len(s.All()))
	}

	s, url = start(t, serve.Options{Posts: 500, Days: 2, Faults: []serve.Fault{serve.Vanish}})
	before = len(s.Live())
	for range 10 {
		if status, _, _, err := get(t, url+"/v0/maxitem.json"); status != http.StatusOK || err != nil {
			t.Fatal(status, err)
		}
	}
	if after := len(s.Live()); after >= before {
		t.Errorf("%d items, then %d: none was deleted", before, after)
	}
}

// TestLimit asks until the hour's requests are used up, and an hour later.
func TestLimit(t *testing.T) {
	now := noon
	s, err := serve.New("hackernews", serve.Options{Posts: 10, Days: 1, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	ask := func() int {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v0/maxitem.json", nil))
		return w.Code
	}
	for range 10_000 {
		if code := ask(); code != http.StatusOK {
			t.Fatal(code)
		}
	}
	if code := ask(); code != http.StatusTooManyRequests {
		t.Errorf("status %d above the limit", code)
	}
	if now = now.Add(time.Hour); ask() != http.StatusOK {
		t.Error("the limit does not end")
	}
}

func TestHackerNewsRefuses(t *testing.T) {
	_, url := start(t, serve.Options{Posts: 10, Days: 1})
	for path, want := range map[string]int{
		"/api/v1/search_by_date?hitsPerPage=1001":                http.StatusBadRequest,
		"/api/v1/search_by_date?hitsPerPage=many":                http.StatusBadRequest,
		"/api/v1/search_by_date?numericFilters=points%3E1":       http.StatusBadRequest,
		"/api/v1/search_by_date?numericFilters=created_at_i%3Cx": http.StatusBadRequest,
		"/v0/item/x.json": http.StatusBadRequest,
		"/v0/nothing":     http.StatusNotFound,
	} {
		if status, _, body, _ := get(t, url+path); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if _, _, body, _ := get(t, url+"/v0/item/99.json"); body != "null" {
		t.Errorf("an item that does not exist is %s", body)
	}
}

// recorded finds what a platform was seen to answer, beside the repository.
func recorded(t testing.TB, name ...string) []byte {
	t.Helper()
	return []byte(wiretest.Read(t, name...))
}

// TestHackerNewsShape compares items with those that Firebase was seen to answer.
func TestHackerNewsShape(t *testing.T) {
	kind := func(raw []byte) string {
		var it struct {
			Type    string `json:"type"`
			Deleted bool   `json:"deleted"`
		}
		if json.Unmarshal(raw, &it) != nil || it.Deleted {
			return ""
		}
		return it.Type
	}
	var docs []json.RawMessage
	if err := json.Unmarshal(recorded(t, "hackernews", "readme_items.json"), &docs); err != nil {
		t.Fatal(err)
	}
	want, got := map[string][][]byte{}, map[string][][]byte{}
	for _, d := range docs {
		want[kind(d)] = append(want[kind(d)], d)
	}
	_, url := start(t, serve.Options{Seed: 7, Posts: 300, Days: 2})
	for id := 1; id <= 300; id++ {
		_, _, body, _ := get(t, fmt.Sprintf("%s/v0/item/%d.json", url, id))
		got[kind([]byte(body))] = append(got[kind([]byte(body))], []byte(body))
	}
	for _, k := range []string{"story", "comment"} {
		if len(want[k]) == 0 || len(got[k]) == 0 {
			t.Fatalf("%s: %d recorded, %d simulated", k, len(want[k]), len(got[k]))
		}
		t.Run(k, func(t *testing.T) { shapetest.Same(t, want[k], got[k]) })
	}
}
