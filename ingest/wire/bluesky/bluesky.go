// Package bluesky reads what Bluesky answers with and what its archives hold:
// views of posts (app.bsky.feed.defs), records of repositories and the events
// of Jetstream (github.com/bluesky-social/jetstream), old and new.
//
// The id of a post is its AT URI. Its creation time is what its client claims,
// unless that lies behind the moment when the network first saw it: then that
// moment, as the network sorts by. A claim of more than feedlake.LatestAhead
// behind it is a reject.
package bluesky

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
)

// Collections of a repository that hold posts.
const (
	Posts   = "app.bsky.feed.post"
	Reposts = "app.bsky.feed.repost"
)

const scheme = "at://"

// Record adds a record of an archive, whatever its form: an event of Jetstream
// (either version, with or without its envelope), a view of a post, an item of a
// feed, a thread, a record of a repository, or a whole answer that holds some of
// these. A record of a kind that is no post, such as a like, adds nothing.
func Record(raw string, now time.Time, position string, b *wire.Batch) {
	raw, ok := object(raw, now, position, b)
	if !ok {
		return
	}
	f := gjson.GetMany(raw, "$type", "payload", "time_us", "thread", "posts", "feed", "records", "post.uri", "uri")
	kind := f[0].Str
	switch {
	case kind == "message" && f[1].IsObject(), strings.HasPrefix(kind, eventType), f[2].Exists():
		Event(raw, now, position, b)
	case f[3].IsObject():
		Thread(f[3].Raw, now, position, b)
	case f[4].IsArray():
		each(f[4], View, now, position, b)
	case f[5].IsArray():
		each(f[5], FeedItem, now, position, b)
	case f[6].IsArray():
		each(f[6], View, now, position, b)
	case kind == threadType, f[7].Exists() && (gjson.Get(raw, "replies").Exists() || gjson.Get(raw, "parent").Exists()):
		Thread(raw, now, position, b)
	case f[7].Exists():
		FeedItem(raw, now, position, b)
	case absent(kind):
	case f[8].Exists():
		View(raw, now, position, b)
	default:
		b.Reject("no form of Bluesky that is known", raw, position, now)
	}
}

// each adds the elements of a list.
func each(list gjson.Result, add func(string, time.Time, string, *wire.Batch), now time.Time, position string, b *wire.Batch) {
	list.ForEach(func(_, v gjson.Result) bool {
		add(v.Raw, now, position, b)
		return true
	})
}

// Types of what stands in a thread.
const (
	threadType   = "app.bsky.feed.defs#threadViewPost"
	notFoundType = "app.bsky.feed.defs#notFoundPost"
	blockedType  = "app.bsky.feed.defs#blockedPost"
)

// absent reports whether a type says that a post cannot be had: there is
// nothing to tell of it but its address.
func absent(kind string) bool { return kind == notFoundType || kind == blockedType }

// deepest bounds a thread: the API goes down 1000 answers at most.
const deepest = 1000

// Thread adds a thread (app.bsky.feed.defs#threadViewPost): the post, those
// above it and all answers.
func Thread(raw string, now time.Time, position string, b *wire.Batch) {
	raw, ok := object(raw, now, position, b)
	if !ok {
		return
	}
	thread(gjson.Parse(raw), now, position, b, 0)
}

func thread(t gjson.Result, now time.Time, position string, b *wire.Batch, depth int) {
	if absent(t.Get("$type").Str) {
		return
	}
	if depth > deepest {
		b.Reject("the thread is deeper than any that Bluesky answers with", t.Raw, position, now)
		return
	}
	post := t.Get("post")
	if !post.IsObject() {
		b.Reject("the thread holds no post", t.Raw, position, now)
		return
	}
	if parent := t.Get("parent"); parent.IsObject() {
		thread(parent, now, position, b, depth+1)
	}
	View(post.Raw, now, position, b)
	t.Get("replies").ForEach(func(_, v gjson.Result) bool {
		thread(v, now, position, b, depth+1)
		return true
	})
}

// object makes raw valid UTF-8, and rejects what is no object of JSON.
func object(raw string, now time.Time, position string, b *wire.Batch) (string, bool) {
	raw = strings.TrimSpace(raw)
	if !utf8.ValidString(raw) {
		raw = strings.ToValidUTF8(raw, "\uFFFD")
	}
	switch {
	case !gjson.Valid(raw):
		b.Reject("broken JSON", raw, position, now)
	case raw[0] != '{':
		b.Reject("want an object", raw, position, now)
	default:
		return raw, true
	}
	return raw, false
}

// add adds p when it has what every post needs. seen is when the network first
// saw it; zero: not told.
func add(p feedlake.Post, created string, seen time.Time, position string, b *wire.Batch) {
	at, ok := Time(created)
	switch {
	case created == "":
		b.Reject("the record has no createdAt", p.Payload, position, p.ObservedAt)
		return
	case !ok:
		b.Reject("createdAt is no time", p.Payload, position, p.ObservedAt)
		return
	}
	p.CreatedAt = at
	addAt(p, seen, position, b)
}

func addAt(p feedlake.Post, seen time.Time, position string, b *wire.Batch) {
	if seen.IsZero() {
		seen = p.ObservedAt
	}
	switch {
	case p.CreatedAt.Before(feedlake.EarliestCreated):
		b.Reject("createdAt is before "+feedlake.EarliestCreated.Format(time.DateOnly), p.Payload, position, p.ObservedAt)
		return
	case p.CreatedAt.After(seen.Add(feedlake.LatestAhead)):
		b.Reject("createdAt is more than "+feedlake.LatestAhead.String()+" ahead", p.Payload, position, p.ObservedAt)
		return
	case p.CreatedAt.After(seen):
		p.CreatedAt = seen
	}
	b.Posts = append(b.Posts, p)
}

// layouts are the spellings of a time that are met in records, besides RFC 3339.
var layouts = [...]string{"2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05.999999999Z0700", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02"}

// Time reads a time of a record, as UTC; one without a zone is taken as UTC. The
// lake holds microseconds.
func Time(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	for i := 0; err != nil && i < len(layouts); i++ {
		t, err = time.Parse(layouts[i], s)
	}
	return t.UTC().Truncate(time.Microsecond), err == nil
}

// address is an AT URI taken apart: at://did/collection/rkey.
type address struct{ did, collection, rkey string }

func parse(uri string) (address, bool) {
	rest, ok := strings.CutPrefix(uri, scheme)
	did, rest, two := strings.Cut(rest, "/")
	collection, rkey, three := strings.Cut(rest, "/")
	return address{did, collection, rkey}, ok && two && three && strings.HasPrefix(did, "did:") && collection != "" && rkey != "" && !strings.Contains(rkey, "/")
}

func (a address) String() string { return scheme + a.did + "/" + a.collection + "/" + a.rkey }
