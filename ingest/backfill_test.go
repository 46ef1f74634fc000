package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

func window(from, to string) feedlake.Window { return feedlake.Window{Start: at(from), End: at(to)} }

func TestSlices(t *testing.T) {
	for _, c := range []struct {
		from, to, every string
		want            []feedlake.Window
	}{
		{"2026-01-01T22:30:00Z", "2026-01-02T00:10:00Z", ingest.SliceHour, []feedlake.Window{
			window("2026-01-01T22:30:00Z", "2026-01-01T23:00:00Z"), window("2026-01-01T23:00:00Z", "2026-01-02T00:00:00Z"), window("2026-01-02T00:00:00Z", "2026-01-02T00:10:00Z"),
		}},
		{"2026-02-28T00:00:00Z", "2026-03-02T00:00:00Z", ingest.SliceDay, []feedlake.Window{
			window("2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"), window("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"),
		}},
		{"2026-01-01T00:00:00Z", "2026-01-13T00:00:00Z", ingest.SliceWeek, []feedlake.Window{ // a Thursday
			window("2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z"), window("2026-01-05T00:00:00Z", "2026-01-12T00:00:00Z"), window("2026-01-12T00:00:00Z", "2026-01-13T00:00:00Z"),
		}},
		{"2025-12-31T00:00:00Z", "2026-02-01T00:00:00Z", ingest.SliceMonth, []feedlake.Window{
			window("2025-12-31T00:00:00Z", "2026-01-01T00:00:00Z"), window("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
		}},
	} {
		got, err := ingest.Slices(window(c.from, c.to), c.every)
		if d := cmp.Diff(c.want, got); d != "" || err != nil {
			t.Errorf("%s of %s to %s: %v %s", c.every, c.from, c.to, err, d)
		}
	}
	for _, c := range []struct {
		w     feedlake.Window
		every string
	}{
		{window("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"), "fortnight"},
		{window("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"), ingest.SliceDay},
		{feedlake.Window{End: noon}, ingest.SliceDay},
	} {
		if _, err := ingest.Slices(c.w, c.every); !errors.Is(err, feedlake.ErrConfig) {
			t.Errorf("%v by %s: error %v", c.w, c.every, err)
		}
	}
}

// past yields the hours of a window, two a page, as posts; after so many pages it
// fails.
type past struct {
	w     feedlake.Window
	fails int // pages until it fails; below 0: never
	asked *[]string
}

func (p *past) Fetch(_ context.Context, from feedlake.Cursor) (ingest.Page, error) {
	if p.fails == 0 {
		return ingest.Page{}, errors.New("broken")
	}
	p.fails--
	next := p.w.Start
	if from != "" {
		next = at(string(from))
	}
	var page ingest.Page
	for n := 0; n < 2 && next.Before(p.w.End); n++ {
		*p.asked = append(*p.asked, next.Format("02T15"))
		page.Posts = append(page.Posts, feedlake.Post{ID: next.Format(time.RFC3339), CreatedAt: next, ObservedAt: noon})
		next = next.Add(time.Hour)
	}
	page.Next, page.Done = feedlake.Cursor(next.Format(time.RFC3339)), !next.Before(p.w.End)
	return page, nil
}

// TestBackfill reads slices, one of which fails in its middle: only what is
// missing is asked for again, from the place where it failed, and the live
// cursor stays where it is.
func TestBackfill(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	if _, err := ingest.Run(t.Context(), options(l, fake{9, 7})); err != nil {
		t.Fatal(err)
	}
	all, err := ingest.Slices(window("2026-01-01T00:00:00Z", "2026-01-01T12:00:00Z"), ingest.SliceDay)
	if err != nil {
		t.Fatal(err)
	}
	more, err := ingest.Slices(window("2026-01-01T12:00:00Z", "2026-01-01T18:00:00Z"), ingest.SliceDay)
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, more...)
	var asked []string
	read := func(fails int) (failed int) {
		t.Helper()
		b, err := ingest.ReadBacklog(t.Context(), l, "fake")
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range b.Missing(all) {
			o := options(l, &past{w, fails, &asked})
			o.Slice = w
			if _, err := ingest.Run(t.Context(), o); err != nil {
				failed++
			}
			fails = -1
		}
		return failed
	}
	if failed := read(3); failed != 1 || len(asked) != 6+6 {
		t.Errorf("%d failed, asked %v", failed, asked)
	}
	asked = nil
	if failed := read(-1); failed != 0 || fmt.Sprint(asked) != "[01T06 01T07 01T08 01T09 01T10 01T11]" {
		t.Errorf("%d failed, asked %v", failed, asked)
	}
	asked = nil
	if failed := read(-1); failed != 0 || len(asked) != 0 {
		t.Errorf("a third time %d failed, asked %v", failed, asked)
	}
	b, err := ingest.ReadBacklog(t.Context(), l, "fake")
	if d := cmp.Diff([]feedlake.Window{window("2026-01-01T00:00:00Z", "2026-01-01T18:00:00Z")}, b.Done); d != "" || err != nil || len(b.Open) != 0 {
		t.Errorf("backlog %+v %v %s", b, err, d)
	}
	got := landed(t, l)
	for h := range 18 {
		if id := at("2026-01-01T00:00:00Z").Add(time.Duration(h) * time.Hour).Format(time.RFC3339); got[id] != 1 {
			t.Errorf("post %s came %d times", id, got[id])
		}
	}
	if cursor, err := l.Property(t.Context(), "raw.posts", "feedlake.cursor.fake"); cursor != "9" || err != nil {
		t.Errorf("the live cursor is %q, %v", cursor, err)
	}
}

// TestRunKeepsWhatItRead fails after some pages: what came before is landed, and
// the next run goes on behind it.
func TestRunKeepsWhatItRead(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	var asked []string
	w := window("2026-01-01T00:00:00Z", "2026-01-01T08:00:00Z")
	res, err := ingest.Run(t.Context(), options(l, &past{w, 2, &asked}))
	if err == nil || res.Posts != 4 {
		t.Fatalf("%+v, %v", res, err)
	}
	asked = nil
	if res, err = ingest.Run(t.Context(), options(l, &past{w, -1, &asked})); err != nil || res.Posts != 4 || asked[0] != "01T04" {
		t.Errorf("%+v, %v, asked %v", res, err, asked)
	}
}

// TestRunLeavesOldPostsOut does not land what its source would not keep.
func TestRunLeavesOldPostsOut(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	var asked []string
	o := options(l, &past{window("2026-01-01T00:00:00Z", "2026-01-01T08:00:00Z"), -1, &asked})
	o.NotBefore = at("2026-01-01T05:00:00Z")
	if res, err := ingest.Run(t.Context(), o); err != nil || res.Posts != 3 || res.Outdated != 5 {
		t.Errorf("%+v, %v", res, err)
	}
}
