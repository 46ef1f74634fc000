package bluesky_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/bluesky"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// drain reads a source to its end, trying again where it may.
func drain(t *testing.T, src ingest.Source, clock *sourcetest.Clock) (posts []feedlake.Post, rejects []feedlake.Reject, err error) {
	t.Helper()
	at := feedlake.Cursor("")
	for range 500 {
		p, err := src.Fetch(t.Context(), at)
		if again, ok := errors.AsType[*feedlake.RetryError](err); ok {
			if err := clock.Sleep(t.Context(), max(again.After, time.Second)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err != nil {
			return posts, rejects, err
		}
		posts, rejects, at = append(posts, p.Posts...), append(rejects, p.Rejects...), p.Next
		if p.Done {
			return posts, rejects, nil
		}
	}
	t.Fatal("no end")
	return nil, nil, nil
}

// failingOn answers 500 whenever an answer would hold something.
func failingOn(bad func(body string) bool) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			if bad(rec.Body.String()) {
				http.Error(w, `{"error":"InternalServerError","message":"Internal Server Error"}`, http.StatusInternalServerError)
				return
			}
			maps.Copy(w.Header(), rec.Header())
			w.WriteHeader(rec.Code)
			_, _ = w.Write(rec.Body.Bytes())
		})
	}
}

func TestBadPost(t *testing.T) {
	clock := sourcetest.NewClock()
	s, err := server(nil, clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	live := s.Live()
	for name, bad := range map[string]int{"newest": len(live) - 1, "within": len(live) - 37, "last of a page": len(live) - 100, "oldest": 0} {
		t.Run(name, func(t *testing.T) {
			clock := sourcetest.NewClock()
			url := serving(t, nil, clock.Now, failingOn(func(body string) bool { return strings.Contains(body, `"uri":"`+live[bad]+`","viewer"`) }))
			posts, rejects, err := drain(t, open(t, clock.Env(t, "source"), bluesky.Config{Query: "*", Since: since}, url), clock)
			if err != nil || len(posts) != len(live)-1 {
				t.Errorf("%d posts, error %v; want %d", len(posts), err, len(live)-1)
			}
			if len(rejects) == 0 || rejects[0].Reason != "the server fails to answer with this post" {
				t.Errorf("rejects %v", sourcetest.Reasons(rejects))
			}
		})
	}
}

// TestOutage: a server that fails on everything has no bad post.
func TestOutage(t *testing.T) {
	clock := sourcetest.NewClock()
	url := serving(t, nil, clock.Now, failingOn(func(body string) bool { return strings.Contains(body, `"posts"`) }))
	src := open(t, clock.Env(t, "source"), bluesky.Config{Query: "*", Since: since}, url)
	for range 6 {
		p, err := src.Fetch(t.Context(), "")
		if _, ok := errors.AsType[*feedlake.RetryError](err); !ok || len(p.Rejects) > 0 {
			t.Fatalf("%d rejects, error %v", len(p.Rejects), err)
		}
	}
}

// TestSessions counts sign-ins: sources of one registry share one.
func TestSessions(t *testing.T) {
	clock := sourcetest.NewClock()
	var signIns, refreshes atomic.Int64
	url := serving(t, []serve.Fault{serve.Expire}, clock.Now, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "createSession") {
				signIns.Add(1)
			}
			if strings.HasSuffix(r.URL.Path, "refreshSession") {
				refreshes.Add(1)
			}
			h.ServeHTTP(w, r)
		})
	})
	r := ingest.Registry{}
	bluesky.Register(r)
	for range 5 {
		env := clock.Env(t, "source")
		env.Secrets = keys("app-password")
		src, err := r.Open(t.Context(), bluesky.Kind, env, func(v any) error {
			c, ok := v.(*bluesky.Config)
			if !ok {
				return fmt.Errorf("configuration for %T", v)
			}
			c.Query, c.Since, c.BaseURL = "*", since, url
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := drain(t, src, clock); err != nil {
			t.Fatal(err)
		}
	}
	if signIns.Load() != 1 || refreshes.Load() == 0 {
		t.Errorf("%d sign-ins and %d refreshes, want 1 and some", signIns.Load(), refreshes.Load())
	}
}

func TestWrongPassword(t *testing.T) {
	clock := sourcetest.NewClock()
	env := clock.Env(t, "source")
	env.Secrets = keys("wrong")
	src := open(t, env, bluesky.Config{Query: "*"}, serving(t, nil, clock.Now))
	_, err := src.Fetch(t.Context(), "")
	wants(t, err, feedlake.ErrConfig)
	p, ok := src.(ingest.Prober)
	if !ok {
		t.Fatal("not a Prober")
	}
	f := p.Probe(t.Context())
	if len(f) != 1 || f[0].OK || f[0].Hint == "" {
		t.Errorf("findings %+v", f)
	}
	if shown := fmt.Sprintf("%v %+v %s", err, f, bluesky.Secrets{AppPassword: "hunter2"}); strings.Contains(shown, "hunter2") || strings.Contains(shown, "password\":\"wrong") {
		t.Errorf("a secret shows in %s", shown)
	}
}

// TestWindow: a backfill reads exactly the posts created in its window.
func TestWindow(t *testing.T) {
	for name, c := range configs(t) {
		t.Run(name, func(t *testing.T) {
			clock := sourcetest.NewClock()
			url := serving(t, nil, clock.Now)
			all, _, err := drain(t, open(t, clock.Env(t, "source"), c, url), clock)
			if err != nil {
				t.Fatal(err)
			}
			w := feedlake.Window{Start: time.Date(2026, 2, 28, 6, 0, 0, 0, time.UTC), End: time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)}
			want := map[string]bool{}
			for _, p := range all {
				if w.Contains(p.CreatedAt) && !p.Deleted {
					want[p.ID] = true
				}
			}
			env := clock.Env(t, "source")
			env.Window = w
			src := open(t, env, c, url)
			got, _, err := drain(t, src, clock)
			if err != nil {
				t.Fatal(err)
			}
			have := map[string]bool{}
			for _, p := range got {
				have[p.ID] = true
				if !w.Contains(p.CreatedAt) {
					t.Errorf("%s was created %s", p.ID, p.CreatedAt)
				}
			}
			if len(want) == 0 || len(have) != len(want) {
				t.Errorf("%d posts, want %d", len(have), len(want))
			}
			if e, ok := src.(ingest.Estimator); ok {
				if est, err := e.Estimate(t.Context(), w); err != nil || est.Unknown == "" && (est.Posts != int64(len(want)) || est.Requests == 0) || (est.Unknown != "") != (c.Mode == "jetstream") {
					t.Errorf("estimate %+v, error %v, want %d posts", est, err, len(want))
				}
			}
			p, ok := src.(ingest.Prober)
			if !ok {
				t.Fatal("not a Prober")
			}
			for _, f := range p.Probe(t.Context()) {
				if !f.OK {
					t.Errorf("finding %+v", f)
				}
			}
		})
	}
}
