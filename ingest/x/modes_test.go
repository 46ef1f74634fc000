package x_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
	"github.com/feedlake/feedlake/ingest/x"
)

// rig is a simulator and what a source needs to ask it.
type rig struct {
	*serve.Server
	url   string
	clock *sourcetest.Clock
	env   ingest.Env
	meter *ingest.MemoryMeter
}

func newRig(t *testing.T, posts int64, faults ...serve.Fault) *rig {
	t.Helper()
	clock := sourcetest.NewClock()
	s, err := serve.New("x", serve.Options{Seed: 5, Posts: posts, Days: 5, Faults: faults, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	hs := httptest.NewServer(ends(s))
	t.Cleanup(hs.CloseClientConnections)
	r := &rig{Server: s, url: hs.URL, clock: clock, env: clock.Env(t, "x"), meter: ingest.NewMemoryMeter(clock.Now, nil)}
	r.env.Credential, r.env.Meter, r.env.Secrets = "me", r.meter, secrets(serve.XToken)
	return r
}

func ids(posts []feedlake.Post) []string {
	out := make([]string, len(posts))
	for i, p := range posts {
		out[i] = p.ID
	}
	slices.Sort(out)
	return out
}

func estimator(t *testing.T, s ingest.Source) ingest.Estimator {
	t.Helper()
	e, ok := s.(ingest.Estimator)
	if !ok {
		t.Fatal("the source gives no estimates")
	}
	return e
}

func prober(t *testing.T, s ingest.Source) ingest.Prober {
	t.Helper()
	p, ok := s.(ingest.Prober)
	if !ok {
		t.Fatal("the source cannot be probed")
	}
	return p
}

// TestWindow wants exactly the posts of a window, then the end, and pays for them.
func TestWindow(t *testing.T) {
	w := feedlake.Window{Start: time.Date(2026, 2, 27, 6, 0, 0, 0, time.UTC), End: time.Date(2026, 2, 28, 6, 0, 0, 0, time.UTC)}
	for _, mode := range []string{"recent", "all"} {
		r := newRig(t, 1000)
		all, _, _ := sourcetest.Drain(t, open(t, r.env, r.url, x.Config{Mode: mode, Query: everything, Since: since}), "")
		var want []feedlake.Post
		for _, p := range all {
			if w.Contains(p.CreatedAt) {
				want = append(want, p)
			}
		}
		before := r.meter.Used("me", ingest.Day(r.clock.Now()))
		r.env.Window = w
		src := open(t, r.env, r.url, x.Config{Mode: mode, Query: everything, PageSize: 50})
		got, bad, end := sourcetest.Drain(t, src, "")
		if d := cmp.Diff(ids(want), ids(got)); d != "" || len(bad) > 0 || len(want) < 100 {
			t.Errorf("%s: %d posts: %s", mode, len(want), d)
		}
		used := r.meter.Used("me", ingest.Day(r.clock.Now()))
		if n := int64(len(got)); used.Posts-before.Posts != n || used.Micros-before.Micros != n*5000 {
			t.Errorf("%s: counted %+v after %+v for %d posts", mode, used, before, n)
		}
		if more, _, _ := sourcetest.Drain(t, src, end); len(more) > 0 {
			t.Errorf("%s: %d posts behind the end", mode, len(more))
		}
		est, err := estimator(t, src).Estimate(t.Context(), w)
		if err != nil || est.Posts != int64(len(want)) || est.Micros != est.Posts*5000 || !est.Exact || est.Requests != (est.Posts+49)/50 {
			t.Errorf("%s: estimate %+v %v, want %d posts", mode, est, err, len(want))
		}
	}
}

// dense is a simulator that holds so many posts of so many days.
func dense(t *testing.T, posts int64, days int, faults ...serve.Fault) *rig {
	t.Helper()
	r := newRig(t, 20)
	s, err := serve.New("x", serve.Options{Seed: 5, Posts: posts, Days: days, Faults: faults, Now: r.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	hs := httptest.NewServer(s)
	t.Cleanup(hs.Close)
	r.Server, r.url = s, hs.URL
	return r
}

// TestSameSecond goes on by time from within a second, whose other posts an
// answer may have cut off.
func TestSameSecond(t *testing.T) {
	r := newRig(t, 20)
	var asked []string
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		asked = append(asked, q.URL.Query().Get("end_time"))
		const a, b = `{"id":"2028215152708420937","text":"a","created_at":"2026-03-01T21:05:49.000Z"}`, `{"id":"2028215152708420936","text":"b","created_at":"2026-03-01T21:05:49.000Z"}`
		switch {
		case q.URL.Query().Get("next_token") != "":
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"errors":[{"parameters":{"next_token":["n"]},"message":"expired"}]}`))
		case len(asked) == 1:
			_, _ = w.Write([]byte(`{"data":[` + a + `],"meta":{"next_token":"n"}}`))
		default:
			_, _ = w.Write([]byte(`{"data":[` + a + `,` + b + `],"meta":{}}`))
		}
	}))
	defer hs.Close()
	got, _, _ := sourcetest.Drain(t, open(t, r.env, hs.URL, x.Config{Query: everything, Since: since}), "")
	if d := cmp.Diff([]string{"2028215152708420936", "2028215152708420937"}, ids(got)); d != "" || len(asked) != 3 || asked[2] != "2026-03-01T21:05:50Z" {
		t.Errorf("asked %q: %s", asked, d)
	}
}

// TestWeekEnd leaves out what lies before a window that recent search cannot be
// told the beginning of.
func TestWeekEnd(t *testing.T) {
	r := dense(t, 3000, 10)
	week := r.clock.Now().AddDate(0, 0, -7)
	r.env.Window = feedlake.Window{Start: week.Add(time.Hour), End: week.AddDate(0, 0, 1)}
	want, _, _ := sourcetest.Drain(t, open(t, r.env, r.url, x.Config{Mode: "all", Query: everything}), "")
	got, _, _ := sourcetest.Drain(t, open(t, r.env, r.url, x.Config{Query: everything}), "")
	if d := cmp.Diff(ids(want), ids(got)); d != "" || len(got) == 0 {
		t.Errorf("%d posts: %s", len(got), d)
	}
}

// TestFollow asks a second time only for what is new, and again after a week.
func TestFollow(t *testing.T) {
	r := newRig(t, 600)
	src := open(t, r.env, r.url, x.Config{Query: everything, Since: since})
	_, _, end := sourcetest.Drain(t, src, "")
	before := r.meter.Used("me", ingest.Day(r.clock.Now()))
	if more, _, _ := sourcetest.Drain(t, src, end); len(more) > 0 {
		t.Errorf("%d posts came again", len(more))
	}
	if used := r.meter.Used("me", ingest.Day(r.clock.Now())); used.Requests != before.Requests+1 || used.Posts > before.Posts+5 {
		t.Errorf("used %+v after %+v", used, before)
	}
	if err := r.clock.Sleep(t.Context(), 8*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	if more, _, _ := sourcetest.Drain(t, src, end); len(more) > 0 {
		t.Errorf("%d posts after a week", len(more))
	}
}

// TestUsers reads timelines one after the other, with every fault, across
// restarts.
func TestUsers(t *testing.T) {
	r := newRig(t, 600)
	all, _, _ := sourcetest.Drain(t, open(t, r.env, r.url, x.Config{Query: everything, Since: since}), "")
	by := map[string]int{}
	for _, p := range all {
		by[p.AuthorID]++
	}
	var users []string
	for id := range by {
		users = append(users, id)
	}
	slices.SortFunc(users, func(a, b string) int { return by[b] - by[a] })
	c := x.Config{Mode: "users", Users: append([]string{"1"}, users[:3]...), Since: since, PageSize: 5}
	var want []feedlake.Post
	for _, p := range all {
		if slices.Contains(c.Users, p.AuthorID) {
			want = append(want, p)
		}
	}
	src := open(t, r.env, r.url, c)
	got, _, end := sourcetest.Drain(t, src, "")
	own := slices.DeleteFunc(slices.Clone(got), func(p feedlake.Post) bool { return p.Kind == feedlake.KindRepost }) // a search finds no others
	if d := cmp.Diff(ids(want), ids(own)); d != "" || len(own) == len(got) {
		t.Errorf("%d reposts: %s", len(got)-len(own), d)
	}
	if more, _, again := sourcetest.Drain(t, src, end); len(more) > 0 || again != end {
		t.Errorf("behind the end: %d posts, cursor %s", len(more), again)
	}
}

// TestLookup gives each post once and says what is missing.
func TestLookup(t *testing.T) {
	r := newRig(t, 600)
	live := r.Live()
	gone := slices.DeleteFunc(r.All(), func(id string) bool { return slices.Contains(live, id) })
	if len(gone) == 0 {
		t.Fatal("nothing is deleted")
	}
	file := filepath.Join(t.TempDir(), "ids.csv")
	if err := os.WriteFile(file, []byte("id\n\""+strings.Join(live[:150], "\"\n")+"\r\n"+gone[0]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	src := open(t, r.env, r.url, x.Config{Mode: "lookup", IDsFile: file})
	got, bad, _ := sourcetest.Drain(t, src, "")
	if d := cmp.Diff(ids(got), slices.Sorted(slices.Values(live[:150]))); d != "" {
		t.Error(d)
	}
	if len(bad) != 1 || !strings.HasPrefix(bad[0].Reason, "post "+gone[0]+" was not given: Could not find") || bad[0].Source != "x" {
		t.Errorf("rejects %+v", bad)
	}
	if est, err := estimator(t, src).Estimate(t.Context(), feedlake.Window{}); err != nil || est.Posts != 151 || est.Requests != 2 {
		t.Errorf("estimate %+v %v", est, err)
	}
	sourcetest.Run(t, func(t *testing.T) ingest.Source {
		return open(t, r.env, r.url, x.Config{Mode: "lookup", IDs: live[:150], PageSize: 40})
	})
}

// TestFaults tells what stops an account from what another try cures.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name, body string
		status     int
		kind       error // nil: another try
		says       string
	}{
		{"cap", `{"title":"UsageCapExceeded","period":"Monthly","detail":"Usage cap exceeded: Monthly product cap","type":"https://api.x.com/2/problems/usage-capped"}`, 429, feedlake.ErrPartial, "2026-04-01T00:00:00Z"},
		{"day's cap", `{"title":"UsageCapExceeded","period":"Daily","type":"https://api.twitter.com/2/problems/usage-capped"}`, 403, feedlake.ErrPartial, "2026-03-03T00:00:00Z"},
		{"credits", `{"title":"CreditsDepleted","detail":"no credits"}`, 402, feedlake.ErrPartial, "goes on when there are some"},
		{"not enrolled", `{"reason":"client-not-enrolled","title":"Client Forbidden","type":"https://api.x.com/2/problems/client-forbidden"}`, 403, feedlake.ErrPartial, "goes on when it may"},
		{"limit", `{"title":"Too Many Requests","type":"about:blank","status":429}`, 429, nil, ""},
		{"down", `{"title":"Service Unavailable","type":"about:blank","status":503}`, 503, nil, ""},
		{"query", `{"errors":[{"parameters":{"query":["("]},"message":"bad"}],"title":"Invalid Request","type":"https://api.x.com/2/problems/invalid-request"}`, 400, feedlake.ErrConfig, ""},
		{"token", `{"title":"Unauthorized","type":"about:blank","status":401}`, 401, feedlake.ErrConfig, ""},
		{"half an answer", `{"data":[{"id":"1"`, 200, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 20)
			hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			defer hs.Close()
			_, err := open(t, r.env, hs.URL, x.Config{Query: everything}).Fetch(t.Context(), "")
			var again *feedlake.RetryError
			if retry := errors.As(err, &again); retry != (c.kind == nil) || !retry && !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), serve.XToken) {
				t.Errorf("%v tells the token", err)
			}
			if used := r.meter.Used("me", ingest.Day(r.clock.Now())); used.Posts != 0 || used.Micros != 0 {
				t.Errorf("counted %+v for nothing", used)
			}
		})
	}
}

// TestProbe looks at the token and the search.
func TestProbe(t *testing.T) {
	r := newRig(t, 300)
	found := prober(t, open(t, r.env, r.url, x.Config{Query: everything})).Probe(t.Context())
	if len(found) != 2 || !found[0].OK || !found[1].OK || !strings.Contains(found[0].Says, "3000000") {
		t.Errorf("found %+v", found)
	}
	r.env.Secrets = secrets("wrong")
	found = prober(t, open(t, r.env, r.url, x.Config{Query: everything})).Probe(t.Context())
	if len(found) != 1 || found[0].OK || found[0].Hint == "" || strings.Contains(found[0].Says, "wrong") {
		t.Errorf("found %+v", found)
	}
}

// TestConfig refuses what cannot work, with a hint.
func TestConfig(t *testing.T) {
	good := x.Config{Query: "cats"}
	with := func(change func(*x.Config)) x.Config { c := good; change(&c); return c }
	for name, c := range map[string]x.Config{
		"mode":       with(func(c *x.Config) { c.Mode = "firehose" }),
		"query":      {},
		"users":      {Mode: "users"},
		"user name":  {Mode: "users", Users: []string{"jack!"}},
		"long name":  {Mode: "users", Users: []string{"@a_name_too_long_"}},
		"no name":    {Mode: "users", Users: []string{"@"}},
		"ids":        {Mode: "lookup"},
		"both ids":   {Mode: "compliance", IDs: []string{"1"}, IDsFile: "ids"},
		"subject":    {Mode: "compliance", IDs: []string{"1"}, Subject: "cats"},
		"no lake":    {Mode: "compliance", Of: "cats"},
		"no file":    {Mode: "lookup", IDsFile: "nowhere"},
		"rules":      {Mode: "stream"},
		"backfill":   {Mode: "stream", Rules: []x.Rule{{Value: "a"}}, Backfill: 6},
		"vocabulary": with(func(c *x.Config) { c.Vocabulary = "toot" }),
		"page":       with(func(c *x.Config) { c.PageSize = 101 }),
		"address":    with(func(c *x.Config) { c.Settings = api.Settings{BaseURL: "nowhere"} }),
	} {
		env := sourcetest.NewClock().Env(t, "x")
		env.Secrets = secrets("t")
		if _, err := x.Open(t.Context(), env, c); !errors.Is(err, feedlake.ErrConfig) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	env := sourcetest.NewClock().Env(t, "x")
	for name, s := range map[string]ingest.Decoder{"none": nil, "empty": secrets("")} {
		env.Secrets = s
		if _, err := x.Open(t.Context(), env, good); !errors.Is(err, feedlake.ErrConfig) {
			t.Errorf("credential %s: got %v", name, err)
		}
	}
	env.Secrets, env.Window = secrets("t"), feedlake.Window{Start: since}
	if _, err := x.Open(t.Context(), env, x.Config{Mode: "stream", Rules: []x.Rule{{Value: "a"}}}); !errors.Is(err, feedlake.ErrConfig) {
		t.Errorf("a window for the stream: got %v", err)
	}
}
