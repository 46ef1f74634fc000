package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/lake"
)

// TestWithCopies names, beside a post of one source, the same post of every other
// source of its network.
func TestWithCopies(t *testing.T) {
	networks := map[string]string{"search": "x", "archive": "x", "fediverse": "mastodon"}
	got := withCopies([]eraseTarget{{lake.ErasedPost, "search", "1"}, {lake.ErasedAuthor, "fediverse", "u"}, {lake.ErasedPost, "own", "1"}}, networks)
	want := []eraseTarget{
		{lake.ErasedAuthor, "fediverse", "u"}, {lake.ErasedPost, "archive", "1"}, {lake.ErasedPost, "own", "1"}, {lake.ErasedPost, "search", "1"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(eraseTarget{})); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
}
