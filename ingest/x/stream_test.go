package x_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/x"
)

// ending ends a stream that has nothing more to tell; X leaves it open.
type ending struct {
	http.ResponseWriter
	end context.CancelFunc
}

// Flush is what the simulator does last.
func (e ending) Flush() {
	_ = http.NewResponseController(e.ResponseWriter).Flush() // the client sees what is missing
	e.end()
}

func ends(s http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, end := context.WithCancel(r.Context())
		defer end()
		s.ServeHTTP(ending{w, end}, r.WithContext(ctx))
	})
}

// TestStreamStall gives a connection up that says nothing, and connects again.
func TestStreamStall(t *testing.T) {
	r := newRig(t, 20)
	var silent atomic.Bool
	silent.Store(true)
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if strings.HasSuffix(q.URL.Path, "/stream") && silent.Swap(false) {
			_ = http.NewResponseController(w).Flush()
			<-q.Context().Done()
			return
		}
		ends(r.Server).ServeHTTP(w, q)
	}))
	t.Cleanup(hs.CloseClientConnections)
	src := open(t, r.env, hs.URL, x.Config{Mode: "stream", Rules: []x.Rule{{Value: everything}}, Backfill: 2, PageSize: 5})
	x.Stall(src, 50*time.Millisecond)
	if p, err := src.Fetch(t.Context(), ""); err != nil || len(p.Posts) == 0 || silent.Load() {
		t.Errorf("%d posts, %v", len(p.Posts), err)
	}
}

// TestStream connects again where the stream ends, and hands no post out twice.
func TestStream(t *testing.T) {
	sets := map[string][]serve.Fault{"no fault": nil, "all faults": serve.Passing()}
	for _, f := range serve.Passing() {
		sets[string(f)] = []serve.Fault{f}
	}
	for name, faults := range sets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 300, faults...)
			seen := r.listen(t)
			if faults != nil {
				return
			}
			if used := r.meter.Used("me", ingest.Day(r.clock.Now())); used.Posts < int64(len(seen)) || used.Micros != used.Posts*5000 {
				t.Errorf("used %+v for %d posts", used, len(seen))
			}
		})
	}
}

// listen reads the stream until everything has come that can be read, each post
// once; every few pages another source takes over from the cursor.
func (r *rig) listen(t *testing.T) (seen map[string]bool) {
	t.Helper()
	var src ingest.Source
	seen = map[string]bool{}
	from := feedlake.Cursor("")
	lacks := func(id string) bool { return !seen[id] }
	for page := 0; r.Growing() || slices.ContainsFunc(r.Live(), lacks); page++ {
		if page%5 == 0 {
			src = open(t, r.env, r.url, x.Config{Mode: "stream", Rules: []x.Rule{{Value: everything, Tag: "all"}}, Backfill: 2, PageSize: 37})
		}
		p, err := src.Fetch(t.Context(), from)
		var again *feedlake.RetryError
		if errors.As(err, &again) && page < 1000 {
			continue
		}
		if err != nil {
			t.Fatalf("after %d posts: %v", len(seen), err)
		}
		if p.Next == from && len(p.Posts) > 0 {
			t.Fatal("the cursor did not move")
		}
		for _, post := range p.Posts {
			if seen[post.ID] || !strings.Contains(post.Payload, `"matching_rules":[{"id":`) {
				t.Fatalf("post %s came again, or without its rule: %.200s", post.ID, post.Payload)
			}
			seen[post.ID] = true
		}
		if from = p.Next; len(p.Rejects) > 0 {
			t.Fatalf("rejects %+v", p.Rejects)
		}
	}
	return seen
}
