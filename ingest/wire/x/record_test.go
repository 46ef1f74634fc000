package x_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/wiretest"
	"github.com/feedlake/feedlake/ingest/wire/x"
)

// Id of a post and the second in it.
const (
	id = "1380242611781386245"
	at = "2021-04-08T19:34:16Z"
)

// TestRecord knows each form by its fields.
func TestRecord(t *testing.T) {
	second, _ := time.Parse(time.RFC3339, at)
	seen := time.Date(2021, 4, 9, 0, 0, 0, 0, time.UTC)
	post := feedlake.Post{ID: id, URI: "https://x.com/i/status/" + id, Kind: feedlake.KindPost, CreatedAt: second, ObservedAt: now}
	with := func(change func(*feedlake.Post)) []feedlake.Post { p := post; change(&p); return []feedlake.Post{p} }
	gone := func(id string) feedlake.Post { // the account of that number
		address := "https://x.com/i/user/" + id
		return feedlake.Post{ID: address, URI: address, Kind: feedlake.KindAccount, AuthorID: id, CreatedAt: now, ObservedAt: now, Deleted: true}
	}
	for _, c := range []struct {
		name, raw string
		want      []feedlake.Post
		reject    string
	}{
		{name: "bare", raw: `{"id":"` + id + `","text":"a &amp;lt; b"}`, want: with(func(p *feedlake.Post) { p.Text = "a &lt; b" })},
		{name: "bare, own time", raw: `{"id":"5","text":"just","created_at":"2006-03-21T20:50:14.000Z"}`, want: with(func(p *feedlake.Post) {
			p.ID, p.URI, p.Text, p.CreatedAt = "5", "https://x.com/i/status/5", "just", time.Date(2006, 3, 21, 20, 50, 14, 0, time.UTC)
		})},
		{name: "no time", raw: `{"id":"5","text":"just"}`, reject: "the post has no time"},
		{name: "wrong time", raw: `{"id":"` + id + `","text":"a","created_at":"yesterday"}`, reject: "the post has no time"},
		{name: "no such day", raw: `{"id":"` + id + `","text":"a","created_at":"2021-02-30T19:34:16.000Z"}`, reject: "the post has no time"},
		{name: "id is a number", raw: `{"id":1380242611781386245,"text":"a"}`, reject: "the post has no id"},
		{
			name: "flattened", raw: `{"id":"` + id + `","text":"RT @b: cut…","author_id":"1","author":{"id":"1","username":"a","public_metrics":{"followers_count":7}},
				"referenced_tweets":[{"type":"retweeted","id":"9","text":"whole #x","entities":{"hashtags":[{"tag":"x"}]},"author":{"username":"b"}}],
				"__twarc":{"retrieved_at":"2021-04-09T00:00:00+00:00"}}`,
			want: with(func(p *feedlake.Post) {
				p.Kind, p.RepostOf, p.Text, p.Hashtags, p.ObservedAt = feedlake.KindRepost, "9", "whole #x", []string{"x"}, seen
				p.AuthorID, p.AuthorName, p.AuthorFollowers = "1", "a", new(int64(7))
			}),
		},
		{
			name: "posts, not tweets", raw: `{"data":[{"id":"` + id + `","text":"RT","author_id":"1","created_at":"` + at + `","referenced_posts":[{"type":"reposted","id":"9"}],
				"public_metrics":{"repost_count":3,"like_count":0,"impression_count":8}}],
				"includes":{"posts":[{"id":"9","text":"short…","note_post":{"text":"long","entities":{"mentions":[{"username":"c"}]}}}],"users":[{"id":"1","username":"a"}]}}`,
			want: with(func(p *feedlake.Post) {
				p.Kind, p.RepostOf, p.Text, p.Mentions, p.AuthorID, p.AuthorName = feedlake.KindRepost, "9", "long", []string{"c"}, "1", "a"
				p.Reposts, p.Likes, p.Views = new(int64(3)), new(int64(0)), new(int64(8))
			}),
		},
		{
			name: "a reply that quotes", raw: `{"id":"` + id + `","text":"a","referenced_posts":[{"type":"quoted","id":"8"},{"type":"replied_to","id":"9"}]}`,
			want: with(func(p *feedlake.Post) { p.Kind, p.Text, p.ReplyTo, p.QuoteOf = feedlake.KindReply, "a", "9", "8" }),
		},
		{
			name: "extended status", raw: `{"id":1,"id_str":"` + id + `","created_at":"Thu Apr 08 19:34:16 +0000 2021","text":"cut…","truncated":true,"user":{"id_str":"1","screen_name":"a"},
				"quoted_status_id_str":"8","extended_tweet":{"full_text":"the whole #y","entities":{"hashtags":[{"text":"y"}],"urls":[{"url":"https://t.co/1","expanded_url":"https://e.example"}]}}}`,
			want: with(func(p *feedlake.Post) {
				p.Kind, p.QuoteOf, p.Text, p.Hashtags, p.URLs = feedlake.KindQuote, "8", "the whole #y", []string{"y"}, []string{"https://e.example"}
				p.AuthorID, p.AuthorName = "1", "a"
			}),
		},
		{name: "status without id", raw: `{"id":1,"statuses":[{"id":1,"created_at":"Thu Apr 08 19:34:16 +0000 2021"}]}`, reject: "the status has no id_str"},
		{name: "notice", raw: `{"delete":{"status":{"id":1,"id_str":"` + id + `","user_id_str":"3"},"timestamp_ms":"1617926400000"}}`, want: with(func(p *feedlake.Post) {
			p.Deleted, p.ObservedAt = true, seen
		})},
		{name: "compliance", raw: `{"id":"` + id + `","action":"delete","created_at":"` + at + `","redacted_at":"2021-05-01T00:00:00.000Z","reason":"suspended"}`, want: append(with(func(p *feedlake.Post) { p.Deleted = true }), gone(id))},
		{name: "compliance, early post", raw: `{"id":"20","action":"delete","created_at":"2006-03-21T20:50:14.000Z","reason":"deleted"}`, want: append(with(func(p *feedlake.Post) {
			p.ID, p.URI, p.Deleted, p.CreatedAt = "20", "https://x.com/i/status/20", true, time.Date(2006, 3, 21, 20, 50, 14, 0, time.UTC)
		}), gone("20"))},
		{name: "compliance without time", raw: `{"id":"20","action":"delete","reason":"deleted"}`, reject: "the deletion does not tell when its post was created"},
		{name: "missing", raw: `{"errors":[{"parameter":"ids","value":"7","detail":"Could not find tweet with ids: [7].","title":"Not Found Error","type":"https://api.x.com/2/problems/resource-not-found"}]}`, reject: "post 7 was not given: Could not find tweet with ids: [7]."},
		{name: "error", raw: `{"errors":[{"title":"operational-disconnect","detail":"gone"}]}`, reject: "the answer is an error: gone"},
		{name: "empty page", raw: `{"meta":{"result_count":0}}`},
		{name: "no record", raw: `{"hello":1}`, reject: "no record of X"},
		{name: "no object", raw: `[1]`, reject: `want an object, got "[1]"`},
		{name: "broken", raw: `{"id":`, reject: "broken JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b wire.Batch
			x.Record(c.raw, now, "place", &b)
			for _, p := range b.Posts {
				if p.Payload == "" {
					t.Error("no payload")
				}
			}
			if d := cmp.Diff(wiretest.Of(wire.X, c.want), b.Posts, cmpopts.IgnoreFields(feedlake.Post{}, "Payload"), cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
			if c.reject == "" && len(b.Rejects) > 0 || c.reject != "" && (len(b.Rejects) != 1 || b.Rejects[0].Reason != c.reject || b.Rejects[0].Position != "place") {
				t.Errorf("rejects %+v, want %q", b.Rejects, c.reject)
			}
		})
	}
}

