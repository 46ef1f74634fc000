package rounds_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/rounds"
)

var errFault = errors.New("fault")

// TestAlone tells errors of a feed from those that all feeds would meet.
func TestAlone(t *testing.T) {
	ended, stop := context.WithCancel(t.Context())
	stop()
	config := fmt.Errorf("private: %w", feedlake.ErrConfig)
	for name, c := range map[string]struct {
		ctx  context.Context //nolint:containedctx // a case of a table
		err  error
		want bool
	}{
		"none":        {t.Context(), nil, false},
		"not there":   {t.Context(), fmt.Errorf("x: %w", feedlake.ErrNotFound), true},
		"refused":     {t.Context(), fmt.Errorf("x: %w", feedlake.ErrRejected), true},
		"credential":  {t.Context(), config, false},
		"private":     {t.Context(), fmt.Errorf("ask: %w", rounds.OfFeed(config)), true},
		"another try": {t.Context(), &feedlake.RetryError{Err: rounds.OfFeed(feedlake.ErrNotFound)}, false},
		"limit":       {t.Context(), rounds.OfFeed(fmt.Errorf("x: %w", feedlake.ErrPartial)), false},
		"unknown":     {t.Context(), errFault, false},
		"cancelled":   {ended, rounds.OfFeed(config), false},
	} {
		var f rounds.Failed
		if got := f.Alone(c.ctx, "feed", c.err); got != c.want || got != (len(f) == 1) {
			t.Errorf("%s: %v, noted %v", name, got, f)
		}
	}
	if rounds.OfFeed(nil) != nil {
		t.Error("no error became one")
	}
}

// TestErr names the feeds that failed, and asks for a person when all did.
func TestErr(t *testing.T) {
	var f rounds.Failed
	if err := f.Err(3); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"b", "a"} {
		f.Alone(t.Context(), name, fmt.Errorf("%s is gone: %w", name, feedlake.ErrNotFound))
	}
	if err := f.Err(3); !errors.Is(err, feedlake.ErrPartial) || !strings.Contains(err.Error(), "2 of 3 feeds cannot be read: a: a is gone: not found; b: b is gone") {
		t.Error(err)
	}
	if err := f.Err(2); !errors.Is(err, feedlake.ErrConfig) || errors.Is(err, feedlake.ErrPartial) {
		t.Error(err)
	}
}

// TestEnd hands the error out after the last page, once, and never in place of
// what that page holds.
func TestEnd(t *testing.T) {
	post := []feedlake.Post{{ID: "1"}}
	for name, c := range map[string]struct {
		page   ingest.Page
		owed   error
		now    bool // the page itself is the error
		next   bool // the next one is
		isDone bool
	}{
		"not done":      {ingest.Page{Posts: post, Next: "b"}, errFault, false, false, false},
		"nothing owed":  {ingest.Page{Posts: post, Next: "b", Done: true}, nil, false, false, true},
		"with posts":    {ingest.Page{Posts: post, Next: "b", Done: true}, errFault, false, true, false},
		"moves":         {ingest.Page{Next: "b", Done: true}, errFault, false, true, false},
		"holds nothing": {ingest.Page{Next: "a", Done: true}, errFault, true, false, false},
	} {
		var e rounds.End
		p, err := e.Page("a", c.page, c.owed)
		if (err != nil) != c.now || p.Done != c.isDone {
			t.Errorf("%s: done %v, %v", name, p.Done, err)
		}
		if err := e.Due("b"); (err != nil) != c.next {
			t.Errorf("%s, next page: %v", name, err)
		}
		if err := e.Due("b"); err != nil {
			t.Errorf("%s: twice: %v", name, err)
		}
	}
	var e rounds.End
	_, _ = e.Page("a", ingest.Page{Posts: post, Next: "b", Done: true}, errFault)
	if err := e.Due("elsewhere"); err != nil {
		t.Errorf("from another cursor: %v", err)
	}
}
