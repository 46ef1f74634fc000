// Package metertest is the contract of ingest.Meter.
package metertest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

// Clock is a clock that a test sets.
type Clock struct {
	mu sync.Mutex
	at time.Time
}

// Now tells the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *Clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = t
}

var noon = time.Date(2026, 3, 30, 12, 0, 0, 0, time.UTC)

// Run runs the contract. open returns a meter that knows the budgets and counts
// from nothing on; called again with the same place, what it counted before.
func Run(t *testing.T, open func(t *testing.T, now func() time.Time, budgets map[string]ingest.Budget) ingest.Meter) {
	start := func(t *testing.T, b ingest.Budget) (*Clock, ingest.Meter) {
		c := &Clock{at: noon}
		return c, open(t, c.Now, map[string]ingest.Budget{"one": b})
	}
	one := ingest.Use{Requests: 1, Posts: 10, Micros: 100}
	t.Run("a budget is never exceeded", func(t *testing.T) {
		for name, b := range map[string]ingest.Budget{
			"requests": {Day: ingest.Use{Requests: 3}}, "posts": {Day: ingest.Use{Posts: 35}}, "dollars": {Day: ingest.Use{Micros: 399}},
			"month": {Month: ingest.Use{Requests: 3}}, "both": {Day: ingest.Use{Requests: 5}, Month: ingest.Use{Posts: 30}},
		} {
			c, m := start(t, b)
			for i := range 3 {
				_ = reserve(t, c, m, "one", "a", one, time.Time{}, false, name, i)
			}
			_ = reserve(t, c, m, "one", "a", one, time.Time{}, true, name, 3)
			_ = reserve(t, c, m, "two", "a", one, time.Time{}, false, name, 4) // another credential
		}
	})
	t.Run("a budget begins anew", func(t *testing.T) {
		c, m := start(t, ingest.Budget{Day: ingest.Use{Requests: 1}, Month: ingest.Use{Requests: 2}})
		_ = reserve(t, c, m, "one", "a", one, time.Time{}, false, "first")
		err := reserve(t, c, m, "one", "a", one, time.Time{}, true, "second")
		wantUntil(t, err, time.Date(2026, 3, 31, 0, 0, 0, 0, time.UTC))
		c.set(noon.AddDate(0, 0, 1))
		_ = reserve(t, c, m, "one", "a", one, time.Time{}, false, "next day")
		err = reserve(t, c, m, "one", "a", one, time.Time{}, true, "third in the month")
		wantUntil(t, err, time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC))
		c.set(noon.AddDate(0, 0, 2))
		_ = reserve(t, c, m, "one", "a", one, time.Time{}, false, "next month")
	})
	t.Run("what was reserved too much is given back", func(t *testing.T) {
		c, m := start(t, ingest.Budget{Day: ingest.Use{Posts: 10}})
		_ = reserve(t, c, m, "one", "a", one, time.Time{}, false, "first")
		if err := m.Settle(t.Context(), c.Now(), "one", ingest.Use{Posts: -10, Micros: -100}); err != nil {
			t.Fatal(err)
		}
		_ = reserve(t, c, m, "one", "a", one, time.Time{}, false, "second")
	})
	t.Run("what was reserved before midnight is given back to that day", func(t *testing.T) {
		for name, b := range map[string]ingest.Budget{"day": {Day: ingest.Use{Posts: 10}}, "month": {Month: ingest.Use{Posts: 10}}} {
			c, m := start(t, b)
			before := time.Date(2026, 3, 31, 23, 59, 59, 0, time.UTC)
			c.set(before)
			_ = reserve(t, c, m, "one", "a", one, time.Time{}, false, name, "before midnight")
			c.set(before.Add(2 * time.Second))
			_ = reserve(t, c, m, "one", "a", one, time.Time{}, false, name, "after")
			if err := m.Settle(t.Context(), before, "one", ingest.Use{Posts: -10, Micros: -100}); err != nil {
				t.Fatal(err)
			}
			_ = reserve(t, c, m, "one", "a", one, time.Time{}, true, name, "the new period has nothing left")
			c.set(before)
			_ = reserve(t, c, m, "one", "a", one, time.Time{}, false, name, "the old one has")
		}
	})
	t.Run("a limit is waited for", func(t *testing.T) {
		c, m := start(t, ingest.Budget{})
		reset := noon.Add(time.Minute)
		if err := m.Limited(t.Context(), "one", "a", ingest.Limit{Remaining: 1, Reset: reset}); err != nil {
			t.Fatal(err)
		}
		_ = reserve(t, c, m, "one", "a", one, time.Time{}, false, "the last one")
		_ = reserve(t, c, m, "one", "a", one, reset, false, "none left")
		_ = reserve(t, c, m, "one", "b", one, time.Time{}, false, "another endpoint")
		c.set(reset)
		_ = reserve(t, c, m, "one", "a", one, time.Time{}, false, "after the reset")
	})
	t.Run("an old answer does not raise a limit", func(t *testing.T) {
		c, m := start(t, ingest.Budget{})
		reset := noon.Add(time.Minute)
		for _, left := range []int64{0, 5} {
			if err := m.Limited(t.Context(), "one", "a", ingest.Limit{Remaining: left, Reset: reset}); err != nil {
				t.Fatal(err)
			}
		}
		_ = reserve(t, c, m, "one", "a", one, reset, false, "none left")
	})
	t.Run("many at once", func(t *testing.T) { manyAtOnce(t, start) })
}

func manyAtOnce(t *testing.T, start func(*testing.T, ingest.Budget) (*Clock, ingest.Meter)) {
	const most = 50
	c, m := start(t, ingest.Budget{Day: ingest.Use{Requests: most}})
	var mu sync.Mutex
	var all sync.WaitGroup
	got := 0
	for range 8 {
		all.Go(func() {
			for range 10 {
				_, err := m.Reserve(t.Context(), c.Now(), "one", "a", ingest.Use{Requests: 1})
				if err != nil && !errors.Is(err, feedlake.ErrPartial) {
					t.Error(err)
				}
				if err == nil {
					mu.Lock()
					got++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	if got != most {
		t.Errorf("%d requests of a budget of %d", got, most)
	}
}

func reserve(t *testing.T, c *Clock, m ingest.Meter, credential, endpoint string, u ingest.Use, want time.Time, over bool, what ...any) error {
	t.Helper()
	until, err := m.Reserve(t.Context(), c.Now(), credential, endpoint, u)
	switch {
	case over && !errors.Is(err, feedlake.ErrPartial):
		t.Errorf("%v: got %v, want an exceeded budget", what, err)
	case !over && err != nil:
		t.Errorf("%v: %v", what, err)
	case !until.Equal(want):
		t.Errorf("%v: wait until %v, want %v", what, until, want)
	}
	return err
}

func wantUntil(t *testing.T, err error, want time.Time) {
	t.Helper()
	var b *ingest.BudgetError
	if !errors.As(err, &b) || !b.Until.Equal(want) {
		t.Errorf("got %v, want a budget that goes on %v", err, want)
	}
}
