package x

import (
	"cmp"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
)

// website adds a post as the website of X gets it: a line of Zeeschuimer with the
// post below "data", or such a post by itself with "__import_meta", as 4CAT exports
// it.
func website(raw string, now time.Time, position string, b *wire.Batch) {
	record := gjson.Parse(raw)
	node, meta := record, record.Get("__import_meta")
	if data := record.Get("data"); data.IsObject() {
		node, meta = data, record
	}
	node = inner(node)
	legacy := node.Get("legacy")
	p := feedlake.Post{Network: wire.X, ID: idOf(node), Kind: feedlake.KindPost, ObservedAt: now, Lang: strings.ToLower(legacy.Get("lang").Str), Payload: raw}
	at, err := time.Parse(time.RubyDate, legacy.Get("created_at").Str)
	switch {
	case !legacy.Get("full_text").Exists():
		b.Reject("no post of X: it has no text", raw, position, now)
		return
	case p.ID == "":
		b.Reject("the post has no id", raw, position, now)
		return
	case err != nil:
		b.Reject("the post has no time", raw, position, now)
		return
	}
	p.CreatedAt, p.URI = at.UTC(), site+p.ID
	if ms := meta.Get("timestamp_collected").Int(); ms > 0 && ms < now.UnixMilli() {
		p.ObservedAt = time.UnixMilli(ms).UTC()
	}
	p.Query = meta.Get("source_platform_url").Str
	author(node, &p, b)
	p.ReplyTo = legacy.Get("in_reply_to_status_id_str").Str
	p.QuoteOf = cmp.Or(legacy.Get("quoted_status_id_str").Str, idOf(inner(node.Get("quoted_status_result.result"))))
	original := inner(legacy.Get("retweeted_status_result.result"))
	if p.RepostOf = idOf(original); p.RepostOf != "" {
		p.QuoteOf = "" // the quote is the original's
		content(original, &p)
	} else {
		content(node, &p)
		natural(b, legacy.Get("favorite_count"), &p.Likes)
		natural(b, legacy.Get("retweet_count"), &p.Reposts)
		natural(b, legacy.Get("reply_count"), &p.Replies)
		natural(b, node.Get("views.count"), &p.Views)
	}
	related(&p)
	b.Posts = append(b.Posts, p)
}

// inner is a post that may be wrapped, as those are whose visibility is limited.
func inner(node gjson.Result) gjson.Result {
	if t := node.Get("tweet"); t.IsObject() {
		return t
	}
	return node
}

// idOf is the id of a post. Its other ids may be numbers that lost digits.
func idOf(node gjson.Result) string {
	return cmp.Or(node.Get("rest_id").Str, node.Get("legacy.id_str").Str)
}

func author(node gjson.Result, p *feedlake.Post, b *wire.Batch) {
	by := node.Get("core.user_results.result")
	p.AuthorID = cmp.Or(by.Get("rest_id").Str, node.Get("legacy.user_id_str").Str)
	p.AuthorName = cmp.Or(by.Get("core.screen_name").Str, by.Get("legacy.screen_name").Str)
	natural(b, by.Get("legacy.followers_count"), &p.AuthorFollowers)
}

// content is the text of a post and what is in it; of a long post, of its note.
func content(node gjson.Result, p *feedlake.Post) {
	text, entities := node.Get("legacy.full_text").Str, node.Get("legacy.entities")
	if note := node.Get("note_tweet.note_tweet_results.result"); note.Get("text").Str != "" {
		text, entities = note.Get("text").Str, note.Get("entity_set")
	}
	p.Text = plain(text)
	p.Hashtags, p.Mentions = values(entities.Get("hashtags"), "text"), values(entities.Get("user_mentions"), "screen_name")
	p.URLs = values(entities.Get("urls"), "expanded_url")
}

// related is what a post that names others is.
func related(p *feedlake.Post) {
	switch {
	case p.RepostOf != "":
		p.Kind = feedlake.KindRepost
	case p.ReplyTo != "":
		p.Kind = feedlake.KindReply
	case p.QuoteOf != "":
		p.Kind = feedlake.KindQuote
	}
}

// Archive adds a record of the archive that X gives people of their own account:
// {"tweet": {…}}, of tweets.js or deleted-tweets.js. It does not name the account.
func Archive(raw string, now time.Time, position string, b *wire.Batch) {
	if reason := object(&raw); reason != "" {
		b.Reject(reason, raw, position, now)
		return
	}
	archived(raw, now, position, b)
}

func archived(raw string, now time.Time, position string, b *wire.Batch) {
	tweet := gjson.Get(raw, "tweet")
	if !tweet.Exists() && gjson.Get(raw, "full_text").Exists() { // its content by itself
		tweet = gjson.Parse(raw)
	}
	if !tweet.IsObject() {
		b.Reject("no post of an X archive", raw, position, now)
		return
	}
	had := len(b.Posts)
	status(tweet.Raw, now, position, b)
	if len(b.Posts) == had {
		return
	}
	p := &b.Posts[had]
	at, err := time.Parse(time.RFC3339, tweet.Get("deleted_at").Str)
	if !tweet.Get("deleted_at").Exists() {
		return
	}
	if err != nil {
		at = now
	}
	*p = feedlake.Post{
		Network: wire.X, ID: p.ID, URI: p.URI, Kind: feedlake.KindPost, CreatedAt: p.CreatedAt, ObservedAt: at.UTC(), Deleted: true,
		Payload: `{"tweet":{"id_str":"` + p.ID + `","deleted_at":` + tweet.Get("deleted_at").Raw + `}}`,
	}
}
