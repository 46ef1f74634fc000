package mastodon_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/mastodon"
	"github.com/feedlake/feedlake/ingest/wire/wiretest"
)

const (
	base = `"id":"116","created_at":"2026-03-01T10:00:00.5Z","uri":"https://a.example/users/ann/statuses/116","visibility":"public",` +
		`"account":{"id":"7","acct":"ann","uri":"https://a.example/users/ann","followers_count":3}`
	uri = "https://a.example/users/ann/statuses/116"
)

func post(change func(*feedlake.Post)) *feedlake.Post {
	n := int64(3)
	p := &feedlake.Post{
		ID: uri, URI: uri, Kind: feedlake.KindPost, AuthorID: "https://a.example/users/ann", AuthorName: "ann@a.example", AuthorFollowers: &n,
		CreatedAt: time.Date(2026, 3, 1, 10, 0, 0, 500e6, time.UTC), ObservedAt: now,
	}
	change(p)
	return p
}

const everybody = `"to":["https://www.w3.org/ns/activitystreams#Public"]`

func TestRecord(t *testing.T) {
	zero := int64(0)
	for _, c := range []struct {
		name, raw string
		want      *feedlake.Post
		reason    string
	}{
		{"plain", `{` + base + `,"content":"<p>One<br>two &amp; three</p>"}`, post(func(p *feedlake.Post) { p.Text = "One\ntwo & three" }), ""},
		{"spoiler", `{` + base + `,"spoiler_text":"Food","content":"<p>Soup</p>","language":"de-AT"}`, post(func(p *feedlake.Post) { p.Text, p.Lang = "Food\n\nSoup", "de-at" }), ""},
		{"reply", `{` + base + `,"in_reply_to_id":"115"}`, post(func(p *feedlake.Post) { p.Kind, p.ReplyTo = feedlake.KindReply, "a.example:115" }), ""},
		{"counts", `{` + base + `,"favourites_count":0,"reblogs_count":null}`, post(func(p *feedlake.Post) { p.Likes = &zero }), ""},
		{"lists", `{` + base + `,"tags":[{"name":"x"}],"mentions":[{"acct":"bob"},{"acct":"c@b.example"}],"card":{"url":"https://n.example/1"}}`, post(func(p *feedlake.Post) {
			p.Hashtags, p.Mentions, p.URLs = []string{"x"}, []string{"bob@a.example", "c@b.example"}, []string{"https://n.example/1"}
		}), ""},
		{"repost", `{` + base + `,"content":"","reblog":{"uri":"https://b.example/1","visibility":"public","content":"<p>Hi</p>"}}`, post(func(p *feedlake.Post) {
			p.Kind, p.RepostOf, p.Text = feedlake.KindRepost, "https://b.example/1", "Hi"
		}), ""},
		{"repost of what is private", `{` + base + `,"reblog":{"uri":"https://b.example/1","visibility":"private","content":"secret"}}`, nil, "not public: only what everybody may read is kept"},
		{"quote", `{` + base + `,"quote":{"state":"accepted","quoted_status":{"uri":"https://b.example/1"}}}`, post(func(p *feedlake.Post) { p.Kind, p.QuoteOf = feedlake.KindQuote, "https://b.example/1" }), ""},
		{"shallow quote", `{` + base + `,"quote":{"state":"accepted","quoted_status_id":"9"}}`, post(func(p *feedlake.Post) { p.Kind, p.QuoteOf = feedlake.KindQuote, "a.example:9" }), ""},
		{"quote withdrawn", `{` + base + `,"quote":{"state":"revoked","quoted_status":null}}`, post(func(p *feedlake.Post) { p.Kind = feedlake.KindQuote }), ""},
		{"unlisted", strings.Replace(`{`+base+`,"content":"secret"}`, `"public"`, `"unlisted"`, 1), nil, "not public: only what everybody may read is kept"},
		{"no uri", `{"visibility":"public"}`, nil, "the status has no uri"},
		{"no time", `{"uri":"u","visibility":"public"}`, nil, "the status has no time: (empty)"},
		{"broken", `{"uri":`, nil, "broken JSON"},
		{"number", `5`, nil, "want an object"},
		{"bytes", "{\"uri\":\"\xff\"}", nil, "not valid UTF-8"},
		{
			"create", `{"id":"` + uri + `/activity","type":"Create","actor":"https://a.example/users/ann",` + everybody + `,"published":"2026-03-01T10:00:00.5Z","object":{"id":"` + uri + `","type":"Note","summary":"Food",` +
				everybody + `,"published":"2026-03-01T10:00:00.5Z","attributedTo":"https://a.example/users/ann","content":"<p>Soup</p>","contentMap":{"en":"<p>Soup</p>"},"inReplyTo":"https://b.example/1","tag":[{"type":"Hashtag","name":"#x"},{"type":"Mention","name":"@c@b.example"}],"likes":{"totalItems":0}}}`,
			post(func(p *feedlake.Post) {
				p.Kind, p.ReplyTo, p.Text, p.Lang, p.Hashtags, p.Mentions, p.Likes, p.AuthorFollowers = feedlake.KindReply, "https://b.example/1", "Food\n\nSoup", "en", []string{"x"}, []string{"c@b.example"}, &zero, nil
			}), "",
		},
		{"announce", `{"orderedItems":[{"id":"` + uri + `","type":"Announce","actor":"https://a.example/users/ann",` + everybody + `,"published":"2026-03-01T10:00:00.5Z","object":"https://b.example/1"}]}`, post(func(p *feedlake.Post) {
			p.Kind, p.RepostOf, p.AuthorFollowers = feedlake.KindRepost, "https://b.example/1", nil
		}), ""},
		{"to followers", `{"id":"x","type":"Create","actor":"a","to":["a/followers"],"cc":["as:Public"],"object":{"content":"secret"}}`, nil, "not public: only what everybody may read is kept"},
		{"other activity", `{"id":"x","type":"Like","actor":"a","to":"as:Public","object":"y"}`, nil, "no post: activity of type Like"},
		{"cassette", `{"interactions":[{"request":{"uri":"https://a.example/api/v1/timelines/public"},"response":{"status":{"code":200},"body":{"string":"[{` + strings.ReplaceAll(base, `"`, `\"`) + `}]"}}}]}`, post(func(*feedlake.Post) {}), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b wire.Batch
			mastodon.Record(c.raw, now, "place", &b)
			var want []feedlake.Post
			if c.want != nil {
				want = []feedlake.Post{*c.want}
			}
			if d := cmp.Diff(wiretest.Of(wire.Mastodon, want), b.Posts, cmpopts.IgnoreFields(feedlake.Post{}, "Payload")); d != "" {
				t.Error(d)
			}
			var reason string
			for _, r := range b.Rejects {
				reason += r.Reason
				if strings.Contains(r.Payload, "secret") {
					t.Errorf("what is not public landed: %s", r.Payload)
				}
			}
			if reason != c.reason {
				t.Errorf("reason %q, want %q", reason, c.reason)
			}
		})
	}
}

