package bluesky_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/bluesky"
	"github.com/feedlake/feedlake/ingest/wire/wiretest"
)

var now = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// recorded reads the recorded answers of Bluesky.
func recorded(t testing.TB) map[string]string {
	t.Helper()
	files := map[string]string{}
	for name, raw := range wiretest.Glob(t, "bluesky", "*.json") {
		files[strings.TrimSuffix(name, ".json")] = raw
	}
	return files
}

// view is a post as encoding/json reads it, independently of the decoder.
type view struct {
	URI    string
	Author struct{ DID, Handle string }
	Record *content
	Value  *content

	LikeCount, RepostCount, ReplyCount *int64
}

type content struct {
	Text, CreatedAt string
	Langs           []string
	Embed           *struct {
		Record struct{ Record struct{ URI string } }
	}
}

func TestRecorded(t *testing.T) {
	want := map[string][2]int{ // posts and rejects
		"post_record": {1, 0}, "extended_post_record": {1, 0}, "custom_record": {1, 0}, "thread_view_post_with_embed_media": {1, 0},
		"feed_record": {0, 0}, "like_record": {0, 0}, "extended_like_record": {0, 0}, // records of other kinds
		"did_doc": {0, 1}, "get_follows": {0, 1}, "resolve_handle": {0, 1}, // no records at all
	}
	for name, raw := range recorded(t) {
		t.Run(name, func(t *testing.T) {
			var b wire.Batch
			bluesky.Record(raw, now, name, &b)
			n, ok := want[name]
			if got := [2]int{len(b.Posts), len(b.Rejects)}; !ok || got != n {
				t.Fatalf("%v posts and rejects, want %v", got, n)
			}
			if len(b.Posts) == 1 {
				same(t, raw, b.Posts[0])
			}
		})
	}
}

// same compares a post with another reading of the same file.
func same(t *testing.T, raw string, p feedlake.Post) {
	t.Helper()
	var file struct {
		view
		Thread *struct{ Post view }
	}
	if err := json.Unmarshal([]byte(raw), &file); err != nil {
		t.Fatal(err)
	}
	v := file.view
	if file.Thread != nil {
		v = file.Thread.Post
	}
	c := v.Record
	if c == nil {
		c = v.Value
	}
	at, err := time.Parse(time.RFC3339Nano, c.CreatedAt)
	if err != nil {
		at, err = time.Parse(time.RFC3339Nano, c.CreatedAt+"Z")
	}
	if err != nil {
		t.Fatal(err)
	}
	did, _, _ := strings.Cut(strings.TrimPrefix(v.URI, "at://"), "/")
	want := feedlake.Post{
		Network: wire.Bluesky, ID: v.URI, URI: v.URI, Kind: feedlake.KindPost, AuthorID: did, AuthorName: v.Author.Handle, CreatedAt: at.UTC(), ObservedAt: now, Text: c.Text,
		Likes: v.LikeCount, Reposts: v.RepostCount, Replies: v.ReplyCount, Payload: p.Payload,
	}
	if len(c.Langs) > 0 {
		want.Lang = c.Langs[0]
	}
	if c.Embed != nil {
		want.Kind, want.QuoteOf = feedlake.KindQuote, c.Embed.Record.Record.URI
	}
	if d := cmp.Diff(want, p); d != "" {
		t.Error(d)
	}
	if !json.Valid([]byte(p.Payload)) || !strings.Contains(p.Payload, v.URI) {
		t.Error("the payload is not the record")
	}
}

const (
	post   = "at://did:plc:a/app.bsky.feed.post/3kaheyt6vpc22"
	parent = "at://did:plc:b/app.bsky.feed.post/3kahesw26il2z"
)

// seen is when the events below were seen; keyed is the time of their key.
var (
	seen  = time.UnixMicro(1767225600000001).UTC()
	keyed = time.Date(2023, 9, 28, 12, 49, 37, 54376e3, time.UTC) // the recorded post of this key says 12:49:36.735
)

func commitV1(rest string) string {
	return `{"did":"did:plc:a","time_us":1767225600000001,"kind":"commit","commit":{"rev":"r","collection":"app.bsky.feed.post","rkey":"3kaheyt6vpc22",` + rest + `}}`
}

func commitV2(rest string) string {
	return `{"$type":"network.bsky.jetstream.subscribeEvents#commit","seq":7,"did":"did:plc:a","time":"2020-01-01T00:00:00Z","witnessedAt":"2026-01-01T00:00:00.000001Z",` +
		`"rev":"r","collection":"app.bsky.feed.post","rkey":"3kaheyt6vpc22",` + rest + `}`
}

