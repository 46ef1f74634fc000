package x_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
	"github.com/feedlake/feedlake/ingest/x"
)

// TestCompliance gives what is gone as deletions, each with its post's own time.
func TestCompliance(t *testing.T) {
	r := newRig(t, 900)
	live, all := r.Live(), r.All()
	gone := slices.DeleteFunc(slices.Clone(all), func(id string) bool { return slices.Contains(live, id) })
	src := open(t, r.env, r.url, x.Config{Mode: "compliance", IDs: all})
	got, bad, end := sourcetest.Drain(t, src, "")
	if d := cmp.Diff(slices.Sorted(slices.Values(gone)), ids(got)); d != "" || len(bad) > 0 {
		t.Error(d, bad)
	}
	for _, p := range got {
		if err := p.Validate(r.clock.Now()); err != nil || !p.Deleted || p.CreatedAt.After(r.clock.Now().Add(-time.Minute)) {
			t.Errorf("%+v %v", p, err)
		}
	}
	if p, err := src.Fetch(t.Context(), end); err != nil || !p.Done || p.Next != end {
		t.Errorf("behind the end: %+v %v", p, err)
	}
	if err := r.clock.Sleep(t.Context(), 25*time.Hour); err != nil {
		t.Fatal(err)
	}
	if again, _, _ := sourcetest.Drain(t, src, end); len(again) < len(gone) {
		t.Errorf("a day later %d deletions", len(again))
	}
	lost := feedlake.Cursor(`{"id":"1"}`)
	if p, err := src.Fetch(t.Context(), lost); err != nil || p.Next == lost || p.Done {
		t.Errorf("a job that is gone: %+v %v", p, err)
	}
}

// held is what a lake holds.
type held []string

func (h held) PostIDs(_ context.Context, source, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, id := range h {
			if source == "cats" && id > after && !yield(id, nil) {
				return
			}
		}
	}
}

func (h held) AuthorIDs(ctx context.Context, source, after string) iter.Seq2[string, error] {
	return h.PostIDs(ctx, source, after)
}

// TestComplianceFaults wants what is gone also where answers fail.
func TestComplianceFaults(t *testing.T) {
	faults := []serve.Fault{serve.Storm, serve.Failure, serve.Cut, serve.Repeat, serve.Expire, serve.Skew}
	for _, set := range append([][]serve.Fault{faults}, []serve.Fault{serve.Storm}, []serve.Fault{serve.Failure}, []serve.Fault{serve.Cut}) {
		r := newRig(t, 900, set...)
		live, all := r.Live(), r.All()
		gone := slices.DeleteFunc(slices.Clone(all), func(id string) bool { return slices.Contains(live, id) })
		var got []feedlake.Post
		at := feedlake.Cursor("")
		for range 100 {
			p, err := open(t, r.env, r.url, x.Config{Mode: "compliance", IDs: all}).Fetch(t.Context(), at)
			if _, again := errors.AsType[*feedlake.RetryError](err); again {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, at = append(got, p.Posts...), p.Next; p.Done {
				break
			}
		}
		if d := cmp.Diff(slices.Sorted(slices.Values(gone)), ids(got)); d != "" {
			t.Errorf("%v: %s", set, d)
		}
	}
}

// TestComplianceOf asks for what the lake holds of another source, in jobs of a
// few ids; another source takes over from each cursor, and a job that is gone is
// made again.
func TestComplianceOf(t *testing.T) {
	r := newRig(t, 900)
	live, all := r.Live(), slices.Sorted(slices.Values(r.All()))
	gone := slices.DeleteFunc(slices.Clone(all), func(id string) bool { return slices.Contains(live, id) })
	r.env.Holdings = held(all)
	var got []feedlake.Post
	lost := false
	for at := feedlake.Cursor(""); ; {
		src := open(t, r.env, r.url, x.Config{Mode: "compliance", Of: "cats"})
		x.IDsPerJob(src, 400)
		p, err := src.Fetch(t.Context(), at)
		if err != nil || p.Next == at {
			t.Fatal(err, at)
		}
		got, at = append(got, p.Posts...), p.Next
		if !lost && strings.Contains(string(at), `"from"`) && strings.Contains(string(at), `"id"`) { // the second job
			at, lost = feedlake.Cursor(strings.Replace(string(at), `"id":"`, `"id":"9`, 1)), true
		}
		if p.Done {
			break
		}
	}
	if d := cmp.Diff(gone, slices.Sorted(slices.Values(ids(got)))); d != "" || !lost || got[0].Source != "cats" {
		t.Error(d, lost)
	}

	r.env.Holdings = held{"1", "anon_abc"}
	src := open(t, r.env, r.url, x.Config{Mode: "compliance", Of: "cats", Subject: "users"})
	if _, err := src.Fetch(t.Context(), ""); !errors.Is(err, feedlake.ErrConfig) {
		t.Errorf("pseudonyms: %v", err)
	}
	r.env.Holdings = held{"7"}
	posts, bad, end := sourcetest.Drain(t, open(t, r.env, r.url, x.Config{Mode: "compliance", Of: "cats", Subject: "users"}), "")
	want := feedlake.Post{
		Source: "cats", Network: "x", ID: "https://x.com/i/user/7", URI: "https://x.com/i/user/7", Kind: feedlake.KindAccount, AuthorID: "7", Deleted: true,
	}
	if len(posts) != 1 || len(bad) > 0 {
		t.Fatal(posts, bad)
	}
	if d := cmp.Diff(want, posts[0], cmpopts.IgnoreFields(feedlake.Post{}, "CreatedAt", "ObservedAt", "Payload")); d != "" {
		t.Error(d)
	}
	if p, err := open(t, r.env, r.url, x.Config{Mode: "compliance", Of: "nobody"}).Fetch(t.Context(), ""); err != nil || !p.Done || p.Next == "" {
		t.Errorf("of nothing: %+v %v, and then %s", p, err, end)
	}
}
