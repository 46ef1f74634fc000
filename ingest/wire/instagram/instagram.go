// Package instagram reads media of the Instagram Graph API (IGMedia, see
// developers.facebook.com/docs/instagram-platform) and the posts that browser
// extensions such as Zeeschuimer record for 4CAT, in three shapes of the
// website: item lists, the older graph and the newer Polaris.
//
// Hashtags and links are not listed by the network, so those columns stay NULL;
// of the accounts mentioned it lists those tagged in the picture, and the caption
// names the others.
// Counts that the owner hides are absent or -1, never 0: NULL too.
package instagram

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
)

// site is where posts are read by people; their URIs. The website knows a post
// below /p/, /reel/ and /tv/ alike.
const site = "https://www.instagram.com/p/"

// stamp is how the Graph API writes times; it is not quite RFC 3339.
const stamp = "2006-01-02T15:04:05-0700"

// Media adds an IGMedia of the Graph API to b. Its id is the website's number,
// which its address spells: the API's own is another one, and no archive has it.
// Where there is no address the API's stays. Media
// found by a hashtag has no author; insights that were asked for with the field
// of that name fill views and reposts.
func Media(raw string, now time.Time, position string, b *wire.Batch) {
	if reason := object(raw); reason != "" {
		b.Reject(reason, raw, position, now)
		return
	}
	media(gjson.Parse(raw), post(raw, now), position, b)
}

func media(r gjson.Result, p feedlake.Post, position string, b *wire.Batch) {
	var at, comments, likes, views, insights gjson.Result
	r.ForEach(func(k, v gjson.Result) bool {
		switch k.Str {
		case "id":
			p.ID = name(v)
		case "caption":
			p.Text = text(v)
		case "permalink":
			p.URI = canonical(text(v))
		case "timestamp":
			at = v
		case "username":
			p.AuthorName = text(v)
		case "owner":
			p.AuthorID = name(v.Get("id"))
		case "comments_count":
			comments = v
		case "like_count":
			likes = v
		case "view_count":
			views = v
		case "insights":
			insights = v
		}
		return true
	})
	if n, ok := numberIn(p.URI); ok {
		p.ID = n
	}
	count(b, likes, &p.Likes)
	count(b, comments, &p.Replies)
	count(b, views, &p.Views)
	insights.Get("data").ForEach(func(_, m gjson.Result) bool {
		switch m.Get("name").Str {
		case "views":
			count(b, m.Get("values.0.value"), &p.Views)
		case "reposts":
			count(b, m.Get("values.0.value"), &p.Reposts)
		}
		return true
	})
	if t, err := time.Parse(stamp, at.Str); err == nil {
		p.CreatedAt = t.UTC()
	} else if t, err := time.Parse(time.RFC3339, at.Str); err == nil {
		p.CreatedAt = t.UTC()
	}
	finish(p, position, b)
}

// Page adds the media of a page of the Graph API, {"data": […], "paging": …}.
// Each post keeps its own media as payload: the page itself holds an access
// token in its links.
func Page(raw string, now time.Time, position string, b *wire.Batch) {
	if reason := object(raw); reason != "" {
		b.Reject(reason, raw, position, now)
		return
	}
	page(gjson.Get(raw, "data"), now, position, b)
}

func page(data gjson.Result, now time.Time, position string, b *wire.Batch) {
	i := 0
	data.ForEach(func(_, v gjson.Result) bool {
		i++
		Media(v.Raw, now, position+", item "+strconv.Itoa(i), b)
		return true
	})
}

// Record adds a record of an archive: a page of the Graph API, one media of it,
// a line of Zeeschuimer with the post below "data", or such a post by itself with
// "__import_meta", as 4CAT exports it. The time of observation is the recorded
// one where there is one.
func Record(raw string, now time.Time, position string, b *wire.Batch) {
	if reason := object(raw); reason != "" {
		b.Reject(reason, raw, position, now)
		return
	}
	r := gjson.Parse(raw)
	node, meta := r, r.Get("__import_meta")
	if r.Get("node").IsObject() {
		Instaloader(raw, now, position, b)
		return
	}
	switch data := r.Get("data"); {
	case data.IsArray():
		page(data, now, position, b)
		return
	case data.IsObject():
		node, meta = data, r
	}
	p := post(raw, now)
	if meta.IsObject() {
		p.Query = text(meta.Get("source_platform_url"))
		if ms := meta.Get("timestamp_collected").Int(); ms > 0 && ms < now.UnixMilli() {
			p.ObservedAt = time.UnixMilli(ms).UTC()
		}
	}
	website(node, p, position, b)
}

