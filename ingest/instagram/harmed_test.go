package instagram_test

import (
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/instagram"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// harmed simulates Instagram with what harms one feed, one author and some records.
func harmed(now func() time.Time) (*serve.Server, error) {
	return serve.New("instagram", serve.Options{Seed: 7, Posts: 400, Days: 1, Now: now, Faults: []serve.Fault{serve.BadFeed, serve.Suspended, serve.Garbled}})
}

// TestHarmed reads the hashtag beside one that is held back, and all but the media
// that nobody can read.
func TestHarmed(t *testing.T) {
	for _, mode := range []string{"recent", "top"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			c := instagram.Config{Settings: api.Settings{MaxWait: time.Hour}, Mode: mode, Hashtags: []string{serve.InstagramClosed, serve.InstagramTag}, TopPages: 100}
			sourcetest.Apart(t, harmed, nil, func(*serve.Server) []string { return []string{serve.InstagramClosed + ": "} },
				func(t *testing.T, env ingest.Env, _ *serve.Server, url string) ingest.Source {
					return open(t, env, url, c)
				})
		})
	}
}

// growing simulates Instagram, whose counts grow with time.
func growing(now func() time.Time) (sourcetest.Server, error) {
	return serve.New("instagram", serve.Options{Seed: 7, Posts: 200, Days: 1, Now: now, Faults: []serve.Fault{serve.Grow}})
}

// TestChanged tells posts again whose counts have changed.
func TestChanged(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"recent", "top", "account"} {
		sourcetest.Changed(t, growing, func(t *testing.T, env ingest.Env, url string) ingest.Source {
			t.Helper()
			c := instagram.Config{Mode: mode, TopPages: 100, Overlap: 6 * time.Hour}
			if mode != "account" {
				c.Hashtags = []string{serve.InstagramTag}
			}
			return open(t, env, url, c)
		})
	}
}

// TestLooked reads the posts of a day once more.
func TestLooked(t *testing.T) {
	t.Parallel()
	sourcetest.Looked(t, growing, func(t *testing.T, env ingest.Env, url string) ingest.Source {
		t.Helper()
		return open(t, env, url, instagram.Config{Mode: "account"})
	})
}
