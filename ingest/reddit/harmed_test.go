package reddit_test

import (
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/reddit"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// harmed simulates Reddit with what harms one feed, one author and some records.
func harmed(now func() time.Time) (*serve.Server, error) {
	return serve.New("reddit", serve.Options{Seed: 7, Posts: 900, Days: 5, Now: now, Faults: []serve.Fault{serve.BadFeed, serve.Suspended, serve.Garbled}})
}

// TestHarmed reads the subreddits beside a private one, and all but the records
// that nobody can read.
func TestHarmed(t *testing.T) {
	open3 := func(mode string) func(t *testing.T, env ingest.Env, s *serve.Server, url string) ingest.Source {
		return func(t *testing.T, env ingest.Env, _ *serve.Server, url string) ingest.Source {
			t.Helper()
			return open(t, env, url, reddit.Config{Mode: mode, Subreddits: []string{"simnews", serve.RedditClosed, "simtech"}, Periods: []string{"all"}, Since: since()})
		}
	}
	closed := map[string]bool{}
	for i, id := range newSite(t, 900).All() {
		closed[id] = i%3 == 1
	}
	reads := func(_ *serve.Server, id string) bool { return isPost(id) && !closed[id] }
	for _, mode := range []string{"new", "top"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			sourcetest.Apart(t, harmed, reads, func(*serve.Server) []string { return []string{"r/" + serve.RedditClosed + "/" + mode} }, open3(mode))
		})
	}
}

// growing simulates Reddit, whose counts grow with time.
func growing(now func() time.Time) (sourcetest.Server, error) {
	return serve.New("reddit", serve.Options{Seed: 7, Posts: 200, Days: 1, Now: now, Faults: []serve.Fault{serve.Grow}})
}

// TestChanged tells posts again whose counts have changed.
func TestChanged(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"new", "top"} {
		sourcetest.Changed(t, growing, func(t *testing.T, env ingest.Env, url string) ingest.Source {
			t.Helper()
			return open(t, env, url, reddit.Config{Mode: mode, Subreddits: subs, Since: since(), Overlap: 6 * time.Hour})
		})
	}
}

// TestLooked reads the posts of a day once more.
func TestLooked(t *testing.T) {
	t.Parallel()
	sourcetest.Looked(t, growing, func(t *testing.T, env ingest.Env, url string) ingest.Source {
		t.Helper()
		return open(t, env, url, reddit.Config{Subreddits: subs, Since: since()})
	})
}
