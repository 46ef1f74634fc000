package reddit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/reddit"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// site is a simulated Reddit that counts what is asked.
type site struct {
	*serve.Server
	clock         *sourcetest.Clock
	url           string
	tokens, calls atomic.Int64
	log           bytes.Buffer
	before        func(http.ResponseWriter, *http.Request) bool // answers instead; may be nil
}

func newSite(t *testing.T, posts int64) *site {
	t.Helper()
	s := &site{clock: sourcetest.NewClock()}
	var err error
	if s.Server, err = serve.New("reddit", serve.Options{Seed: 7, Posts: posts, Days: 5, Now: s.clock.Now}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/access_token") {
			s.tokens.Add(1)
		} else {
			s.calls.Add(1)
			if r.URL.Query().Get("raw_json") != "1" || r.UserAgent() != agent {
				t.Errorf("asked %s as %q", r.URL, r.UserAgent())
			}
		}
		if s.before == nil || !s.before(w, r) {
			s.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *site) env(t *testing.T) ingest.Env {
	env := s.clock.Env(t, "source")
	env.Log = slog.New(slog.NewTextHandler(&s.log, nil))
	return env
}

// TestWholeWall reads listings of more than 1000 items, inside the wall and round it.
func TestWholeWall(t *testing.T) {
	for _, tt := range []struct {
		config reddit.Config
		posts  int64
		reads  func(string) bool
		round  int // how many come at least by going round
	}{
		{reddit.Config{Subreddits: []string{"all"}, Since: time.Date(2026, 2, 26, 8, 0, 0, 0, time.UTC)}, 3500, isPost, 1300}, // 100 hours
		{reddit.Config{Mode: "search", Query: "subreddit:simnews"}, 4500, inNews(t, 4500), 1100},
		{reddit.Config{Mode: "comments", Subreddits: []string{"all"}}, 7500, isComment, 1000}, // has no other order
	} {
		t.Run(tt.config.Mode, func(t *testing.T) {
			s := newSite(t, tt.posts)
			live := map[string]bool{}
			for _, id := range only(s.Live(), tt.reads) {
				live[id] = true
			}
			for _, stay := range []bool{true, false} {
				s.log.Reset()
				c := with(tt.config, func(c *reddit.Config) { c.Since, c.StayInside = latest(c.Since, since()), stay })
				posts, bad, end := sourcetest.Drain(t, open(t, s.env(t), s.url, c), "")
				came := map[string]bool{}
				for _, p := range posts {
					if came[p.ID] || !live[p.ID] || p.CreatedAt.Before(c.Since) {
						t.Fatalf("%s came twice, is not there, or was not asked for", p.ID)
					}
					came[p.ID] = true
				}
				if len(bad) > 0 || len(end) > 40_000 || !strings.Contains(s.log.String(), "cannot be had in full") {
					t.Errorf("rejects %v, cursor of %d bytes, log %s", bad, len(end), s.log.String())
				}
				if stay && len(posts) != 1000 || !stay && len(posts) < tt.round || len(live) <= len(posts) {
					t.Errorf("stay %v: %d of %d posts", stay, len(posts), len(live))
				}
			}
		})
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// TestWindow wants the posts of a window, once, and nothing else.
func TestWindow(t *testing.T) {
	s := newSite(t, 900)
	w := feedlake.Window{Start: s.clock.Now().Add(-60 * time.Hour), End: s.clock.Now().Add(-36 * time.Hour)}
	for _, c := range []reddit.Config{
		{Subreddits: []string{"all"}},
		{Mode: "comments", Subreddits: subs},
		{Mode: "search", Query: "subreddit:simnews", Subreddits: []string{"simnews"}},
		{Mode: "top", Subreddits: []string{"all"}, Periods: []string{"week"}},
	} {
		t.Run(c.Mode, func(t *testing.T) {
			everything, _, _ := sourcetest.Drain(t, open(t, s.env(t), s.url, with(c, func(c *reddit.Config) { c.Since, c.Periods = since(), []string{"all"} })), "")
			env := s.env(t)
			env.Window = w
			src := open(t, env, s.url, c)
			posts, _, end := sourcetest.Drain(t, src, "")
			want := []string{}
			for _, p := range everything {
				if w.Contains(p.CreatedAt) {
					want = append(want, p.ID)
				}
			}
			if d := cmp.Diff(sorted(want), sorted(ids(posts))); d != "" || len(want) == 0 {
				t.Error(d)
			}
			calls := s.calls.Load()
			if p, err := src.Fetch(t.Context(), end); err != nil || !p.Done || len(p.Posts) > 0 || s.calls.Load() != calls {
				t.Errorf("a backfill at its end asks again: %v %v", p, err)
			}
		})
	}
}

func with(c reddit.Config, change func(*reddit.Config)) reddit.Config {
	change(&c)
	return c
}

func ids(posts []feedlake.Post) []string {
	out := []string{}
	for _, p := range posts {
		out = append(out, p.ID)
	}
	return out
}

func sorted(s []string) []string { slices.Sort(s); return s }

// TestRefusals wants each refusal named, and known for what it is.
func TestRefusals(t *testing.T) {
	answer := func(status int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/access_token") {
				return false
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return true
		}
	}
	for _, tt := range []struct {
		name, sub string
		before    func(http.ResponseWriter, *http.Request) bool
		is        error // nil: worth another try
		says      string
	}{
		{"private", "simprivate", nil, feedlake.ErrConfig, "r/simprivate/new: the subreddit is private"},
		{"quarantined", "simquarantined", nil, feedlake.ErrConfig, "r/simquarantined/new: the subreddit is quarantined"},
		{"banned", "simbanned", nil, feedlake.ErrNotFound, "r/simbanned/new: the subreddit is banned"},
		{"unknown", "simnothing", nil, feedlake.ErrNotFound, "r/simnothing/new: there is no such subreddit"},
		{"search for subreddits", "simnews", answer(200, `{"kind":"Listing","data":{"children":[{"kind":"t5","data":{"name":"t5_x"}}]}}`), feedlake.ErrNotFound, "there is no such subreddit"},
		{"forbidden", "simnews", answer(403, `{"message":"Forbidden","error":403}`), feedlake.ErrConfig, "answer 403"},
		{"HTML", "simnews", answer(502, "<html>Ow!</html>"), nil, "answer 502"},
		{"HTML that says it is fine", "simnews", answer(200, "<html>down</html>"), nil, "broken JSON"},
		{"too many", "simnews", answer(429, ""), nil, "answer 429"},
		{"elsewhere", "simnews", answer(302, ""), feedlake.ErrRejected, "sent elsewhere"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, 100)
			s.before = tt.before
			_, err := open(t, s.env(t), s.url, reddit.Config{Subreddits: []string{tt.sub}}).Fetch(t.Context(), "")
			var again *feedlake.RetryError
			if err == nil || !strings.Contains(err.Error(), tt.says) || (tt.is == nil) != errors.As(err, &again) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("got %v, want %v of kind %v", err, tt.says, tt.is)
			}
			if _, ok := errors.AsType[*feedlake.HintError](err); tt.is != nil && tt.name != "elsewhere" && !ok {
				t.Errorf("no hint for %v", err)
			}
		})
	}
}