// TestSnowflake goes there and back.
func TestSnowflake(t *testing.T) {
	second, _ := time.Parse(time.RFC3339, at)
	if got, ok := x.CreatedAt(x.FirstID(second)); !ok || !got.Equal(second) || x.FirstID(second) > id {
		t.Errorf("got %s", got)
	}
	for _, s := range []string{"", "20", "abc", "+1380242611781386245", "99999999999999999999"} {
		if got, ok := x.CreatedAt(s); ok {
			t.Errorf("%q says %s", s, got)
		}
	}
}

// fits holds what a decoder gives to what every post needs.
func fits(t *testing.T, b *wire.Batch) {
	t.Helper()
	for _, p := range b.Posts {
		if p.ID == "" || p.CreatedAt.IsZero() || p.Payload == "" || p.Kind == "" {
			t.Errorf("unfit: %+v", p)
		}
		for _, s := range append([]string{p.ID, p.URI, p.AuthorID, p.AuthorName, p.Text, p.Lang, p.ReplyTo, p.RepostOf, p.QuoteOf, p.Payload}, append(append(p.Hashtags, p.Mentions...), p.URLs...)...) {
			if !utf8.ValidString(s) {
				t.Errorf("not valid UTF-8: %q", s)
			}
		}
		if !json.Valid([]byte(p.Payload)) {
			t.Errorf("payload is no JSON: %s", p.Payload)
		}
	}
	for _, r := range b.Rejects {
		if r.Reason == "" || r.Position == "" {
			t.Errorf("reject without reason or place: %+v", r)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for name := range files {
		for _, l := range lines(f, "x_v2/"+name+".jsonl") {
			if len(l) < 20_000 {
				f.Add(l)
			}
		}
	}
	f.Add(`{"delete":{"status":{"id_str":"` + id + `"}}}`)
	f.Add(`{"id":"` + id + `","action":"delete"}`)
	f.Add(`{"id":"` + id + "\",\"text\":\"\xff\\ud800\\\"\"}")
	f.Add(`{"id_str":"` + id + `","created_at":"Thu Apr 08 19:34:16 +0000 2021","text":"\u0000"}`)
	f.Fuzz(func(t *testing.T, raw string) {
		var b wire.Batch
		x.Record(raw, now, "fuzz", &b)
		fits(t, &b)
	})
}

func FuzzPage(f *testing.F) {
	for _, l := range lines(f, "x_v2/two_tweets.jsonl") {
		f.Add(l)
	}
	f.Add(strings.ReplaceAll(lines(f, "x_v2/edited.jsonl")[0], "tweet", "post"))
	f.Fuzz(func(t *testing.T, raw string) {
		var b wire.Batch
		x.Page(raw, now, "fuzz", &b)
		fits(t, &b)
	})
}

func FuzzStatus(f *testing.F) {
	for _, raw := range searches(f) {
		f.Add(string(raw[:min(len(raw), 8000)]))
	}
	f.Add(`{"id_str":"1","created_at":"Thu Apr 08 19:34:16 +0000 2021","retweeted_status":{"id_str":"2","entities":[1]},"entities":{"urls":{"a":3}}}`)
	f.Fuzz(func(t *testing.T, raw string) {
		var b wire.Batch
		x.Status(raw, now, "fuzz", &b)
		fits(t, &b)
	})
}

func FuzzDeletion(f *testing.F) {
	f.Add(`{"id":"` + id + `","action":"delete","created_at":"` + at + `"}`)
	f.Fuzz(func(t *testing.T, raw string) {
		var b wire.Batch
		x.Deletion(raw, now, "fuzz", &b)
		fits(t, &b)
	})
}
