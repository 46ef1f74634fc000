package x

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
)

// Status adds a status of version 1.1 to b. The numbers among its ids are not
// read: they are larger than what many programs keep exactly.
func Status(raw string, now time.Time, position string, b *wire.Batch) {
	if reason := object(&raw); reason != "" {
		b.Reject(reason, raw, position, now)
		return
	}
	status(raw, now, position, b)
}

// statuses adds an answer of search.
func statuses(raw string, now time.Time, position string, b *wire.Batch) {
	gjson.Get(raw, "statuses").ForEach(func(_, v gjson.Result) bool {
		status(v.Raw, now, position, b)
		return true
	})
}

func status(raw string, now time.Time, position string, b *wire.Batch) {
	f := map[string]gjson.Result{}
	gjson.Parse(raw).ForEach(func(k, v gjson.Result) bool {
		f[k.Str] = v
		return true
	})
	p := feedlake.Post{Network: wire.X, ID: f["id_str"].Str, ObservedAt: now, Kind: feedlake.KindPost, Lang: strings.ToLower(f["lang"].Str), Payload: raw}
	if p.ID == "" {
		b.Reject("the status has no id_str", raw, position, now)
		return
	}
	if !f["text"].Exists() && !f["full_text"].Exists() {
		b.Reject("no post of X: it has no text", raw, position, now)
		return
	}
	at, err := time.Parse(time.RubyDate, f["created_at"].Str)
	if err != nil {
		b.Reject("the status has no time", raw, position, now)
		return
	}
	p.CreatedAt, p.URI = at.UTC(), site+p.ID
	by := gjson.GetMany(f["user"].Raw, "id_str", "screen_name", "followers_count")
	p.AuthorID, p.AuthorName = by[0].Str, by[1].Str
	natural(b, by[2], &p.AuthorFollowers)
	natural(b, f["favorite_count"], &p.Likes)
	natural(b, f["retweet_count"], &p.Reposts)
	natural(b, f["reply_count"], &p.Replies)
	p.ReplyTo, p.QuoteOf = f["in_reply_to_status_id_str"].Str, f["quoted_status_id_str"].Str
	if of := gjson.Get(f["retweeted_status"].Raw, "id_str").Str; of != "" {
		p.RepostOf, p.QuoteOf = of, "" // the quote is the original's
		written(f["retweeted_status"].Raw, &p)
	} else {
		written(raw, &p)
	}
	related(&p)
	if !f["user"].Exists() && strings.HasPrefix(p.Text, "RT @") { // an account's archive does not name what it repeats
		p.Kind = feedlake.KindRepost
	}
	b.Posts = append(b.Posts, p)
}

// written is the whole text of a status and what is in it. A status that is not
// in extended mode has the text cut, and the whole beside it.
func written(raw string, p *feedlake.Post) {
	r := gjson.GetMany(raw, "extended_tweet.full_text", "full_text", "text", "extended_tweet.entities", "entities")
	p.Text = plain(cmp.Or(r[0].Str, r[1].Str, r[2].Str))
	entities := r[4]
	if r[3].IsObject() {
		entities = r[3]
	}
	p.Hashtags = values(entities.Get("hashtags"), "text")
	p.Mentions = values(entities.Get("user_mentions"), "screen_name")
	p.URLs = values(entities.Get("urls"), "expanded_url")
}

// values are one field of the objects of an array; nil when there is no array.
func values(list gjson.Result, field string) []string {
	if !list.IsArray() {
		return nil
	}
	out := []string{}
	list.ForEach(func(_, v gjson.Result) bool {
		if s := v.Get(field).Str; s != "" {
			out = append(out, s)
		}
		return true
	})
	return out
}

// natural stores a count that is there, also one that is spelled as a text.
func natural(b *wire.Batch, v gjson.Result, to **int64) {
	n, err := strconv.ParseInt(strings.Trim(v.Raw, `"`), 10, 64)
	if err == nil && n >= 0 {
		*to = b.Count(n)
	}
}
