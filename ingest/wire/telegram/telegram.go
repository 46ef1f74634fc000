// Package telegram reads what Telegram Desktop exports as result.json
// (telegram.org/blog/export-and-more): one chat, or all of an account.
//
// The number of a message is that of its chat, so a post's ID is "chat/number".
// Channels and groups are read; a conversation of two is not for others to keep and
// becomes a reject without content. What is no message, such as that somebody
// joined, adds nothing. Reactions of every kind are likes.
package telegram

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
)

// Record adds a message with its chat, {"chat": {…}, "message": {…}}, as Unroll
// makes them, or a chat with its messages.
func Record(raw string, now time.Time, position string, b *wire.Batch) {
	if !utf8.ValidString(raw) || !gjson.Valid(raw) {
		b.Reject("broken JSON, or not valid UTF-8", raw, position, now)
		return
	}
	r := gjson.Parse(raw)
	switch chat := r.Get("chat"); {
	case chat.IsObject() && r.Get("message").IsObject():
		message(chat, r.Get("message"), raw, now, position, b)
	case r.Get("messages").IsArray():
		i := 0
		r.Get("messages").ForEach(func(_, m gjson.Result) bool {
			i++
			message(r, m, m.Raw, now, position+", message "+strconv.Itoa(i), b)
			return true
		})
	default:
		b.Reject("no chat of Telegram", raw, position, now)
	}
}

func message(chat, m gjson.Result, raw string, now time.Time, position string, b *wire.Batch) {
	kind := m.Get("type").Str
	switch chat.Get("type").Str {
	case "personal_chat", "bot_chat", "saved_messages":
		b.Reject("not public: a conversation of two is not kept", "", position, now)
		return
	}
	if kind == "service" {
		return
	}
	at, err := strconv.ParseInt(m.Get("date_unixtime").String(), 10, 64)
	number, id := m.Get("id").Raw, chat.Get("id").Raw
	switch {
	case kind != "message":
		b.Reject("no message of Telegram", raw, position, now)
		return
	case number == "" || id == "":
		b.Reject("the message lacks its number or its chat's", raw, position, now)
		return
	case err != nil || at <= 0:
		b.Reject("the message does not tell its time in UTC (date_unixtime), as exports since 2021 do", raw, position, now)
		return
	}
	p := feedlake.Post{
		Network: wire.Telegram, ID: id + "/" + number, Kind: feedlake.KindPost, CreatedAt: time.Unix(at, 0).UTC(), ObservedAt: now, Payload: raw,
		AuthorID: m.Get("from_id").String(), AuthorName: text(m.Get("from")), Query: text(chat.Get("name")),
	}
	if to := m.Get("reply_to_message_id"); to.Exists() {
		p.Kind, p.ReplyTo = feedlake.KindReply, id+"/"+to.Raw
	}
	if m.Get("forwarded_from").Exists() { // from whom it says, but not which message
		p.Kind = feedlake.KindRepost
	}
	content(m, &p)
	likes, some := int64(0), false
	m.Get("reactions").ForEach(func(_, r gjson.Result) bool {
		likes, some = likes+r.Get("count").Int(), true
		return true
	})
	if some {
		p.Likes = b.Count(likes)
	}
	b.Posts = append(b.Posts, p)
}

// content is the text of a message and what is in it: a text, or a list of texts
// and of objects with a type.
func content(m gjson.Result, p *feedlake.Post) {
	parts := m.Get("text")
	if parts.Type == gjson.String {
		p.Text = text(parts)
	}
	var all strings.Builder
	if parts.IsArray() {
		parts.ForEach(func(_, part gjson.Result) bool {
			if part.IsObject() {
				part = part.Get("text")
			}
			all.WriteString(text(part))
			return true
		})
		p.Text = all.String()
	}
	marks := m.Get("text_entities")
	if !marks.Exists() {
		marks = parts
	}
	marks.ForEach(func(_, e gjson.Result) bool {
		said := text(e.Get("text"))
		switch e.Get("type").Str {
		case "hashtag":
			p.Hashtags = append(p.Hashtags, strings.TrimPrefix(said, "#"))
		case "mention":
			p.Mentions = append(p.Mentions, strings.TrimPrefix(said, "@"))
		case "link":
			p.URLs = append(p.URLs, said)
		case "text_link":
			p.URLs = append(p.URLs, text(e.Get("href")))
		}
		return true
	})
}

// text is a string, valid UTF-8: JSON may hold half a surrogate pair.
func text(v gjson.Result) string {
	if v.Type != gjson.String {
		return ""
	}
	return strings.ToValidUTF8(v.Str, "\uFFFD")
}
