package reddit

import (
	"strconv"
	"strings"

	"github.com/feedlake/feedlake/ingest/wire/scan"
)

// fields are the values of a record that have a meaning here, as they are
// spelled; "" when absent.
type fields struct {
	id, name, kind                                 string
	author, authorID                               string
	created, retrieved, retrievedUTC, retrieved2   string
	title, selftext, body, selftextHTML, bodyHTML  string
	url, permalink, isSelf                         string
	link, parent, crosspost                        string
	subreddit, subredditID                         string
	score, scoreHidden, comments, crossposts       string
	views                                          string
	removed, removalReason                         string
	deletedLater, removalType                      string // of _meta
	data, json, interactions, recordedAt, response string // of what wraps records
	raw                                            string // the whole record, without the comments below it
	garbled                                        bool   // raw is not UTF-8
}

// fields reads an object. The comments below a comment are records of their own:
// they go to the batch, and leave "" behind as in a listing of comments.
func (r *reader) fields(p *scan.Scanner) fields {
	var f fields
	from, cutFrom, cutTo := p.Pos(), 0, 0
	for ok := p.Open('{'); ok; ok = p.More('}') {
		switch key := p.Key(); {
		case key == "replies" && p.At() == '{':
			cutFrom = p.Pos()
			r.listing(p)
			cutTo = p.Pos()
		case key == "_meta" && p.At() == '{':
			f.meta(p)
		default:
			f.set(key, p.Value())
		}
	}
	if p.Bad() {
		return fields{}
	}
	f.raw = p.Part(from, p.Pos())
	if cutTo > 0 {
		f.raw = p.Part(from, cutFrom) + `""` + p.Part(cutTo, p.Pos())
	}
	f.garbled = !p.UTF8(f.raw)
	return f
}

// set keeps a value that has a meaning here.
func (f *fields) set(key, v string) {
	switch key {
	case "id":
		f.id = v
	case "name":
		f.name = v
	case "kind":
		f.kind = v
	case "author":
		f.author = v
	case "author_fullname":
		f.authorID = v
	case "created_utc":
		f.created = v
	case "retrieved_on":
		f.retrieved = v
	case "retrieved_utc":
		f.retrievedUTC = v
	case "title":
		f.title = v
	case "selftext":
		f.selftext = v
	case "selftext_html":
		f.selftextHTML = v
	case "body":
		f.body = v
	case "body_html":
		f.bodyHTML = v
	case "url":
		f.url = v
	case "permalink":
		f.permalink = v
	case "is_self":
		f.isSelf = v
	case "link_id":
		f.link = v
	case "parent_id":
		f.parent = v
	case "crosspost_parent":
		f.crosspost = v
	case "subreddit":
		f.subreddit = v
	case "subreddit_id":
		f.subredditID = v
	case "score":
		f.score = v
	case "score_hidden":
		f.scoreHidden = v
	case "num_comments":
		f.comments = v
	case "num_crossposts":
		f.crossposts = v
	case "view_count":
		f.views = v
	case "removed_by_category":
		f.removed = v
	case "removal_reason":
		f.removalReason = v
	case "data":
		f.data = v
	case "json":
		f.json = v
	case "http_interactions":
		f.interactions = v
	case "response":
		f.response = v
	case "recorded_at":
		f.recordedAt = v
	}
}

// meta reads what Arctic Shift adds to a record.
func (f *fields) meta(p *scan.Scanner) {
	for ok := p.Open('{'); ok; ok = p.More('}') {
		key := p.Key()
		v := p.Value()
		switch key {
		case "was_deleted_later":
			f.deletedLater = v
		case "removal_type":
			f.removalType = v
		case "retrieved_2nd_on":
			f.retrieved2 = v
		}
	}
}

// number is the whole number that a value spells, also as text or with decimals,
// as dumps do.
func number(v string) (int64, bool) {
	if len(v) > 1 && v[0] == '"' {
		v = v[1 : len(v)-1]
	}
	if n, err := strconv.ParseInt(strings.TrimSuffix(v, ".0"), 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || f != f || f < -1e15 || f > 1e15 {
		return 0, false
	}
	return int64(f), true
}
