package ingest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

const pseudonymKey = "sixteen bytes, or more of them"

func pseudonyms(t *testing.T, key ingest.Secret) *ingest.Pseudonyms {
	t.Helper()
	p, err := ingest.NewPseudonyms(key)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPseudonymsHide looks for accounts in every field of a post.
func TestPseudonymsHide(t *testing.T) {
	p := pseudonyms(t, pseudonymKey)
	alice, did := p.Of("s", "Alice"), p.Of("s", "did:plc:abc123")
	if !strings.HasPrefix(alice, "anon_") || alice != p.Of("s", "alice") || alice == p.Of("other", "alice") || alice == pseudonyms(t, pseudonymKey+"!").Of("s", "alice") {
		t.Errorf("pseudonym %s: the same for one account, source and key, and for no other", alice)
	}
	for _, c := range []struct{ text, want string }{
		{"hello @Alice!", "hello " + "@" + alice + "!"},
		{"＠alice, and mail to me@alice.example", "＠" + alice + ", and mail to me@alice.example"},
		{"@alice@example.social says", "@" + p.Of("s", "alice@example.social") + " says"},
		{"ask u/Alice or /u/alice", "ask u/" + alice + " or /u/" + alice},
		{"https://x.com/Alice/status/1", "https://x.com/" + alice + "/status/1"},
		{"https://example.social/users/alice/statuses/2", "https://example.social/users/" + alice + "/statuses/2"},
		{"https://example.social/@alice/2", "https://example.social/@" + alice + "/2"},
		{"at://did:plc:abc123/app.bsky.feed.post/3k", "at://" + did + "/app.bsky.feed.post/3k"},
		{"https://bsky.app/profile/did:plc:abc123/post/3k", "https://bsky.app/profile/" + did + "/post/3k"},
		{"https://www.instagram.com/alice/", "https://www.instagram.com/" + alice + "/"},
		{"nobody here, 3 / u, a@b", "nobody here, 3 / u, a@b"},
	} {
		post := feedlake.Post{Source: "s", ID: c.text, URI: c.text, Text: c.text, ReplyTo: c.text, RepostOf: c.text, QuoteOf: c.text, Query: c.text, URLs: []string{c.text}, Payload: c.text}
		p.Hide(&post)
		want := feedlake.Post{Source: "s", ID: c.want, URI: c.want, Text: c.want, ReplyTo: c.want, RepostOf: c.want, QuoteOf: c.want, Query: c.want, URLs: []string{c.want}}
		if d := cmp.Diff(want, post); d != "" {
			t.Errorf("%s: %s", c.text, d)
		}
		again := post
		if p.Hide(&again); !cmp.Equal(post, again) {
			t.Errorf("%s: hidden twice it is another: %s", c.text, cmp.Diff(post, again))
		}
	}
	post := feedlake.Post{Source: "s", AuthorID: "7", AuthorName: "alice", Mentions: []string{"alice", ""}}
	p.Hide(&post)
	if d := cmp.Diff(feedlake.Post{Source: "s", AuthorID: p.Of("s", "7"), AuthorName: alice, Mentions: []string{alice, ""}}, post); d != "" {
		t.Error(d)
	}
}

func TestPseudonymsNeedAKey(t *testing.T) {
	if _, err := ingest.NewPseudonyms("short"); !errors.Is(err, feedlake.ErrConfig) || strings.Contains(err.Error(), "short") {
		t.Errorf("error %v", err)
	}
}

// TestRunHides lands posts and rejects under pseudonyms: the lake's files know
// nobody.
func TestRunHides(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	p := post(0)
	p.AuthorID, p.AuthorName, p.Text, p.Payload = "7", "alice", "I am @alice", `{"by":"alice"}`
	o := options(l, onePage{ingest.Page{Posts: []feedlake.Post{p}, Rejects: []feedlake.Reject{{Reason: "bad @alice", Payload: `{"by":"alice"}`, Position: "https://x.com/alice"}}}})
	o.Pseudonyms = pseudonyms(t, pseudonymKey)
	if _, err := ingest.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for _, p := range rows[feedlake.Post](t, l, "raw.posts") {
		if all := strings.Join([]string{p.AuthorID, p.AuthorName, p.Text, p.Payload}, " "); strings.Contains(all, "alice") || !strings.HasPrefix(p.AuthorName, "anon_") {
			t.Errorf("landed %s", all)
		}
	}
	for _, r := range rows[feedlake.Reject](t, l, "raw.rejects") {
		if strings.Contains(r.Reason+r.Payload+r.Position, "alice") {
			t.Errorf("landed %+v", r)
		}
	}
}
