// Package reddit reads what the API of Reddit answers (www.reddit.com/dev/api):
// listings, trees of comments and the answers of /api/morechildren; and what
// archives hold: those answers as recorded, also as cassettes of Betamax, and
// the lines of the monthly dumps RS_ and RC_ of Pushshift and Arctic Shift
// (github.com/ArthurHeitmann/arctic_shift, schemas).
//
// Ids are full names, t3_ for submissions and t1_ for comments. The author's id is
// the full name t2_ where a record has it, else the name. The score becomes
// likes, but for a comment that hides it; num_comments replies, num_crossposts
// reposts, crosspost_parent the post quoted: a crosspost has a title, votes and
// comments of its own.
//
// A post that was deleted or removed, also after an archive took it, becomes a
// deletion: no text, no author, and of the payload only what names it.
package reddit

import (
	"fmt"
	"time"

	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/scan"
)

// Page is what a listing tells beside its posts.
type Page struct {
	After string   // full name to go on behind; "": the listing ends
	Names []string // full names of what it holds, in its order, posts below others not among them
	Other string   // kind of the first thing that is neither post nor comment, such as "t5"
	More  []More   // comments that are left out
}

// More names comments that a tree leaves out.
type More struct {
	Parent   string   // full name of what they answer
	Children []string // ids without prefix, for /api/morechildren; empty: the tree goes on in a page of its own at Parent
}

// Listing adds the posts of a listing to b, or of several, as the page of a
// submission has: itself, and the tree of its comments. raw was asked for with
// raw_json=1. After an error, which says what is wrong with the JSON, part of the
// posts may be in b.
func Listing(raw string, now time.Time, position string, b *wire.Batch) (Page, error) {
	r := reader{now: now, position: position, b: b}
	p := scan.New(raw, 0)
	if p.At() == '[' {
		for ok := p.Open('['); ok; ok = p.More(']') {
			r.listing(&p)
		}
	} else {
		r.listing(&p)
	}
	return r.page, end(&p, "a listing")
}

// MoreChildren adds what /api/morechildren answers to b. Its own errors are
// returned as said.
func MoreChildren(raw string, now time.Time, position string, b *wire.Batch) (Page, error) {
	r := reader{now: now, position: position, b: b}
	p := scan.New(raw, 0)
	said := ""
	for ok := p.Open('{'); ok; ok = p.More('}') {
		if key := p.Key(); key == "json" && p.At() == '{' {
			said = r.things(&p)
		} else {
			p.Skip()
		}
	}
	if err := end(&p, "an answer of morechildren"); err != nil {
		return r.page, err
	}
	if said != "" && said != "[]" {
		return r.page, fmt.Errorf("more comments are refused: %.200s", said)
	}
	return r.page, nil
}

// end reports what was wrong with the JSON.
func end(p *scan.Scanner, want string) error {
	if !p.End() {
		return fmt.Errorf("read %s: broken JSON, or JSON of another shape", want)
	}
	return nil
}

// reader collects what records hold.
type reader struct {
	now      time.Time
	position string
	b        *wire.Batch
	page     Page
	n        int // records so far
	below    int // listings that the present one is in
}

func (r *reader) reject(reason, raw string) {
	at := r.position
	if r.n > 0 {
		at = fmt.Sprintf("%s, item %d", at, r.n)
	}
	r.b.Reject(reason, raw, at, r.now)
}

// listing reads {"kind":"Listing","data":{"children":[…],"after":…}}.
func (r *reader) listing(p *scan.Scanner) {
	r.below++
	seen := false
	for ok := p.Open('{'); ok; ok = p.More('}') {
		if key := p.Key(); key != "data" || p.At() != '{' {
			p.Skip()
			continue
		}
		for ok := p.Open('{'); ok; ok = p.More('}') {
			switch key := p.Key(); {
			case key == "children" && p.At() == '[':
				seen = true
				r.children(p)
			case key == "after" && r.below == 1:
				r.page.After = scan.Text(p.Value())
			default:
				p.Skip()
			}
		}
	}
	if !seen {
		p.Fail()
	}
	r.below--
}

// things reads {"errors":[…],"data":{"things":[…]}}.
func (r *reader) things(p *scan.Scanner) (errors string) {
	for ok := p.Open('{'); ok; ok = p.More('}') {
		switch key := p.Key(); {
		case key == "errors":
			errors = p.Value()
		case key == "data" && p.At() == '{':
			for ok := p.Open('{'); ok; ok = p.More('}') {
				if key := p.Key(); key == "things" && p.At() == '[' {
					r.children(p)
				} else {
					p.Skip()
				}
			}
		default:
			p.Skip()
		}
	}
	return errors
}

func (r *reader) children(p *scan.Scanner) {
	for ok := p.Open('['); ok; ok = p.More(']') {
		r.n++
		r.thing(p)
	}
}

// thing reads {"kind":"t3","data":{…}}.
func (r *reader) thing(p *scan.Scanner) {
	if p.At() != '{' {
		raw := p.Value()
		r.reject("want an object", raw)
		return
	}
	from, kind, data := p.Pos(), "", ""
	done := false
	for ok := p.Open('{'); ok; ok = p.More('}') {
		switch key := p.Key(); {
		case key == "kind":
			kind = scan.Text(p.Value())
		case key == "data" && (kind == kindPost || kind == kindComment) && p.At() == '{':
			r.post(p, kind)
			done = true
		case key == "data":
			data = p.Value()
		default:
			p.Skip()
		}
	}
	if done || p.Bad() {
		return
	}
	in := scan.New(data, p.Depth())
	switch {
	case data == "" || data[0] != '{':
		r.reject("want an object with kind and data", p.Part(from, p.Pos()))
	case kind == kindPost, kind == kindComment:
		r.post(&in, kind)
	case kind == kindMore:
		r.more(&in)
	default:
		if r.page.Other == "" {
			r.page.Other = kind
		}
		r.reject(fmt.Sprintf("a thing of kind %.20q is no post", kind), p.Part(from, p.Pos()))
	}
}

func (r *reader) post(p *scan.Scanner, kind string) {
	place := r.n
	f := r.fields(p)
	if p.Bad() {
		return
	}
	last := r.n // behind what lies below this one
	r.n = place
	r.add(kind, &f, false)
	r.n = last
	if id, reason := name(kind, &f); r.below <= 1 && reason == "" {
		r.page.Names = append(r.page.Names, id)
	}
}

// more reads what stands for comments that are left out.
func (r *reader) more(p *scan.Scanner) {
	var m More
	for ok := p.Open('{'); ok; ok = p.More('}') {
		switch key := p.Key(); {
		case key == "parent_id":
			m.Parent = scan.Text(p.Value())
		case key == "children" && p.At() == '[':
			for ok := p.Open('['); ok; ok = p.More(']') {
				if id := scan.Text(p.Value()); id != "" {
					m.Children = append(m.Children, id)
				}
			}
		default:
			p.Skip()
		}
	}
	r.page.More = append(r.page.More, m)
}
