package erasure

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/lake"
)

// TestWithCopies names, beside a post of one source, the same post of every other
// source of its network.
func TestWithCopies(t *testing.T) {
	networks := map[string]string{"search": "x", "archive": "x", "fediverse": "mastodon"}
	got := WithCopies([]Target{{lake.ErasedPost, "search", "1"}, {lake.ErasedAuthor, "fediverse", "u"}, {lake.ErasedPost, "own", "1"}}, networks)
	want := []Target{
		{lake.ErasedAuthor, "fediverse", "u"}, {lake.ErasedPost, "archive", "1"}, {lake.ErasedPost, "own", "1"}, {lake.ErasedPost, "search", "1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
}
