package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest/simulate/serve"
)

// cli runs command lines in a folder, at a time.
type cli struct {
	t   *testing.T
	dir string
	now time.Time
	env map[string]string
}

func newCLI(t *testing.T, config string) *cli {
	t.Helper()
	c := &cli{t: t, dir: t.TempDir(), now: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC), env: map[string]string{}}
	c.write("feedlake.yaml", config)
	return c
}

func (c *cli) clock() time.Time { return c.now }

func (c *cli) write(name, text string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// run wants an exit code.
func (c *cli) run(code int, args ...string) (stdout, stderr string) {
	c.t.Helper()
	var out, errs bytes.Buffer
	e := env{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, now: c.clock, getenv: func(name string) (string, bool) {
		v, ok := c.env[name]
		return v, ok
	}}
	if got := run(c.t.Context(), e, append(args, "--config", filepath.Join(c.dir, "feedlake.yaml"))); got != code {
		c.t.Fatalf("%v: exit code %d, want %d\n%s\n%s", args, got, code, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// value asks the lake for one value.
func (c *cli) value(sql string) string {
	c.t.Helper()
	out, _ := c.run(0, "sql", "--csv", sql)
	_, v, _ := strings.Cut(strings.TrimSpace(out), "\n")
	return v
}

// simulated serves a platform and counts the requests.
func simulated(t *testing.T, platform string, o serve.Options) (s *serve.Server, url string, requests *atomic.Int64) {
	t.Helper()
	s, err := serve.New(platform, o)
	if err != nil {
		t.Fatal(err)
	}
	requests = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return s, server.URL, requests
}

// TestBackfillCommand previews a backfill, reads it, and wants the preview to
// have been right; a second time nothing is asked for.
func TestBackfillCommand(t *testing.T) {
	t.Parallel()
	c := newCLI(t, "")
	_, url, requests := simulated(t, "hackernews", serve.Options{Seed: 3, Posts: 9000, Days: 10, Now: c.clock})
	c.write("feedlake.yaml", "lake: {dir: lake}\nlog: {level: error}\nsources:\n  - {name: hn, kind: hackernews, with: {base_url: "+url+"/api/v1}}\n")
	args := []string{"backfill", "--source", "hn", "--from", "2026-02-21", "--to", "2026-02-27"}
	var p backfillPreview
	out, _ := c.run(0, append(args, "--dry-run", "--json")...)
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		t.Fatal(err)
	}
	requests.Store(0)
	c.run(0, args...)
	if got := requests.Load(); p.Requests == nil || math.Abs(float64(got-*p.Requests)) > 0.05*float64(got) {
		t.Fatalf("%+v was foreseen, %d requests made", p, got)
	}
	if got := c.value("select count(*) from raw.posts"); got != fmt.Sprint(*p.Posts) || p.Slices != 6 || p.Missing != 6 || *p.Posts < 3000 {
		t.Errorf("%s posts landed; preview %+v", got, p)
	}
	requests.Store(0)
	c.run(0, args...)
	if n := requests.Load(); n != 0 {
		t.Errorf("a second time %d requests", n)
	}
	if out, _ = c.run(0, append(args, "--dry-run")...); !strings.Contains(out, "0 of 6 slices missing") {
		t.Errorf("preview afterwards:\n%s", out)
	}
	c.run(2, "backfill", "--source", "hn", "--from", "2026-02-21")
	c.run(2, "backfill", "--source", "hn", "--from", "yesterday", "--to", "2026-02-27")
	c.run(2, "backfill", "--source", "hn", "--from", "2026-02-27", "--to", "2026-02-21")
	c.run(2, "backfill", "--source", "nobody", "--from", "2026-02-21", "--to", "2026-02-27")
}

// TestBudget follows a source whose credential may read a few posts a day: never
// more, the run is partial and says when it goes on, and the next day it does.
func TestBudget(t *testing.T) {
	t.Parallel()
	c := newCLI(t, "")
	server, url, _ := simulated(t, "hackernews", serve.Options{Seed: 3, Posts: 4000, Days: 4, Now: c.clock})
	c.write("feedlake.yaml", "lake: {dir: lake}\nlog: {level: error}\ncredentials:\n  hn: {budget: {day: {posts: 2500}}}\n"+
		"sources:\n  - {name: hn, kind: hackernews, credential: hn, with: {base_url: "+url+"/api/v1, since: 2026-02-20T00:00:00Z}}\n")
	out, errs := c.run(3, "ingest")
	if !strings.Contains(errs, "2,000 of 2,500 posts a day used") && !strings.Contains(errs, "of 2500 posts a day used") || !strings.Contains(out, "stopped until 2026-03-03T00:00:00Z") {
		t.Errorf("out:\n%s\nerrors:\n%s", out, errs)
	}
	first := c.value("select count(*) from raw.posts")
	out, _ = c.run(0, "check")
	if !strings.Contains(out, "credential hn") || !strings.Contains(out, "of 2,500 posts") {
		t.Errorf("check:\n%s", out)
	}
	c.now = c.now.Add(24 * time.Hour)
	c.run(0, "ingest")
	if first != "1999" && first != "2000" {
		t.Errorf("%s posts on the first day", first)
	}
	live := strings.Join(server.Live(), "','")
	if n := c.value("select count(*) from (select unnest(['" + live + "']) as id) where id not in (select id from raw.posts)"); n != "0" {
		t.Errorf("%s of the posts that can be read did not come", n)
	}
	if n := c.value("select count(*) from (select source, id from raw.posts group by all having count(*) > 1)"); n != "0" {
		t.Errorf("%s posts came twice", n)
	}
}

// TestStreamBudget listens to a stream with a budget of posts: it holds to the
// post, and day after day the rest comes, each post once.
func TestStreamBudget(t *testing.T) {
	t.Parallel()
	c := newCLI(t, "")
	server, url, _ := simulated(t, "bluesky", serve.Options{Seed: 3, Posts: 600, Days: 1, Now: c.clock})
	c.write("feedlake.yaml", "lake: {dir: lake}\nlog: {level: error}\ncredentials:\n  sky: {budget: {day: {posts: 257}}}\n"+
		"sources:\n  - {name: sky, kind: bluesky, credential: sky, with: {mode: jetstream, base_url: "+url+", since: 2026-02-28T00:00:00Z}}\n")
	for _, want := range []string{"257", "514"} {
		out, errs := c.run(3, "ingest")
		if got := c.value("select count(*) from raw.posts where not deleted"); got != want || !strings.Contains(out, "stopped until 2026-03-") || !strings.Contains(errs, "posts a day used") {
			t.Errorf("%s posts, want %s\n%s%s", got, want, out, errs)
		}
		c.now = c.now.Add(24 * time.Hour)
	}
	c.run(0, "ingest")
	live := strings.Join(server.Live(), "','")
	if n := c.value("select count(*) from (select unnest(['" + live + "']) as id) where id not in (select id from raw.posts)"); n != "0" {
		t.Errorf("%s of the posts that can be read did not come", n)
	}
	if n := c.value("select count(*) - count(distinct id) from raw.posts where not deleted and kind <> 'account'"); n != "0" {
		t.Errorf("%s posts came twice", n)
	}
}

// TestWholePolicy follows one source whose posts may not be learnt from nor passed on,
// and are kept for thirty days, beside a free one.
func TestWholePolicy(t *testing.T) {
	t.Parallel()
	var lines strings.Builder
	for day := range 40 {
		at := time.Date(2026, 1, 20, 9, 0, 0, 0, time.UTC).AddDate(0, 0, day)
		fmt.Fprintf(&lines, `{"id":"%d","at":%q,"text":"text %d #tag"}`+"\n", day, at.Format(time.RFC3339), day)
	}
	const config = `lake: {dir: lake}
log: {level: error}
sources:
  - {name: closed, kind: files, %swith: {path: posts.ndjson, map: {id: id, created_at: {path: at, time: rfc3339}, text: text}}}
  - {name: open, kind: files, with: {path: posts.ndjson, map: {id: id, created_at: {path: at, time: rfc3339}, text: text}}}
publish:
  - {name: out, kind: export, dir: out, tables: [features.posts, marts.volume]}
`
	c := newCLI(t, fmt.Sprintf(config, ""))
	c.write("posts.ndjson", lines.String())
	c.run(0, "run")
	c.write("feedlake.yaml", fmt.Sprintf(config, "policy: {train: deny, redistribute: deny, retain_days: 30}, "))
	out, errs := c.run(exitPartial, "run")
	for _, want := range []string{"closed: 11 rows of 11 days left", "policy.retain_days is 30"} {
		if !strings.Contains(out, want) {
			t.Errorf("the run says nothing of %q:\n%s", want, out)
		}
	}
	if want := "table features.posts holds single posts: closed: policy.redistribute is deny"; !strings.Contains(errs, want) {
		t.Errorf("the run's error is without %q:\n%s", want, errs)
	}
	for _, table := range []string{"raw.posts", "features.posts"} {
		if got := c.value("select string_agg(source || ' ' || n || ' ' || first, ', ' order by source) from (select source, count(*) as n, min(created_at)::date as first from " + table + " group by all)"); got != `"closed 29 2026-01-31, open 40 2026-01-20"` {
			t.Errorf("%s holds %s", table, got)
		}
	}
	out, _ = c.run(0, "train", "trends")
	if want := "left out closed: policy.train is deny"; !strings.Contains(out, want) {
		t.Errorf("training says nothing of %q:\n%s", want, out)
	}
	c.write("more.ndjson", "")
	if out, _ = c.run(0, "ingest"); strings.Contains(out, "left out as older") {
		t.Errorf("old posts were read again:\n%s", out)
	}
}

// TestPseudonymsCommand lands under pseudonyms and takes an author down by the
// name that people know.
func TestPseudonymsCommand(t *testing.T) {
	t.Parallel()
	c := newCLI(t, "lake: {dir: lake}\nlog: {level: error}\npseudonyms: {key: \"${file:key}\"}\nsources:\n"+
		"  - {name: s, kind: files, with: {path: posts.ndjson, map: {id: id, created_at: {path: at, time: rfc3339}, text: text, author_id: by, author_name: by}}}\n")
	c.write("key", "some sixteen bytes or more\n")
	c.write("posts.ndjson", `{"id":"1","at":"2026-01-20T00:00:00Z","text":"I, @alice","by":"alice"}`+"\n"+`{"id":"2","at":"2026-01-20T00:00:00Z","text":"x","by":"bob"}`+"\n")
	c.run(0, "ingest")
	if got := c.value("select count(*) from raw.posts where author_id like 'anon_%' and author_name = author_id and payload is null and text not like '%alice%'"); got != "2" {
		t.Errorf("%s posts are hidden", got)
	}
	c.run(0, "erase", "--author", "s/alice")
	if got := c.value("select string_agg(id, ',') from raw.posts"); got != "2" {
		t.Errorf("after the takedown: %s", got)
	}
	c.write("key", "short\n")
	if _, errs := c.run(2, "ingest"); !strings.Contains(errs, "pseudonyms: a key of 5 bytes") {
		t.Errorf("a short key: %s", errs)
	}
}

// TestSecretsStayOutside refuses secrets that are written into the config, and
// takes them from the environment and from files.
func TestSecretsStayOutside(t *testing.T) {
	t.Parallel()
	c := newCLI(t, "")
	c.write("token", "hush\n")
	c.env["TOKEN"] = "hush"
	for _, tt := range []struct {
		keys, says string
	}{
		{"bearer_token: hush", "bearer_token is written into the file"},
		{"client_secret: hush", "client_secret is written into the file"},
		{"app_password: hush", "app_password is written into the file"},
		{`bearer_token: "${file:nowhere}"`, "nowhere: no such file"},
		{`bearer_token: "${NO_TOKEN}"`, "NO_TOKEN is not set"},
	} {
		c.write("feedlake.yaml", "lake: {dir: lake}\ncredentials: {me: {keys: {"+tt.keys+"}}}\n")
		if _, errs := c.run(2, "status"); !strings.Contains(errs, tt.says) || strings.Contains(errs, "hush") || !strings.Contains(errs, "hint: ") {
			t.Errorf("%s: %s", tt.keys, errs)
		}
	}
	for _, keys := range []string{`bearer_token: "${file:token}"`, `bearer_token: "${TOKEN}"`} {
		c.write("feedlake.yaml", "lake: {dir: lake}\nlog: {level: error}\ncredentials: {me: {keys: {"+keys+"}}}\n")
		c.run(0, "status")
	}
}

// TestCheckDown tells a server that is down from a configuration that is wrong.
func TestCheckDown(t *testing.T) {
	t.Parallel()
	hs := httptest.NewServer(http.NotFoundHandler())
	hs.Close()
	c := newCLI(t, fmt.Sprintf(`
lake: {dir: ./lake}
credentials: {b: {keys: {identifier: me, app_password: "${PASSWORD}"}}}
sources:
  - {name: b, kind: bluesky, credential: b, with: {base_url: %[1]q, query: cats}}
  - {name: h, kind: hackernews, with: {base_url: %[1]q}}
`, hs.URL))
	c.env["PASSWORD"] = "hush-hush"
	out, errs := c.run(1, "check", "--json")
	if strings.Contains(out+errs, "not usable") || strings.Contains(out, "app_password") || strings.Contains(out+errs, "hush") {
		t.Errorf("a server that is down is none of the configuration:\n%s\n%s", out, errs)
	}
	if n := strings.Count(out, "it cannot be reached, or fails for now"); n != 2 {
		t.Errorf("%d hints, want 2:\n%s", n, out)
	}
}
