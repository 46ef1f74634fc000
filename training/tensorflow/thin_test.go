package tensorflow

import (
	"math/rand/v2"
	"testing"

	"github.com/feedlake/feedlake/training"
)

// TestThinKeepsEveryHashtag leaves out two of three hours of 150 hashtags that
// take turns: each keeps about a third of its own, in order.
func TestThinKeepsEveryHashtag(t *testing.T) {
	const tags, each = 150, 400
	hours := make([]training.TagHour, tags*each)
	for i := range hours {
		hours[i].Posts, hours[i].HoursKnown = int64(i%tags), int64(i)
	}
	got := thin(hours, len(hours)/3, rand.New(rand.NewPCG(1, 1)))
	n := map[int64]int{}
	for i, h := range got {
		n[h.Posts]++
		if i > 0 && h.HoursKnown <= got[i-1].HoursKnown {
			t.Fatal("out of order")
		}
	}
	if len(got) != len(hours)/3 || len(n) != tags {
		t.Errorf("%d hours of %d hashtags", len(got), len(n))
	}
	for tag, k := range n {
		if k < each/4 || k > each/2 {
			t.Errorf("hashtag %d keeps %d of %d hours", tag, k, each)
		}
	}
}
