package x_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/x"
)

// TestStreamBudget stops, repeats of new connections counted, at the last post that the budget allows, by posts and by
// dollars, and goes on the next day with what comes then.
func TestStreamBudget(t *testing.T) {
	for name, budget := range map[string]ingest.Use{"posts": {Posts: 130}, "dollars": {Micros: 130 * 5_000}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 300)
			r.meter = ingest.NewMemoryMeter(r.clock.Now, map[string]ingest.Budget{"me": {Day: budget}})
			r.env.Meter = r.meter
			var got []string
			listen := func(from feedlake.Cursor) (feedlake.Cursor, error) {
				src := open(t, r.env, r.url, x.Config{Mode: "stream", Rules: []x.Rule{{Value: everything}}, Backfill: 2, PageSize: 37})
				for {
					p, err := src.Fetch(t.Context(), from)
					if err != nil {
						return from, err
					}
					got, from = append(got, ids(p.Posts)...), p.Next
				}
			}
			from, err := listen("")
			over, ok := errors.AsType[*ingest.BudgetError](err)
			used := r.meter.Used("me", ingest.Day(r.clock.Now()))
			if !ok || !errors.Is(err, feedlake.ErrPartial) || used.Posts != 130 || used.Micros != 130*5_000 || len(got) > 130 || len(got) < 60 {
				t.Fatalf("%d posts, used %+v, %v", len(got), used, err)
			}
			if err := r.env.Sleep(t.Context(), over.Until.Sub(r.clock.Now())); err != nil {
				t.Fatal(err)
			}
			first := len(got)
			if _, err = listen(from); len(got) <= first {
				t.Errorf("nothing came on the next day: %v", err)
			}
			if n := len(got); len(slices.Compact(slices.Sorted(slices.Values(got)))) != n {
				t.Error("a post came twice")
			}
		})
	}
}