// TestToken gets tokens in both ways, keeps them, and renews one that is refused.
func TestToken(t *testing.T) {
	const secret = "wrong-sesame"
	for _, tt := range []struct {
		name string
		keys ingest.Decoder
		says string
	}{
		{"app", app(), ""},
		{"script", script(), ""},
		{"wrong secret", keys(reddit.Keys{ClientID: "simulated-id", ClientSecret: secret}), "client_id or client_secret are refused"},
		{"wrong password", keys(reddit.Keys{ClientID: "simulated-id", ClientSecret: "simulated-secret", Username: "u", Password: secret}), `no token is given: "invalid_grant"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, 900)
			env := s.env(t)
			env.Secrets = tt.keys
			src := open(t, env, s.url, reddit.Config{Subreddits: subs, Since: since()})
			if tt.says != "" {
				_, err := src.Fetch(t.Context(), "")
				if !errors.Is(err, feedlake.ErrConfig) || !strings.Contains(fmt.Sprint(err), tt.says) || strings.Contains(fmt.Sprint(err)+s.log.String(), secret) {
					t.Errorf("got %v, want %s", err, tt.says)
				}
				return
			}
			_, _, end := sourcetest.Drain(t, src, "")
			if s.tokens.Load() != 1 || s.calls.Load() < 6 {
				t.Errorf("%d tokens for %d calls", s.tokens.Load(), s.calls.Load())
			}
			if err := s.clock.Sleep(t.Context(), 2*time.Hour); err != nil {
				t.Fatal(err)
			}
			calls := s.calls.Load()
			if _, err := src.Fetch(t.Context(), end); err != nil || s.tokens.Load() != 2 || s.calls.Load() != calls+int64(len(subs)) {
				t.Errorf("%d tokens after the first expired, %d calls: %v", s.tokens.Load(), s.calls.Load()-calls, err)
			}
			refused := false
			s.before = func(w http.ResponseWriter, r *http.Request) bool {
				if refused || strings.HasSuffix(r.URL.Path, "/access_token") {
					return false
				}
				refused = true
				w.WriteHeader(http.StatusUnauthorized)
				return true
			}
			if _, err := src.Fetch(t.Context(), end); err != nil || s.tokens.Load() != 3 {
				t.Errorf("%d tokens after one was refused: %v", s.tokens.Load(), err)
			}
		})
	}
}

// TestOpen wants a hint for each mistake.
func TestOpen(t *testing.T) {
	good := reddit.Config{Subreddits: []string{"golang"}, UserAgent: agent}
	for name, change := range map[string]func(*reddit.Config, *ingest.Env){
		"mode":          func(c *reddit.Config, _ *ingest.Env) { c.Mode = "hot" },
		"no subreddit":  func(c *reddit.Config, _ *ingest.Env) { c.Subreddits = nil },
		"subreddit":     func(c *reddit.Config, _ *ingest.Env) { c.Subreddits = []string{"r/golang"} },
		"no query":      func(c *reddit.Config, _ *ingest.Env) { c.Mode = "search" },
		"no submission": func(c *reddit.Config, _ *ingest.Env) { c.Mode = "tree" },
		"submission":    func(c *reddit.Config, _ *ingest.Env) { c.Mode, c.Submissions = "tree", []string{"https://x"} },
		"period":        func(c *reddit.Config, _ *ingest.Env) { c.Mode, c.Periods = "top", []string{"decade"} },
		"user agent":    func(c *reddit.Config, _ *ingest.Env) { c.UserAgent = "curl/8" },
		"no user agent": func(c *reddit.Config, _ *ingest.Env) { c.UserAgent = "" },
		"base":          func(c *reddit.Config, _ *ingest.Env) { c.BaseURL = "nowhere" },
		"token url":     func(c *reddit.Config, _ *ingest.Env) { c.TokenURL = "nowhere" },
		"no keys":       func(_ *reddit.Config, e *ingest.Env) { e.Secrets = nil },
		"half a script": func(_ *reddit.Config, e *ingest.Env) {
			e.Secrets = keys(reddit.Keys{ClientID: "a", ClientSecret: "b", Username: "c"})
		},
	} {
		c, env := good, sourcetest.NewClock().Env(t, "source")
		env.Secrets = app()
		change(&c, &env)
		_, err := reddit.Open(t.Context(), env, c)
		if _, ok := errors.AsType[*feedlake.HintError](err); !ok || !errors.Is(err, feedlake.ErrConfig) {
			t.Errorf("%s: got %v, want a hint", name, err)
		}
	}
	env := sourcetest.NewClock().Env(t, "source")
	env.Secrets = app()
	r := ingest.Registry{}
	reddit.Register(r)
	if _, err := r.Open(t.Context(), reddit.Kind, env, func(v any) error { *v.(*reddit.Config) = good; return nil }); err != nil { //nolint:errcheck // its own type
		t.Error(err)
	}
}

// TestProbe looks at feeds that can and cannot be read.
func TestProbe(t *testing.T) {
	s := newSite(t, 300)
	probe := func(k ingest.Decoder) []string {
		env := s.env(t)
		env.Secrets = k
		var out []string
		for _, f := range open(t, env, s.url, reddit.Config{Subreddits: []string{"simnews", "simprivate"}}).(ingest.Prober).Probe(t.Context()) { //nolint:errcheck // it is one
			out = append(out, fmt.Sprintf("%s %v hint %v", f.What, f.OK, f.Hint != ""))
		}
		return out
	}
	if d := cmp.Diff([]string{"token true hint false", "r/simnews/new true hint false", "r/simprivate/new false hint true"}, probe(app())); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"token false hint true"}, probe(keys(reddit.Keys{ClientID: "wrong", ClientSecret: "wrong"}))); d != "" {
		t.Error(d)
	}
}

// TestEstimate wants posts that fit, and a word on what cannot be known.
func TestEstimate(t *testing.T) {
	s := newSite(t, 3500)
	now := s.clock.Now()
	day := feedlake.Window{Start: now.AddDate(0, 0, -1), End: now}
	for _, tt := range []struct {
		name     string
		c        reddit.Config
		w        feedlake.Window
		from, to int64
		unknown  bool
	}{
		{"a day", reddit.Config{Subreddits: []string{"all"}}, day, 200, 1000, false},
		{"everything", reddit.Config{Subreddits: []string{"all"}}, feedlake.Window{Start: now.AddDate(0, 0, -5), End: now}, 0, 0, true},
		{"everything that is listed", reddit.Config{Subreddits: []string{"all"}, StayInside: true}, feedlake.Window{Start: now.AddDate(0, 0, -5), End: now}, 700, 1000, false},
		{"two subreddits", reddit.Config{Subreddits: subs[:2]}, day, 150, 700, false},
		{"top", reddit.Config{Mode: "top", Subreddits: []string{"all"}}, day, 0, 0, true},
		{"tree", reddit.Config{Mode: "tree", Submissions: only(s.Live(), isPost)[:1]}, feedlake.Window{}, 0, 0, true},
		{"future", reddit.Config{Subreddits: []string{"all"}}, feedlake.Window{Start: now.Add(time.Hour)}, 0, 100, false},
	} {
		e, err := open(t, s.env(t), s.url, tt.c).(ingest.Estimator).Estimate(t.Context(), tt.w) //nolint:errcheck // it is one
		if err != nil || e.Posts < tt.from || e.Posts > tt.to || tt.unknown != (e.Unknown != "") || !tt.unknown && (e.Requests < 1 || e.Requests > 40 || !e.Exact || e.Note == "") {
			t.Errorf("%s: %+v, %v", tt.name, e, err)
		}
	}
}

// TestCovered tells no more of a window than was read, inside the wall and round
// it, of one feed and of several.
func TestCovered(t *testing.T) {
	s := newSite(t, 3500)
	for name, c := range map[string]reddit.Config{
		"inside": {Subreddits: []string{"all"}, StayInside: true}, "round": {Subreddits: []string{"all"}}, "two": {Subreddits: subs[:2]}, "comments": {Mode: "comments", Subreddits: []string{"all"}},
	} {
		t.Run(name, func(t *testing.T) {
			env := s.env(t)
			env.Window = feedlake.Window{Start: s.clock.Now().Add(-30 * time.Hour), End: s.clock.Now().Add(-2 * time.Hour)}
			sourcetest.Covered(t, s.clock, func() ingest.Source { return open(t, env, s.url, c) }, 1)
		})
	}
}

// TestEstimateCircle: a listing that never ends is no estimate, and no endless look.
func TestEstimateCircle(t *testing.T) {
	for name, next := range map[string]func(n int64) int64{"the same": func(int64) int64 { return 1 }, "three": func(n int64) int64 { return n % 3 }} {
		s := newSite(t, 10)
		s.before = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				_, _ = fmt.Fprintf(w, `{"kind":"Listing","data":{"after":"t3_%d","children":[]}}`, next(s.calls.Load()))
			}
			return r.Method != http.MethodPost
		}
		_, err := open(t, s.env(t), s.url, reddit.Config{Subreddits: []string{"all"}}).(ingest.Estimator).Estimate(t.Context(), feedlake.Window{Start: since()}) //nolint:errcheck // it is one
		if _, again := errors.AsType[*feedlake.RetryError](err); !again || s.calls.Load() > 30 {
			t.Errorf("%s: asked %d times: %v", name, s.calls.Load(), err)
		}
	}
}

// TestRejects wants a reject once, not with every pass.
func TestRejects(t *testing.T) {
	s := newSite(t, 100)
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			return false
		}
		_, _ = w.Write([]byte(`{"kind":"Listing","data":{"after":null,"children":[{"kind":"t3","data":{"name":"t3_a","title":"no time"}}]}}`))
		return true
	}
	src := open(t, s.env(t), s.url, reddit.Config{Subreddits: subs})
	_, bad, end := sourcetest.Drain(t, src, "")
	_, again, _ := sourcetest.Drain(t, src, end)
	if len(bad) != 3 || len(again) != 0 || bad[0].Position != "r/simnews/new, item 1" {
		t.Errorf("%v, then %v", sourcetest.Reasons(bad), sourcetest.Reasons(again))
	}
}

// TestBudget counts what was used, also when nothing comes.
func TestBudget(t *testing.T) {
	s := newSite(t, 300)
	env := s.env(t)
	meter := &spy{Meter: env.Meter}
	env.Meter = meter
	posts, _, _ := sourcetest.Drain(t, open(t, env, s.url, reddit.Config{Subreddits: []string{"all"}, Since: since()}), "")
	if meter.use.Posts != int64(len(posts)) || meter.use.Requests != s.calls.Load()+s.tokens.Load() {
		t.Errorf("counted %+v for %d posts, %d calls, %d tokens", meter.use, len(posts), s.calls.Load(), s.tokens.Load())
	}
}

type spy struct {
	ingest.Meter
	use ingest.Use
}

func (m *spy) Reserve(ctx context.Context, at time.Time, credential, endpoint string, u ingest.Use) (time.Time, error) {
	until, err := m.Meter.Reserve(ctx, at, credential, endpoint, u)
	if err == nil && until.IsZero() {
		m.use = m.use.Plus(u)
	}
	return until, err
}

func (m *spy) Settle(ctx context.Context, at time.Time, credential string, u ingest.Use) error {
	m.use = m.use.Plus(u)
	return m.Meter.Settle(ctx, at, credential, u)
}