// Instaloader adds a file of Instaloader's about a post, {"node": {…},
// "instaloader": {…}}.
func Instaloader(raw string, now time.Time, position string, b *wire.Batch) {
	if reason := object(raw); reason != "" {
		b.Reject(reason, raw, position, now)
		return
	}
	r := gjson.Parse(raw)
	node, kind := r.Get("node"), r.Get("instaloader.node_type").Str
	if !node.Get("shortcode").Exists() || (kind != "" && kind != "Post" && kind != "StoryItem") {
		b.Reject("no post of Instaloader's: "+strconv.Quote(kind), raw, position, now)
		return
	}
	graph(node, post(raw, now), position, b)
}

// website tells the shapes of a post apart by what only one of them has.
func website(node gjson.Result, p feedlake.Post, position string, b *wire.Batch) {
	kind := node.Get("__typename").Str
	switch {
	case node.Get("product_type").Str == "ad" || strings.HasPrefix(node.Get("link").Str, "https://www.facebook.com/ads/ig_redirect"):
		b.Reject("an advertisement, not a post of somebody's choice", p.Payload, position, p.ObservedAt)
	case strings.HasPrefix(kind, "Graph") || strings.HasPrefix(kind, "XDTGraph") || node.Get("shortcode").Exists() && node.Get("taken_at_timestamp").Exists():
		graph(node, p, position, b)
	case strings.Contains(kind, "Polaris"), node.Get("code").Exists(), node.Get("taken_at").Exists():
		item(node, p, position, b)
	case node.Get("timestamp").Exists() || node.Get("permalink").Exists():
		media(node, p, position, b)
	default:
		b.Reject("none of the known shapes: neither media of the Graph API nor a post of the website", p.Payload, position, p.ObservedAt)
	}
}

func post(raw string, now time.Time) feedlake.Post {
	return feedlake.Post{Network: wire.Instagram, Kind: feedlake.KindPost, ObservedAt: now.UTC(), Payload: raw}
}

// finish adds p when it has what every post needs.
func finish(p feedlake.Post, position string, b *wire.Batch) {
	switch {
	case p.ID == "":
		b.Reject("the record has no id", p.Payload, position, p.ObservedAt)
	case p.CreatedAt.IsZero():
		b.Reject("the record has no time that can be read; views of a grid leave it out", p.Payload, position, p.ObservedAt)
	default:
		p.Mentions = mentions(p.Mentions, p.Text)
		b.Posts = append(b.Posts, p)
	}
}

// canonical spells the address of a post in one way.
func canonical(link string) string {
	for _, part := range [...]string{"/p/", "/reel/", "/tv/"} {
		if _, code, ok := strings.Cut(link, "instagram.com"+part); ok {
			if i := strings.IndexAny(code, "/?#"); i >= 0 {
				code = code[:i]
			}
			return address(code)
		}
	}
	return link
}

// digits are those of a number in an address, in the order of their values.
const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// mostDigits is the length of the longest number. Addresses of posts that only some
// may see go on behind it.
const mostDigits = 11

// numberIn is the number of a post that its address spells.
func numberIn(uri string) (string, bool) {
	code, ok := strings.CutPrefix(uri, site)
	code = strings.TrimSuffix(code, "/")
	if !ok || code == "" || len(code) > mostDigits {
		return "", false
	}
	n := uint64(0)
	for i := range len(code) {
		d := strings.IndexByte(digits, code[i])
		if d < 0 || n >= 1<<(63-6) {
			return "", false
		}
		n = n<<6 | uint64(d)
	}
	return strconv.FormatUint(n, 10), true
}

func address(code string) string {
	if code == "" {
		return ""
	}
	return site + code + "/"
}

// text is a string as the platform wrote it, valid UTF-8: JSON may hold half a
// surrogate pair.
func text(v gjson.Result) string {
	if v.Type != gjson.String {
		return ""
	}
	return strings.ToValidUTF8(v.Str, "\uFFFD")
}

// name is an id, which some shapes write as a number; all its digits count.
func name(v gjson.Result) string {
	if v.Type == gjson.Number {
		return v.Raw
	}
	return text(v)
}

// count stores a number that is there and is none of the negative ones that
// stand for a hidden count; what is absent stays NULL.
func count(b *wire.Batch, v gjson.Result, to **int64) {
	if v.Type == gjson.Number && v.Num >= 0 {
		*to = b.Count(v.Int())
	}
}

func object(raw string) string {
	switch {
	case !gjson.Valid(raw):
		return "broken JSON"
	case !utf8.ValidString(raw):
		return "not valid UTF-8"
	}
	if s := strings.TrimSpace(raw); s == "" || s[0] != '{' {
		return fmt.Sprintf("want an object, got %.20q", s)
	}
	return ""
}
