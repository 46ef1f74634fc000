package x_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
	"github.com/feedlake/feedlake/ingest/x"
)

// harmed simulates X with what harms one feed, one author and some records.
func harmed(now func() time.Time) (*serve.Server, error) {
	return serve.New("x", serve.Options{Seed: 7, Posts: 400, Days: 5, Now: now, Faults: []serve.Fault{serve.BadFeed, serve.Suspended, serve.Garbled}})
}

// TestHarmed reads the timelines beside that of a user who is suspended and one who
// shows posts to followers alone, and all but the records that nobody can read.
func TestHarmed(t *testing.T) {
	t.Parallel()
	number := func(id int64) string { return strconv.FormatInt(100_000+id, 10) }
	sourcetest.Apart(t, harmed, func(s *serve.Server, id string) bool { return s.Author(id) != s.Closed() },
		func(s *serve.Server) []string { return []string{"@" + s.Suspended().Name, number(s.Closed().ID)} },
		func(t *testing.T, env ingest.Env, s *serve.Server, url string) ingest.Source {
			t.Helper()
			users := []string{"@" + s.Suspended().Name, number(s.Closed().ID)}
			for _, id := range s.All() {
				if a := s.Author(id); a != s.Suspended() && !slices.Contains(users, number(a.ID)) {
					users = append(users, number(a.ID))
				}
			}
			return open(t, env, url, x.Config{Mode: "users", Users: users, Since: since})
		})
}

// TestHarmedSearch finds all but the records that nobody can read.
func TestHarmedSearch(t *testing.T) {
	t.Parallel()
	sourcetest.Apart(t, harmed, func(s *serve.Server, id string) bool { return s.Kind(id) != feedlake.KindRepost }, nil,
		func(t *testing.T, env ingest.Env, _ *serve.Server, url string) ingest.Source {
			t.Helper()
			return open(t, env, url, x.Config{Query: everything, Since: since})
		})
}

// growing simulates X, whose counts grow with time.
func growing(now func() time.Time) (sourcetest.Server, error) {
	return serve.New("x", serve.Options{Seed: 7, Posts: 200, Days: 1, Now: now, Faults: []serve.Fault{serve.Grow}})
}

// TestChanged tells posts again whose counts have changed.
func TestChanged(t *testing.T) {
	t.Parallel()
	for _, c := range []x.Config{{Query: everything}, {Mode: "users", Users: []string{"100000", "100001", "100002"}}} {
		sourcetest.Changed(t, growing, func(t *testing.T, env ingest.Env, url string) ingest.Source {
			t.Helper()
			c.Since, c.Overlap = since, 6*time.Hour
			return open(t, env, url, c)
		})
	}
}

// TestLooked reads the posts of a day once more.
func TestLooked(t *testing.T) {
	t.Parallel()
	for _, c := range []x.Config{{Mode: "all", Query: everything, PageSize: 500}, {Mode: "users", Users: []string{"100000", "100001", "100002"}}} {
		sourcetest.Looked(t, growing, func(t *testing.T, env ingest.Env, url string) ingest.Source {
			t.Helper()
			c.Since = since
			return open(t, env, url, c)
		})
	}
}
