package bluesky_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest/bluesky"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// views are posts as an answer holds them, newest first, so far apart.
func views(now time.Time, n int, apart time.Duration, feed bool) []string {
	out := make([]string, n)
	for i := range out {
		at := now.Add(-time.Minute - time.Duration(i)*apart).Format("2006-01-02T15:04:05.000Z")
		out[i] = fmt.Sprintf(`{"uri":"at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/app.bsky.feed.post/3k%d","cid":"c","author":{"did":"did:plc:aaaaaaaaaaaaaaaaaaaaaaaa","handle":"a.test"},`+
			`"record":{"$type":"app.bsky.feed.post","text":"x","createdAt":%q},"indexedAt":%q}`, 1000+i, at, at)
		if feed {
			out[i] = `{"post":` + out[i] + `}`
		}
	}
	return out
}

// paged answers with a part of a list behind an opaque cursor.
func paged(w http.ResponseWriter, key string, all []string, at, limit int) {
	end := min(at+limit, len(all))
	cursor := ""
	if end < len(all) {
		cursor = fmt.Sprintf(`,"cursor":"at~%d"`, end)
	}
	_, _ = fmt.Fprintf(w, `{%q:[%s]%s}`, key, strings.Join(all[at:end], ","), cursor)
}

func place(r *http.Request) (at int, again bool) {
	cursor, again := strings.CutSuffix(r.URL.Query().Get("cursor"), "!")
	at, _ = strconv.Atoi(strings.TrimPrefix(cursor, "at~"))
	return at, again
}

// TestGaps: a page of a feed that holds nothing, with a cursor, is not its end.
func TestGaps(t *testing.T) {
	clock := sourcetest.NewClock()
	all := views(clock.Now(), 250, 40*time.Second, true)
	for _, empty := range [][]int{nil, {0}, {100}, {0, 100, 200}} {
		hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			at, again := place(r)
			if slices.Contains(empty, at) && !again {
				_, _ = fmt.Fprintf(w, `{"feed":[],"cursor":"at~%d!"}`, at)
				return
			}
			paged(w, "feed", all, at, 100)
		}))
		defer hs.Close()
		c := bluesky.Config{Mode: "author", Actors: []string{"a.test"}, Since: since}
		posts, rejects, err := drain(t, open(t, clock.Env(t, "source"), c, hs.URL), clock)
		if err != nil || len(posts) != len(all) || len(rejects) > 0 {
			t.Errorf("empty %v: %d posts, %d rejects, %v", empty, len(posts), len(rejects), err)
		}
	}
}

// TestCircle: cursors that lead nowhere end in an error, with nothing read and
// nothing lost.
func TestCircle(t *testing.T) {
	clock := sourcetest.NewClock()
	asked := 0
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = fmt.Fprintf(w, `{"feed":[],"cursor":"%d"}`, asked%3)
	}))
	defer hs.Close()
	c := bluesky.Config{Mode: "author", Actors: []string{"a.test"}, Since: since}
	_, err := open(t, clock.Env(t, "source"), c, hs.URL).Fetch(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "circle") || asked > 150 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}

// TestSecondOfMany: more posts share a second than an answer holds, and the page
// before comes again in place of the one asked for. It is not the end.
func TestSecondOfMany(t *testing.T) {
	clock := sourcetest.NewClock()
	all := views(clock.Now(), 250, 0, false)
	asked := 0
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "Session") {
			_, _ = w.Write([]byte(`{"accessJwt":"a.b.c","refreshJwt":"d.e.f"}`))
			return
		}
		at, _ := place(r)
		if asked++; asked == 2 {
			at -= 100
		}
		paged(w, "posts", all, at, 100)
	}))
	defer hs.Close()
	posts, _, err := drain(t, open(t, clock.Env(t, "source"), bluesky.Config{Query: "*", Since: since}, hs.URL), clock)
	if err != nil || len(posts) != len(all) {
		t.Errorf("%d posts, %v, want %d", len(posts), err, len(all))
	}
}

// TestRefusedRefresh signs in again, however a refresh token is refused.
func TestRefusedRefresh(t *testing.T) {
	for status, name := range map[int]string{400: "ExpiredToken", 401: "AuthMissing", 403: "Forbidden"} {
		clock := sourcetest.NewClock()
		all := views(clock.Now(), 250, time.Minute, false)
		signIns := 0
		hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "createSession"):
				signIns++
				_, _ = fmt.Fprintf(w, `{"accessJwt":"access-%d","refreshJwt":"r"}`, signIns)
			case strings.HasSuffix(r.URL.Path, "refreshSession"):
				w.WriteHeader(status)
				_, _ = fmt.Fprintf(w, `{"error":%q,"message":"no"}`, name)
			case r.Header.Get("Authorization") == "Bearer access-1":
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write([]byte(`{"error":"ExpiredToken","message":"Token has expired"}`))
			default:
				paged(w, "posts", all, 0, 300)
			}
		}))
		defer hs.Close()
		posts, _, err := drain(t, open(t, clock.Env(t, "source"), bluesky.Config{Query: "*", Since: since}, hs.URL), clock)
		if err != nil || len(posts) != len(all) || signIns != 2 {
			t.Errorf("%s: %d posts, %d sign-ins, %v", name, len(posts), signIns, err)
		}
	}
}
