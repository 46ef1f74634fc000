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

// TestChanged tells a post again that says something else, once, and remembers
// what it says now; what changes within a pass is for the next one.
func TestChanged(t *testing.T) {
	f := &feed{page: 3}
	for i := range 6 {
		f.add(fmt.Sprintf("a%d", i), time.Duration(i)*10*time.Second)
	}
	_, c := f.pass(t, "")
	liked := func(i, n int) {
		for j := range f.posts {
			if f.posts[j].ID == fmt.Sprintf("a%d", i) {
				f.posts[j].Likes = new(int64(n))
			}
		}
	}
	for n, want := range []string{"a5 a3", "a5", ""} {
		switch n {
		case 0:
			liked(5, 1)
			liked(3, 1)
			f.posts[4].ObservedAt = noon.Add(time.Hour) // seen later, and the same
		case 1:
			liked(5, 2)
		}
		var got []string
		if got, c = f.pass(t, c); strings.Join(got, " ") != want {
			t.Errorf("pass %d: %q, want %q", n, strings.Join(got, " "), want)
		}
	}
	old := feedlake.Cursor(`{"to":"2026-03-02T12:00:50Z","seen":[{"id":"a5","at":1772452850},{"id":"a4","at":1772452840}]}`)
	if got, _ := f.pass(t, old); slices.Contains(got, "a5") || !slices.Contains(got, "a3") {
		t.Errorf("with a cursor that knows no versions: %v", got)
	}
}

// TestVersion takes into account what posts are read again for.
func TestVersion(t *testing.T) {
	one := func() *int64 { return new(int64(1)) }
	seen := map[string]string{}
	for name, p := range map[string]feedlake.Post{
		"nothing": {}, "text": {Text: "a"}, "gone": {Deleted: true},
		"likes": {Likes: one()}, "reposts": {Reposts: one()}, "replies": {Replies: one()}, "views": {Views: one()}, "other likes": {Likes: new(int64(11))},
	} {
		v := frontier.Version(&p)
		if seen[v] != "" || len(v) != 4 {
			t.Errorf("%s has the version of %s, %q", name, seen[v], v)
		}
		seen[v] = name
	}
	repost := feedlake.Post{Kind: feedlake.KindRepost}
	liked := repost
	liked.Likes = one()
	if frontier.Version(&repost) != frontier.Version(&liked) {
		t.Error("a repost changes with the original's likes")
	}
}

// TestFuture keeps coming down to what is there today below a post that claims a
// time of the future.
func TestFuture(t *testing.T) {
	f := &feed{page: 3}
	f.add("now", 0)
	f.posts = append(f.posts, feedlake.Post{ID: "claims", CreatedAt: noon.AddDate(90, 0, 0), ObservedAt: noon})
	_, c := f.pass(t, "")
	f.add("next", time.Second)
	if got, _ := f.pass(t, c); strings.Join(got, " ") != "next" {
		t.Errorf("second pass: %v", got)
	}
}

// TestRejects remembers the records that were rejected, as far as the last pass
// met them.
func TestRejects(t *testing.T) {
	r := func(payload string) feedlake.Reject {
		return feedlake.Reject{Reason: "bad", Payload: payload, Position: payload}
	}
	var m frontier.Rejects
	for n, step := range []struct {
		met    []feedlake.Reject
		fresh  int
		landed bool
	}{
		{[]feedlake.Reject{r(`{"id":1,"likes":1}`), r("broken"), r(`{"data":{"id":"2"}}`), {Reason: "bad", Position: "place"}}, 4, false},
		{[]feedlake.Reject{r(`{"id":1,"likes":2}`)}, 0, true},
		{[]feedlake.Reject{r(`{"id":1,"likes":3}`), r("broken"), {Reason: "bad", Position: "another place"}}, 1, true},
		{[]feedlake.Reject{r(`{"data":{"id":"2"}}`)}, 1, true}, // the last pass did not come down to it
		{[]feedlake.Reject{r("broken")}, 1, true},
	} {
		var fresh []feedlake.Reject
		before := slices.Clone(m)
		if fresh, m = m.Fresh(step.met); len(fresh) != step.fresh || step.fresh > 0 && slices.Equal(before, m) {
			t.Errorf("step %d: %d are new, want %d; marks %q", n, len(fresh), step.fresh, m)
		}
		if step.landed {
			m = m.Landed()
		}
	}
	if m = m.Landed(); len(m) > 0 {
		t.Errorf("a pass met none of %q", m)
	}
	for i := range 3000 {
		_, m = m.Fresh([]feedlake.Reject{r(fmt.Sprint(i))})
	}
	if len(m) > 500 {
		t.Errorf("%d marks", len(m))
	}
}
