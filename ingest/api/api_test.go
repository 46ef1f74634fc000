package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// rig is a client and what it asks.
type rig struct {
	*api.Client
	now   time.Time
	slept []time.Duration
	meter *ingest.MemoryMeter
	said  strings.Builder
}

func newRig(t *testing.T, h http.HandlerFunc, change func(*api.Options)) *rig {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL + "/v1")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{now: noon}
	r.meter = ingest.NewMemoryMeter(func() time.Time { return r.now }, map[string]ingest.Budget{"me": {Day: ingest.Use{Posts: 100}}})
	o := api.Options{
		Base: base, HTTP: server.Client(), Platform: api.Platform{Name: "Platform"}, Credential: "me", Meter: r.meter, MaxWait: 15 * time.Minute,
		Now: func() time.Time { return r.now }, Log: slog.New(slog.NewTextHandler(&r.said, nil)),
		Sleep: func(_ context.Context, d time.Duration) error {
			r.slept = append(r.slept, d)
			r.now = r.now.Add(d)
			return nil
		},
	}
	if change != nil {
		change(&o)
	}
	r.Client = api.New(o)
	return r
}

func answer(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// TestStatus says what each status means for a run.
func TestStatus(t *testing.T) {
	for _, c := range []struct {
		status int
		kind   error // nil: another try may help
		header []string
		after  time.Duration
	}{
		{status: 400, kind: feedlake.ErrRejected},
		{status: 401, kind: feedlake.ErrConfig},
		{status: 403, kind: feedlake.ErrConfig},
		{status: 404, kind: feedlake.ErrNotFound},
		{status: 408},
		{status: 410, kind: feedlake.ErrNotFound},
		{status: 422, kind: feedlake.ErrRejected},
		{status: 429, header: []string{"Retry-After", "30"}, after: 30 * time.Second},
		{status: 429, header: []string{"Retry-After", noon.Add(time.Minute).Format(http.TimeFormat)}, after: time.Minute},
		{status: 500},
		{status: 503, header: []string{"Retry-After", "soon"}},
	} {
		r := newRig(t, answer(c.status, " why\n not ", c.header...), nil)
		_, err := r.Do(t.Context(), api.Call{Endpoint: "things", Path: "things", Posts: 10})
		var again *feedlake.RetryError
		switch retry := errors.As(err, &again); {
		case err == nil, retry != (c.kind == nil), !retry && !errors.Is(err, c.kind):
			t.Errorf("%d: got %v", c.status, err)
		case retry && again.After != c.after:
			t.Errorf("%d: again after %s, want %s", c.status, again.After, c.after)
		case !strings.Contains(err.Error(), "why not") || !strings.Contains(err.Error(), "Platform for things"):
			t.Errorf("%d: %q tells neither what was asked nor what was said", c.status, err)
		}
		if used := r.meter.Used("me", ingest.Day(noon)); used != (ingest.Use{Requests: 1}) {
			t.Errorf("%d: counted %+v, want a request and no post", c.status, used)
		}
	}
}

// TestBroken wants another try for what breaks on the way.
func TestBroken(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("half"))
		},
		"nothing": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		r := newRig(t, h, nil)
		_, err := r.Do(t.Context(), api.Call{Endpoint: "things", Path: "things", Query: url.Values{"token": {"s3cret"}}})
		if _, ok := errors.AsType[*feedlake.RetryError](err); !ok {
			t.Errorf("%s: got %v, want another try", name, err)
		}
		if strings.Contains(err.Error(), "s3cret") || strings.Contains(r.said.String(), "s3cret") {
			t.Errorf("%s: %v tells a secret", name, err)
		}
	}
}

