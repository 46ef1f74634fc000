package reddit

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/scan"
)

// Kinds of things, the prefixes of their names.
const (
	kindComment = "t1"
	kindPost    = "t3"
	kindMore    = "more"
	kindListing = "Listing"
)

// site is where posts are read by people; their URIs.
const site = "https://www.reddit.com"

// lastSecond is the end of the year 9999.
const lastSecond = 253402300799

// add adds a submission or a comment to the batch. kind is t1 or t3; "" where
// the record has to tell. escaped says that <, > and & are spelled as in HTML, as
// Reddit does unless it is asked with raw_json=1.
func (r *reader) add(kind string, f *fields, escaped bool) {
	id, reason := name(kind, f)
	at, ok := number(f.created)
	switch {
	case reason != "":
	case !ok || at <= 0 || at > lastSecond:
		reason = "the record has no time"
	case f.garbled:
		reason = "not valid UTF-8"
	}
	if reason != "" {
		r.reject(reason, f.raw)
		return
	}
	p := feedlake.Post{
		Network: wire.Reddit, ID: id, Kind: feedlake.KindPost,
		CreatedAt: time.Unix(at, 0).UTC(), ObservedAt: r.observed(f), Payload: f.raw,
	}
	r.count(f.score, &p.Likes)
	unescape := unescaper(f, escaped)
	if strings.HasPrefix(id, kindComment) {
		p.Kind, p.ReplyTo = feedlake.KindComment, cmp.Or(scan.Text(f.parent), scan.Text(f.link))
		p.Text = unescape(scan.Text(f.body))
		if f.scoreHidden == "true" { // 1 whatever it is
			p.Likes = nil
		}
	} else {
		r.submission(f, &p, unescape)
	}
	if gone(f, &p) {
		p.Deleted, p.Text, p.URLs = true, "", nil
		p.Payload, p.URI = remains(f), address(id, f, "")
		r.b.Posts = append(r.b.Posts, p)
		return
	}
	p.URI = address(id, f, unescape(scan.Text(f.permalink)))
	if name := scan.Text(f.author); name != "" && name != deleted {
		p.AuthorName, p.AuthorID = name, cmp.Or(scan.Text(f.authorID), name)
	}
	r.b.Posts = append(r.b.Posts, p)
}

// submission fills what only submissions have.
func (r *reader) submission(f *fields, p *feedlake.Post, unescape func(string) string) {
	p.Text = unescape(scan.Join(f.title, "\n\n", f.selftext))
	if link := unescape(scan.Text(f.url)); link != "" && f.isSelf != "true" {
		if link[0] == '/' {
			link = site + link
		}
		p.URLs = wire.WithLinks(link, p.Text)
	}
	if of := scan.Text(f.crosspost); of != "" {
		p.Kind, p.QuoteOf = feedlake.KindQuote, of
	}
	r.count(f.comments, &p.Replies)
	r.count(f.crossposts, &p.Reposts)
	r.count(f.views, &p.Views)
}

// name is the full name of a record, such as t3_1jpihf.
func name(kind string, f *fields) (id, reason string) {
	id = cmp.Or(scan.Text(f.name), scan.Text(f.id))
	if kind == "" {
		switch {
		case strings.HasPrefix(id, kindComment+"_"), f.body != "" && f.title == "":
			kind = kindComment
		case strings.HasPrefix(id, kindPost+"_"), f.title != "":
			kind = kindPost
		default:
			return "", "neither a submission nor a comment"
		}
	}
	id = strings.TrimPrefix(id, kind+"_")
	if id == "" || len(id) > 16 || strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyz") != "" {
		return "", "the record has no id"
	}
	return kind + "_" + id, ""
}

// observed is when the record was taken: the last time where dumps look twice.
func (r *reader) observed(f *fields) time.Time {
	var last int64
	for _, v := range [...]string{f.retrieved, f.retrievedUTC, f.retrieved2} {
		if v == "" {
			continue
		}
		if n, ok := number(v); ok && n <= lastSecond {
			last = max(last, n)
		}
	}
	if last == 0 {
		return r.now
	}
	return time.Unix(last, 0).UTC()
}

