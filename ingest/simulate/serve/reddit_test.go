package serve_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/wire/wiretest"
)

// redditShapes are the JSON types at each path of recorded answers, and how many
// objects were seen at it.
type redditShapes struct {
	types map[string]map[string]bool
	seen  map[string]int
}

func (s redditShapes) read(path string, v any) {
	add := func(name string) {
		if s.types[path] == nil {
			s.types[path] = map[string]bool{}
		}
		s.types[path][name] = true
		s.seen[path]++
	}
	switch v := v.(type) {
	case map[string]any:
		if kind, ok := v["kind"].(string); ok && v["data"] != nil { // comments below comments are as those above
			path = "thing " + kind
		}
		add("object")
		for k, x := range v {
			s.read(path+"."+k, x)
		}
	case []any:
		add("array")
		for _, x := range v {
			s.read(path+"[]", x)
		}
	case string:
		add("string")
	case float64:
		add("number")
	case bool:
		add("bool")
	case nil:
		add("null")
	}
}

func newRedditShapes() redditShapes {
	return redditShapes{map[string]map[string]bool{}, map[string]int{}}
}

// redditSite is a simulated Reddit and a token for it.
func redditSite(t *testing.T) (get func(path string) (int, http.Header, string)) {
	t.Helper()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	s, err := serve.New("reddit", serve.Options{Seed: 7, Posts: 2500, Days: 5, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(r *http.Request) (int, http.Header, string) {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code, w.Header(), w.Body.String()
	}
	r := httptest.NewRequest(http.MethodPost, "/api/v1/access_token", strings.NewReader(url.Values{"grant_type": {"client_credentials"}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("simulated-id", "simulated-secret")
	_, _, body := ask(r)
	var token struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &token); err != nil || token.Token == "" {
		t.Fatalf("no token: %s", body)
	}
	return func(path string) (int, http.Header, string) {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("User-Agent", "test:example:v1 (by /u/someone)")
		r.Header.Set("Authorization", "bearer "+token.Token)
		return ask(r)
	}
}

// TestRedditShapes holds the simulated answers against the recorded ones: no key
// that is not in them, none missing that is in all of them, no other type.
func TestRedditShapes(t *testing.T) {
	later := map[string]bool{"author_fullname": true, "crosspost_parent": true} // came after 2016; from the schemas of the dumps
	recorded := newRedditShapes()
	for _, raw := range redditRecorded(t) {
		var cassette []struct{ Body any }
		if err := json.Unmarshal(raw, &cassette); err != nil {
			t.Fatal(err)
		}
		for _, i := range cassette {
			recorded.read("", i.Body)
		}
	}
	get := redditSite(t)
	for _, path := range []string{
		"/r/simnews/new?limit=100", "/r/simnews+simtech/top?t=all&limit=100", "/r/all/comments?limit=100", "/r/all/search?q=subreddit:simnews&sort=new&limit=100", "/comments/" + redditThread(t, get),
	} {
		_, _, body := get(path)
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatal(err)
		}
		own := newRedditShapes()
		own.read("", v)
		for at, types := range own.types {
			i := strings.LastIndex(at, ".")
			if strings.HasPrefix(at, "thing more") || later[at[i+1:]] {
				continue
			}
			if recorded.types[at] == nil {
				t.Errorf("%s: %s is not in any recorded answer", path, at)
			}
			for name := range types {
				if recorded.types[at] != nil && !recorded.types[at][name] {
					t.Errorf("%s: %s is of type %s, recorded are %v", path, at, name, slices.Sorted(maps.Keys(recorded.types[at])))
				}
			}
		}
		for at, n := range recorded.seen { // what all recorded objects have
			i := strings.LastIndex(at, ".")
			if i < 0 || strings.Contains(at, "[]") || own.seen[at[:i]] == 0 || n < recorded.seen[at[:i]] || own.seen[at] == own.seen[at[:i]] {
				continue
			}
			t.Errorf("%s: %s is missing, all recorded answers have it", path, at)
		}
	}
}

// redditThread is a submission whose tree has more than it shows.
func redditThread(t *testing.T, get func(string) (int, http.Header, string)) string {
	t.Helper()
	_, _, body := get("/r/all/comments?limit=100")
	for part := range strings.SplitSeq(body, `"link_id":"t3_`) {
		id, _, _ := strings.Cut(part, `"`)
		if _, _, tree := get("/comments/" + id); strings.Contains(tree, `"more"`) && strings.Contains(tree, `"replies":{`) {
			return id
		}
	}
	t.Fatal("no thread with more")
	return ""
}

func redditRecorded(t *testing.T) [][]byte {
	t.Helper()
	var out [][]byte
	for _, raw := range wiretest.Glob(t, "reddit", "*.json") {
		out = append(out, []byte(raw))
	}
	return out
}

// TestRedditErrors wants each refusal as Reddit spells it.
func TestRedditErrors(t *testing.T) {
	get := redditSite(t)
	for path, want := range map[string]string{
		"/r/simprivate/new":                           `403 {"error":403,"message":"Forbidden","reason":"private"}`,
		"/r/simquarantined/new":                       `403 {"error":403,"message":"Forbidden","reason":"quarantined"}`,
		"/r/simbanned/new":                            `404 {"error":404,"message":"Not Found","reason":"banned"}`,
		"/r/simnothing/new":                           `302 `,
		"/r/simnews/gilded":                           `404 {"error":404,"message":"Not Found"}`,
		"/comments/zzz":                               `404 {"error":404,"message":"Not Found"}`,
		"/api/morechildren?link_id=t3_zzz&children=a": `200 {"json":{"errors":[["BAD_REQUEST","you sent too many children","children"]]}}`,
	} {
		status, h, body := get(path)
		if got := strings.Join([]string{strconv.Itoa(status), body}, " "); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
		if h.Get("x-ratelimit-remaining") == "" || h.Get("x-ratelimit-used") == "" || h.Get("x-ratelimit-reset") == "" {
			t.Errorf("%s: no word on the limit: %v", path, h)
		}
	}
}

// TestRedditWall counts what a listing has in all.
func TestRedditWall(t *testing.T) {
	get := redditSite(t)
	seen, after := map[string]bool{}, ""
	for page := 1; ; page++ {
		_, _, body := get("/r/all/new?limit=30&after=" + after)
		var l struct {
			Data struct {
				After    *string
				Children []struct{ Data struct{ Name string } }
			}
		}
		if err := json.Unmarshal([]byte(body), &l); err != nil {
			t.Fatal(err)
		}
		for _, c := range l.Data.Children {
			seen[c.Data.Name] = true
		}
		if l.Data.After == nil {
			break
		}
		after = *l.Data.After
	}
	if len(seen) != 1000 {
		t.Errorf("a listing holds %d items, want 1000", len(seen))
	}
}
