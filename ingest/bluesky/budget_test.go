package bluesky_test

import (
	"errors"
	"testing"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/bluesky"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// TestJetstreamBudget stops at the last post that the budget allows, day after
// day: in the end every post came once.
func TestJetstreamBudget(t *testing.T) {
	for _, version := range []int{1, 2} {
		clock := sourcetest.NewClock()
		url := serving(t, nil, clock.Now)
		c := bluesky.Config{Mode: "jetstream", Version: version, Since: since}
		all, _, err := drain(t, open(t, clock.Env(t, "all"), c, url), clock)
		if err != nil {
			t.Fatal(err)
		}
		const budget = 250
		meter := ingest.NewMemoryMeter(clock.Now, map[string]ingest.Budget{"me": {Day: ingest.Use{Posts: budget}}})
		env := clock.Env(t, "source")
		env.Credential, env.Meter = "me", meter
		got, days, at := map[string]int{}, 0, feedlake.Cursor("")
		for done := false; !done; days++ {
			src := open(t, env, c, url)
			for !done {
				p, err := src.Fetch(t.Context(), at)
				if over, ok := errors.AsType[*ingest.BudgetError](err); ok {
					if used := meter.Used("me", ingest.Day(clock.Now())); used.Posts != budget || !errors.Is(err, feedlake.ErrPartial) {
						t.Fatalf("used %+v of %d: %v", used, budget, err)
					}
					if err := clock.Sleep(t.Context(), over.Until.Sub(clock.Now())); err != nil {
						t.Fatal(err)
					}
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, post := range p.Posts {
					if !post.Deleted {
						got[post.ID+post.Text]++
					}
				}
				at, done = p.Next, p.Done
			}
		}
		n := 0
		for _, post := range all {
			if post.Deleted {
				continue
			}
			if n++; got[post.ID+post.Text] != 1 {
				t.Errorf("post %s came %d times", post.ID, got[post.ID+post.Text])
			}
		}
		if days != n/budget+1 {
			t.Errorf("%d posts took %d days of %d", n, days, budget)
		}
	}
}
