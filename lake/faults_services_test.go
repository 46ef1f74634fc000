//go:build services

package lake_test

import (
	"fmt"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/feedlake/feedlake/lake"
)

// unreliable stands between a lake and its bucket: it refuses requests, cuts
// answers, loses answers after their effect and lets some wait. on switches it.
type unreliable struct {
	to  *httputil.ReverseProxy
	on  atomic.Bool
	mu  sync.Mutex
	rnd *mathrand.Rand
	did map[string]int
}

func (u *unreliable) draw() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	what := "pass"
	switch n := u.rnd.IntN(100); {
	case n < 10:
		what = "busy"
	case n < 14:
		what = "cut"
	case n < 18:
		what = "lost"
	case n < 28:
		what = "slow"
	}
	u.did[what]++
	return what
}

func (u *unreliable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !u.on.Load() {
		u.to.ServeHTTP(w, r)
		return
	}
	switch u.draw() {
	case "busy":
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`)
	case "cut":
		rec := httptest.NewRecorder()
		u.to.ServeHTTP(rec, r)
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
		panic(http.ErrAbortHandler)
	case "lost":
		u.to.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case "slow":
		select {
		case <-time.After(150 * time.Millisecond):
		case <-r.Context().Done():
		}
		u.to.ServeHTTP(w, r)
	default:
		u.to.ServeHTTP(w, r)
	}
}

// TestServiceCommitsThroughFaults commits while the way to the store is bad; who
// gets an error says the same commit again. Every row is there once.
func TestServiceCommitsThroughFaults(t *testing.T) {
	t.Parallel()
	place := bucketHome(t, "FEEDLAKE_TEST_S3")(t)
	sound := openAt(t, place, nil)
	if err := sound.Ensure(t.Context(), lake.RawPosts()); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(place.S3.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	bad := &unreliable{to: httputil.NewSingleHostReverseProxy(u), rnd: mathrand.New(mathrand.NewPCG(1, 2)), did: map[string]int{}}
	server := httptest.NewServer(bad)
	defer server.Close()
	through := *place.S3
	through.Endpoint = server.URL
	place.S3, place.Dir = &through, t.TempDir()
	l := openAt(t, place, nil)
	bad.on.Store(true)
	const commits = 8
	var want []string
	again := 0
	for i := range commits {
		id := fmt.Sprintf("%02d", i)
		want = append(want, "a/"+id)
		path := ""
		for try := 0; ; try++ {
			if try == 30 {
				t.Fatalf("commit %s never came through", id)
			}
			var err error
			if path == "" {
				if path, err = lake.WriteRows(t.Context(), l, "raw.posts", lake.MakePartition("source", "a", "day", "2026-01-10"), posts("a", noon, id)); err != nil {
					path = ""
					again++
					continue
				}
			}
			if _, err = l.Commit(t.Context(), lake.Commit{Table: "raw.posts", ID: id, Add: []string{path}}); err == nil {
				break
			}
			again++
		}
	}
	bad.on.Store(false)
	if got := ids(t, sound); !slices.Equal(got, want) {
		t.Errorf("rows %v, want %v", got, want)
	}
	t.Logf("%d commits, repeated %d times, faults %v", commits, again, bad.did)
	for _, kind := range []string{"busy", "cut", "lost", "slow"} {
		if bad.did[kind] == 0 {
			t.Errorf("no request was %s: the test saw too little", kind)
		}
	}
}
