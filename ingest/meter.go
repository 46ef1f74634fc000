package ingest

import (
	"context"
	"fmt"
	"time"

	"github.com/feedlake/feedlake"
)

// Meter counts what credentials use, and holds them to the pace that the
// platforms allow and to the budgets that people set. All jobs of a credential
// share it.
type Meter interface {
	// Reserve counts use of the day and month of at, which is now, before it is
	// made, unless the pace wants a wait: then nothing is counted and the moment is
	// returned. An error that wraps feedlake.ErrPartial says which budget would be
	// exceeded and until when.
	Reserve(ctx context.Context, at time.Time, credential, endpoint string, use Use) (until time.Time, err error)
	// Settle adds the difference between what was reserved at an instant and what
	// was used: to the day and month that it was reserved of, whatever the time is.
	Settle(ctx context.Context, at time.Time, credential string, difference Use) error
	// Limited notes what an answer said of a limit.
	Limited(ctx context.Context, credential, endpoint string, l Limit) error
}

// Use is what calls cost.
type Use struct{ Requests, Posts, Micros int64 }

// Limit is the state of a rate limit: so many calls until it is reset.
type Limit struct {
	Remaining int64
	Reset     time.Time
}

// Budget bounds what a credential may use, in a UTC day and in a UTC month.
// Zero is unbounded.
type Budget struct{ Day, Month Use }

// BudgetError says that a call would exceed a budget. It wraps
// feedlake.ErrPartial.
type BudgetError struct {
	Credential  string
	What        string // "posts a day"
	Limit, Used int64
	Until       time.Time // when it begins anew
}

// Error says what was used of which budget and when it begins anew; dollars, which
// are kept in millionths, as dollars.
func (e *BudgetError) Error() string {
	limit, used := fmt.Sprint(e.Limit), fmt.Sprint(e.Used)
	if e.What == "dollars a day" || e.What == "dollars a month" {
		limit, used = dollars(e.Limit), dollars(e.Used)
	}
	return fmt.Sprintf("budget of %s, %s of %s %s used; goes on %s: %s", e.Credential, used, limit, e.What, e.Until.UTC().Format(time.RFC3339), feedlake.ErrPartial)
}

// Unwrap returns feedlake.ErrPartial.
func (e *BudgetError) Unwrap() error { return feedlake.ErrPartial }

func dollars(micros int64) string { return fmt.Sprintf("$%.2f", float64(micros)/1e6) }

// LimitError says that a rate limit would need a longer wait than allowed. It
// wraps feedlake.ErrPartial.
type LimitError struct {
	Endpoint string
	Until    time.Time
}

// Error says which limit was met and when it is lifted.
func (e *LimitError) Error() string {
	return fmt.Sprintf("rate limit of %s; goes on %s: %s", e.Endpoint, e.Until.UTC().Format(time.RFC3339), feedlake.ErrPartial)
}

// Unwrap returns feedlake.ErrPartial.
func (e *LimitError) Unwrap() error { return feedlake.ErrPartial }

// Plus adds two uses.
func (u Use) Plus(v Use) Use {
	return Use{u.Requests + v.Requests, u.Posts + v.Posts, u.Micros + v.Micros}
}

// sameReset is how far two answers may differ about one reset: some platforms
// tell the seconds that are left.
const sameReset = 3 * time.Second

// Merge is what is known of a limit when another answer tells of it. Answers may
// arrive in another order than they were made.
func (l Limit) Merge(told Limit) Limit {
	if d := told.Reset.Sub(l.Reset); d < -sameReset {
		return l
	} else if d <= sameReset {
		return Limit{min(l.Remaining, told.Remaining), l.Reset}
	}
	return told
}

// Day and Month are the periods of budgets that an instant lies in, in UTC.
func Day(t time.Time) string { return t.UTC().Format("2006-01-02") }

// Month is the UTC month of an instant.
func Month(t time.Time) string { return t.UTC().Format("2006-01") }

// Check returns a *BudgetError when use does not fit into what is left, of the
// day or of the month.
func (b Budget) Check(credential string, day, month, use Use, now time.Time) error {
	now = now.UTC()
	tomorrow := time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, time.UTC)
	nextMonth := time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range [...]struct {
		what             string
		limit, used, use int64
		until            time.Time
	}{
		{"requests a month", b.Month.Requests, month.Requests, use.Requests, nextMonth},
		{"posts a month", b.Month.Posts, month.Posts, use.Posts, nextMonth},
		{"dollars a month", b.Month.Micros, month.Micros, use.Micros, nextMonth},
		{"requests a day", b.Day.Requests, day.Requests, use.Requests, tomorrow},
		{"posts a day", b.Day.Posts, day.Posts, use.Posts, tomorrow},
		{"dollars a day", b.Day.Micros, day.Micros, use.Micros, tomorrow},
	} {
		if c.limit > 0 && c.used+c.use > c.limit {
			return &BudgetError{credential, c.what, c.limit, c.used, c.until}
		}
	}
	return nil
}
