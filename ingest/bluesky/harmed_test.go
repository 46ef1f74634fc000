package bluesky_test

import (
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/bluesky"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// harmed simulates Bluesky with what harms one feed, one author and some records.
func harmed(now func() time.Time) (*serve.Server, error) {
	return serve.New("bluesky", serve.Options{Seed: 7, Posts: 400, Days: 3, Now: now, Faults: []serve.Fault{serve.BadFeed, serve.Suspended, serve.Garbled}})
}

// TestHarmed reads the accounts beside one that is suspended and one that lets
// nobody read, and all but the records that nobody can read.
func TestHarmed(t *testing.T) {
	t.Parallel()
	sourcetest.Apart(t, harmed, func(s *serve.Server, id string) bool { return s.Author(id) != s.Closed() },
		func(s *serve.Server) []string {
			return []string{serve.BlueskyDID(s.Suspended()), serve.BlueskyDID(s.Closed())}
		},
		func(t *testing.T, env ingest.Env, s *serve.Server, url string) ingest.Source {
			t.Helper()
			return open(t, env, bluesky.Config{Mode: "author", Actors: accounts(s.All()), Since: since}, url)
		})
}

// TestHarmedSearch finds all but the records that nobody can read.
func TestHarmedSearch(t *testing.T) {
	t.Parallel()
	sourcetest.Apart(t, harmed, nil, nil, func(t *testing.T, env ingest.Env, _ *serve.Server, url string) ingest.Source {
		t.Helper()
		return open(t, env, bluesky.Config{Query: "*", Since: since}, url)
	})
}

// growing simulates Bluesky, whose counts grow with time.
func growing(now func() time.Time) (sourcetest.Server, error) {
	return serve.New("bluesky", serve.Options{Seed: 7, Posts: 200, Days: 1, Now: now, Faults: []serve.Fault{serve.Grow}})
}

// TestChanged tells posts again whose counts have changed.
func TestChanged(t *testing.T) {
	t.Parallel()
	for _, c := range []bluesky.Config{{Query: "*"}, {Mode: "author", Actors: actors(t)}} {
		sourcetest.Changed(t, growing, func(t *testing.T, env ingest.Env, url string) ingest.Source {
			t.Helper()
			c.Since, c.Overlap = since, 6*time.Hour
			return open(t, env, c, url)
		})
	}
}

// TestLooked reads the posts of a day once more.
func TestLooked(t *testing.T) {
	t.Parallel()
	for _, c := range []bluesky.Config{{Query: "*"}, {Mode: "author", Actors: actors(t)}} {
		sourcetest.Looked(t, growing, func(t *testing.T, env ingest.Env, url string) ingest.Source {
			t.Helper()
			c.Since = since
			return open(t, env, c, url)
		})
	}
}
