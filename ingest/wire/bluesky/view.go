package bluesky

import (
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
)

// View adds a view of a post (app.bsky.feed.defs#postView), as searchPosts and
// getPosts answer with, or a record of a repository, as getRecord and listRecords
// do ({uri, cid, value}). A record of another kind than a post or a repost adds
// nothing.
func View(raw string, now time.Time, position string, b *wire.Batch) {
	raw, ok := object(raw, now, position, b)
	if !ok {
		return
	}
	var (
		p               = feedlake.Post{Network: wire.Bluesky, ObservedAt: now, Payload: raw}
		record          gjson.Result
		uri, seen, kind string
	)
	gjson.Parse(raw).ForEach(func(k, v gjson.Result) bool {
		switch k.Str {
		case "$type":
			kind = v.Str
		case "uri":
			uri = v.Str
		case "author":
			author(v, &p)
		case "record", "value":
			record = v
		case "indexedAt":
			seen = v.Str
		case "likeCount":
			count(b, v, &p.Likes)
		case "repostCount":
			count(b, v, &p.Reposts)
		case "replyCount":
			count(b, v, &p.Replies)
		}
		return true
	})
	if absent(kind) {
		return
	}
	a, ok := parse(uri)
	switch {
	case !ok:
		b.Reject("the record has no address (uri)", raw, position, now)
		return
	case !record.IsObject():
		b.Reject("the view holds no record", raw, position, now)
		return
	case a.collection != Posts && a.collection != Reposts:
		return
	}
	at, _ := Time(seen)
	fill(p, a, record, at, position, b)
}

// FeedItem adds an item of a feed (app.bsky.feed.defs#feedViewPost): a post, or
// somebody's repost of it. A repost is a record of its own, without text; what it
// repeats stays in the payload.
func FeedItem(raw string, now time.Time, position string, b *wire.Batch) {
	raw, ok := object(raw, now, position, b)
	if !ok {
		return
	}
	item := gjson.Parse(raw)
	post, reason := item.Get("post"), item.Get("reason")
	if !post.IsObject() {
		b.Reject("the item of a feed holds no post", raw, position, now)
		return
	}
	if reason.Get("$type").Str == "app.bsky.feed.defs#reasonRepost" {
		repost(raw, post, reason, now, position, b)
		return
	}
	posts, rejects := len(b.Posts), len(b.Rejects)
	View(post.Raw, now, position, b)
	for i := posts; i < len(b.Posts); i++ {
		b.Posts[i].Payload = raw // with what it answers and why it is in the feed
	}
	for i := rejects; i < len(b.Rejects); i++ {
		b.Rejects[i].Payload = raw
	}
}

func repost(raw string, post, reason gjson.Result, now time.Time, position string, b *wire.Batch) {
	p := feedlake.Post{
		Network: wire.Bluesky, Kind: feedlake.KindRepost, ObservedAt: now, Payload: raw,
		RepostOf: post.Get("uri").Str, URI: reason.Get("uri").Str,
	}
	author(reason.Get("by"), &p)
	if p.URI == "" { // servers of before 2025 do not tell it
		p.URI = p.RepostOf + "#repost=" + p.AuthorID
	}
	p.ID = p.URI
	if p.RepostOf == "" || p.AuthorID == "" {
		b.Reject("the repost lacks who repeats or what", raw, position, now)
		return
	}
	add(p, reason.Get("indexedAt").Str, time.Time{}, position, b)
}

func author(v gjson.Result, p *feedlake.Post) {
	p.AuthorID, p.AuthorName = v.Get("did").Str, v.Get("handle").Str
}

// count stores a number that is there; what is absent stays NULL.
func count(b *wire.Batch, v gjson.Result, to **int64) {
	if v.Type == gjson.Number {
		*to = b.Count(v.Int())
	}
}
