// Package sourcetest is the contract of ingest.Source as a test suite. Every
// source runs it on a small set of data.
package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

// mostPages bounds a source under test.
const mostPages = 10_000

// Run holds the sources that open makes to the contract. Each call of open must
// return a new source over the same data, which stays as it is during the test
// and holds at least one record; its clock stands still.
func Run(t *testing.T, open func(t *testing.T) ingest.Source) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, func(*testing.T) ingest.Source)
	}{
		{"ends", ends},
		{"repeats a page", repeats},
		{"resumes from every cursor", resumes},
		{"hands no record out twice", once},
		{"keeps off a page it gave away", keepsOff},
		{"honours cancellation", cancels},
		{"refuses a foreign cursor", refuses},
		{"moves its cursor with every record", moves},
		{"gives posts fit for the lake", fits},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open) })
	}
}

// step is one page and the cursor it was asked with.
type step struct {
	from feedlake.Cursor
	page ingest.Page
}

// drain reads from a cursor to the end.
func drain(t *testing.T, s ingest.Source, from feedlake.Cursor) []step {
	t.Helper()
	var steps []step
	for len(steps) < mostPages {
		p, err := s.Fetch(t.Context(), from)
		if err != nil {
			t.Fatalf("fetch from %q: %v", from, err)
		}
		steps = append(steps, step{from, p})
		if p.Done {
			return steps
		}
		from = p.Next
	}
	t.Fatalf("no end after %d pages", mostPages)
	return nil
}

func posts(steps []step) []feedlake.Post {
	var out []feedlake.Post
	for _, s := range steps {
		out = append(out, s.page.Posts...)
	}
	return out
}

func rejects(steps []step) []feedlake.Reject {
	var out []feedlake.Reject
	for _, s := range steps {
		out = append(out, s.page.Rejects...)
	}
	return out
}

func ends(t *testing.T, open func(*testing.T) ingest.Source) {
	src := open(t)
	steps := drain(t, src, "")
	if len(posts(steps))+len(rejects(steps)) == 0 {
		t.Fatal("the source under test has no record")
	}
	last := steps[len(steps)-1].page
	for range 2 { // behind the end there is nothing, however often one asks
		p, err := src.Fetch(t.Context(), last.Next)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Posts)+len(p.Rejects) > 0 || !p.Done || p.Next != last.Next {
			t.Errorf("behind the end: %d posts, %d rejects, done %v, cursor %q instead of %q", len(p.Posts), len(p.Rejects), p.Done, p.Next, last.Next)
		}
	}
}

func repeats(t *testing.T, open func(*testing.T) ingest.Source) {
	src := open(t)
	for _, s := range drain(t, src, "") {
		for _, again := range []ingest.Source{src, open(t)} {
			p, err := again.Fetch(t.Context(), s.from)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(s.page.Posts, p.Posts); d != "" {
				t.Fatalf("page from %q is another the second time: %s", s.from, d)
			}
			if d := cmp.Diff(s.page.Rejects, p.Rejects); d != "" {
				t.Fatalf("rejects of the page from %q are others the second time: %s", s.from, d)
			}
			if p.Next != s.page.Next {
				t.Fatalf("page from %q ends at %q the second time, first at %q", s.from, p.Next, s.page.Next)
			}
		}
	}
}

func resumes(t *testing.T, open func(*testing.T) ingest.Source) {
	steps := drain(t, open(t), "")
	for i, s := range steps {
		rest := drain(t, open(t), s.from)
		if d := cmp.Diff(posts(steps[i:]), posts(rest)); d != "" {
			t.Fatalf("from %q (page %d of %d): posts differ: %s", s.from, i, len(steps), d)
		}
		if d := cmp.Diff(rejects(steps[i:]), rejects(rest)); d != "" {
			t.Fatalf("from %q: rejects differ: %s", s.from, d)
		}
	}
}

// once compares places and payloads, as a network may well give two equal posts.
func once(t *testing.T, open func(*testing.T) ingest.Source) {
	steps := drain(t, open(t), "")
	seen := map[feedlake.Cursor]int{}
	for i, s := range steps {
		if at, ok := seen[s.page.Next]; ok && s.page.Next != s.from {
			t.Errorf("pages %d and %d end at the same cursor %q", at, i, s.page.Next)
		}
		seen[s.page.Next] = i
	}
	places := map[string]bool{}
	for _, r := range rejects(steps) {
		if r.Position == "" || r.Reason == "" {
			t.Errorf("reject without place or reason: %+v", r)
		}
		if key := r.Position + r.Reason; places[key] {
			t.Errorf("reject handed out twice: %s: %s", r.Position, r.Reason)
		} else {
			places[key] = true
		}
	}
}

