package wire_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/bluesky"
	"github.com/feedlake/feedlake/ingest/wire/hackernews"
	"github.com/feedlake/feedlake/ingest/wire/instagram"
	"github.com/feedlake/feedlake/ingest/wire/mastodon"
	"github.com/feedlake/feedlake/ingest/wire/reddit"
	"github.com/feedlake/feedlake/ingest/wire/x"
)

// TestListed wants of every decoder that a list is nil where the network tells
// none, empty where it says that there is none, and never a part of what the
// post has: models search a text only where the list is NULL.
func TestListed(t *testing.T) {
	type lists struct{ Hashtags, Mentions, URLs []string }
	type decoder func(raw string, now time.Time, position string, b *wire.Batch)
	none := []string{}
	const (
		tweet  = `{"data":{"id":"1380242611781386245","text":"#a @b","author_id":"1","created_at":"2021-04-08T19:34:16.000Z"`
		status = `{"id_str":"1380242611781386245","created_at":"Thu Apr 08 19:34:16 +0000 2021","full_text":"#a @b","user":{"id_str":"1","screen_name":"a"}`
		toot   = `{"id":"1","uri":"https://m.example/1","created_at":"2026-01-02T03:04:05Z","visibility":"public","account":{"acct":"a","uri":"https://m.example/a"}`
		skeet  = `{"uri":"at://did:plc:a/app.bsky.feed.post/3l","cid":"c","value":{"$type":"app.bsky.feed.post","createdAt":"2026-01-02T03:04:05Z","text":"#a @b.example https://c.example"`
		thing  = `{"name":"t3_a","id":"a","created_utc":1375660804,"author":"a","title":"t"`
		item   = `{"id":1,"type":"story","by":"a","time":1375660804,"title":"t"`
		media  = `{"id":"1","timestamp":"2026-01-02T03:04:05+0000"`
	)
	for _, c := range []struct {
		name   string
		decode decoder
		raw    string
		want   lists
	}{
		{"x, not asked for", x.Record, tweet + `}}`, lists{}},
		{"x, none", x.Record, tweet + `,"entities":{}}}`, lists{none, none, none}},
		{"x, one kind", x.Record, tweet + `,"entities":{"hashtags":[{"tag":"A"}]}}}`, lists{[]string{"A"}, none, none}},
		{"x status, none told", x.Record, status + `}`, lists{}},
		{"x status, none", x.Record, status + `,"entities":{"hashtags":[],"user_mentions":[],"urls":[]}}`, lists{none, none, none}},
		{"mastodon, none told", mastodon.Record, toot + `}`, lists{}},
		{"mastodon, none", mastodon.Record, toot + `,"tags":[],"mentions":[],"card":null,"content":"https://a.example"}`, lists{none, none, nil}},
		{"mastodon, card", mastodon.Record, toot + `,"card":{"url":"https://a.example/"},"content":"see https://short.example"}`, lists{nil, nil, []string{"https://a.example/"}}},
		{"mastodon, card among links", mastodon.Record, toot + `,"card":{"url":"https://a.example/"},"content":"https://a.example/ https://b.example/"}`, lists{nil, nil, []string{"https://a.example/", "https://b.example/"}}},
		{"bluesky, none told", bluesky.Record, skeet + `}}`, lists{}},
		{"bluesky, none", bluesky.Record, skeet + `,"facets":[]}}`, lists{none, none, none}},
		{"bluesky, one kind", bluesky.Record, skeet + `,"facets":[{"index":{"byteStart":0,"byteEnd":2},"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"A"}]}]}}`, lists{[]string{"A"}, none, none}},
		{"reddit, of its own", reddit.Record, thing + `,"is_self":true,"selftext":"https://a.example"}`, lists{}},
		{"reddit, link and text", reddit.Record, thing + `,"is_self":false,"url":"https://a.example/","selftext":"and https://b.example/."}`, lists{nil, nil, []string{"https://a.example/", "https://b.example/"}}},
		{"hacker news, link and text", hackernews.Record, item + `,"url":"https://a.example/","text":"and https:&#x2F;&#x2F;b.example&#x2F;"}`, lists{nil, nil, []string{"https://a.example/", "https://b.example/"}}},
		{"instagram", instagram.Record, media + `,"caption":"#a nobody"}`, lists{}},
		{"instagram, named", instagram.Record, media + `,"caption":"by @first.last, a@b.example @c_d."}`, lists{nil, []string{"first.last", "c_d"}, nil}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b wire.Batch
			c.decode(c.raw, time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC), "here", &b)
			if len(b.Posts) != 1 {
				t.Fatalf("%d posts, rejects %v", len(b.Posts), b.Rejects)
			}
			got := lists{b.Posts[0].Hashtags, b.Posts[0].Mentions, b.Posts[0].URLs}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("lists (-want +got):\n%s", diff)
			}
		})
	}
}
