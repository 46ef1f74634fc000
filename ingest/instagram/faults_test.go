package instagram_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/instagram"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

func bad() api.Settings { return api.Settings{BaseURL: "graph.example"} }

const token = "EAAB-very+secret/token"

// graph is a Graph API that a test writes: it knows the account 1 and the
// hashtag 2.
type graph struct {
	t     *testing.T
	media http.HandlerFunc
	node  http.HandlerFunc // the account; good when nil
	asked []string
}

func (g *graph) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.asked = append(g.asked, r.URL.Path)
	if r.Header.Get("Authorization") != "Bearer "+token {
		g.t.Errorf("no token in the header of %s", r.URL.Path)
	}
	switch {
	case r.URL.Path == "/v25.0/ig_hashtag_search":
		_, _ = w.Write([]byte(`{"data":[{"id":"2"}]}`))
	case strings.HasSuffix(r.URL.Path, "/recently_searched_hashtags"):
		_, _ = w.Write([]byte(`{"data":[]}`))
	case r.URL.Path == "/v25.0/1" && g.node != nil:
		g.node(w, r)
	case r.URL.Path == "/v25.0/1":
		_, _ = w.Write([]byte(`{"id":"1"}`))
	default:
		g.media(w, r)
	}
}

// source opens a source of hashtag 2; said collects what it logs.
func (g *graph) source(clock *sourcetest.Clock, said *strings.Builder) ingest.Source {
	g.t.Helper()
	server := httptest.NewServer(g)
	g.t.Cleanup(server.Close)
	env := clock.Env(g.t, "source")
	env.Secrets, env.Log = secret(token), slog.New(slog.NewTextHandler(said, nil))
	src, err := instagram.Open(g.t.Context(), env, instagram.Config{Settings: api.Settings{BaseURL: server.URL + "/v25.0"}, UserID: "1", Hashtags: []string{"a"}})
	if err != nil {
		g.t.Fatal(err)
	}
	return src
}

// answer is an error of the Graph API; header is a pair of key and value.
func answer(status, code, sub int, message string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"error":{"message":%q,"type":"OAuthException","code":%d,"error_subcode":%d,"fbtrace_id":"A"}}`, message, code, sub)
	}
}

const (
	app = "X-App-Usage"
	buc = "X-Business-Use-Case-Usage"
)

// TestFaults reads the platform's errors. No message and no log holds the token,
// also when the platform repeats it.
func TestFaults(t *testing.T) {
	missing := "Unsupported get request. Object with ID '2' does not exist"
	for name, c := range map[string]struct {
		media, node http.HandlerFunc
		kind        error         // nil: another try
		after       time.Duration // of the try
	}{
		"application":       {media: answer(403, 4, 0, "limit"), after: time.Minute},
		"user":              {media: answer(400, 17, 0, "limit"), after: time.Minute},
		"page":              {media: answer(400, 32, 0, "limit"), after: time.Minute},
		"custom":            {media: answer(400, 613, 0, "limit"), after: time.Minute},
		"instagram":         {media: answer(400, 80002, 0, "limit", buc, `{"1":[{"type":"instagram","call_count":100,"estimated_time_to_regain_access":7}]}`), after: 7 * time.Minute},
		"too long":          {media: answer(400, 80002, 0, "limit", buc, `{"1":[{"call_count":100,"estimated_time_to_regain_access":61}]}`), kind: feedlake.ErrPartial},
		"in disguise, app":  {media: answer(400, 100, 33, missing, app, `{"call_count":91,"total_time":5,"total_cputime":5}`), after: time.Minute},
		"in disguise, time": {media: answer(400, 100, 33, missing, buc, `{"1":[{"call_count":3,"estimated_time_to_regain_access":2}]}`), after: 2 * time.Minute},
		"in disguise, account too": {
			media: answer(400, 100, 33, missing, app, `{"call_count":12}`), node: answer(400, 100, 33, missing), after: time.Minute,
		},
		"truly missing": {media: answer(400, 100, 33, missing), kind: feedlake.ErrPartial},
		"expired":       {media: answer(400, 190, 463, "Error validating access token"), kind: feedlake.ErrConfig},
		"malformed":     {media: answer(401, 190, 0, "Malformed access token "+token), kind: feedlake.ErrConfig},
		"permission":    {media: answer(403, 10, 0, "Application does not have permission"), kind: feedlake.ErrConfig},
		"unknown":       {media: answer(500, 1, 99, "An unknown error occurred")},
		"html": {media: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write([]byte("<p>" + token))
		}},
		"error in 200": {media: answer(200, 190, 0, "expired"), kind: feedlake.ErrConfig},
		"no list":      {media: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"token":"` + token + `"}`)) }},
		"parameter":    {media: answer(400, 100, 0, "Invalid parameter"), kind: feedlake.ErrPartial},
	} {
		t.Run(name, func(t *testing.T) {
			var said strings.Builder
			clock := sourcetest.NewClock()
			src := (&graph{t: t, media: c.media, node: c.node}).source(clock, &said)
			_, _, err := drain(t, src, "")
			var again *feedlake.RetryError
			switch retry := errors.As(err, &again); {
			case err == nil:
				t.Error("no error: taken for no data")
			case c.kind == nil && (!retry || again.After != c.after), c.kind != nil && (retry || !errors.Is(err, c.kind)):
				t.Errorf("got %v (%+v)", err, again)
			case strings.Contains(err.Error(), token) || strings.Contains(said.String(), token):
				t.Errorf("%v tells the token", err)
			}
			var hint *feedlake.HintError
			if c.kind == feedlake.ErrConfig && (!errors.As(err, &hint) || strings.Contains(hint.Hint, token)) { //nolint:errorlint // a value of the table
				t.Errorf("%v has no hint", err)
			}
		})
	}
}

