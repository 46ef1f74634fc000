// Package reddit reads what the API of Reddit answers (www.reddit.com/dev/api):
// listings, trees of comments and the answers of /api/morechildren; and what
// archives hold: those answers as recorded, also as cassettes of Betamax, and
// the lines of the monthly dumps RS_ and RC_ of Pushshift and Arctic Shift
// (github.com/ArthurHeitmann/arctic_shift, schemas).
//
// Ids are full names, t3_ for submissions and t1_ for comments. The author's id is
// the full name t2_ where a record has it, else the name. The score becomes
// likes, but for a comment that hides it; num_comments replies, num_crossposts
// reposts, crosspost_parent the post repeated.
//
// A post that was deleted or removed, also after an archive took it, becomes a
// deletion: no text, no author, and of the payload only what names it.
package reddit

import (
	"fmt"
	"time"

	"github.com/feedlake/feedlake/ingest/wire"
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
	p := scanner{s: raw}
	p.space()
	if p.at() == '[' {
		for ok := p.open('['); ok; ok = p.more(']') {
			r.listing(&p)
		}
	} else {
		r.listing(&p)
	}
	return r.page, p.end("a listing")
}

// MoreChildren adds what /api/morechildren answers to b. Its own errors are
// returned as said.
func MoreChildren(raw string, now time.Time, position string, b *wire.Batch) (Page, error) {
	r := reader{now: now, position: position, b: b}
	p := scanner{s: raw}
	said := ""
	for ok := p.open('{'); ok; ok = p.more('}') {
		if key := p.key(); key == "json" && p.at() == '{' {
			said = r.things(&p)
		} else {
			p.skip()
		}
	}
	if err := p.end("an answer of morechildren"); err != nil {
		return r.page, err
	}
	if said != "" && said != "[]" {
		return r.page, fmt.Errorf("more comments are refused: %.200s", said)
	}
	return r.page, nil
}

// end reports what was wrong with the JSON.
func (p *scanner) end(want string) error {
	p.space()
	if p.bad || p.i < len(p.s) {
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
func (r *reader) listing(p *scanner) {
	r.below++
	seen := false
	for ok := p.open('{'); ok; ok = p.more('}') {
		if key := p.key(); key != "data" || p.at() != '{' {
			p.skip()
			continue
		}
		for ok := p.open('{'); ok; ok = p.more('}') {
			switch key := p.key(); {
			case key == "children" && p.at() == '[':
				seen = true
				r.children(p)
			case key == "after" && r.below == 1:
				r.page.After = text(p.value())
			default:
				p.skip()
			}
		}
	}
	if !seen {
		p.fail()
	}
	r.below--
}

// things reads {"errors":[…],"data":{"things":[…]}}.
func (r *reader) things(p *scanner) (errors string) {
	for ok := p.open('{'); ok; ok = p.more('}') {
		switch key := p.key(); {
		case key == "errors":
			errors = p.value()
		case key == "data" && p.at() == '{':
			for ok := p.open('{'); ok; ok = p.more('}') {
				if key := p.key(); key == "things" && p.at() == '[' {
					r.children(p)
				} else {
					p.skip()
				}
			}
		default:
			p.skip()
		}
	}
	return errors
}

func (r *reader) children(p *scanner) {
	for ok := p.open('['); ok; ok = p.more(']') {
		r.n++
		r.thing(p)
	}
}

// thing reads {"kind":"t3","data":{…}}.
func (r *reader) thing(p *scanner) {
	if p.at() != '{' {
		raw := p.value()
		r.reject("want an object", raw)
		return
	}
	from, kind, data := p.i, "", ""
	done := false
	for ok := p.open('{'); ok; ok = p.more('}') {
		switch key := p.key(); {
		case key == "kind":
			kind = text(p.value())
		case key == "data" && (kind == kindPost || kind == kindComment) && p.at() == '{':
			r.post(p, kind)
			done = true
		case key == "data":
			data = p.value()
		default:
			p.skip()
		}
	}
	if done || p.bad {
		return
	}
	in := scanner{s: data, depth: p.depth}
	switch {
	case data == "" || data[0] != '{':
		r.reject("want an object with kind and data", p.s[from:p.i])
	case kind == kindPost, kind == kindComment:
		r.post(&in, kind)
	case kind == kindMore:
		r.more(&in)
	default:
		if r.page.Other == "" {
			r.page.Other = kind
		}
		r.reject(fmt.Sprintf("a thing of kind %.20q is no post", kind), p.s[from:p.i])
	}
}

func (r *reader) post(p *scanner, kind string) {
	place := r.n
	f := r.fields(p)
	if p.bad {
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
func (r *reader) more(p *scanner) {
	var m More
	for ok := p.open('{'); ok; ok = p.more('}') {
		switch key := p.key(); {
		case key == "parent_id":
			m.Parent = text(p.value())
		case key == "children" && p.at() == '[':
			for ok := p.open('['); ok; ok = p.more(']') {
				if id := text(p.value()); id != "" {
					m.Children = append(m.Children, id)
				}
			}
		default:
			p.skip()
		}
	}
	r.page.More = append(r.page.More, m)
}
