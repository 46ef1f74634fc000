package objects

import (
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// listed yields keys, and does something before that.
func listed(before func(), keys ...string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		before()
		for _, k := range keys {
			if !yield(k, nil) {
				return
			}
		}
	}
}

// TestPrune keeps copies of what is listed, of what is in use, and of what came
// after the listing began.
func TestPrune(t *testing.T) {
	dir, m := t.TempDir(), &maker{}
	c := openCache(t, dir, 0)
	fetch(t, c, m, wants(100, "live", "gone")...)()
	release := fetch(t, c, m, wants(100, "used")...)
	late := wants(100, "late")[0]
	comes := func() {
		if err := c.Adopt(late.Key, write(t, content(late.Key, 100))); err != nil {
			t.Fatal(err)
		}
	}
	removed, held, err := c.Prune(t.Context(), listed(comes, "s3://bucket/live"))
	if err != nil || removed != 1 || held != 1 {
		t.Errorf("%d removed, %d held, %v, want 1 and 1", removed, held, err)
	}
	if d := cmp.Diff([]string{"late", "live", "used"}, slices.Sorted(slices.Values(has(t, dir, "files")))); d != "" {
		t.Error(d)
	}
	release()
	broken := errors.New("listing broke")
	_, _, err = c.Prune(t.Context(), func(yield func(string, error) bool) { yield("", broken) })
	if !errors.Is(err, broken) || len(has(t, dir, "files")) != 3 {
		t.Errorf("after half a listing: %v, %q", err, has(t, dir, "files"))
	}
	if removed, held, err = c.Prune(t.Context(), listed(func() {}, "s3://bucket/live", late.Key)); err != nil || removed != 1 || held != 0 {
		t.Errorf("%d removed, %d held, %v, want 1 and 0", removed, held, err)
	}
	if err := c.SetNote("s3://bucket", "seen"); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"s3://bucket": "seen", "s3://other": ""} {
		if got, err := c.Note(key); got != want || err != nil {
			t.Errorf("note of %s: %q, %v, want %q", key, got, err, want)
		}
	}
	tidy(t, dir)
}
