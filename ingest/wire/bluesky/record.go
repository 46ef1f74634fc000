package bluesky

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
)

// fill adds the post at a, whose record is r, to what is known of it already.
func fill(p feedlake.Post, a address, r gjson.Result, seen time.Time, position string, b *wire.Batch) {
	p.ID = a.String()
	p.URI, p.Kind = p.ID, feedlake.KindPost
	if p.AuthorID == "" {
		p.AuthorID = a.did
	}
	var (
		created string
		facets  gjson.Result
	)
	r.ForEach(func(k, v gjson.Result) bool {
		switch k.Str {
		case "text":
			p.Text = v.Str
		case "createdAt":
			created = v.Str
		case "langs":
			p.Lang = strings.ToLower(v.Get("0").Str)
		case "facets":
			facets = v
		case "entities":
			entities(v, &p)
		case "tags":
			v.ForEach(func(_, t gjson.Result) bool { listed(&p.Hashtags, t.Str); return true })
		case "reply":
			p.ReplyTo = v.Get("parent.uri").Str
		case "embed":
			embed(v, &p)
		case "subject":
			if a.collection == Reposts {
				p.RepostOf = v.Get("uri").Str
			}
		}
		return true
	})
	marks(facets, &p) // after the text, which they point into
	if facets.IsArray() {
		p.Hashtags, p.Mentions, p.URLs = told(p.Hashtags), told(p.Mentions), told(p.URLs)
	}
	switch {
	case a.collection == Reposts:
		p.Kind = feedlake.KindRepost
	case p.ReplyTo != "":
		p.Kind = feedlake.KindReply
	case p.QuoteOf != "":
		p.Kind = feedlake.KindQuote
	}
	add(p, created, seen, position, b)
}

// marks reads the facets: what stretches of the text mean. They count bytes of
// UTF-8. One that points outside the text or into the middle of a letter means
// nothing (app.bsky.richtext.facet), and stays in the payload alone.
func marks(facets gjson.Result, p *feedlake.Post) {
	facets.ForEach(func(_, f gjson.Result) bool {
		start, end := f.Get("index.byteStart"), f.Get("index.byteEnd")
		if start.Type != gjson.Number || end.Type != gjson.Number || !stretch(p.Text, start.Int(), end.Int()) {
			return true
		}
		f.Get("features").ForEach(func(_, v gjson.Result) bool {
			switch v.Get("$type").Str {
			case "app.bsky.richtext.facet#tag":
				listed(&p.Hashtags, v.Get("tag").Str)
			case "app.bsky.richtext.facet#mention":
				listed(&p.Mentions, v.Get("did").Str)
			case "app.bsky.richtext.facet#link":
				listed(&p.URLs, v.Get("uri").Str)
			}
			return true
		})
		return true
	})
}

// stretch reports whether text[start:end] is some of its letters, whole.
func stretch(text string, start, end int64) bool {
	return start >= 0 && start < end && end <= int64(len(text)) &&
		utf8.RuneStart(text[start]) && (end == int64(len(text)) || utf8.RuneStart(text[end]))
}

// entities are what facets were before 2023.
func entities(list gjson.Result, p *feedlake.Post) {
	list.ForEach(func(_, v gjson.Result) bool {
		switch v.Get("type").Str {
		case "mention":
			listed(&p.Mentions, v.Get("value").Str)
		case "link":
			listed(&p.URLs, v.Get("value").Str)
		}
		return true
	})
}

// embed reads what hangs on a post: another post, which makes it a quote, or a
// page of the web.
func embed(v gjson.Result, p *feedlake.Post) {
	quoted, media := v.Get("record.uri").Str, v
	if v.Get("$type").Str == "app.bsky.embed.recordWithMedia" {
		quoted, media = v.Get("record.record.uri").Str, v.Get("media")
	}
	if a, ok := parse(quoted); ok && a.collection == Posts { // lists and feeds are embedded too
		p.QuoteOf = quoted
	}
	listed(&p.URLs, media.Get("external.uri").Str)
}

// told is a list that the record tells, were it empty.
func told(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// listed adds s once.
func listed(to *[]string, s string) {
	if s != "" && !slices.Contains(*to, s) {
		*to = append(*to, s)
	}
}
