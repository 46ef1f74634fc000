// Package hackernews reads what the two APIs of Hacker News answer: items of
// Firebase (github.com/HackerNews/API) and hits of Algolia's HN Search
// (hn.algolia.com/api).
package hackernews

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/htmltext"
)

// site is where items are read by people; their URIs.
const site = "https://news.ycombinator.com/item?id="

// Item adds a Firebase item to b: a story, comment, job, poll or option of a
// poll. A deleted item becomes a deletion, which Firebase gives with its time. A
// dead item, hidden by moderators, too: its text must not be shown. An item that
// does not exist is null and adds nothing.
func Item(raw string, now time.Time, position string, b *wire.Batch) {
	raw = strings.TrimSpace(raw)
	if raw == "null" {
		return
	}
	if reason := object(raw); reason != "" {
		b.Reject(reason, raw, position, now)
		return
	}
	var (
		p                  = feedlake.Post{Network: wire.HackerNews, Kind: feedlake.KindPost, ObservedAt: now, Payload: raw}
		title, text, kind  string
		id, at, parent     int64
		score, descendants gjson.Result
	)
	gjson.Parse(raw).ForEach(func(k, v gjson.Result) bool {
		switch k.Str {
		case "id":
			id = v.Int()
		case "by":
			p.AuthorID, p.AuthorName = v.Str, v.Str
		case "time":
			at = v.Int()
		case "type":
			kind = v.Str
		case "title":
			title = v.Str
		case "text":
			text = v.Str
		case "url":
			p.URLs = address(v.Str)
		case "parent", "poll":
			parent = v.Int()
		case "score":
			score = v
		case "descendants":
			descendants = v
		case "deleted", "dead":
			p.Deleted = p.Deleted || v.Bool()
		}
		return true
	})
	if kind == "" && !p.Deleted {
		b.Reject("the item has no type", raw, position, now)
		return
	}
	if parent != 0 {
		p.Kind, p.ReplyTo = feedlake.KindComment, strconv.FormatInt(parent, 10)
	}
	count(b, score, &p.Likes)
	count(b, descendants, &p.Replies)
	finish(p, id, at, title, text, position, b)
}

// Hit adds a hit of HN Search to b.
func Hit(raw string, now time.Time, position string, b *wire.Batch) {
	if reason := object(raw); reason != "" {
		b.Reject(reason, raw, position, now)
		return
	}
	var (
		p                       = feedlake.Post{Network: wire.HackerNews, Kind: feedlake.KindPost, ObservedAt: now, Payload: raw}
		title, story, comment   string
		id, at, parent, storyID int64
		points, comments        gjson.Result
	)
	gjson.Parse(raw).ForEach(func(k, v gjson.Result) bool {
		switch k.Str {
		case "objectID":
			id = v.Int()
		case "author":
			p.AuthorID, p.AuthorName = v.Str, v.Str
		case "created_at_i":
			at = v.Int()
		case "title":
			title = v.Str
		case "story_text":
			story = v.Str
		case "comment_text":
			comment = v.Str
		case "url":
			p.URLs = address(v.Str)
		case "parent_id":
			parent = v.Int()
		case "story_id":
			storyID = v.Int()
		case "points":
			points = v
		case "num_comments":
			comments = v
		}
		return true
	})
	if parent == 0 && comment != "" {
		parent = storyID
	}
	if parent != 0 {
		p.Kind, p.ReplyTo = feedlake.KindComment, strconv.FormatInt(parent, 10)
	}
	count(b, points, &p.Likes)
	count(b, comments, &p.Replies)
	if comment != "" {
		story = comment
	}
	finish(p, id, at, title, story, position, b)
}

// Record adds a record of an archive: an item or a hit.
func Record(raw string, now time.Time, position string, b *wire.Batch) {
	if gjson.Get(raw, "objectID").Exists() {
		Hit(raw, now, position, b)
		return
	}
	Item(raw, now, position, b)
}

// finish adds p when it has what every post needs.
func finish(p feedlake.Post, id, at int64, title, text, position string, b *wire.Batch) {
	switch {
	case id <= 0:
		b.Reject("the record has no id", p.Payload, position, p.ObservedAt)
		return
	case at <= 0:
		b.Reject("the record has no time", p.Payload, position, p.ObservedAt)
		return
	}
	p.ID = strconv.FormatInt(id, 10)
	p.URI = site + p.ID
	p.CreatedAt = time.Unix(at, 0).UTC()
	p.Text = joined(htmltext.Text(title), htmltext.Text(text))
	if len(p.URLs) > 0 {
		p.URLs = wire.WithLinks(p.URLs[0], p.Text)
	}
	b.Posts = append(b.Posts, p)
}

func joined(title, text string) string {
	if title == "" || text == "" {
		return title + text
	}
	return title + "\n\n" + text
}

// count stores a number that is there; what is absent stays NULL.
func count(b *wire.Batch, v gjson.Result, to **int64) {
	if v.Type == gjson.Number {
		*to = b.Count(v.Int())
	}
}

func address(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func object(raw string) string {
	if !gjson.Valid(raw) {
		return "broken JSON"
	}
	if raw == "" || raw[0] != '{' {
		return fmt.Sprintf("want an object, got %.20q", raw)
	}
	return ""
}
