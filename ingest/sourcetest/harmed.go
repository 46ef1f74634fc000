package sourcetest

import (
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

// Harmed is a server of which some feeds cannot be read, nor some records.
type Harmed interface {
	Server
	Garbled() []string // ids of what can be seen, and not read
}

// Apart holds a source to what is left of its feeds when some of them, and some
// records, cannot be read: everything else comes, once; each of the records is a
// reject, once; and every run ends in part and names the feeds in bad, not only the
// first. reads tells which posts are in the other feeds; nil: all.
func Apart[S Harmed](t *testing.T, start func(now func() time.Time) (S, error), reads func(s S, id string) bool, bad func(S) []string,
	open func(t *testing.T, env ingest.Env, s S, url string) ingest.Source,
) {
	t.Helper()
	for _, restart := range []int{0, 3} {
		clock := NewClock()
		s, err := start(clock.Now)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(s)
		var names []string
		if bad != nil {
			names = bad(s)
		}
		r := reader{t: t, clock: clock, restart: restart, open: func() ingest.Source { return open(t, clock.Env(t, "source"), s, server.URL) }}
		of := func(ids []string) []string {
			return slices.Sorted(slices.Values(slices.DeleteFunc(ids, func(id string) bool { return reads != nil && !reads(s, id) })))
		}
		for run := 1; run <= 3; run++ {
			r.partial(names)
			var got []string
			for _, p := range r.posts {
				if !p.Deleted {
					got = append(got, p.ID)
				}
			}
			slices.Sort(got)
			if d := cmp.Diff(of(s.Live()), got); d != "" || len(got) == 0 {
				t.Errorf("run %d: %d posts: %s", run, len(got), d)
			}
			if want := len(of(s.Garbled())); len(r.rejects) != want || want == 0 {
				t.Errorf("run %d: %d rejects, want %d:\n%s", run, len(r.rejects), want, strings.Join(Reasons(r.rejects), "\n"))
			}
		}
		server.Close()
	}
}

// partial drains the source, which ends in part for the sake of some feeds.
func (r *reader) partial(names []string) {
	r.t.Helper()
	src := r.open()
	for page := 1; page < maxPages; page++ {
		p, err := r.fetch(src)
		if errors.Is(err, feedlake.ErrPartial) && len(names) > 0 {
			for _, name := range names {
				if !strings.Contains(err.Error(), name) {
					r.t.Errorf("the error does not name %s: %v", name, err)
				}
			}
			return
		}
		if err != nil {
			r.t.Fatalf("page %d from %.200s: %v", page, r.at, err)
		}
		if rows := len(p.Posts) + len(p.Rejects); p.Next == r.at && (rows > 0 || !p.Done) {
			r.t.Fatalf("page %d of %d records did not move the cursor %.200s", page, rows, r.at)
		}
		r.posts, r.rejects, r.at = append(r.posts, p.Posts...), append(r.rejects, p.Rejects...), p.Next
		if p.Done && len(names) == 0 {
			return
		}
		if p.Done {
			r.t.Fatalf("the run ends as if %v had been read", names)
		}
		if r.restart > 0 && page%r.restart == 0 && len(p.Posts)+len(p.Rejects) > 0 { // not between the last page and what it owes
			src = r.open()
		}
	}
	r.t.Fatalf("no end after %d pages", maxPages)
}
