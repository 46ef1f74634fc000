package mastodon

import (
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/htmltext"
)

// Activity adds an activity of an outbox (www.w3.org/TR/activitystreams-core): a
// Create of a note or of a question, or an Announce, which is a repost. Another
// one becomes a reject.
func Activity(raw string, now time.Time, position string, b *wire.Batch) {
	raw = strings.TrimSpace(raw)
	if reason := object(raw); reason != "" {
		b.Reject(reason, raw, position, now)
		return
	}
	a := gjson.Parse(raw)
	kind := a.Get("type").String()
	if !open(a) {
		b.Reject(notPublic, "", position, now)
		return
	}
	p := feedlake.Post{Network: wire.Mastodon, Kind: feedlake.KindPost, ObservedAt: now, Payload: raw, AuthorID: a.Get("actor").String()}
	published := a.Get("published").String()
	switch o := a.Get("object"); {
	case kind == "Announce":
		p.ID, p.Kind, p.RepostOf = a.Get("id").String(), feedlake.KindRepost, o.String()
		if o.IsObject() {
			p.RepostOf = o.Get("id").String()
		}
	case (kind == "Create" || kind == "Update") && o.IsObject():
		if !open(o) {
			b.Reject(notPublic, "", position, now)
			return
		}
		note(&p, o, b)
		published = o.Get("published").String()
	default:
		b.Reject("no post: activity of type "+cutTime(kind), raw, position, now)
		return
	}
	at, err := time.Parse(time.RFC3339, published)
	switch {
	case p.ID == "":
		b.Reject("the activity has no id", raw, position, now)
	case err != nil:
		b.Reject("the activity has no time: "+cutTime(published), raw, position, now)
	default:
		p.URI, p.CreatedAt, p.AuthorName = p.ID, at.UTC(), handle(p.AuthorID)
		b.Posts = append(b.Posts, p)
	}
}

// note fills p from the object of an activity.
func note(p *feedlake.Post, o gjson.Result, b *wire.Batch) {
	p.ID = o.Get("id").String()
	if by := o.Get("attributedTo"); by.Type == gjson.String {
		p.AuthorID = by.String()
	}
	p.Text = joined(htmltext.Text(o.Get("summary").String()), htmltext.Text(o.Get("content").String()))
	o.Get("contentMap").ForEach(func(k, _ gjson.Result) bool {
		p.Lang = strings.ToLower(k.String())
		return false
	})
	if to := o.Get("inReplyTo").String(); to != "" {
		p.Kind, p.ReplyTo = feedlake.KindReply, to
	}
	for _, key := range [...]string{"quote", "quoteUri", "quoteUrl", "_misskey_quote"} {
		if q := o.Get(key); q.Type == gjson.String && p.QuoteOf == "" {
			p.Kind, p.QuoteOf = feedlake.KindQuote, q.String()
		}
	}
	tags := o.Get("tag")
	if tags.IsArray() {
		p.Hashtags, p.Mentions = []string{}, []string{}
	}
	tags.ForEach(func(_, t gjson.Result) bool {
		switch name := t.Get("name").String(); t.Get("type").String() {
		case "Hashtag":
			p.Hashtags = append(p.Hashtags, strings.TrimPrefix(name, "#"))
		case "Mention":
			p.Mentions = append(p.Mentions, strings.TrimPrefix(name, "@"))
		}
		return true
	})
	count(b, o.Get("likes.totalItems"), &p.Likes)
	count(b, o.Get("shares.totalItems"), &p.Reposts)
}

// open reports whether an activity is addressed to everybody. What names
// everybody under "cc" is unlisted, which is not public.
func open(a gjson.Result) bool {
	everybody := [...]string{"https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public"}
	to := a.Get("to")
	if to.Type == gjson.String {
		return slices.Contains(everybody[:], to.String())
	}
	return slices.ContainsFunc(to.Array(), func(r gjson.Result) bool { return slices.Contains(everybody[:], r.String()) })
}

// handle is the name in an actor's address, https://server/users/name; "" when
// the address has another form.
func handle(actor string) string {
	server := Host(actor)
	_, name, ok := strings.Cut(actor, "/users/")
	if !ok {
		_, name, ok = strings.Cut(actor, "/@")
	}
	if !ok || server == "" || name == "" || strings.ContainsAny(name, "/?#") {
		return ""
	}
	return name + "@" + server
}
