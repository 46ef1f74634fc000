// Package rounds lets feeds of one source fail alone. A source that reads several,
// such as subreddits, accounts, hashtags or files, goes through them in rounds. A
// feed that cannot be read is passed over, and the round ends with an error that
// names it: what the others told is landed, and the next round tries it again.
package rounds

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

// feedError marks an error of one feed alone.
type feedError struct{ err error }

func (e *feedError) Error() string { return e.err.Error() }

func (e *feedError) Unwrap() error { return e.err }

// OfFeed marks an error as one of the feed that was asked for, whatever its kind:
// that an account is suspended, and not that the credential is refused.
func OfFeed(err error) error {
	if err == nil {
		return nil
	}
	return &feedError{err}
}

// Failed are the feeds that the round under way could not read, by name, and why.
// A source keeps it in its cursor, so that another process ends the round with
// them too. The zero value is ready.
type Failed map[string]string

// longest is how much of an error a cursor keeps, in bytes.
const longest = 300

// Alone reports whether an error is one of that feed alone, and notes it: what
// OfFeed marked, and what does not exist or is refused as it was asked. An error
// that another try may mend, or that a limit or the credential made, is not.
func (f *Failed) Alone(ctx context.Context, name string, err error) bool {
	_, marked := errors.AsType[*feedError](err)
	_, again := errors.AsType[*feedlake.RetryError](err)
	switch {
	case err == nil, ctx.Err() != nil, again, errors.Is(err, feedlake.ErrPartial):
		return false
	case !marked && !errors.Is(err, feedlake.ErrNotFound) && !errors.Is(err, feedlake.ErrRejected):
		return false
	}
	if *f == nil {
		*f = Failed{}
	}
	why := err.Error()
	(*f)[name] = strings.ToValidUTF8(why[:min(len(why), longest)], "")
	return true
}

// Err is what a round through so many feeds could not read; nil when that is
// nothing. Where no feed at all could be read it is no part that is missing: then a
// person is needed.
func (f Failed) Err(feeds int) error {
	if len(f) == 0 {
		return nil
	}
	var said []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		said = append(said, name+": "+f[name])
	}
	kind := feedlake.ErrPartial
	if len(f) >= feeds {
		kind = feedlake.ErrConfig
	}
	return feedlake.Hint(fmt.Errorf("%d of %d feeds cannot be read: %s: %w", len(f), feeds, strings.Join(said, "; "), kind),
		"look at the spelling of these; what is private, suspended or gone must be taken out of the configuration")
}

// End is what the end of a round has to say, once its posts are handed out. A
// source keeps it in memory: who begins at the cursor later begins a round. The
// zero value is ready.
type End struct {
	owed error
	at   feedlake.Cursor
}

// Due is the error that the page from a cursor on has to be; nil: none.
func (e *End) Due(from feedlake.Cursor) error {
	err := e.owed
	e.owed = nil
	if from != e.at {
		return nil
	}
	return err
}

// Page returns the last page of a round that was asked for from a cursor on. When
// there is something to say it is not the last: the next one is that error. A page
// that holds nothing and moves nothing is the error itself.
func (e *End) Page(from feedlake.Cursor, p ingest.Page, owed error) (ingest.Page, error) {
	if !p.Done || owed == nil {
		return p, nil
	}
	if len(p.Posts)+len(p.Rejects) == 0 && p.Next == from {
		return ingest.Page{}, owed
	}
	e.owed, e.at, p.Done = owed, p.Next, false
	return p, nil
}
