// Package x reads what the API of X answers with, version 2 in both of its
// vocabularies and version 1.1, and what archives hold of it: pages and
// flattened lines of twarc, lines of the filtered stream, single posts, and
// results of compliance jobs (docs.x.com/x-api; twarc-project.readthedocs.io).
//
// Posts are those asked for. What they refer to, the answer's includes, is part
// of their payload and lands only when it is asked for itself.
package x

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/scan"
)

// Where posts and accounts are seen by people; their URIs.
const (
	site     = "https://x.com/i/status/"
	accounts = "https://x.com/i/user/"
)

// Meta is what an answer says beside its posts.
type Meta struct {
	NextToken string    // of the next page; "" at the end
	NewestID  string    //
	OldestID  string    //
	Results   int64     // posts in the answer
	Problems  []Problem // its errors
	Broken    bool      // the answer is no JSON object, and the reject says so
}

// Problem is an object of errors, or an answer that is an error as a whole.
type Problem struct {
	Type, Title, Detail string
	Parameter           string // that asked for what is missing: "ids", "author_id", "entities.mentions.username"
	Value               string // what is missing
	Resource            string // what kind of thing that is: "user", "tweet"

	raw string
}

// page is an answer while it is read.
type page struct {
	data, others []post // others: includes
	othersName   string // tweets or posts, as the answer calls them
	users        []user
	extra        [3][]thing // media, places and polls
	refs         []ref
	words, spare []string
	related      relation // of the post at hand, while it is found
	places       []int32  // of all relations
	errors       string   // as they stand
	problems     []Problem
	title        Problem // of an answer that is an error as a whole
	meta         Meta
	flat         bool // one post, whose payload is the answer itself
	seen         time.Time
}

// thing is an object of includes that is kept whole, under its key.
type thing struct{ key, raw string }

// Page adds the posts of an answer to b: of a search, a timeline or a lookup, a
// line of a stream, or a page of twarc. A post that was asked for by its id and
// is missing becomes a reject; other errors stay in the payload of the posts that
// they are about.
func Page(raw string, now time.Time, position string, b *wire.Batch) Meta {
	clean(&raw)
	if !strings.HasPrefix(strings.TrimLeft(raw, blank), "{") {
		reason := object(&raw)
		b.Reject(reason, raw, position, now)
		return Meta{Broken: true}
	}
	return read(raw, now, position, b)
}

// blank is what may stand around JSON.
const blank = " \t\r\n"

// clean makes raw valid UTF-8, so that no part of it has to be looked at again.
func clean(raw *string) {
	if !utf8.ValidString(*raw) {
		*raw = strings.ToValidUTF8(*raw, "\uFFFD")
	}
}

// object says why raw is no object, and makes it valid UTF-8.
func object(raw *string) string {
	clean(raw)
	if !scan.Valid(*raw) {
		return "broken JSON"
	}
	*raw = strings.Trim(*raw, blank)
	if (*raw)[0] != '{' {
		return "want an object, got " + strconv.Quote((*raw)[:min(len(*raw), 20)])
	}
	return ""
}

// read adds an answer to b. Nothing of it lands before its last byte was checked.
func read(raw string, now time.Time, position string, b *wire.Batch) Meta {
	whole := strings.Trim(raw, blank)
	p := page{seen: now, title: Problem{raw: whole}}
	s := scan.New(whole, 0)
	p.answer(&s, whole)
	if !s.End() {
		b.Reject("broken JSON", raw, position, now)
		return Meta{Broken: true}
	}
	p.problems = problems(p.errors)
	p.meta.Problems = p.problems
	if p.title.Title != "" && len(p.data) == 0 {
		p.meta.Problems = append(p.meta.Problems, p.title)
	}
	p.meta.Results = int64(len(p.data))
	p.land(position, b)
	for _, e := range p.problems {
		if (e.Parameter == "ids" || e.Parameter == "id") && e.Resource != "user" {
			b.Reject("post "+e.Value+" was not given: "+e.Says(), e.raw, position, now)
		}
	}
	return p.meta
}

