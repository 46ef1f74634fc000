package ingest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/lake"
)

// onePage yields its records once, in one page.
type onePage struct{ page ingest.Page }

func (s onePage) Fetch(_ context.Context, from feedlake.Cursor) (ingest.Page, error) {
	if from != "" {
		return ingest.Page{Next: from, Done: true}, nil
	}
	p := s.page
	p.Next, p.Done = "1", true
	return p, nil
}

// TestErasedStaysOut brings what was taken down once more, in every form: none
// of it enters, all of it is counted, and the rest lands.
func TestErasedStaysOut(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	if err := l.Ensure(t.Context(), lake.Erased()); err != nil {
		t.Fatal(err)
	}
	_, err := l.AddErasures(t.Context(), []lake.Erasure{
		{Kind: lake.ErasedPost, Source: "fake", Hash: lake.ErasedHash("fake", "gone"), At: noon, RunID: "r0"},
		{Kind: lake.ErasedAuthor, Source: "fake", Hash: lake.ErasedHash("fake", "nobody"), At: noon, RunID: "r0"},
		{Kind: lake.ErasedPost, Source: lake.ErasedOf("bluesky"), Hash: lake.ErasedHash(lake.ErasedOf("bluesky"), "everywhere"), At: noon, RunID: "r0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	made := func(id string, change func(*feedlake.Post)) feedlake.Post {
		p := post(0)
		p.ID = id
		if change != nil {
			change(&p)
		}
		return p
	}
	page := ingest.Page{
		Posts: []feedlake.Post{
			made("gone", nil),
			made("kept", nil),
			made("by author", func(p *feedlake.Post) { p.AuthorID = "nobody" }),
			made("repost", func(p *feedlake.Post) { p.RepostOf = "gone" }),
			made("answer", func(p *feedlake.Post) { p.ReplyTo, p.Payload = "gone", "a copy of gone" }),
			made("quote", func(p *feedlake.Post) { p.QuoteOf, p.Payload = "other", "a copy of other" }),
			made("gone", func(p *feedlake.Post) { p.Source = "" }), // the source's own name
			made("gone", func(p *feedlake.Post) { p.Source = "another" }),
			made("everywhere", func(p *feedlake.Post) { p.Source, p.Network = "third", "bluesky" }), // whatever source brings it
			made("everywhere", func(p *feedlake.Post) { p.Source = "elsewhere" }),                   // of another network
			made("gone", func(p *feedlake.Post) { p.Text = "\xff" }),                                // would be a reject otherwise
		},
		Rejects: []feedlake.Reject{
			{Reason: "no time", Payload: `{"id": "gone", "text": "x"}`, Position: "a:1"},
			{Reason: "no time", Payload: `{"id": "g", "user": {"id": "nobody"}}`, Position: "a:2"},
			{Reason: "post fake/gone without creation time", Position: "a:3"},
			{Reason: "no time", Payload: `{"id": "other"}`, Position: "a:4"},
			{Reason: "no time", Payload: `{"id": "everywhere"}`, Position: "a:5", Source: "third"},
		},
	}
	res, err := ingest.Run(t.Context(), options(l, onePage{page}))
	if err != nil {
		t.Fatal(err)
	}
	if res.Posts != 5 || res.Rejects != 1 || res.Suppressed != 10 {
		t.Errorf("%+v", res)
	}
	var got []string
	for _, p := range rows[feedlake.Post](t, l, "raw.posts") {
		got = append(got, fmt.Sprintf("%s %s %s%s %s", p.Source, p.ID, p.ReplyTo, p.QuoteOf, p.Payload))
	}
	for _, r := range rows[feedlake.Reject](t, l, "raw.rejects") {
		got = append(got, "reject "+r.Position)
	}
	if diff := cmp.Diff([]string{"another gone  ", "elsewhere everywhere  ", "fake kept  ", "fake answer  ", "fake quote other a copy of other", "reject a:4"}, got); diff != "" {
		t.Error(diff)
	}
}
