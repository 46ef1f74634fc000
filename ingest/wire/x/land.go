package x

import (
	"slices"
	"strconv"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/scan"
)

// index finds what an answer includes. Some includes come twice, with other
// annotations: the first one counts.
type index struct {
	users, names, others map[string]int32 // users by id and by name, posts by id
}

func (p *page) index() index {
	x := index{make(map[string]int32, len(p.users)), make(map[string]int32, len(p.users)), make(map[string]int32, len(p.others))}
	for i, u := range slices.Backward(p.users) {
		x.users[u.id], x.names[u.name] = int32(i), int32(i) //nolint:gosec // an answer is shorter than 64 MiB
	}
	for i := range slices.Backward(p.others) {
		x.others[p.others[i].id] = int32(i) //nolint:gosec // as above
	}
	return x
}

// land adds the posts of the answer to b.
func (p *page) land(position string, b *wire.Batch) {
	var (
		x    = p.index()
		all  strings.Builder // the payloads, one after the other: one allocation
		size = 0
		ends = make([]int, len(p.data))
		refs = make([]relation, len(p.data))
	)
	if !p.flat {
		for i := range p.data {
			refs[i] = p.relate(&p.data[i], x)
			size += p.size(&p.data[i], refs[i])
		}
		all.Grow(size)
		for i := range p.data {
			p.payload(&all, &p.data[i], refs[i])
			ends[i] = all.Len()
		}
	}
	if len(p.data) > 0 {
		b.Posts = slices.Grow(b.Posts, len(p.data))
	}
	from := 0
	for i := range p.data {
		payload := p.data[i].raw
		if !p.flat {
			payload = all.String()[from:ends[i]]
			from = ends[i]
		}
		if reason := p.add(&p.data[i], x, payload, b); reason != "" {
			place := position
			if !p.flat {
				place += ", post " + strconv.Itoa(i+1)
			}
			b.Reject(reason, payload, place, p.seen)
		}
	}
}

// add makes a post of t, or says why it cannot.
func (p *page) add(t *post, x index, payload string, b *wire.Batch) (reason string) {
	out := feedlake.Post{Network: wire.X, ID: t.id, ObservedAt: p.seen, AuthorID: t.author, Lang: strings.ToLower(t.lang), Payload: payload}
	at, ok := moment(t.created, t.id)
	switch {
	case t.id == "":
		return "the post has no id"
	case !t.inline && t.note == "": // every post that the API gives has one, other objects have none
		return "no post of X: it has no text"
	case !ok:
		return "the post has no time"
	}
	out.CreatedAt, out.URI = at, site+t.id
	kindOf(p.refs[t.refs.from:t.refs.to], &out)
	by := &t.by
	if i, ok := x.users[t.author]; ok {
		by = &p.users[i]
	}
	if by.raw != "" {
		if out.AuthorID == "" {
			out.AuthorID = by.id
		}
		out.AuthorName = by.name
		number(b, by.followers, &out.AuthorFollowers)
	}
	original := t
	if i, ok := x.others[out.RepostOf]; ok && out.RepostOf != "" {
		original = &p.others[i]
	}
	p.content(original, &out)
	number(b, t.likes, &out.Likes)
	number(b, t.reposts, &out.Reposts)
	number(b, t.replies, &out.Replies)
	number(b, t.views, &out.Views)
	b.Posts = append(b.Posts, out)
	return ""
}

// content is the text of a post and what is in it; of a long post, of its note.
// Many posts repeat one other: its text is read once.
func (p *page) content(t *post, to *feedlake.Post) {
	if !t.read {
		t.read, t.said = true, plain(scan.Text(t.text))
		if note := scan.Text(t.note); note != "" {
			t.said, t.entities = plain(note), t.noteEntities
		}
	}
	e := t.entities
	to.Text = t.said
	if e.listed {
		to.Hashtags, to.Mentions, to.URLs = p.part(e.tags), p.part(e.names), p.part(e.links)
	}
}

// part is a list of words; empty, not nil, for none.
func (p *page) part(s span) []string {
	if s.from == s.to {
		return []string{}
	}
	return p.words[s.from:s.to:s.to]
}

// number stores a count that is there.
func number(b *wire.Batch, n int64, to **int64) {
	if n >= 0 {
		*to = b.Count(n)
	}
}

// relation is what a post refers to, as places in the lists of the answer.
type relation struct {
	users, others []int32
	extra         [3][]int32
}

// relate finds what t refers to, and what the posts that it refers to do. The
// places of all posts lie one after the other in p.places.
func (p *page) relate(t *post, x index) relation {
	r := &p.related
	r.begin()
	p.touch(t, x, r)
	for _, f := range p.refs[t.refs.from:t.refs.to] {
		note(&r.others, x.others, f.id)
	}
	for _, id := range p.words[t.edits.from:t.edits.to] {
		if id != t.id {
			note(&r.others, x.others, id)
		}
	}
	for _, i := range r.others {
		p.touch(&p.others[i], x, r)
	}
	return r.keep(&p.places)
}

