package ingest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

// listed goes down the hours from noon of the fifth day to its window's
// beginning, six a page, as a listing without search by time does.
type listed struct {
	w     feedlake.Window
	fails int // pages until it fails; below 0: never
	tells bool
	asked *int
}

func (l *listed) Fetch(_ context.Context, from feedlake.Cursor) (ingest.Page, error) {
	if l.fails == 0 {
		return ingest.Page{}, errors.New("broken")
	}
	l.fails--
	*l.asked++
	next := at("2026-01-05T12:00:00Z")
	if from != "" {
		next = at(string(from))
	}
	var page ingest.Page
	for range 6 {
		if next = next.Add(-time.Hour); l.w.Contains(next) {
			page.Posts = append(page.Posts, feedlake.Post{ID: next.Format(time.RFC3339), CreatedAt: next, ObservedAt: noon})
		}
	}
	page.Next, page.Done = feedlake.Cursor(next.Format(time.RFC3339)), !next.After(l.w.Start)
	if l.tells {
		page.Covered = feedlake.Window{Start: next, End: l.w.End}
	}
	return page, nil
}

// TestMergedSlices reads four days in one descent that breaks in the second of
// them: the days above count as read, and only the others are asked for again,
// from the place where it broke. A source that does not tell what it has covered
// goes on from there as well.
func TestMergedSlices(t *testing.T) {
	days, err := ingest.Slices(window("2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z"), ingest.SliceDay)
	if err != nil {
		t.Fatal(err)
	}
	for tells, missing := range map[bool]int{true: 2, false: 4} {
		l := open(t, t.TempDir(), nil)
		if err := ingest.Deliver(t.Context(), options(l, nil)); err != nil { // makes the tables
			t.Fatal(err)
		}
		asked := 0
		read := func(fails int) (failed bool, left []feedlake.Window) {
			t.Helper()
			b, err := ingest.ReadBacklog(t.Context(), l, "fake")
			if err != nil {
				t.Fatal(err)
			}
			for _, parts := range ingest.Merge(b.Missing(days)) {
				w := feedlake.Window{Start: parts[0].Start, End: parts[len(parts)-1].End}
				o := options(l, &listed{w, fails, tells, &asked})
				o.Slice, o.Parts, o.BatchRows = w, parts, 7 // several commits a run
				if _, err := ingest.Run(t.Context(), o); err != nil {
					failed = true
				}
			}
			if b, err = ingest.ReadBacklog(t.Context(), l, "fake"); err != nil {
				t.Fatal(err)
			}
			return failed, b.Missing(days)
		}
		if failed, left := read(11); !failed || len(left) != missing || asked != 11 { // two pages a half day above, then 9 of 16
			t.Errorf("tells %v: failed %v, missing %v, asked %d", tells, failed, left, asked)
		}
		if failed, left := read(-1); failed || len(left) > 0 || asked != 18 {
			t.Errorf("tells %v: failed %v, missing %v, asked %d", tells, failed, left, asked)
		}
		got := landed(t, l)
		for h := range 96 {
			if id := days[0].Start.Add(time.Duration(h) * time.Hour).Format(time.RFC3339); got[id] != 1 {
				t.Errorf("tells %v: post %s came %d times", tells, id, got[id])
			}
		}
		b, err := ingest.ReadBacklog(t.Context(), l, "fake")
		if d := cmp.Diff([]feedlake.Window{{Start: days[0].Start, End: days[3].End}}, b.Done); d != "" || err != nil || len(b.Open) > 0 || len(got) != 96 {
			t.Errorf("tells %v: %d posts, backlog %+v, %v %s", tells, len(got), b, err, d)
		}
	}
}

// TestMerge puts together what lies side by side.
func TestMerge(t *testing.T) {
	days, err := ingest.Slices(window("2026-01-01T00:00:00Z", "2026-01-06T00:00:00Z"), ingest.SliceDay)
	if err != nil {
		t.Fatal(err)
	}
	got := ingest.Merge(slices.Delete(slices.Clone(days), 2, 3))
	if d := cmp.Diff([][]feedlake.Window{days[:2], days[3:]}, got); d != "" || ingest.Merge(nil) != nil {
		t.Error(d)
	}
}