// TestUnreachable tells no token either.
func TestUnreachable(t *testing.T) {
	var said strings.Builder
	src := (&graph{t: t, media: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }}).source(sourcetest.NewClock(), &said)
	_, _, err := drain(t, src, "")
	var again *feedlake.RetryError
	if !errors.As(err, &again) || strings.Contains(err.Error(), token) {
		t.Errorf("got %v", err)
	}
}

// TestPace slows down by the shares that are used up, and rests when there is
// next to nothing left.
func TestPace(t *testing.T) {
	for _, c := range []struct {
		header, value string
		least, most   time.Duration // that 20 answers take
	}{
		{app, "", 0, 0},
		{app, "not JSON", 0, 0},
		{app, `{"call_count":74,"total_time":1,"total_cputime":2}`, 0, 0},
		{app, `{"call_count":1,"total_time":80,"total_cputime":2}`, time.Minute, 3 * time.Minute},
		{app, `{"call_count":91}`, 19 * 5 * time.Minute, 20 * 5 * time.Minute},
		{buc, `{"1":[{"type":"instagram","call_count":50,"estimated_time_to_regain_access":3}]}`, 19 * 3 * time.Minute, 20 * 3 * time.Minute},
	} {
		var said strings.Builder
		clock := sourcetest.NewClock()
		n := 0
		g := &graph{t: t, media: func(w http.ResponseWriter, _ *http.Request) {
			n++
			w.Header().Set(c.header, c.value)
			_, _ = w.Write(listing(n, 20, strconv.Itoa(n)))
		}}
		begin := clock.Now()
		ids, _, err := drain(t, g.source(clock, &said), "")
		if took := clock.Now().Sub(begin); err != nil || len(ids) != 20 || took < c.least || took > c.most {
			t.Errorf("%s %s: %d posts in %s, %v", c.header, c.value, len(ids), took, err)
		}
	}
}

// listing is page n of last, with one media.
func listing(n, last int, link string) []byte {
	p := map[string]any{"data": []any{map[string]any{
		"id": strconv.Itoa(1000 + n), "timestamp": sourcetest.NewClock().Now().Add(-time.Duration(n) * time.Minute).Format("2006-01-02T15:04:05-0700"),
	}}}
	if n < last {
		p["paging"] = map[string]any{"cursors": map[string]any{"after": link}, "next": "https://graph.example/v25.0/2/recent_media?access_token=" + token + "&after=" + link}
	}
	b, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	return b
}