// begin empties r, which uses its own memory while it grows.
func (r *relation) begin() {
	r.users, r.others = r.users[:0], r.others[:0]
	for i := range r.extra {
		r.extra[i] = r.extra[i][:0]
	}
}

// keep copies r behind what lies in places.
func (r *relation) keep(places *[]int32) (out relation) {
	copied := func(list []int32) []int32 {
		from := len(*places)
		*places = append(*places, list...)
		return (*places)[from:len(*places):len(*places)]
	}
	out.users, out.others = copied(r.users), copied(r.others)
	for i := range r.extra {
		out.extra[i] = copied(r.extra[i])
	}
	return out
}

// around is how many bytes of a payload are names and brackets, at most, but for
// the commas.
const around = 128

// size is how long a payload is, or a little more; errors are not counted.
func (p *page) size(t *post, r relation) int {
	n := around + len(t.raw)
	for _, i := range r.users {
		n += len(p.users[i].raw) + 1
	}
	for _, i := range r.others {
		n += len(p.others[i].raw) + 1
	}
	for group := range r.extra {
		for _, i := range r.extra[group] {
			n += len(p.extra[group][i].raw) + 1
		}
	}
	return n
}

// touch finds the users, media, polls and place of one post.
func (p *page) touch(t *post, x index, r *relation) {
	note(&r.users, x.users, t.author)
	note(&r.users, x.users, t.answered)
	for _, e := range [...]entities{t.entities, t.noteEntities} {
		for _, id := range p.words[e.users.from:e.users.to] {
			note(&r.users, x.users, id)
		}
		for _, name := range p.words[e.names.from:e.names.to] {
			note(&r.users, x.names, name)
		}
	}
	for _, key := range p.words[t.keys.from:t.keys.to] {
		p.thing(r, media, key)
		p.thing(r, polls, key)
	}
	if t.place != "" {
		p.thing(r, places, t.place)
	}
}

func note(to *[]int32, x map[string]int32, key string) {
	if i, ok := x[key]; ok && key != "" && !slices.Contains(*to, i) {
		*to = append(*to, i)
	}
}

// thing finds an object by its key; there are few of them in an answer.
func (p *page) thing(r *relation, group int, key string) {
	for i := range p.extra[group] {
		if n := int32(i); p.extra[group][i].key == key && !slices.Contains(r.extra[group], n) {
			r.extra[group] = append(r.extra[group], n)
		}
	}
}

// payload writes a post with what it refers to.
func (p *page) payload(w *strings.Builder, t *post, r relation) {
	w.WriteString(`{"data":`)
	w.WriteString(t.raw)
	l := lists{w: w, opening: `,"includes":{`}
	for _, i := range r.users {
		l.add("users", p.users[i].raw)
	}
	for _, i := range r.others {
		l.add(p.othersName, p.others[i].raw)
	}
	for group, name := range [...]string{"media", "places", "polls"} {
		for _, i := range r.extra[group] {
			l.add(name, p.extra[group][i].raw)
		}
	}
	l.end("]}")
	l = lists{w: w, opening: ","}
	for _, e := range p.problems {
		if p.concerns(e, t, r) {
			l.add("errors", e.raw)
		}
	}
	l.end("]")
	w.WriteByte('}')
}

// concerns reports whether an error of the answer is about t or what it refers
// to.
func (p *page) concerns(e Problem, t *post, r relation) bool {
	if e.Value == "" {
		return false
	}
	for _, f := range p.refs[t.refs.from:t.refs.to] {
		if f.id == e.Value {
			return true
		}
	}
	about := func(t *post) bool {
		return e.Value == t.id || e.Value == t.author || e.Value == t.answered || e.Value == t.place ||
			slices.Contains(p.words[t.entities.names.from:t.entities.names.to], e.Value) ||
			slices.Contains(p.words[t.noteEntities.names.from:t.noteEntities.names.to], e.Value) ||
			slices.Contains(p.words[t.keys.from:t.keys.to], e.Value)
	}
	return about(t) || slices.ContainsFunc(r.others, func(i int32) bool { return about(&p.others[i]) })
}

// lists writes arrays of objects, each under its name.
type lists struct {
	w       *strings.Builder
	opening string
	name    string
}

func (l *lists) add(name, raw string) {
	switch l.name {
	case name:
		l.w.WriteByte(',')
	case "":
		l.w.WriteString(l.opening)
		l.begin(name)
	default:
		l.w.WriteString("],")
		l.begin(name)
	}
	l.w.WriteString(raw)
}

func (l *lists) begin(name string) {
	l.name = name
	l.w.WriteByte('"')
	l.w.WriteString(name)
	l.w.WriteString(`":[`)
}

func (l *lists) end(closing string) {
	if l.name != "" {
		l.w.WriteString(closing)
	}
}
