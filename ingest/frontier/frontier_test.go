package frontier_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/frontier"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// feed is a source that answers newest first, so many a time, with everything
// at or above a floor and at or below a time.
type feed struct {
	posts []feedlake.Post // in any order
	page  int
}

func (f *feed) add(id string, at time.Duration) {
	f.posts = append(f.posts, feedlake.Post{ID: id, CreatedAt: noon.Add(at)})
}

func (f *feed) below(floor, top time.Time) (found []feedlake.Post, last bool) {
	for _, p := range f.posts {
		if !p.CreatedAt.Before(floor) && (top.IsZero() || !p.CreatedAt.Truncate(time.Second).After(top)) {
			found = append(found, p)
		}
	}
	slices.SortStableFunc(found, func(a, b feedlake.Post) int { return b.CreatedAt.Compare(a.CreatedAt) })
	if len(found) <= f.page {
		return found, true
	}
	return found[:f.page], false
}

const overlap = time.Minute

// step reads one answer, as a source does, through the spelling of the cursor.
func (f *feed) step(t *testing.T, c feedlake.Cursor) (ids []string, next feedlake.Cursor, done bool) {
	t.Helper()
	at, err := frontier.Parse(c)
	if err != nil {
		t.Fatal(err)
	}
	var top time.Time
	if at.Pass != nil {
		top = at.Pass.Down
	}
	found, done := f.below(at.Floor(overlap, noon.Add(-time.Hour)), top)
	fresh, to := at.Down(found, "", overlap)
	if done {
		to = to.Landed(overlap)
	}
	next, err = to.Cursor()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range fresh {
		ids = append(ids, p.ID)
	}
	return ids, next, done
}

func (f *feed) pass(t *testing.T, c feedlake.Cursor) (ids []string, next feedlake.Cursor) {
	t.Helper()
	for range 100 {
		more, to, done := f.step(t, c)
		ids, c = append(ids, more...), to
		if done {
			return ids, c
		}
	}
	t.Fatal("a pass does not end")
	return nil, ""
}

// TestPasses reads a feed that grows, also while a pass is under way, and late.
func TestPasses(t *testing.T) {
	f := &feed{page: 3}
	for i := range 10 {
		f.add(fmt.Sprintf("a%d", i), time.Duration(i)*10*time.Second)
	}
	got, c := f.pass(t, "")
	if want := "a9 a8 a7 a6 a5 a4 a3 a2 a1 a0"; strings.Join(got, " ") != want {
		t.Errorf("first pass: %s, want %s", strings.Join(got, " "), want)
	}
	f.add("late", 80*time.Second)     // within the overlap behind the newest
	f.add("too late", 20*time.Second) // behind it: nobody looks there again
	f.add("same", 90*time.Second)     // in the second of the newest
	for i := range 5 {
		f.add(fmt.Sprintf("b%d", i), time.Duration(100+i)*time.Second)
	}
	one, c, _ := f.step(t, c)
	f.add("new", 200*time.Second) // while the pass goes on
	rest, c := f.pass(t, c)
	all := slices.Concat(one, rest)
	if want := "b4 b3 b2 b1 b0 same late"; strings.Join(all, " ") != want {
		t.Errorf("second pass: %s, want %s", strings.Join(all, " "), want)
	}
	got, c = f.pass(t, c)
	if d := cmp.Diff([]string{"new"}, got); d != "" {
		t.Errorf("third pass (-want +got): %s", d)
	}
	again, same := f.pass(t, c)
	if len(again) > 0 || same != c {
		t.Errorf("a pass over what is known: %v, and the cursor went from %s to %s", again, c, same)
	}
}

// TestCursorStaysSmall reads much and remembers little.
func TestCursorStaysSmall(t *testing.T) {
	f := &feed{page: 50}
	for i := range 3000 {
		f.add(fmt.Sprintf("p%d", i), time.Duration(i)*time.Second)
	}
	longest, c := 0, feedlake.Cursor("")
	for done := false; !done; {
		_, c, done = f.step(t, c)
		longest = max(longest, len(c))
	}
	if longest > 8000 {
		t.Errorf("a cursor of %d bytes, to remember a minute of a post a second", longest)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []feedlake.Cursor{"x", "17", `{"to":"yesterday"}`} {
		if _, err := frontier.Parse(c); err == nil {
			t.Errorf("%s was taken for a cursor", c)
		}
	}
}
