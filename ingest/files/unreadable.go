package files

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/rounds"
)

// shownFiles is how many unreadable files an error names.
const shownFiles = 10

// unreadable are the files that a pass could not read, by name. It passes them over
// and reads the others; the next pass tries them again, since nothing says that
// they were read.
type unreadable rounds.Failed

// alone reports whether an error is one of that file alone, and notes it. An error
// that another try may mend, that the configuration makes or that the end of the
// run makes is not: the file was found by a listing a moment ago.
func (u *unreadable) alone(ctx context.Context, name string, err error) bool {
	return !errors.Is(err, feedlake.ErrConfig) && (*rounds.Failed)(u).Alone(ctx, name, rounds.OfFeed(err))
}

// err is what the end of a pass over so many files has to say; nil when all were
// read.
func (u unreadable) err(all int) error {
	if len(u) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(u))
	said := make([]string, 0, shownFiles+1)
	for _, name := range names[:min(len(names), shownFiles)] {
		said = append(said, name+": "+u[name])
	}
	if more := len(names) - shownFiles; more > 0 {
		said = append(said, fmt.Sprintf("and %d more", more))
	}
	return feedlake.Hint(fmt.Errorf("%d of %d files cannot be read: %s: %w", len(u), all, strings.Join(said, "; "), feedlake.ErrPartial),
		"see that feedlake may read them; the next run tries them again, or narrow the path")
}
