package wiring

import (
	"errors"
	"fmt"
	"testing"

	"github.com/feedlake/feedlake"
)

// TestLasting tells slices that fail alone from those that fail with the rest.
func TestLasting(t *testing.T) {
	down := error(&feedlake.RetryError{Err: errors.New("down")})
	for _, c := range []struct {
		err  error
		row  int
		want bool
	}{
		{feedlake.ErrPartial, 1, true}, {feedlake.ErrConfig, 1, true}, {down, 1, false}, {down, 2, true}, {errors.New("broken"), 5, false},
	} {
		if got := lasting(fmt.Errorf("fetch: %w", c.err), c.row); got != c.want {
			t.Errorf("%v, %d in a row: %v", c.err, c.row, got)
		}
	}
}
