package ingest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/lake"
)

// shelf is a fake whose records can be read again.
type shelf struct{ fake }

func (shelf) Rereads() bool { return true }

// cut is a shelf that fails behind some pages.
type cut struct {
	shelf
	left *int
}

func (c cut) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	if *c.left--; *c.left < 0 {
		return ingest.Page{}, errors.New("cut off")
	}
	return c.shelf.Fetch(ctx, from)
}

// readings counts how often each reading of each post is in the lake.
func readings(t *testing.T, l *lake.Lake) map[int64]map[string]int {
	t.Helper()
	got := map[int64]map[string]int{}
	for _, p := range rows[feedlake.Post](t, l, "raw.posts") {
		if got[p.Reading] == nil {
			got[p.Reading] = map[string]int{}
		}
		got[p.Reading][p.ID]++
	}
	return got
}

// postsOf are the posts among the first records of a fake, once each.
func postsOf(total int) map[string]int {
	want := exactly(total)
	for k := range want {
		if len(k) > 6 {
			delete(want, k)
		}
	}
	return want
}

// TestAgain lands every record once more, as a reading of its own, also when the
// run that does so is cut off at any page; what is new later belongs to the last
// reading.
func TestAgain(t *testing.T) {
	t.Parallel()
	for _, pages := range []int{0, 2, 4} {
		l := open(t, t.TempDir(), nil)
		run := func(s ingest.Source, fails bool) {
			t.Helper()
			o := options(l, s)
			o.BatchRows = 6
			if _, err := ingest.Run(t.Context(), o); (err != nil) != fails {
				t.Fatalf("run: %v", err)
			}
		}
		again := func() {
			t.Helper()
			if err := ingest.Again(t.Context(), options(l, shelf{})); err != nil {
				t.Fatal(err)
			}
		}
		run(shelf{fake{30, 7}}, false)
		again()
		left := pages
		run(cut{shelf{fake{30, 7}}, &left}, true)
		run(shelf{fake{30, 7}}, false)
		run(shelf{fake{30, 7}}, false)
		if d := cmp.Diff(map[int64]map[string]int{0: postsOf(30), 1: postsOf(30)}, readings(t, l)); d != "" {
			t.Errorf("cut after %d pages: %s", pages, d)
		}
		again()
		run(shelf{fake{33, 7}}, false)
		if d := cmp.Diff(map[int64]map[string]int{0: postsOf(30), 1: postsOf(30), 2: postsOf(33)}, readings(t, l)); d != "" {
			t.Errorf("the third reading: %s", d)
		}
	}
}

// TestAgainRefused wants a reason where records cannot be read again, and no row
// of a run that was under way.
func TestAgainRefused(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), nil)
	err := ingest.Again(t.Context(), options(l, fake{}))
	if hint, ok := errors.AsType[*feedlake.HintError](err); !errors.Is(err, feedlake.ErrConfig) || !ok || hint.Hint == "" {
		t.Errorf("a network: %v", err)
	}
	o := options(l, shelf{fake{30, 7}})
	o.BatchRows = 6
	o.Progress = func(_ ingest.Progress, r ingest.Result) {
		if r.Commits == 0 {
			if err := ingest.Again(t.Context(), options(l, shelf{})); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := ingest.Run(t.Context(), o); !errors.Is(err, feedlake.ErrConflict) {
		t.Errorf("a run that began before: %v", err)
	}
	if got := readings(t, l); len(got) != 0 {
		t.Errorf("it landed %v", got)
	}
}
