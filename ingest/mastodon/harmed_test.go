package mastodon_test

import (
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/mastodon"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// harmed simulates a server of Mastodon with what harms one feed, one author and some records.
func harmed(now func() time.Time) (*serve.Server, error) {
	return serve.New("mastodon", serve.Options{Seed: 7, Posts: 400, Days: 5, Now: now, Faults: []serve.Fault{serve.BadFeed, serve.Suspended, serve.Garbled}})
}

// TestHarmed reads all but the records that nobody can read.
func TestHarmed(t *testing.T) {
	t.Parallel()
	sourcetest.Apart(t, harmed, nil, nil, func(t *testing.T, env ingest.Env, _ *serve.Server, url string) ingest.Source {
		return open(t, env, mastodon.Config{Settings: settings(url), Since: long})
	})
}

// growing simulates a server, whose counts grow with time.
func growing(now func() time.Time) (sourcetest.Server, error) {
	return serve.New("mastodon", serve.Options{Seed: 7, Posts: 200, Days: 1, Now: now, Faults: []serve.Fault{serve.Grow}})
}

// TestChanged tells posts again whose counts have changed.
func TestChanged(t *testing.T) {
	t.Parallel()
	sourcetest.Changed(t, growing, func(t *testing.T, env ingest.Env, url string) ingest.Source {
		t.Helper()
		return open(t, env, mastodon.Config{Settings: settings(url), Since: long, Overlap: 6 * time.Hour})
	})
}

// TestLooked reads the posts of a day once more.
func TestLooked(t *testing.T) {
	t.Parallel()
	sourcetest.Looked(t, growing, func(t *testing.T, env ingest.Env, url string) ingest.Source {
		t.Helper()
		return open(t, env, mastodon.Config{Settings: settings(url), Since: long})
	})
}
