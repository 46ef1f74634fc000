package sourcetest

import (
	"errors"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

// Covered reads a backfill's window and checks what its pages say of it: of the
// part that counts as read no post is missing, whatever page the reading breaks
// off behind. Least is how many pages must say something.
func Covered(t *testing.T, clock *Clock, open func() ingest.Source, least int) {
	t.Helper()
	if m, ok := open().(ingest.Merger); !ok || !m.Merges() {
		t.Error("windows side by side are not read as one")
	}
	var all []feedlake.Post
	walk(t, clock, open(), func(p ingest.Page) { all = append(all, p.Posts...) })
	got, told := map[string]bool{}, 0
	walk(t, clock, open(), func(p ingest.Page) {
		for _, post := range p.Posts {
			got[post.ID] = true
		}
		if p.Covered == (feedlake.Window{}) {
			return
		}
		told++
		for _, post := range all {
			if p.Covered.Contains(post.CreatedAt) && !got[post.ID] {
				t.Fatalf("%s of %s is missing in what is covered, %v", post.ID, post.CreatedAt, p.Covered)
			}
		}
	})
	if told < least {
		t.Errorf("%d pages told what is covered, want %d", told, least)
	}
}

// walk fetches every page, waiting where a limit wants it.
func walk(t *testing.T, clock *Clock, src ingest.Source, see func(ingest.Page)) {
	t.Helper()
	for at, done, tries := feedlake.Cursor(""), false, 0; !done; {
		p, err := src.Fetch(t.Context(), at)
		if again, ok := errors.AsType[*feedlake.RetryError](err); ok && tries < 6 {
			tries++
			_ = clock.Sleep(t.Context(), max(time.Second, again.After))
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		see(p)
		at, done, tries = p.Next, p.Done, 0
	}
}
