package instagram_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/instagram"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// simulator serves a simulated Instagram and counts what is asked.
type simulator struct {
	*serve.Server
	url string

	mu    sync.Mutex
	asked []string // paths
}

func start(t *testing.T, clock *sourcetest.Clock, posts int64, days int, faults ...serve.Fault) *simulator {
	t.Helper()
	s, err := serve.New("instagram", serve.Options{Seed: 7, Posts: posts, Days: days, Faults: faults, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	sim := &simulator{Server: s}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sim.mu.Lock()
		sim.asked = append(sim.asked, strings.TrimPrefix(r.URL.Path, "/v25.0/"))
		sim.mu.Unlock()
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	sim.url = server.URL
	return sim
}

// count is how often a path with that end was asked for.
func (s *simulator) count(end string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, p := range s.asked {
		if strings.HasSuffix(p, end) {
			n++
		}
	}
	return n
}

// TestContract runs the contract of sources in every mode.
func TestContract(t *testing.T) {
	for _, c := range configs() {
		t.Run(c.Mode, func(t *testing.T) {
			clock := sourcetest.NewClock()
			sim := start(t, clock, 230, 1)
			sourcetest.Run(t, func(t *testing.T) ingest.Source { return open(t, clock.Env(t, "source"), sim.url, c) })
		})
	}
}

// drain reads a source to its end, or to its first error.
func drain(t *testing.T, src ingest.Source, at feedlake.Cursor) (ids []string, end feedlake.Cursor, err error) {
	t.Helper()
	for range 500 {
		p, err := src.Fetch(t.Context(), at)
		if err != nil {
			return ids, at, err
		}
		for _, post := range p.Posts {
			ids = append(ids, post.ID)
		}
		if len(p.Rejects) > 0 {
			t.Fatalf("rejects: %v", sourcetest.Reasons(p.Rejects))
		}
		at = p.Next
		if p.Done {
			return ids, at, nil
		}
	}
	t.Fatal("no end")
	return nil, "", nil
}

// TestQuota reads the first 30 of 40 hashtags and says when the next one fits;
// what was asked for stays free, and the ids are looked up once.
func TestQuota(t *testing.T) {
	clock := sourcetest.NewClock()
	sim := start(t, clock, 60, 1)
	c := instagram.Config{UserID: serve.InstagramUser + "2"}
	for i := range 40 {
		c.Hashtags = append(c.Hashtags, fmt.Sprintf("tag%d", i))
	}
	c.Hashtags[1] = serve.InstagramTag
	begin := clock.Now()
	var at feedlake.Cursor
	for round := range 3 {
		ids, end, err := drain(t, open(t, clock.Env(t, "source"), sim.url, c), at)
		var l *ingest.LimitError
		switch {
		case !errors.Is(err, feedlake.ErrPartial) || !errors.As(err, &l) || !l.Until.Equal(begin.Add(7*24*time.Hour)):
			t.Fatalf("round %d: %v, want the end in part until %s", round, err, begin.Add(7*24*time.Hour))
		case !strings.Contains(err.Error(), "tag30, tag31") || !strings.Contains(err.Error(), "tag39") || strings.Contains(err.Error(), "tag29"):
			t.Errorf("round %d: %v does not tell which hashtags wait", round, err)
		case (len(ids) > 0) != (round == 0):
			t.Errorf("round %d: %d posts", round, len(ids))
		}
		at = end
		if err := clock.Sleep(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if n := sim.count("ig_hashtag_search"); n != 30 {
		t.Errorf("%d hashtags were looked up, want 30", n)
	}
	if n := sim.count("recently_searched_hashtags"); n != 3 {
		t.Errorf("recent hashtags were asked for %d times, want once a round", n)
	}
	// A week later all of them are free again; the first of the configuration still go first.
	if err := clock.Sleep(t.Context(), 7*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	_, _, err := drain(t, open(t, clock.Env(t, "source"), sim.url, c), at)
	if !errors.Is(err, feedlake.ErrPartial) || !strings.Contains(err.Error(), "waiting: tag30,") {
		t.Errorf("a week later: %v", err)
	}
	if n := sim.count("ig_hashtag_search"); n != 30 {
		t.Errorf("%d hashtags were looked up, want 30 still: ids never change", n)
	}
}

// TestQuotaOfOthers counts what other programs have asked for with the account:
// then nobody knows when it is free, a week at most.
func TestQuotaOfOthers(t *testing.T) {
	clock := sourcetest.NewClock()
	sim := start(t, clock, 60, 1)
	for i := range 29 {
		get(t, sim.url+"/v25.0/ig_hashtag_search?user_id="+serve.InstagramUser+"3&access_token="+serve.InstagramToken+"&q=other"+strconv.Itoa(i))
	}
	if err := clock.Sleep(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	c := instagram.Config{UserID: serve.InstagramUser + "3", Hashtags: []string{serve.InstagramTag, "more"}}
	ids, _, err := drain(t, open(t, clock.Env(t, "source"), sim.url, c), "")
	var l *ingest.LimitError
	if len(ids) != len(sim.Live()) || !errors.As(err, &l) || !l.Until.Equal(clock.Now().Add(7*24*time.Hour)) {
		t.Errorf("%d posts, %v", len(ids), err)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var b strings.Builder
	if err := json.NewDecoder(res.Body).Decode(new(json.RawMessage)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestBadHashtag reads the others and ends in part.
func TestBadHashtag(t *testing.T) {
	clock := sourcetest.NewClock()
	sim := start(t, clock, 60, 1)
	src := open(t, clock.Env(t, "source"), sim.url, instagram.Config{Hashtags: []string{"forbiddenword", serve.InstagramTag}})
	ids, _, err := drain(t, src, "")
	if len(ids) != len(sim.Live()) || !errors.Is(err, feedlake.ErrPartial) || !strings.Contains(err.Error(), "hashtag forbiddenword") {
		t.Errorf("%d posts, %v", len(ids), err)
	}
}

// TestWindow lands exactly the posts of a slice.
func TestWindow(t *testing.T) {
	for _, c := range configs() {
		if c.Mode == "top" {
			continue
		}
		t.Run(c.Mode, func(t *testing.T) {
			clock := sourcetest.NewClock()
			sim := start(t, clock, 400, 1)
			all, _, _ := sourcetest.Drain(t, open(t, clock.Env(t, "source"), sim.url, c), "")
			env := clock.Env(t, "source")
			env.Window = feedlake.Window{Start: clock.Now().Add(-9 * time.Hour), End: clock.Now().Add(-3 * time.Hour)}
			var want []string
			for _, p := range all {
				if env.Window.Contains(p.CreatedAt) {
					want = append(want, p.ID)
				}
			}
			got, _, err := drain(t, open(t, env, sim.url, c), "")
			slices.Sort(got)
			slices.Sort(want)
			if d := cmp.Diff(want, got); d != "" || err != nil || len(want) < 20 {
				t.Errorf("%v %s", err, d)
			}
		})
	}
}

// TestWindowBeyondReach refuses what hashtags cannot give.
func TestWindowBeyondReach(t *testing.T) {
	clock := sourcetest.NewClock()
	for mode, window := range map[string]feedlake.Window{
		"recent": {Start: clock.Now().Add(-25 * time.Hour), End: clock.Now()},
		"top":    {Start: clock.Now().Add(-time.Hour), End: clock.Now()},
	} {
		env := clock.Env(t, "source")
		env.Window, env.Secrets = window, secret("x")
		if _, err := instagram.Open(t.Context(), env, instagram.Config{Mode: mode, UserID: "1", Hashtags: []string{"a"}}); !errors.Is(err, feedlake.ErrConfig) {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// TestConfig refuses what cannot work.
func TestConfig(t *testing.T) {
	clock := sourcetest.NewClock()
	for want, c := range map[string]instagram.Config{
		`mode "stories"`:             {Mode: "stories", UserID: "1"},
		`user_id "me"`:               {UserID: "me", Hashtags: []string{"a"}},
		"no hashtags":                {UserID: "1"},
		"hashtags in mode account":   {Mode: "account", UserID: "1", Hashtags: []string{"a"}},
		"insights in mode recent":    {UserID: "1", Hashtags: []string{"a"}, Insights: []string{"views"}},
		"field username":             {UserID: "1", Hashtags: []string{"a"}, Fields: []string{"username"}},
		`hashtag "a b"`:              {UserID: "1", Hashtags: []string{"a b"}},
		"hashtag a stands there twi": {UserID: "1", Hashtags: []string{"a", "#A"}},
		"base_url":                   {UserID: "1", Hashtags: []string{"a"}, Settings: bad()},
	} {
		env := clock.Env(t, "source")
		env.Secrets = secret("token")
		if _, err := instagram.Open(t.Context(), env, c); !errors.Is(err, feedlake.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := instagram.Open(t.Context(), clock.Env(t, "source"), instagram.Config{Mode: "account", UserID: "1"}); !errors.Is(err, feedlake.ErrConfig) {
		t.Errorf("without a token: %v", err)
	}
}

// TestAuthor is empty for media that a hashtag finds, and absent counts are
// NULL.
func TestAuthor(t *testing.T) {
	clock := sourcetest.NewClock()
	sim := start(t, clock, 300, 1)
	c := configs()
	found, _, _ := sourcetest.Drain(t, open(t, clock.Env(t, "source"), sim.url, c[0]), "")
	own, _, _ := sourcetest.Drain(t, open(t, clock.Env(t, "source"), sim.url, c[2]), "")
	null := 0
	for _, p := range found {
		if p.AuthorID != "" || p.AuthorName != "" || !strings.HasPrefix(p.Query, "#") {
			t.Fatalf("author %q %q, query %q", p.AuthorID, p.AuthorName, p.Query)
		}
		if p.Likes == nil {
			null++
		}
	}
	if null == 0 || null == len(found) {
		t.Errorf("%d of %d posts without likes", null, len(found))
	}
	for _, p := range own {
		if p.AuthorID != serve.InstagramUser || p.AuthorName != "simulated_account" {
			t.Fatalf("author %q %q", p.AuthorID, p.AuthorName)
		}
	}
}

// TestInsights lie in the payload; media without any come all the same.
func TestInsights(t *testing.T) {
	clock := sourcetest.NewClock()
	sim := start(t, clock, 120, 1)
	c := configs()[2]
	c.Insights = []string{"views", "reach"}
	got, bad, _ := sourcetest.Drain(t, open(t, clock.Env(t, "source"), sim.url, c), "")
	with := 0
	for _, p := range got {
		var m struct {
			Insights struct{ Data []struct{ Name string } }
		}
		if err := json.Unmarshal([]byte(p.Payload), &m); err != nil {
			t.Fatal(err)
		}
		if len(m.Insights.Data) == 2 && p.Views != nil {
			with++
		}
	}
	if len(got) != len(sim.Live()) || len(bad) > 0 || with < len(got)/2 || with == len(got) {
		t.Errorf("%d of %d posts, %d with insights, rejects %v", len(got), len(sim.Live()), with, bad)
	}
}

// TestProbe looks at everything and spends no hashtag.
func TestProbe(t *testing.T) {
	clock := sourcetest.NewClock()
	sim := start(t, clock, 60, 1)
	p, ok := open(t, clock.Env(t, "source"), sim.url, configs()[0]).(ingest.Prober)
	if !ok {
		t.Fatal("no prober")
	}
	for _, f := range p.Probe(t.Context()) {
		if !f.OK || f.Says == "" {
			t.Errorf("%+v", f)
		}
	}
	env := clock.Env(t, "source")
	c := configs()[0]
	c.UserID = "5"
	src := open(t, env, sim.url, c)
	p, _ = src.(ingest.Prober)
	for _, f := range p.Probe(t.Context()) {
		if f.OK != (f.What == "token") || !f.OK && f.Hint == "" {
			t.Errorf("%+v", f)
		}
	}
	if n := sim.count("ig_hashtag_search"); n > 0 {
		t.Errorf("%d hashtags were spent", n)
	}
}

// TestEstimate counts an account and spends no hashtag.
func TestEstimate(t *testing.T) {
	clock := sourcetest.NewClock()
	sim := start(t, clock, 260, 1)
	for _, c := range configs() {
		e, ok := open(t, clock.Env(t, "source"), sim.url, c).(ingest.Estimator)
		if !ok {
			t.Fatal("no estimator")
		}
		got, err := e.Estimate(t.Context(), feedlake.Window{})
		if err != nil {
			t.Fatal(err)
		}
		switch live := int64(len(sim.Live())); {
		case c.Mode == "account" && (got.Posts != live || !got.Exact || got.Requests != (live+49)/50):
			t.Errorf("%+v, want %d posts", got, live)
		case c.Mode != "account" && (got.Exact || !strings.Contains(got.Unknown, "at least")):
			t.Errorf("%+v", got)
		}
		got, err = e.Estimate(t.Context(), feedlake.Window{Start: clock.Now().Add(-time.Hour), End: clock.Now()})
		if err != nil || got.Unknown == "" || got.Requests != 0 || got.Posts != 0 {
			t.Errorf("of an hour: %+v, %v", got, err)
		}
	}
	if n := sim.count("ig_hashtag_search"); n > 0 {
		t.Errorf("%d hashtags were spent", n)
	}
}