// TestCancelled ends with the context's error.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := newRig(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() }, nil)
	if _, err := r.Do(ctx, api.Call{Endpoint: "things"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestLimit waits for a limit that an answer told, or gives up when that takes
// too long.
func TestLimit(t *testing.T) {
	limit := func(reset time.Duration) func(*api.Options) {
		return func(o *api.Options) {
			o.Platform.Limit = func(http.Header, time.Time) (ingest.Limit, bool) {
				return ingest.Limit{Remaining: 0, Reset: noon.Add(reset)}, true
			}
		}
	}
	r := newRig(t, answer(200, "{}"), limit(time.Minute))
	for range 2 {
		if _, err := r.Do(t.Context(), api.Call{Endpoint: "things"}); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.slept) != 1 || r.slept[0] != time.Minute {
		t.Errorf("slept %v, want a minute", r.slept)
	}
	r = newRig(t, answer(200, "{}"), limit(time.Hour))
	_, first := r.Do(t.Context(), api.Call{Endpoint: "things"})
	_, err := r.Do(t.Context(), api.Call{Endpoint: "things"})
	var l *ingest.LimitError
	if first != nil || !errors.As(err, &l) || !errors.Is(err, feedlake.ErrPartial) || !l.Until.Equal(noon.Add(time.Hour)) {
		t.Errorf("got %v, then %v, want the end until %s", first, err, noon.Add(time.Hour))
	}
}

// TestBudget is never exceeded by more than what an answer held beyond its page.
func TestBudget(t *testing.T) {
	r := newRig(t, answer(200, "{}"), nil)
	for i := range 4 {
		a, err := r.Do(t.Context(), api.Call{Endpoint: "things", Posts: 40})
		if over := errors.Is(err, feedlake.ErrPartial); over != (i == 3) {
			t.Fatalf("call %d: %v", i, err)
		}
		if err == nil {
			if err := a.Settle(t.Context(), 30); err != nil {
				t.Fatal(err)
			}
		}
	}
	if used := r.meter.Used("me", ingest.Month(noon)); used != (ingest.Use{Requests: 3, Posts: 90}) {
		t.Errorf("used %+v", used)
	}
}

// TestRenew makes a new token once.
func TestRenew(t *testing.T) {
	token, asked, renewed := "old", 0, 0
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.Header.Get("Authorization") != "Bearer new" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}, func(o *api.Options) {
		o.Sign = func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+token)
			return nil
		}
		o.Renew = func(context.Context) error { renewed++; token = "new"; return nil }
	})
	for range 2 {
		if _, err := r.Do(t.Context(), api.Call{Endpoint: "things", Posts: 40}); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 3 || renewed != 1 {
		t.Errorf("asked %d times and renewed %d times, want 3 and 1", asked, renewed)
	}
	if used := r.meter.Used("me", ingest.Day(noon)); used != (ingest.Use{Requests: 3, Posts: 80}) {
		t.Errorf("counted %+v, want 3 requests and 80 posts", used)
	}
}

// TestEvery keeps calls apart.
func TestEvery(t *testing.T) {
	r := newRig(t, answer(200, "{}"), func(o *api.Options) { o.Every = time.Second })
	for range 3 {
		if _, err := r.Do(t.Context(), api.Call{Endpoint: "things"}); err != nil {
			t.Fatal(err)
		}
	}
	if want := noon.Add(2 * time.Second); !r.now.Equal(want) {
		t.Errorf("three calls took until %s, want %s", r.now, want)
	}
}

// TestEchoedSecrets asks a server that repeats everything it was told: no secret
// gets into the error.
func TestEchoedSecrets(t *testing.T) {
	for _, c := range []struct {
		name string
		call api.Call
		sign func(*http.Request)
	}{
		{"bearer", api.Call{}, func(r *http.Request) { r.Header.Set("Authorization", "Bearer hush/hush") }},
		{"password", api.Call{}, func(r *http.Request) { r.SetBasicAuth("me", "hush/hush") }},
		{"form", api.Call{Method: http.MethodPost, Form: url.Values{"password": {"hush/hush"}}}, nil},
		{"JSON", api.Call{Method: http.MethodPost, JSON: []byte(`{"identifier":"me","password":"hush/hush"}`)}, nil},
		{"query", api.Call{Query: url.Values{"access_token": {"hush/hush"}}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			echo := func(w http.ResponseWriter, r *http.Request) {
				_, password, _ := r.BasicAuth()
				w.WriteHeader(http.StatusBadRequest)
				_ = r.ParseForm()
				_, _ = fmt.Fprintf(w, "%s %s %s %s %q", r.Header.Get("Authorization"), password, r.URL, r.Form, "hush/hush")
			}
			r := newRig(t, echo, func(o *api.Options) {
				o.Sign = func(_ context.Context, r *http.Request) error {
					if c.sign != nil {
						c.sign(r)
					}
					return nil
				}
			})
			_, err := r.Do(t.Context(), c.call)
			if err == nil || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), "***") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestStream reads a body while it comes, and refuses as whole answers are
// refused.
func TestStream(t *testing.T) {
	more := make(chan string)
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer good-token" {
			http.Error(w, "unknown "+r.Header.Get("Authorization"), http.StatusUnauthorized)
			return
		}
		for line := range more {
			_, _ = fmt.Fprintln(w, line)
			_ = http.NewResponseController(w).Flush()
		}
	}, func(o *api.Options) {
		o.Sign = func(ctx context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+ctx.Value(tokenKey{}).(string)) //nolint:errcheck,forcetypeassert // the test's own
			return nil
		}
	})
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), tokenKey{}, "good-token"))
	go func() { more <- "one" }()
	body, err := r.Stream(ctx, api.Call{Endpoint: "stream", Path: "stream"})
	if err != nil {
		t.Fatal(err)
	}
	cancel() // it bounds the beginning only
	lines := bufio.NewScanner(body)
	for _, want := range []string{"one", "two"} {
		if want == "two" {
			more <- want
		}
		if !lines.Scan() || lines.Text() != want {
			t.Errorf("got %q, %v, want %q", lines.Text(), lines.Err(), want)
		}
	}
	close(more)
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	_, err = r.Stream(context.WithValue(t.Context(), tokenKey{}, "hush-token"), api.Call{Endpoint: "stream", Path: "stream"})
	if !errors.Is(err, feedlake.ErrConfig) || strings.Contains(err.Error(), "hush") {
		t.Errorf("a wrong token: %v", err)
	}
}

