package api_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
)

// TestFlow lets as many posts in as the budget has, to the last one, and gives
// back what did not come.
func TestFlow(t *testing.T) {
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	now := func() time.Time { return at }
	for name, budget := range map[string]ingest.Budget{
		"posts": {Day: ingest.Use{Posts: 257}}, "dollars": {Month: ingest.Use{Micros: 257 * 5_000}},
	} {
		t.Run(name, func(t *testing.T) {
			m := ingest.NewMemoryMeter(now, map[string]ingest.Budget{"me": budget})
			flow := func() *api.Flow {
				return api.NewFlow(api.Options{Meter: m, Credential: "me", Now: now, Log: slog.New(slog.DiscardHandler)}, "stream", api.Price{Post: 5_000})
			}
			f := flow()
			for range 42 {
				if err := f.Admit(t.Context()); err != nil {
					t.Fatal(err)
				}
				f.Came(1)
			}
			if used := m.Used("me", ingest.Day(at)); used.Posts != 100 {
				t.Errorf("%+v is reserved", used)
			}
			ended, end := context.WithCancel(t.Context())
			end()
			if err := errors.Join(f.Settle(ended), f.Settle(ended)); err != nil { // counted also when the run is broken off
				t.Fatal(err)
			}
			if used := m.Used("me", ingest.Day(at)); used != (ingest.Use{Posts: 42, Micros: 42 * 5_000}) {
				t.Errorf("used %+v of 42", used)
			}
			n, err := int64(42), error(nil)
			for f = flow(); err == nil; n++ {
				if err = f.Admit(t.Context()); err == nil {
					f.Came(1)
				}
			}
			if _, ok := errors.AsType[*ingest.BudgetError](err); !ok || !errors.Is(err, feedlake.ErrPartial) || n-1 != 257 || m.Used("me", ingest.Day(at)).Posts != 257 {
				t.Errorf("%d posts came, used %+v, %v", n-1, m.Used("me", ingest.Day(at)), err)
			}
		})
	}
}
