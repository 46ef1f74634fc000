// Package mastodon reads what servers that speak Mastodon's API tell: statuses
// (docs.joinmastodon.org/entities/Status), the events of their streams, and the
// archives that people hold: statuses line by line, the outbox.json of an
// account's archive (ActivityStreams) and recorded answers.
//
// Ids of the API are those of one server; the same post has another one on every
// server. So a post's ID is its uri. Of the post that a reply answers the API
// tells only the server's id: it is spelled "server:id", such as
// "mastodon.social:110446223051565765", and left out where the server is not
// known. Only what everybody may read is kept: a record of any other visibility
// becomes a reject without content.
package mastodon

import (
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/htmltext"
)

// status holds what a Status tells, before it is a post.
type status struct {
	id, uri, created, visibility, spoiler, content, reply string
	account, reblog, quote, card                          gjson.Result
	tags, mentions                                        gjson.Result
}

// Status adds a status to b, as the server of that name told it; "" when it is
// not known.
func Status(raw, server string, now time.Time, position string, b *wire.Batch) {
	raw = strings.TrimSpace(raw)
	if reason := object(raw); reason != "" {
		b.Reject(reason, raw, position, now)
		return
	}
	p := feedlake.Post{Network: wire.Mastodon, Kind: feedlake.KindPost, ObservedAt: now, Payload: raw}
	var s status
	gjson.Parse(raw).ForEach(func(k, v gjson.Result) bool {
		s.field(k.Str, v, &p, b)
		return true
	})
	at, err := time.Parse(time.RFC3339, s.created)
	hidden := s.reblog.IsObject() && s.reblog.Get("visibility").Str != public
	switch {
	case s.uri == "":
		b.Reject("the status has no uri", raw, position, now)
		return
	case s.visibility == "" && s.content == "":
		b.Reject("no status: it has neither content nor visibility", raw, position, now)
		return
	case s.visibility != public || hidden:
		b.Reject(notPublic, "", position, now)
		return
	case err != nil:
		b.Reject("the status has no time: "+cutTime(s.created), raw, position, now)
		return
	}
	p.ID, p.URI, p.CreatedAt = s.uri, s.uri, at.UTC()
	if server == "" {
		server = s.home()
	}
	s.author(&p, server)
	s.relate(&p, server)
	if s.content == "" {
		s.content = s.reblog.Get("content").String()
	}
	p.Text = joined(htmltext.Text(s.spoiler), htmltext.Text(s.content))
	p.Hashtags = names(s.tags, "name", "")
	p.Mentions = names(s.mentions, "acct", server)
	p.URLs = carded(s.card.Get("url").String(), p.Text)
	b.Posts = append(b.Posts, p)
}

// public is the one visibility that is kept.
const public = "public"

// notPublic is the reason of a reject whose content nobody may keep.
const notPublic = "not public: only what everybody may read is kept"

func (s *status) field(name string, v gjson.Result, p *feedlake.Post, b *wire.Batch) {
	switch name {
	case "id":
		s.id = v.String()
	case "uri":
		s.uri = v.String()
	case "created_at":
		s.created = v.String()
	case "visibility":
		s.visibility = v.String()
	case "spoiler_text":
		s.spoiler = v.String()
	case "content":
		s.content = v.String()
	case "language":
		p.Lang = strings.ToLower(v.String())
	case "in_reply_to_id":
		s.reply = v.String()
	case "account":
		s.account = v
	case "reblog":
		s.reblog = v
	case "quote":
		s.quote = v
	case "card":
		s.card = v
	case "tags":
		s.tags = v
	case "mentions":
		s.mentions = v
	case "favourites_count":
		count(b, v, &p.Likes)
	case "reblogs_count":
		count(b, v, &p.Reposts)
	case "replies_count":
		count(b, v, &p.Replies)
	}
	if name == "account" {
		count(b, v.Get("followers_count"), &p.AuthorFollowers)
	}
}

// home is the server that a status was told by, which shows when its author is
// at home there: names of others have a server in them.
func (s *status) home() string {
	if acct := s.account.Get("acct").String(); acct == "" || strings.Contains(acct, "@") {
		return ""
	}
	return Host(s.uri)
}

// Host is the server in an address; "" when there is none.
func Host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}

func (s *status) author(p *feedlake.Post, server string) {
	for _, key := range [...]string{"uri", "url"} {
		if p.AuthorID == "" {
			p.AuthorID = s.account.Get(key).String()
		}
	}
	if p.AuthorID == "" {
		p.AuthorID = Local(server, s.account.Get("id").String())
	}
	p.AuthorName = whole(s.account.Get("acct").String(), server)
}

// relate says which other post p answers, repeats or quotes.
func (s *status) relate(p *feedlake.Post, server string) {
	if s.reply != "" {
		p.Kind, p.ReplyTo = feedlake.KindReply, Local(server, s.reply)
	}
	if s.quote.IsObject() {
		p.Kind, p.QuoteOf = feedlake.KindQuote, s.quote.Get("quoted_status.uri").String()
		if p.QuoteOf == "" {
			p.QuoteOf = Local(server, s.quote.Get("quoted_status_id").String())
		}
	}
	if s.reblog.IsObject() {
		p.Kind, p.RepostOf = feedlake.KindRepost, s.reblog.Get("uri").String()
	}
}

// Local spells an id of a server where the uri is not known: "server:id". It is
// "" when one of the two is.
func Local(server, id string) string {
	if server == "" || id == "" {
		return ""
	}
	return server + ":" + id
}

// whole is a handle with its server: those of the server itself come without.
func whole(acct, server string) string {
	if acct == "" || server == "" || strings.Contains(acct, "@") {
		return acct
	}
	return acct + "@" + server
}

// carded are the links of a status with a card: the card shows one of them, at
// times under the address that it leads to.
func carded(card, text string) []string {
	links := wire.WithLinks(card, text)
	switch {
	case len(links) < 2, strings.Contains(text, card):
		return links
	case len(links) == 2:
		return links[:1]
	}
	return links[1:]
}

// names are a field of the objects of an array; nil when there is no array.
func names(list gjson.Result, key, server string) []string {
	if !list.IsArray() {
		return nil
	}
	out := []string{}
	list.ForEach(func(_, v gjson.Result) bool {
		if s := v.Get(key).String(); s != "" {
			out = append(out, whole(s, server))
		}
		return true
	})
	return out
}

func joined(spoiler, text string) string {
	if spoiler == "" || text == "" {
		return spoiler + text
	}
	return spoiler + "\n\n" + text
}

// count stores a number that is there; what is absent stays NULL.
func count(b *wire.Batch, v gjson.Result, to **int64) {
	if v.Type == gjson.Number {
		*to = b.Count(v.Int())
	}
}

func object(raw string) string {
	switch {
	case !utf8.ValidString(raw):
		return "not valid UTF-8"
	case !gjson.Valid(raw):
		return "broken JSON"
	case raw == "" || raw[0] != '{':
		return "want an object"
	}
	return ""
}

// cutTime shows a time that could not be read.
func cutTime(s string) string {
	if s == "" {
		return "(empty)"
	}
	return strings.ToValidUTF8(s[:min(len(s), 40)], "\uFFFD")
}
