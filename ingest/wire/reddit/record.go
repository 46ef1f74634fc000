package reddit

import (
	"strings"
	"time"

	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/scan"
)

// Record adds a record of an archive to b, of whatever form: a line of a dump,
// bare or as the API wraps it; a listing; the page of a submission; an answer of
// /api/morechildren; a recorded interaction, or a cassette of them. Recorded
// posts are observed when they were recorded, those of dumps when they were
// retrieved.
//
// JSON that is broken anywhere is one reject; nothing of it is taken.
func Record(raw string, now time.Time, position string, b *wire.Batch) {
	posts, rejects := len(b.Posts), len(b.Rejects)
	r := reader{now: now, position: position, b: b}
	p := scan.New(raw, 0)
	r.record(&p)
	if end(&p, "a record") != nil {
		b.Posts, b.Rejects = b.Posts[:posts], b.Rejects[:rejects]
		b.Reject("broken JSON", raw, position, now)
	}
}

// record reads a record of any form.
func (r *reader) record(p *scan.Scanner) {
	switch p.At() {
	case '[':
		for ok := p.Open('['); ok; ok = p.More(']') {
			r.n++
			r.record(p)
		}
	case '{':
		f := r.fields(p)
		if !p.Bad() && !r.wrapped(&f, p.Depth()) {
			r.add("", &f, true)
		}
	default:
		raw := p.Value()
		if !p.Bad() {
			r.reject("want an object", raw)
		}
	}
}

// wrapped reads what a record wraps; false when it is a record by itself.
func (r *reader) wrapped(f *fields, depth int) bool {
	inner := func(v string) *scan.Scanner { p := scan.New(v, depth); return &p }
	switch kind := scan.Text(f.kind); {
	case strings.HasPrefix(f.data, "{") && kind == kindListing:
		p := inner(f.raw)
		if r.listing(p); p.Bad() {
			r.reject("want a listing with children", f.raw)
		}
	case strings.HasPrefix(f.data, "{") && kind != "":
		r.thing(inner(f.raw))
	case strings.HasPrefix(f.json, "{"):
		r.things(inner(f.json))
	case strings.HasPrefix(f.interactions, "["):
		r.record(inner(f.interactions))
	case f.recordedAt != "":
		r.interaction(f, inner)
	default:
		return false
	}
	return true
}

// recorded is how cassettes spell times, in UTC.
const recorded = "2006-01-02T15:04:05"

// interaction reads one recorded request: its answer, if that is of Reddit's
// listings. The answer is JSON, or a text that holds JSON.
func (r *reader) interaction(f *fields, inner func(string) *scan.Scanner) {
	was := r.now
	defer func() { r.now = was }()
	if at, err := time.Parse(recorded, scan.Text(f.recordedAt)); err == nil {
		r.now = at
	}
	body := f.body
	if body == "" {
		body = answer(inner(f.response))
	}
	if s := scan.Text(body); s != "" {
		body = s
	}
	p := inner(strings.TrimSpace(body))
	if p.At() != '{' && p.At() != '[' {
		r.reject("a recorded answer that holds no JSON", f.raw)
		return
	}
	if strings.Contains(body, `"access_token"`) {
		r.reject("a recorded token, no posts", "")
		return
	}
	posts := len(r.b.Posts)
	if r.record(p); p.Bad() {
		r.b.Posts = r.b.Posts[:posts]
		r.reject("a recorded answer of broken JSON", f.raw)
	}
}

// answer finds the body in {"body":{"string":…},"status":…}.
func answer(p *scan.Scanner) (body string) {
	if p.At() != '{' {
		return ""
	}
	for ok := p.Open('{'); ok; ok = p.More('}') {
		if key := p.Key(); key != "body" || p.At() != '{' {
			p.Skip()
			continue
		}
		for ok := p.Open('{'); ok; ok = p.More('}') {
			if key := p.Key(); key == "string" {
				body = p.Value()
			} else {
				p.Skip()
			}
		}
	}
	return body
}
