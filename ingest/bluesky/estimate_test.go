package bluesky_test

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
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

// TestWholeEstimateAuthors compares the requests that were predicted for feeds with
// those made.
func TestWholeEstimateAuthors(t *testing.T) {
	clock := sourcetest.NewClock()
	s, err := serve.New("bluesky", serve.Options{Seed: 7, Posts: 40_000, Days: 20, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	posts := map[string]int{}
	busiest := ""
	for _, id := range s.All() {
		did, _, _ := strings.Cut(strings.TrimPrefix(id, "at://"), "/")
		if posts[did]++; posts[did] > posts[busiest] {
			busiest = did
		}
	}
	few := slices.Sorted(maps.Keys(posts))
	few = few[:min(6, len(few))]
	var n atomic.Int64
	url := serving(t, nil, clock.Now, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n.Add(1)
			s.ServeHTTP(w, r)
		})
	})
	for _, actors := range [][]string{{busiest}, few} {
		for _, days := range []int{1, 5, 19} {
			t.Run(fmt.Sprint(len(actors), " actors, ", days, " days"), func(t *testing.T) {
				end := clock.Now().Add(-12 * time.Hour)
				w := feedlake.Window{Start: end.AddDate(0, 0, -days), End: end}
				c := bluesky.Config{Mode: "author", Actors: actors}
				env := clock.Env(t, "source")
				n.Store(0)
				e, err := open(t, env, c, url).(ingest.Estimator).Estimate(t.Context(), w) //nolint:errcheck,forcetypeassert // it is one
				if err != nil || e.Unknown != "" {
					t.Fatalf("%+v %v", e, err)
				}
				asked := n.Swap(0)
				env.Window = w
				got, _, err := drain(t, open(t, env, c, url), clock)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("by %d requests predicted %d, made %d; predicted %d posts, got %d", asked, e.Requests, n.Load(), e.Posts, len(got))
				if math.Abs(float64(e.Requests-n.Load())) > 0.05*float64(n.Load()) || math.Abs(float64(e.Posts)-float64(len(got))) > 0.1*float64(len(got)) {
					t.Errorf("predicted %+v; %d requests made, %d posts got", e, n.Load(), len(got))
				}
			})
		}
	}
}

// TestEstimateUnknown says so where the server's places in a feed are no times,
// and where nothing is counted.
func TestEstimateUnknown(t *testing.T) {
	clock := sourcetest.NewClock()
	w := feedlake.Window{Start: clock.Now().AddDate(0, 0, -20), End: clock.Now()}
	page := `{"feed":[{"post":{"uri":"at://did:plc:a/app.bsky.feed.post/b","indexedAt":%q}}],"cursor":"%d"}`
	var n atomic.Int64
	url := serving(t, nil, clock.Now, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, page, clock.Now().Add(-time.Duration(n.Add(1))*time.Minute).Format(time.RFC3339), n.Load())
		})
	})
	for name, c := range map[string]bluesky.Config{
		"no times": {Mode: "author", Actors: []string{"a.example"}}, "36 hours": {Mode: "jetstream"},
	} {
		e, err := open(t, clock.Env(t, "source"), c, url).(ingest.Estimator).Estimate(t.Context(), w) //nolint:errcheck,forcetypeassert // it is one
		if err != nil || !strings.Contains(e.Unknown, name) || e.Requests != 0 {
			t.Errorf("%s: %+v %v", name, e, err)
		}
	}
}

// TestCovered tells no more of a window than was read, of one account and of
// several.
func TestCovered(t *testing.T) {
	clock := sourcetest.NewClock()
	s, err := serve.New("bluesky", serve.Options{Seed: 7, Posts: 20_000, Days: 10, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	posts := map[string]int{}
	for _, id := range s.Live() {
		did, _, _ := strings.Cut(strings.TrimPrefix(id, "at://"), "/")
		posts[did]++
	}
	busy := slices.SortedFunc(maps.Keys(posts), func(a, b string) int { return posts[b] - posts[a] })
	url := serving(t, nil, clock.Now, func(http.Handler) http.Handler { return s })
	for _, actors := range [][]string{busy[:1], busy[:3]} {
		env := clock.Env(t, "source")
		env.Window = feedlake.Window{Start: clock.Now().AddDate(0, 0, -8), End: clock.Now().AddDate(0, 0, -1)}
		sourcetest.Covered(t, clock, func() ingest.Source { return open(t, env, bluesky.Config{Mode: "author", Actors: actors}, url) }, 3)
	}
}