// deleted stands for an author who is gone, and for the text of a post.
const deleted = "[deleted]"

// gone reports whether the record says that the post is deleted or removed. An
// author who is gone does not mean it: posts outlive their accounts.
func gone(f *fields, p *feedlake.Post) bool {
	if f.deletedLater == "true" || scan.Text(f.removalType) != "" || scan.Text(f.removed) != "" {
		return true
	}
	body := f.selftext
	if p.Kind == feedlake.KindComment {
		body = f.body
	}
	if len(body) > 64 { // spares reading the longest text of a record once more
		body = ""
	}
	switch strings.TrimSpace(scan.Text(body)) {
	case deleted, "[removed]", "[deleted by user]", "[ Removed by Reddit ]", "[removed by reddit]":
		return true
	}
	switch scan.Text(f.title) {
	case "[deleted by user]", "[ Removed by Reddit ]", "[removed by reddit]":
		return true
	}
	return false
}

// remains is what is kept of a record that was deleted: which one it was and what
// is said of the deletion, nothing of its content, its author or its address.
func remains(f *fields) string {
	var s strings.Builder
	add := func(key, v string) {
		if v == "" {
			return
		}
		if s.Len() > 0 {
			s.WriteByte(',')
		}
		s.WriteString(`"` + key + `":` + v)
	}
	for _, kv := range [...][2]string{
		{"id", f.id},
		{"name", f.name},
		{"created_utc", f.created},
		{"subreddit", f.subreddit},
		{"subreddit_id", f.subredditID},
		{"link_id", f.link},
		{"parent_id", f.parent},
		{"crosspost_parent", f.crosspost},
		{"score", f.score},
		{"num_comments", f.comments},
		{"retrieved_on", f.retrieved},
		{"retrieved_utc", f.retrievedUTC},
		{"removed_by_category", f.removed},
		{"removal_reason", f.removalReason},
	} {
		add(kv[0], kv[1])
	}
	all := s.String()
	s.Reset()
	add("was_deleted_later", f.deletedLater)
	add("removal_type", f.removalType)
	add("retrieved_2nd_on", f.retrieved2)
	if s.Len() > 0 {
		all += `,"_meta":{` + s.String() + `}`
	}
	return "{" + all + "}"
}

// address is the URI of a post. Comments had no permalink before 2017.
func address(id string, f *fields, permalink string) string {
	if permalink != "" {
		if permalink[0] == '/' {
			return site + permalink
		}
		if path, ok := strings.CutPrefix(permalink, "http://www.reddit.com/"); ok {
			return site + "/" + path
		}
		return permalink
	}
	at := site
	if sub := scan.Text(f.subreddit); sub != "" {
		at += "/r/" + sub
	}
	kind, number, _ := strings.Cut(id, "_")
	if kind == kindPost {
		return at + "/comments/" + number + "/"
	}
	if link := strings.TrimPrefix(scan.Text(f.link), kindPost+"_"); link != "" {
		return fmt.Sprintf("%s/comments/%s/_/%s/", at, link, number)
	}
	return ""
}

// count stores a number that is there; what is absent stays NULL.
func (r *reader) count(v string, to **int64) {
	if v == "" || v == "null" {
		return
	}
	if n, ok := number(v); ok {
		*to = r.b.Count(n)
	}
}

// unescaper undoes the three escapes that Reddit makes unless asked with
// raw_json=1. The HTML of a text shows whether it did.
func unescaper(f *fields, escaped bool) func(string) string {
	for _, html := range [...]string{f.bodyHTML, f.selftextHTML} {
		switch {
		case strings.HasPrefix(html, `"&lt;`):
			escaped = true
		case strings.HasPrefix(html, `"<`), strings.HasPrefix(html, `"\u003`):
			escaped = false
		}
	}
	if !escaped {
		return func(s string) string { return s }
	}
	return func(s string) string {
		if strings.IndexByte(s, '&') < 0 {
			return s
		}
		return escapes.Replace(s)
	}
}

// escapes are those that Reddit makes.
var escapes = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")