const created = `"operation":"create","cid":"c","record":{"$type":"app.bsky.feed.post","createdAt":"2025-12-31T23:59:59.123Z","text":"größe #ok @x https://e.example","langs":["pt-BR","en"],` +
	`"reply":{"root":{"uri":"at://did:plc:b/app.bsky.feed.post/root"},"parent":{"uri":"` + parent + `"}},` +
	`"facets":[{"index":{"byteStart":8,"byteEnd":11},"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"ok"}]},` +
	`{"index":{"byteStart":12,"byteEnd":14},"features":[{"$type":"app.bsky.richtext.facet#mention","did":"did:plc:x"}]},` +
	`{"index":{"byteStart":15,"byteEnd":32},"features":[{"$type":"app.bsky.richtext.facet#link","uri":"https://e.example/full"}]},` +
	`{"index":{"byteStart":3,"byteEnd":5},"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"inside-a-letter"}]},` +
	`{"index":{"byteStart":0,"byteEnd":99},"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"outside"}]}],` +
	`"tags":["more","ok"],"embed":{"$type":"app.bsky.embed.external","external":{"uri":"https://f.example"}}}`

func TestRecord(t *testing.T) {
	full := feedlake.Post{
		ID: post, URI: post, Kind: feedlake.KindReply, AuthorID: "did:plc:a", CreatedAt: time.Date(2025, 12, 31, 23, 59, 59, 123e6, time.UTC), ObservedAt: seen,
		Text: "größe #ok @x https://e.example", Lang: "pt-br", Hashtags: []string{"more", "ok"}, Mentions: []string{"did:plc:x"},
		URLs: []string{"https://f.example", "https://e.example/full"}, ReplyTo: parent,
	}
	gone := feedlake.Post{ID: post, URI: post, Kind: feedlake.KindPost, AuthorID: "did:plc:a", CreatedAt: keyed, ObservedAt: seen, Deleted: true}
	account := feedlake.Post{ID: "at://did:plc:a", URI: "at://did:plc:a", Kind: feedlake.KindAccount, AuthorID: "did:plc:a", CreatedAt: seen, ObservedAt: seen, Deleted: true}
	repost := feedlake.Post{
		ID: "at://did:plc:c/app.bsky.feed.repost/3k", URI: "at://did:plc:c/app.bsky.feed.repost/3k", Kind: feedlake.KindRepost, AuthorID: "did:plc:c", AuthorName: "c.example",
		CreatedAt: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), ObservedAt: now, RepostOf: post,
	}
	clamped := feedlake.Post{ID: post, URI: post, Kind: feedlake.KindPost, AuthorID: "did:plc:a", CreatedAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), ObservedAt: now}
	view := func(created, rest string) string {
		return `{"uri":"` + post + `","author":{"did":"did:plc:a"},"indexedAt":"2026-01-01T00:00:00Z","record":{"createdAt":"` + created + `","text":""}` + rest + `}`
	}
	for name, c := range map[string]struct {
		raw    string
		want   []feedlake.Post
		reason string
	}{
		"v1":                 {raw: commitV1(created), want: []feedlake.Post{full}},
		"v2":                 {raw: commitV2(created), want: []feedlake.Post{full}},
		"v2 envelope":        {raw: `{"$type":"message","payload":` + commitV2(created) + `}`, want: []feedlake.Post{full}},
		"v1 delete":          {raw: commitV1(`"operation":"delete"`), want: []feedlake.Post{gone}},
		"v2 delete":          {raw: commitV2(`"operation":"delete"`), want: []feedlake.Post{gone}},
		"account deleted":    {raw: `{"did":"did:plc:a","time_us":1767225600000001,"kind":"account","account":{"active":false,"status":"deleted"}}`, want: []feedlake.Post{account}},
		"account taken down": {raw: `{"did":"did:plc:a","time_us":1767225600000001,"kind":"account","account":{"active":false,"status":"takendown"}}`, want: []feedlake.Post{account}},
		"account suspended":  {raw: `{"did":"did:plc:a","time_us":1767225600000001,"kind":"account","account":{"active":false,"status":"suspended"}}`},
		"identity":           {raw: `{"did":"did:plc:a","time_us":1767225600000001,"kind":"identity","identity":{}}`},
		"info":               {raw: `{"$type":"network.bsky.jetstream.subscribeEvents#info","name":"FutureCursor"}`},
		"like":               {raw: strings.Replace(commitV1(`"operation":"delete"`), "feed.post", "feed.like", 1)},
		"key is no TID":      {raw: strings.Replace(commitV1(`"operation":"delete"`), "3kaheyt6vpc22", "self", 1), reason: "the deletion tells no creation time: its key is no TID"},
		"no record":          {raw: commitV1(`"operation":"create"`), reason: "the event holds no record"},
		"operation":          {raw: commitV1(`"operation":"move"`), reason: "the event does what is not known: move"},
		"repost": {
			raw:  `{"post":{"uri":"` + post + `"},"reason":{"$type":"app.bsky.feed.defs#reasonRepost","by":{"did":"did:plc:c","handle":"c.example"},"uri":"at://did:plc:c/app.bsky.feed.repost/3k","indexedAt":"2026-01-02T00:00:00Z"}}`,
			want: []feedlake.Post{repost},
		},
		"ahead by a day":  {raw: view("2026-01-02T00:00:00Z", ""), want: []feedlake.Post{clamped}},
		"ahead by a year": {raw: view("2027-01-02T00:00:00Z", ""), reason: "createdAt is more than 48h0m0s ahead"},
		"long ago":        {raw: view("0001-01-01T00:00:00Z", ""), reason: "createdAt is before 1990-01-01"},
		"no time":         {raw: view("yesterday", ""), reason: "createdAt is no time"},
		"answer":          {raw: `{"posts":[` + view("2026-01-01T00:00:00Z", "") + `],"cursor":"1"}`, want: []feedlake.Post{clamped}},
		"feed":            {raw: `{"feed":[{"post":` + view("2026-01-01T00:00:00Z", "") + `}]}`, want: []feedlake.Post{clamped}},
		"thread":          {raw: `{"post":` + view("2026-01-01T00:00:00Z", "") + `,"replies":[{"$type":"app.bsky.feed.defs#notFoundPost"}]}`, want: []feedlake.Post{clamped}},
		"blocked":         {raw: `{"$type":"app.bsky.feed.defs#blockedPost","uri":"x","blocked":true}`},
		"a list":          {raw: `[]`, reason: "want an object"},
		"broken":          {raw: `{`, reason: "broken JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			var b wire.Batch
			bluesky.Record(c.raw, now, "1", &b)
			for i := range b.Posts {
				if !strings.Contains(c.raw, b.Posts[i].Payload) {
					t.Error("the payload is not the record")
				}
				b.Posts[i].Payload = ""
			}
			if d := cmp.Diff(wiretest.Of(wire.Bluesky, c.want), b.Posts); d != "" {
				t.Error(d)
			}
			reason := ""
			for _, r := range b.Rejects {
				reason += r.Reason
			}
			if reason != c.reason {
				t.Errorf("rejected as %q, want %q", reason, c.reason)
			}
		})
	}
}