// Says is the problem in words.
func (e Problem) Says() string {
	return cmp.Or(e.Detail, e.Title, e.Type, "an error without words")
}

// Is reports whether the problem is of a type, such as "usage-capped"; its
// address tells.
func (e Problem) Is(kind string) bool { return strings.HasSuffix(e.Type, "/problems/"+kind) }

func (p *page) answer(s *scan.Scanner, raw string) {
	for ok := s.Enter('{'); ok; ok = s.More('}') {
		k := s.Key()
		switch k {
		case "data":
			p.readData(s, raw)
		case "includes":
			p.includes(s)
		case "errors":
			p.errors = s.Value()
		case "meta":
			p.readMeta(s)
		case "__twarc":
			p.twarc(s)
		case "title":
			p.title.Title = s.Str()
		case "detail":
			p.title.Detail = s.Str()
		case "type":
			p.title.Type = s.Str()
		default:
			s.Skip()
		}
	}
}

// readData reads the posts, or the one post of a stream's line.
func (p *page) readData(s *scan.Scanner, raw string) {
	if s.At() == '{' {
		t := p.post(s)
		t.raw, p.flat = raw, true
		p.data = append(p.data[:0], t)
		return
	}
	p.data, p.words = make([]post, 0, largest), make([]string, 0, 4*largest)
	for ok := s.Enter('['); ok; ok = s.More(']') {
		p.data = append(p.data, p.post(s))
	}
}

func (p *page) readMeta(s *scan.Scanner) {
	for ok := s.Enter('{'); ok; ok = s.More('}') {
		k := s.Key()
		switch k {
		case "next_token":
			p.meta.NextToken = s.Str()
		case "newest_id":
			p.meta.NewestID = s.Str()
		case "oldest_id":
			p.meta.OldestID = s.Str()
		default:
			s.Skip()
		}
	}
}

// twarc reads when twarc got the answer.
func (p *page) twarc(s *scan.Scanner) {
	at, err := time.Parse(time.RFC3339, field(s, "retrieved_at"))
	if err == nil && at.Before(p.seen) && at.After(feedlake.EarliestCreated) {
		p.seen = at.UTC()
	}
}

// An answer holds at most 100 posts, but for some endpoints, and seldom more than
// a few of other things: room for them, made at once.
const (
	largest = 100
	few     = 32
)

// Groups of includes that are kept whole, by the field that is their key.
const (
	media = iota
	places
	polls
)

// includes reads what the posts refer to.
func (p *page) includes(s *scan.Scanner) {
	for ok := s.Enter('{'); ok; ok = s.More('}') {
		k := s.Key()
		switch k {
		case "users":
			p.users = slices.Grow(p.users, few)
			for in := s.Enter('['); in; in = s.More(']') {
				p.users = append(p.users, p.user(s))
			}
		case "tweets", "posts":
			p.othersName, p.others = k, slices.Grow(p.others, few)
			for in := s.Enter('['); in; in = s.More(']') {
				p.others = append(p.others, p.post(s))
			}
		case "media":
			p.things(s, media, "media_key")
		case "places":
			p.things(s, places, "id")
		case "polls":
			p.things(s, polls, "id")
		default:
			s.Skip()
		}
	}
}

func (p *page) things(s *scan.Scanner, group int, key string) {
	for ok := s.Enter('['); ok; ok = s.More(']') {
		from := s.Pos()
		k := field(s, key)
		p.extra[group] = append(p.extra[group], thing{k, s.Part(from, s.Pos())})
	}
}

// problems reads the errors of an answer.
func problems(raw string) []Problem {
	var out []Problem
	gjson.Parse(raw).ForEach(func(_, v gjson.Result) bool {
		e := Problem{Type: v.Get("type").Str, Title: v.Get("title").Str, Detail: v.Get("detail").Str, Parameter: v.Get("parameter").Str, Resource: v.Get("resource_type").Str, raw: v.Raw}
		e.Value = cmp.Or(v.Get("resource_id").String(), v.Get("value").String())
		out = append(out, e)
		return true
	})
	return out
}
