package command

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/feedlake/feedlake/ingest/simulate/serve"
)

// TestBackfillMerged asks a listing without search by time for six days in one
// descent, as it was foreseen; one that breaks leaves its days for the next.
func TestBackfillMerged(t *testing.T) {
	t.Parallel()
	posts := map[string]int64{"reddit": 900, "bluesky": 20_000}
	for _, n := range []network{
		{platform: "reddit", keys: "client_id: me, client_secret: %s", with: `user_agent: "linux:feedlake:1.0 (by /u/me)", subreddits: [all], stay_inside: true`},
		{platform: "bluesky", with: "mode: author, actors: [AUTHOR]"},
	} {
		t.Run(n.platform, func(t *testing.T) {
			t.Parallel()
			c := newCLI(t, "")
			c.env["SECRET"] = hush
			s, err := serve.New(n.platform, serve.Options{Seed: 5, Posts: posts[n.platform], Days: 8, Now: c.clock})
			if err != nil {
				t.Fatal(err)
			}
			requests, breaks := 0, 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if requests++; breaks > 0 && requests >= breaks {
					http.Error(w, "{}", http.StatusForbidden)
					return
				}
				s.ServeHTTP(w, r)
			}))
			t.Cleanup(server.Close)
			c.write("feedlake.yaml", n.config(server.URL, `"${SECRET}"`, strings.ReplaceAll(n.with, "AUTHOR", `"`+busiest(s)+`"`)))
			args := []string{"backfill", "--source", "net", "--from", "2026-02-23", "--to", "2026-03-01"}
			var p backfillPreview
			out, _ := c.run(0, append(args, "--dry-run", "--json")...)
			if err := json.Unmarshal([]byte(out), &p); err != nil {
				t.Fatal(err)
			}
			if len(p.Each) != 1 || p.Each[0].Slices != 6 || p.Requests == nil {
				t.Fatalf("preview %s", out)
			}
			requests, breaks = 0, int(*p.Requests)-1
			c.run(exitPartial, args...)
			made := requests - 1 // the last was refused
			breaks = 0
			var left backfillPreview
			out, _ = c.run(0, append(args, "--dry-run", "--json")...)
			if err := json.Unmarshal([]byte(out), &left); err != nil || left.Missing == 0 || left.Missing == 6 {
				t.Fatalf("nothing was kept of what was read: %v\n%s", err, out)
			}
			requests = 0
			c.run(0, args...)
			t.Logf("foreseen %d; made %d, then %d; %d slices were left", *p.Requests, made, requests, left.Missing)
			if made += requests; math.Abs(float64(made)-float64(*p.Requests)) > 2 { // and the token of the second run
				t.Errorf("%d requests were foreseen, %d made", *p.Requests, made)
			}
			if twice := c.value("select count(*) - count(distinct id) from raw.posts"); twice != "0" {
				t.Errorf("%s posts came twice", twice)
			}
			if out, _ = c.run(0, append(args, "--dry-run")...); !strings.Contains(out, "0 of 6 slices missing") {
				t.Errorf("preview afterwards:\n%s", out)
			}
		})
	}
}

// TestBackfillRefused ends at the first slice that the configuration keeps from
// being read, and names all that are missing.
func TestBackfillRefused(t *testing.T) {
	t.Parallel()
	c := newCLI(t, "")
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		http.Error(w, "{}", http.StatusForbidden)
	}))
	t.Cleanup(server.Close)
	c.write("feedlake.yaml", "lake: {dir: lake}\nlog: {level: error}\nsources:\n  - {name: hn, kind: hackernews, with: {base_url: "+server.URL+"/api/v1}}\n")
	_, errs := c.run(exitPartial, "backfill", "--source", "hn", "--from", "2026-02-21", "--to", "2026-02-27")
	if requests > 2 || !strings.Contains(errs, "6 slices missing") {
		t.Errorf("%d requests:\n%s", requests, errs)
	}
}

// busiest is who wrote most of Bluesky.
func busiest(s *serve.Server) (who string) {
	posts := map[string]int{}
	for _, id := range s.Live() {
		author, _, _ := strings.Cut(strings.TrimPrefix(id, "at://"), "/")
		if posts[author]++; posts[author] > posts[who] {
			who = author
		}
	}
	return who
}

// TestBackfillUnknown makes no number up, in the table and in JSON.
func TestBackfillUnknown(t *testing.T) {
	t.Parallel()
	c := newCLI(t, "")
	c.env["SECRET"] = hush
	for platform, with := range map[string]string{
		"bluesky": "mode: jetstream", "x": "mode: users, users: ['12']", "instagram": `user_id: "17841400000000000", mode: account`,
	} {
		n := network{platform: platform, keys: map[string]string{"x": "bearer_token: %s", "instagram": "access_token: %s"}[platform]}
		_, url, _ := simulated(t, platform, serve.Options{Seed: 5, Posts: 100, Days: 6, Now: c.clock})
		c.write("feedlake.yaml", n.config(url, `"${SECRET}"`, with))
		args := []string{"backfill", "--source", "net", "--from", "2026-02-25", "--to", "2026-02-27", "--dry-run"}
		if out, _ := c.run(0, args...); strings.Count(out, "not known") < 4 || !strings.Contains(out, "not known, because ") {
			t.Errorf("%s:\n%s", platform, out)
		}
		var got map[string]any
		out, _ := c.run(0, append(args, "--json")...)
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		if _, ok := got["requests"]; !ok || got["requests"] != nil || got["posts"] != nil || got["exact"] != false || fmt.Sprint(got["unknown"]) == "" {
			t.Errorf("%s: %s", platform, out)
		}
	}
	for platform, with := range map[string]string{
		"x": "mode: stream, rules: [{value: a}]", "instagram": `user_id: "17841400000000000", mode: top, hashtags: [a]`,
	} {
		n := network{platform: platform, keys: map[string]string{"x": "bearer_token: %s", "instagram": "access_token: %s"}[platform]}
		c.write("feedlake.yaml", n.config("http://127.0.0.1:9", `"${SECRET}"`, with))
		if _, errs := c.run(2, "backfill", "--source", "net", "--from", "2026-02-25", "--to", "2026-02-27", "--dry-run"); !strings.Contains(errs, "hint: ") {
			t.Errorf("%s:\n%s", platform, errs)
		}
	}
}