func keepsOff(t *testing.T, open func(*testing.T) ingest.Source) {
	src := open(t)
	first, err := src.Fetch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	copied := deepCopy(first.Posts)
	drain(t, src, first.Next)
	drain(t, src, "")
	if d := cmp.Diff(copied, first.Posts); d != "" {
		t.Errorf("the source wrote into a page it had given away: %s", d)
	}
	for i := range first.Posts { // the page is the caller's to write to
		first.Posts[i] = feedlake.Post{ID: "overwritten"}
	}
	first.Posts = append(first.Posts, feedlake.Post{ID: "appended"})
	again, err := src.Fetch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(copied, again.Posts); d != "" {
		t.Errorf("the source read a page it had given away: %s", d)
	}
}

func deepCopy(posts []feedlake.Post) []feedlake.Post {
	out := slices.Clone(posts)
	for i := range out {
		p := &out[i]
		for _, s := range []*string{
			&p.Source, &p.ID, &p.URI, &p.Kind, &p.AuthorID, &p.AuthorName, &p.Text, &p.Lang,
			&p.ReplyTo, &p.RepostOf, &p.QuoteOf, &p.Query, &p.Payload, &p.RunID,
		} {
			*s = strings.Clone(*s)
		}
		for _, l := range []*[]string{&p.Hashtags, &p.Mentions, &p.URLs} {
			*l = slices.Clone(*l)
			for j := range *l {
				(*l)[j] = strings.Clone((*l)[j])
			}
		}
		for _, n := range []**int64{&p.AuthorFollowers, &p.Likes, &p.Reposts, &p.Replies, &p.Views} {
			if *n != nil {
				v := **n
				*n = &v
			}
		}
	}
	return out
}

func cancels(t *testing.T, open func(*testing.T) ingest.Source) {
	src := open(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := src.Fetch(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("fetch with an ended context: %v", err)
	}
	if got, want := posts(drain(t, src, "")), posts(drain(t, open(t), "")); !cmp.Equal(got, want) {
		t.Errorf("after a cancelled fetch: %d posts, want %d", len(got), len(want))
	}
}

func refuses(t *testing.T, open func(*testing.T) ingest.Source) {
	if p, err := open(t).Fetch(t.Context(), "no cursor of this source \x00"); err == nil {
		t.Errorf("a foreign cursor was taken: %d posts", len(p.Posts))
	}
}

func moves(t *testing.T, open func(*testing.T) ingest.Source) {
	for i, s := range drain(t, open(t), "") {
		rows := len(s.page.Posts) + len(s.page.Rejects)
		if s.page.Next == s.from && (rows > 0 || !s.page.Done) {
			t.Errorf("page %d of %d records did not move the cursor %q", i, rows, s.from)
		}
		if pr := s.page.Progress; pr.Total != 0 && (pr.Done < 0 || pr.Done > pr.Total || pr.Unit == "") {
			t.Errorf("page %d: progress %+v", i, pr)
		}
	}
}

func fits(t *testing.T, open func(*testing.T) ingest.Source) {
	for _, p := range posts(drain(t, open(t), "")) {
		seen := p.ObservedAt
		if seen.IsZero() && !p.Deleted { // an archive does not tell when its posts were seen
			seen = p.CreatedAt
		}
		if err := p.Validate(seen); err != nil {
			t.Error(err)
		}
		if p.CreatedAt.Location().String() != "UTC" || p.ObservedAt.Location().String() != "UTC" {
			t.Errorf("%s: times %s and %s, want UTC", p.Key(), p.CreatedAt, p.ObservedAt)
		}
		if p.Payload == "" {
			t.Errorf("%s: no payload", p.Key())
		}
		if !slices.Contains([]string{feedlake.KindPost, feedlake.KindReply, feedlake.KindRepost, feedlake.KindQuote, feedlake.KindComment}, p.Kind) {
			t.Errorf("%s: kind %q", p.Key(), p.Kind)
		}
	}
}

// Drain reads a whole source, for tests of one implementation.
func Drain(t *testing.T, s ingest.Source, from feedlake.Cursor) (all []feedlake.Post, bad []feedlake.Reject, end feedlake.Cursor) {
	t.Helper()
	steps := drain(t, s, from)
	return posts(steps), rejects(steps), steps[len(steps)-1].page.Next
}

// Reasons lists rejects as "position: reason", for tests of one implementation.
func Reasons(bad []feedlake.Reject) []string {
	out := make([]string, len(bad))
	for i, r := range bad {
		out[i] = fmt.Sprintf("%s: %s", r.Position, r.Reason)
	}
	return out
}
