package ingest

import (
	"context"
	"fmt"
	"strconv"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// propReading, of raw.posts, is how often a source's records were asked for anew;
// the source's name follows. It is in feedlake.Post.Reading of what lands.
const propReading = "feedlake.reading."

// Rereader is a Source that can give all its records once more, from the empty
// cursor on: they lie where they lay. A network tells most of its posts once.
type Rereader interface{ Rereads() bool }

// Again lets the source's records be read anew: the next Run begins with the
// first one, and what it lands are new versions, of a reading that is higher by
// one. It lands nothing itself. A Run that is cut off goes on like every other.
//
// A source that cannot give its records again is feedlake.ErrConfig; a Run that
// is under way fails with feedlake.ErrConflict.
func Again(ctx context.Context, o Options) error {
	if s, ok := o.Source.(Rereader); !ok || !s.Rereads() {
		return feedlake.Hint(fmt.Errorf("read %s again: a network does not give the same records once more: %w", o.Name, feedlake.ErrConfig),
			"only a source of files can be read again; \"feedlake backfill\" asks a network for what is missing of its past")
	}
	r, err := newRun(ctx, o)
	if err != nil {
		return err
	}
	if err := r.deliver(ctx, r.box); err != nil {
		return err
	}
	next := strconv.FormatInt(r.batch.reading+1, 10)
	_, err = o.Lake.Commit(ctx, lake.Commit{
		Table: lake.RawPosts().Name, ID: fmt.Sprintf("again/%s/%s/%s", o.Name, o.RunID, r.nonce),
		Set:     map[string]string{propReading + o.Name: next, propCursor + o.Name: ""},
		Expect:  map[string]string{propReading + o.Name: r.reading, propCursor + o.Name: r.place},
		Summary: map[string]string{lake.SummaryRunID: o.RunID, "feedlake.source": o.Name},
	})
	if err != nil {
		return fmt.Errorf("read %s again: %w", o.Name, err)
	}
	return nil
}

// readReading finds which reading of the source lands.
func (r *run) readReading(ctx context.Context) (err error) {
	if r.reading, err = r.posts(ctx, propReading); err != nil || r.reading == "" {
		return err
	}
	if r.batch.reading, err = strconv.ParseInt(r.reading, 10, 64); err != nil {
		return fmt.Errorf("read property %s%s: %w", propReading, r.Name, err)
	}
	return nil
}