// TestSameLink follows a link that is the same on every page while the platform
// moves on, also when another process takes over or an answer is lost: each media
// comes once.
func TestSameLink(t *testing.T) {
	const pages = 6
	for _, lose := range []int{0, 3, 8} {
		for _, restart := range []int{0, 2, 4} {
			at, n := 0, 0
			g := &graph{t: t, media: func(w http.ResponseWriter, r *http.Request) {
				n++
				if at++; r.URL.Query().Get("after") == "" {
					at = 1
				}
				if n == lose { // the platform has moved on, and the answer comes in half
					w.Header().Set("Content-Length", "1000")
					_, _ = w.Write([]byte(`{"data":[`))
					_ = http.NewResponseController(w).Flush() // else the transport asks again by itself
					panic(http.ErrAbortHandler)
				}
				_, _ = w.Write(listing(min(at, pages), pages, "QVFIsame"))
			}}
			var said strings.Builder
			clock := sourcetest.NewClock()
			src := g.source(clock, &said)
			var ids []string
			var c feedlake.Cursor
			for fetch := 1; ; fetch++ {
				if fetch > 50 {
					t.Fatal("no end")
				}
				if restart > 0 && fetch%restart == 0 {
					src = g.source(clock, &said)
				}
				p, err := src.Fetch(t.Context(), c)
				if _, again := errors.AsType[*feedlake.RetryError](err); again {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, post := range p.Posts {
					ids = append(ids, post.ID)
				}
				if strings.Contains(string(p.Next), token) || strings.Contains(string(p.Next), "access_token") {
					t.Errorf("cursor %s holds the token", p.Next)
				}
				if c = p.Next; p.Done {
					break
				}
			}
			slices.Sort(ids)
			if want := []string{"1001", "1002", "1003", "1004", "1005", "1006"}; !slices.Equal(ids, want) {
				t.Errorf("lost %d, restart %d: got %v, want %v", lose, restart, ids, want)
			}
		}
	}
}

// TestRing ends when links go in a circle.
func TestRing(t *testing.T) {
	for _, length := range []int{1, 2, 5} {
		g := &graph{t: t, media: func(w http.ResponseWriter, r *http.Request) {
			n, _ := strconv.Atoi(r.URL.Query().Get("after"))
			_, _ = w.Write(listing(n%length, 1<<20, strconv.Itoa(n%length+1)))
		}}
		var said strings.Builder
		ids, _, err := drain(t, g.source(sourcetest.NewClock(), &said), "")
		if err != nil || len(ids) != length || !strings.Contains(said.String(), "circle") {
			t.Errorf("length %d: %v, %v, %q", length, ids, err, said.String())
		}
	}
}

// TestEmptyMiddle goes on behind an empty page: what is left out of it was deleted
// or may not be seen.
func TestEmptyMiddle(t *testing.T) {
	g := &graph{t: t, media: func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("after"))
		if n == 2 || n == 3 {
			_, _ = fmt.Fprintf(w, `{"data":[],"paging":{"cursors":{"after":"%d"},"next":"https://graph.example/?after=%d"}}`, n+1, n+1)
			return
		}
		_, _ = w.Write(listing(n, 6, strconv.Itoa(n+1)))
	}}
	var said strings.Builder
	ids, _, err := drain(t, g.source(sourcetest.NewClock(), &said), "")
	if want := 5; err != nil || len(ids) != want || said.Len() > 0 {
		t.Errorf("%v, %v, %q, want %d", ids, err, said.String(), want)
	}
}

// TestEmptyEnd ends behind a few empty pages, whatever link they have.
func TestEmptyEnd(t *testing.T) {
	g := &graph{t: t, media: func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("after") {
			_, _ = w.Write([]byte(`{"data":[],"paging":{"next":"https://graph.example/?after=x"}}`))
			return
		}
		_, _ = w.Write(listing(1, 9, "x"))
	}}
	var said strings.Builder
	ids, _, err := drain(t, g.source(sourcetest.NewClock(), &said), "")
	if err != nil || len(ids) != 1 || said.Len() > 0 {
		t.Errorf("%v, %v, %q", ids, err, said.String())
	}
}

// TestProof sends the proof that some apps require.
func TestProof(t *testing.T) {
	proof := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proof = r.URL.Query().Get("appsecret_proof")
		_, _ = w.Write([]byte(`{"data":[]}`))
	}))
	defer server.Close()
	env := sourcetest.NewClock().Env(t, "source")
	env.Secrets = func(v any) error {
		k, ok := v.(*instagram.Keys)
		if !ok {
			return errors.New("other keys")
		}
		k.AccessToken, k.AppSecret = "token", "key"
		return nil
	}
	src, err := instagram.Open(t.Context(), env, instagram.Config{Settings: api.Settings{BaseURL: server.URL}, Mode: "account", UserID: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := src.Fetch(context.WithoutCancel(t.Context()), ""); err != nil {
		t.Fatal(err)
	}
	// printf token | openssl dgst -sha256 -hmac key
	if want := "646b8eac"; len(proof) != 64 || proof[:8] != want {
		t.Errorf("proof %q, want %q…", proof, want)
	}
}
