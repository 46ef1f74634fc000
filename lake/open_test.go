package lake_test

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/feedlake/feedlake/lake"
)

// TestManyOpenANewLake opens one new lake many times at once, as two commands
// started together do: whoever comes second waits.
func TestManyOpenANewLake(t *testing.T) {
	for range 10 {
		c := lake.Config{Dir: t.TempDir(), Now: time.Now, Log: slog.New(slog.DiscardHandler)}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				l, err := lake.Open(t.Context(), c)
				if err == nil {
					err = l.Ensure(t.Context(), lake.RawPosts())
				}
				if err != nil {
					t.Error(err)
				}
				if l != nil {
					if err := l.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
	}
}