func TestEvent(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	id := mastodon.IDAt(at)
	seen := func(s string) (string, time.Time, bool) { return uri, at.Add(time.Second), s == "116" }
	for _, c := range []struct {
		name, event, data, id string
		created               time.Time
		deleted               bool
		rejects               int
	}{
		{"new", "update", `{` + base + `}`, uri, at.Add(500 * time.Millisecond), false, 0},
		{"edited", "status.update", `{` + base + `}`, uri, at.Add(500 * time.Millisecond), false, 0},
		{"deleted and seen", "delete", "116", uri, at.Add(time.Second), true, 0},
		{"deleted unseen", "delete", id, "a.example:" + id, at, true, 0},
		{"deleted unseen, without time", "delete", "115", "", time.Time{}, false, 1},
		{"deleted, nonsense", "delete", "\xff", "", time.Time{}, false, 1},
		{"of no interest", "filters_changed", "", "", time.Time{}, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b wire.Batch
			mastodon.Event(c.event, c.data, "a.example", seen, now, "place", &b)
			if len(b.Rejects) != c.rejects {
				t.Fatalf("rejects %v", b.Rejects)
			}
			if c.id == "" {
				if len(b.Posts) > 0 {
					t.Errorf("posts %v", b.Posts)
				}
				return
			}
			if p := b.Posts[0]; p.Deleted && (p.Kind == feedlake.KindLocal) != (c.id != uri) {
				t.Errorf("a deletion of kind %s", p.Kind)
			}
			if p := b.Posts[0]; p.ID != c.id || !p.CreatedAt.Equal(c.created) || p.Deleted != c.deleted {
				t.Errorf("got %s at %s, deleted %v", p.ID, p.CreatedAt, p.Deleted)
			}
		})
	}
}

func TestSnowflake(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 0, 0, 5e6, time.UTC)
	if got, ok := mastodon.TimeOf(mastodon.IDAt(at)); !ok || !got.Equal(at) {
		t.Errorf("got %s, %v", got, ok)
	}
	if _, ok := mastodon.TimeOf("1234567"); ok {
		t.Error("a plain number holds no time")
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"9", "10", -1}, {"10", "10", 0}, {"b", "a", 1}, {"01HZ", "01JA", -1}} {
		if got := mastodon.Compare(c.a, c.b); got != c.want {
			t.Errorf("compare %s with %s: %d", c.a, c.b, got)
		}
	}
}
