package feedlake_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
)

func TestPostValidate(t *testing.T) {
	now := time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		post feedlake.Post
		ok   bool
	}{
		{"whole", feedlake.Post{Source: "a", ID: "1", CreatedAt: now}, true},
		{"clock a little ahead", feedlake.Post{Source: "a", ID: "1", CreatedAt: now.Add(feedlake.LatestAhead)}, true},
		{"without source", feedlake.Post{ID: "1", CreatedAt: now}, false},
		{"without id", feedlake.Post{Source: "a", CreatedAt: now}, false},
		{"without time", feedlake.Post{Source: "a", ID: "1"}, false},
		{"from 1970", feedlake.Post{Source: "a", ID: "1", CreatedAt: time.Unix(1, 0)}, false},
		{"from the future", feedlake.Post{Source: "a", ID: "1", CreatedAt: now.Add(feedlake.LatestAhead + 1)}, false},
	} {
		err := c.post.Validate(now)
		if (err == nil) != c.ok || (err != nil && !errors.Is(err, feedlake.ErrRejected)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestWindowContains(t *testing.T) {
	a, b := time.Unix(10, 0), time.Unix(20, 0)
	for _, c := range []struct {
		w    feedlake.Window
		t    time.Time
		want bool
	}{
		{feedlake.Window{}, a, true},
		{feedlake.Window{Start: a, End: b}, a, true},
		{feedlake.Window{Start: a, End: b}, b, false},
		{feedlake.Window{Start: a}, a.Add(-1), false},
		{feedlake.Window{End: b}, b.Add(-1), true},
	} {
		if got := c.w.Contains(c.t); got != c.want {
			t.Errorf("%v contains %v: %v", c.w, c.t, got)
		}
	}
}

func TestErrorsCarryTheirCause(t *testing.T) {
	cause := fmt.Errorf("commit: %w", feedlake.ErrConflict)
	for _, err := range []error{feedlake.Hint(cause, "try %d", 1), &feedlake.RetryError{Err: cause}} {
		if !errors.Is(err, feedlake.ErrConflict) || err.Error() != cause.Error() {
			t.Errorf("%T hides its cause: %v", err, err)
		}
	}
	var h *feedlake.HintError
	if !errors.As(feedlake.Hint(cause, "try %d", 1), &h) || h.Hint != "try 1" {
		t.Errorf("hint %+v", h)
	}
}
