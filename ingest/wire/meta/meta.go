// Package meta reads posts and comments of the archives that Facebook and Instagram
// give people of their own account, in JSON.
//
// The archives spell each byte of UTF-8 as a character of its own ("Ã©" for "é");
// texts are put right, the payload stays as it came. Posts have no ids there: ID is a
// hash of the time, the text and the first file, and Network is not told.
package meta

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
)

// wrappers are the keys of documents whose value is a list of records.
var wrappers = [...]string{
	"comments_v2", "comments_media_comments", "comments_reels_comments",
	"ig_stories", "ig_reels_media", "ig_other_media", "ig_archived_post_media", "other_photos_v2",
}

// Record adds a post or a comment, or all of a document that is a list of them.
func Record(raw string, now time.Time, position string, b *wire.Batch) {
	if !utf8.ValidString(raw) || !gjson.Valid(raw) {
		b.Reject("broken JSON, or not valid UTF-8", raw, position, now)
		return
	}
	r := gjson.Parse(raw)
	for _, key := range wrappers {
		if list := r.Get(key); list.IsArray() {
			r = list
		}
	}
	if !r.IsArray() {
		one(r, now, position, b)
		return
	}
	i := 0
	r.ForEach(func(_, v gjson.Result) bool {
		i++
		one(v, now, position+", record "+strconv.Itoa(i), b)
		return true
	})
}

func one(r gjson.Result, now time.Time, position string, b *wire.Batch) {
	p := feedlake.Post{Kind: feedlake.KindPost, ObservedAt: now, Payload: r.Raw}
	var at int64
	file, known := "", true
	switch {
	case r.Get("string_map_data.Comment").Exists(): // Instagram
		p.Kind, p.Text, at = feedlake.KindComment, Text(r.Get("string_map_data.Comment.value").Str), r.Get("string_map_data.Time.timestamp").Int()
	case r.Get("data.0.comment").IsObject(): // Facebook
		c := r.Get("data.0.comment")
		p.Kind, p.Text, p.AuthorName = feedlake.KindComment, Text(c.Get("comment").Str), Text(c.Get("author").Str)
		at = cmp.Or(c.Get("timestamp").Int(), r.Get("timestamp").Int())
	case r.Get("timestamp").Exists() && (r.Get("data").IsArray() || r.Get("attachments").IsArray()): // Facebook
		at = r.Get("timestamp").Int()
		r.Get("data").ForEach(func(_, d gjson.Result) bool {
			p.Text = cmp.Or(p.Text, Text(d.Get("post").Str))
			return true
		})
		file = r.Get("attachments.0.data.0.media.uri").Str
		links(r, &p)
	case r.Get("media").IsArray() && r.Get("media.0.creation_timestamp").Exists(): // Instagram
		first := r.Get("media.0")
		at, file = cmp.Or(r.Get("creation_timestamp").Int(), first.Get("creation_timestamp").Int()), first.Get("uri").Str
		p.Text = Text(cmp.Or(r.Get("title").Str, first.Get("title").Str))
	case r.Get("uri").Exists() && r.Get("creation_timestamp").Exists(): // a story or a reel
		at, file, p.Text = r.Get("creation_timestamp").Int(), r.Get("uri").Str, Text(r.Get("title").Str)
	default:
		known = false
	}
	switch {
	case !known:
		b.Reject("no post or comment of a Meta archive", r.Raw, position, now)
		return
	case at <= 0 || at > latest:
		b.Reject("the record has no time", r.Raw, position, now)
		return
	}
	p.CreatedAt = time.Unix(at, 0).UTC()
	h := fnv.New128a()
	_, _ = fmt.Fprintf(h, "%d\n%s\n%s\n%s", at, p.Kind, p.Text, file) // never fails
	p.ID = fmt.Sprintf("%x", h.Sum(nil))
	b.Posts = append(b.Posts, p)
}

// latest is the last second that fits into a post.
const latest = 1 << 40

// links are the pages that a post shows.
func links(r gjson.Result, p *feedlake.Post) {
	r.Get("attachments").ForEach(func(_, a gjson.Result) bool {
		a.Get("data").ForEach(func(_, d gjson.Result) bool {
			if u := d.Get("external_context.url").Str; u != "" {
				p.URLs = append(p.URLs, u)
			}
			return true
		})
		return true
	})
}

// Text puts a text right whose characters are the bytes of UTF-8. Another stays as
// it is.
func Text(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	wide := false
	bytes := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			return s
		}
		wide = wide || r >= utf8.RuneSelf
		bytes = append(bytes, byte(r)) //nolint:gosec // checked above
	}
	if !wide || !utf8.Valid(bytes) {
		return s
	}
	return string(bytes)
}
