package mastodon_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/mastodon"
	"github.com/feedlake/feedlake/ingest/wire/wiretest"
)

var now = time.Date(2026, 8, 2, 0, 0, 0, 0, time.UTC)

// shared finds the recorded answers beside the repository.
func shared(t testing.TB) string {
	t.Helper()
	return wiretest.Path(t, "mastodon")
}

// recorded reads the recorded files by name.
func recorded(t testing.TB) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(shared(t), "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, p := range paths {
		raw, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		if name := filepath.Base(p); name != "mastodon_openapi_schema.json" {
			out[name] = string(raw)
		}
	}
	return out
}

// told is a status as encoding/json reads it, apart from the decoder.
type told struct {
	ID         string    `json:"id"`
	URI        string    `json:"uri"`
	Warning    string    `json:"spoiler_text"`
	Content    string    `json:"content"`
	CreatedAt  time.Time `json:"created_at"`
	Visibility string    `json:"visibility"`
	Language   *string   `json:"language"`
	Likes      *int64    `json:"favourites_count"`
	Reposts    *int64    `json:"reblogs_count"`
	Replies    *int64    `json:"replies_count"`
	ReplyTo    *string   `json:"in_reply_to_id"`
	Account    *struct {
		URI       string `json:"uri"`
		Acct      string `json:"acct"`
		Followers *int64 `json:"followers_count"`
	} `json:"account"`
	Tags []struct {
		Name string `json:"name"`
	} `json:"tags"`
	Mentions []struct {
		Acct string `json:"acct"`
	} `json:"mentions"`
	Card *struct {
		URL string `json:"url"`
	} `json:"card"`
}

// servers are who answered, where that shows in a post.
var servers = map[string]string{"entity_searchv2.json": "mastodon.social"}

// counts are how many posts and rejects each file holds; answers to DELETE are
// among the posts.
var counts = map[string][2]int{
	"entity_previewcard.json": {0, 1}, "entity_searchv2.json": {2, 0}, "entity_status.json": {2, 0}, "entity_tag.json": {0, 0},
	"entity_taghistory.json": {0, 0}, "hashtag_tl.json": {3, 0}, "pagination_iterator.json": {110, 0}, "public_tl.json": {18, 0},
	"public_tl_anonymous.json": {10, 0}, "search.json": {0, 0}, "trending_tags.json": {0, 0},
}

func TestRecorded(t *testing.T) {
	files := recorded(t)
	got := map[string][2]int{}
	for name, raw := range files {
		var b wire.Batch
		mastodon.Record(raw, now, name, &b)
		got[name] = [2]int{len(b.Posts), len(b.Rejects)}
		for _, p := range b.Posts {
			compare(t, name, p)
		}
		for _, r := range b.Rejects {
			if r.Payload != "" || r.Position == "" {
				t.Errorf("%s: reject %s: %s", name, r.Position, r.Reason)
			}
		}
	}
	if d := cmp.Diff(counts, got); d != "" {
		t.Error(d)
	}
}

// compare holds a post against its payload, field by field.
func compare(t *testing.T, name string, p feedlake.Post) {
	t.Helper()
	var s told
	if err := json.Unmarshal([]byte(p.Payload), &s); err != nil {
		t.Fatalf("%s: payload: %v", name, err)
	}
	want := feedlake.Post{
		ID: s.URI, URI: s.URI, Kind: feedlake.KindPost, AuthorID: s.Account.URI, AuthorName: p.AuthorName, AuthorFollowers: s.Account.Followers,
		CreatedAt: s.CreatedAt.UTC(), ObservedAt: now, Text: p.Text, Deleted: p.Deleted, Likes: s.Likes, Reposts: s.Reposts, Replies: s.Replies, Payload: p.Payload, Mentions: p.Mentions,
	}
	if s.Language != nil {
		want.Lang = *s.Language
	}
	if s.ReplyTo != nil {
		want.Kind, want.ReplyTo = feedlake.KindReply, servers[name]+":"+*s.ReplyTo
	}
	want.Hashtags = []string{} // the status tells them, were it none
	for _, tag := range s.Tags {
		want.Hashtags = append(want.Hashtags, tag.Name)
	}
	if s.Card != nil && s.Card.URL != "" {
		want.URLs = []string{s.Card.URL}
	}
	want.Network = wire.Mastodon
	if d := cmp.Diff(want, p); d != "" {
		t.Errorf("%s: status %s: %s", name, s.ID, d)
	}
	if s.Visibility != "public" || !isOf(p.AuthorName, s.Account.Acct) || len(p.Mentions) != len(s.Mentions) || (p.Text == "") != p.Deleted {
		t.Errorf("%s: status %s: visibility %s, author %q, %d mentions of %d", name, s.ID, s.Visibility, p.AuthorName, len(p.Mentions), len(s.Mentions))
	}
	for i, m := range s.Mentions {
		if !isOf(p.Mentions[i], m.Acct) {
			t.Errorf("%s: status %s: mention %q, want %q", name, s.ID, p.Mentions[i], m.Acct)
		}
	}
	if want := strings.Join(strings.Fields(s.Warning), "") + letters(s.Content); want != strings.Join(strings.Fields(p.Text), "") && !p.Deleted {
		t.Errorf("%s: status %s: text %q, want the letters %q", name, s.ID, p.Text, want)
	}
}

// isOf reports whether a handle is an account's; the server tells its own
// accounts without its name.
func isOf(handle, acct string) bool {
	name, at, _ := strings.Cut(handle, "@")
	return handle == acct || name == acct && at != ""
}

// letters is what a page of HTML says, without the space in it.
func letters(page string) string {
	var out strings.Builder
	for z := html.NewTokenizer(strings.NewReader(page)); z.Next() != html.ErrorToken; {
		if t := z.Token(); t.Type == html.TextToken {
			out.WriteString(strings.Join(strings.Fields(t.Data), ""))
		}
	}
	return out.String()
}