func TestTID(t *testing.T) {
	for key, want := range map[string]string{"3kaheyt6vpc22": "2023-09-28T12:49:37", "self": "", "zk2yihcrp6f2c": "", "3k2yihcrp6f1c": ""} {
		at, ok := bluesky.TID(key)
		if ok != (want != "") || ok && at.Format("2006-01-02T15:04:05") != want {
			t.Errorf("%s: %s %v, want %s", key, at, ok, want)
		}
	}
}

// fuzz holds a decoder to what every one promises.
func fuzz(f *testing.F, decode func(string, time.Time, string, *wire.Batch)) {
	for _, raw := range recorded(f) {
		f.Add(raw)
	}
	f.Add(commitV1(created))
	f.Add(commitV2(`"operation":"delete"`))
	f.Add(`{"post":{"uri":"` + post + `","record":{"createdAt":"2026-01-01T00:00:00Z"}},"replies":[{"post":{}}]}`)
	f.Fuzz(func(t *testing.T, raw string) {
		var b wire.Batch
		decode(raw, now, "1", &b)
		for _, p := range b.Posts {
			p.Source = "bluesky"
			if err := p.Validate(p.ObservedAt); err != nil {
				t.Error(err)
			}
			for _, s := range []string{p.ID, p.Text, p.Payload, p.AuthorID, p.AuthorName, p.Lang, p.ReplyTo, p.QuoteOf, p.RepostOf, strings.Join(p.Hashtags, ""), strings.Join(p.URLs, "")} {
				if !utf8.ValidString(s) {
					t.Errorf("not UTF-8: %q", s)
				}
			}
		}
		for _, r := range b.Rejects {
			if r.Reason == "" || r.Position == "" || !utf8.ValidString(r.Payload) {
				t.Errorf("reject %+v", r)
			}
		}
	})
}

func FuzzRecord(f *testing.F)   { fuzz(f, bluesky.Record) }
func FuzzView(f *testing.F)     { fuzz(f, bluesky.View) }
func FuzzFeedItem(f *testing.F) { fuzz(f, bluesky.FeedItem) }
func FuzzThread(f *testing.F)   { fuzz(f, bluesky.Thread) }
func FuzzEvent(f *testing.F)    { fuzz(f, bluesky.Event) }

func BenchmarkEvent(b *testing.B) { benchmark(b, commitV1(created), bluesky.Event) }

func BenchmarkView(b *testing.B) {
	view := `{"uri":"` + post + `","cid":"c","author":{"did":"did:plc:a","handle":"a.example"},"indexedAt":"2026-01-01T00:00:00Z","likeCount":3,"repostCount":1,"replyCount":0,` +
		strings.TrimPrefix(created, `"operation":"create","cid":"c",`) + `}`
	benchmark(b, view, bluesky.View)
}

func benchmark(b *testing.B, raw string, decode func(string, time.Time, string, *wire.Batch)) {
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	var batch wire.Batch
	posts := 0
	for b.Loop() {
		batch.Posts = batch.Posts[:0]
		decode(raw, now, "1", &batch)
		posts += len(batch.Posts)
	}
	b.ReportMetric(float64(posts)/b.Elapsed().Seconds(), "posts/s")
}
