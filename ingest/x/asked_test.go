package x

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/feedlake/feedlake"
)

// ask asks for so many of the ids that are left, through the spelling of the
// cursor.
func ask(t *testing.T, c feedlake.Cursor, ids []string, n int) (got []string, next feedlake.Cursor) {
	t.Helper()
	a, err := parseAsked(c, ids)
	if err != nil {
		t.Fatal(err)
	}
	left := a.left(ids)
	if n = min(n, len(left)); n == 0 {
		return nil, c
	}
	if next, err = a.after(left, n).cursor(); err != nil || next == c {
		t.Fatalf("cursor %s: %v", next, err)
	}
	return left[:n], next
}

func numbers(from, to int) (ids []string) {
	for i := from; i < to; i++ {
		ids = append(ids, fmt.Sprint(1_000_000_007*i))
	}
	return ids
}

// TestAsked asks for every id once, also for those that come into the list at any
// place while it goes on, and for few others again.
func TestAsked(t *testing.T) {
	for _, size := range []int{3, 300, 6000} {
		r := rand.New(rand.NewPCG(1, 2))
		ids := numbers(1, size)
		more := numbers(size, size+5)
		times := map[string]int{}
		c, requests := feedlake.Cursor(""), 0
		for done := false; !done; requests++ {
			var got []string
			got, c = ask(t, c, ids, 100)
			for _, id := range got {
				times[id]++
			}
			if done = len(got) == 0; done && len(more) > 0 || requests%7 == 3 && len(more) > 0 {
				ids, more, done = slices.Insert(ids, r.IntN(len(ids)), more[0]), more[1:], false
			}
			if len(c) > 9000 {
				t.Fatalf("a cursor of %d bytes for %d ids", len(c), len(ids))
			}
		}
		again := 0
		for _, id := range ids {
			if times[id] == 0 {
				t.Errorf("of %d: %s was not asked for", size, id)
			}
			again += max(0, times[id]-1)
		}
		if limit := 5 * (2 + 2*size/mostShelves); again > limit {
			t.Errorf("of %d: %d ids were asked for again, want %d at most", size, again, limit)
		}
		r.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		if got, _ := ask(t, c, ids, 100); len(got) > 0 {
			t.Errorf("of %d: in another order %d ids are asked for", size, len(got))
		}
	}
}

// TestAskedShelf goes on within a shelf that is longer than a request, and begins
// it anew when another id came before that place.
func TestAskedShelf(t *testing.T) {
	var ids []string
	for _, id := range numbers(1, 40*mostShelves) {
		if shelf(id) == 7 {
			ids = append(ids, id)
		}
	}
	first, c := ask(t, "", ids[1:], 10)
	second, c := ask(t, c, ids[1:], 10)
	if want := ids[1:21]; !slices.Equal(slices.Concat(first, second), want) {
		t.Errorf("asked for %v, want %v", slices.Concat(first, second), want)
	}
	got, c := ask(t, c, ids, 1000)
	if !slices.Equal(got, ids) {
		t.Errorf("%d ids are asked for after one came, want all %d", len(got), len(ids))
	}
	if got, _ := ask(t, c, ids, 1000); len(got) > 0 {
		t.Errorf("%d ids are asked for twice", len(got))
	}
}

// TestAskedOld understands a cursor that counts, while the list begins as it did.
func TestAskedOld(t *testing.T) {
	ids := numbers(1, 20)
	got, c := ask(t, "12", ids, 3)
	rest, c := ask(t, c, ids, 100)
	got = slices.Concat(got, rest)
	slices.Sort(got)
	want := slices.Sorted(slices.Values(ids[12:]))
	if !slices.Equal(got, want) {
		t.Errorf("asked for %v, want %v", got, want)
	}
	if got, _ := ask(t, c, append(ids, "5"), 100); !slices.Equal(got, []string{"5"}) {
		t.Errorf("asked for %v, want the new one", got)
	}
	if got, _ := ask(t, c, slices.Insert(slices.Clone(ids), 0, "5"), 100); !slices.Contains(got, "5") {
		t.Errorf("asked for %v, not for the new one", got)
	}
	for _, c := range []feedlake.Cursor{"x", "-1", `{"shelves":"AAAA"}`, `{"first":-1}`} {
		if _, err := parseAsked(c, ids); err == nil {
			t.Errorf("%s was taken for a cursor", c)
		}
	}
}