type tokenKey struct{}

// TestJSON sends a body of JSON.
func TestJSON(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s %s", r.Method, r.Header.Get("Content-Type"), b)
	}, nil)
	a, err := r.Do(t.Context(), api.Call{Endpoint: "things", Method: http.MethodPost, Path: "things", JSON: []byte(`{"a":1}`)})
	if err != nil || string(a.Body) != `POST application/json {"a":1}` {
		t.Errorf("%s, %v", a.Body, err)
	}
}

// TestAhead tells how far another clock is ahead.
func TestAhead(t *testing.T) {
	for date, want := range map[string]time.Duration{
		"": 0, "nonsense": 0, noon.Format(http.TimeFormat): 0,
		noon.Add(time.Hour).Format(http.TimeFormat): time.Hour, noon.Add(-time.Minute).Format(http.TimeFormat): -time.Minute,
	} {
		if got := api.Ahead(http.Header{"Date": {date}}, noon.Add(300*time.Millisecond)); got != want {
			t.Errorf("%q: ahead %v, want %v", date, got, want)
		}
	}
}

// TestPatience ends a run in part where another try had to wait for longer than
// allowed, and where a rate limit outlasts all tries.
func TestPatience(t *testing.T) {
	var again *feedlake.RetryError
	var l *ingest.LimitError
	for _, status := range []int{429, 503} {
		r := newRig(t, answer(status, "slow down", "Retry-After", "90000"), nil)
		_, err := r.Do(t.Context(), api.Call{Endpoint: "things", Posts: 10})
		if errors.As(err, &again) || !errors.As(err, &l) || !l.Until.Equal(noon.Add(25*time.Hour)) || !errors.Is(err, feedlake.ErrPartial) {
			t.Errorf("%d: got %v", status, err)
		}
		if used := r.meter.Used("me", ingest.Day(noon)); used != (ingest.Use{Requests: 1}) {
			t.Errorf("%d: counted %+v", status, used)
		}
	}
	for status, partial := range map[int]bool{429: true, 503: false} {
		_, err := newRig(t, answer(status, "slow down"), nil).Do(t.Context(), api.Call{Endpoint: "things"})
		if !errors.As(err, &again) || errors.Is(err, feedlake.ErrPartial) != partial {
			t.Errorf("%d: got %v", status, err)
		}
	}
}

// TestKeyless hints at no credential where there is none.
func TestKeyless(t *testing.T) {
	sign := func(o *api.Options) { o.Sign = func(context.Context, *http.Request) error { return nil } }
	for name, change := range map[string]func(*api.Options){"the credential me": sign, "Platform refuses this address": nil} {
		_, err := newRig(t, answer(403, "no"), change).Do(t.Context(), api.Call{Endpoint: "things"})
		h, ok := errors.AsType[*feedlake.HintError](err)
		if !ok || !errors.Is(err, feedlake.ErrConfig) || !strings.Contains(h.Hint, name) {
			t.Errorf("got %v with %+v, want %q", err, h, name)
		}
	}
}

// TestRest leaves an endpoint alone for as long as an answer asked, also when the
// next call knows nothing of that answer; a wait beyond MaxWait ends the run in
// part, with no further request.
func TestRest(t *testing.T) {
	for _, c := range []struct {
		after string
		slept []time.Duration
		asked int
		part  bool
	}{
		{after: "30", slept: []time.Duration{30 * time.Second}, asked: 2},
		{after: "7200", asked: 1, part: true},
		{after: "0", asked: 2},
	} {
		asked := 0
		r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
			if asked++; asked == 1 {
				answer(503, "busy", "Retry-After", c.after)(w, q)
			}
		}, nil)
		_, first := r.Do(t.Context(), api.Call{Endpoint: "things"})
		_, second := r.Do(t.Context(), api.Call{Endpoint: "things"})
		_, retry := errors.AsType[*feedlake.RetryError](first)
		if retry == c.part || errors.Is(first, feedlake.ErrPartial) != c.part || errors.Is(second, feedlake.ErrPartial) != c.part || !c.part && second != nil {
			t.Errorf("%s: %v, then %v", c.after, first, second)
		}
		if asked != c.asked || !slices.Equal(r.slept, c.slept) {
			t.Errorf("%s: asked %d times, slept %v, want %d and %v", c.after, asked, r.slept, c.asked, c.slept)
		}
		if _, err := r.Do(t.Context(), api.Call{Endpoint: "others"}); err != nil {
			t.Errorf("%s: another endpoint: %v", c.after, err)
		}
	}
}
