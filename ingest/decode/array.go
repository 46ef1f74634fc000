package decode

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/feedlake/feedlake"
)

// arrayCutter cuts a JSON array of records, or records one after another with
// any space between them. It cuts records at their brackets, so that a broken
// one does not take the others with it.
type arrayCutter struct {
	*stream
	array bool // the file is one array; its "]" is the end
	inner bool // the array is a part of the file's document

	unread string // lists of the document that are not read; told once
}

func newArrayCutter(ctx context.Context, s *stream, offset int64) (*arrayCutter, error) {
	a := &arrayCutter{stream: s}
	for {
		if err := s.fill(ctx, s.block); err != nil {
			return nil, err
		}
		if n := leadingSpace(s.window(), s.offset == 0); n > 0 {
			s.advance(n)
			continue
		}
		break
	}
	if n := assigned(s.window()); n > 0 {
		s.advance(n)
	}
	if w := s.window(); len(w) > 0 && w[0] == '[' {
		a.array = true
		s.advance(1)
	}
	if s.offset > offset && offset > 0 {
		return nil, ErrReplaced
	}
	return a, s.seek(ctx, offset)
}

// assigned counts what stands before the array in a file of JavaScript that sets a
// variable to it, as the archive does that X gives people: window.YTD.tweets.part0 =.
func assigned(w []byte) int {
	const longest = 200
	if !bytes.HasPrefix(w, []byte("window.")) {
		return 0
	}
	name, rest, ok := bytes.Cut(w[:min(len(w), longest)], []byte{'='})
	if !ok || bytes.ContainsAny(name, "\n{[\"") {
		return 0
	}
	return len(name) + 1 + leadingSpace(rest, false)
}

// leadingSpace counts the white space, and the byte order mark of a file's
// start, at the front of w.
func leadingSpace(w []byte, start bool) int {
	n := 0
	if start && bytes.HasPrefix(w, []byte(byteOrderMark)) {
		n = len(byteOrderMark)
	}
	for n < len(w) && isSpace(w[n]) {
		n++
	}
	return n
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// Cut implements Cutter: the posts of a block share its memory.
func (a *arrayCutter) Cut(ctx context.Context, b *Block) error {
	if a.unread != "" {
		b.reject(a.unread, "", a.at())
		a.unread = ""
	}
	for b.empty() {
		if err := a.fill(ctx, a.block); err != nil {
			return err
		}
		end, closed := a.scan(b)
		switch {
		case len(b.cuts) > 0:
			a.records(b, end)
		case closed:
			return a.closed(b, end)
		case a.ended():
			return a.unclosed(b)
		case len(a.window()) > a.max:
			if err := a.long(ctx, b, end); err != nil {
				return err
			}
		default:
			if err := a.more(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// scan finds the whole records in the window. It returns where it stopped: behind
// the last of them, at the begin of one that is not whole, or at the "]" that
// closes the array.
func (a *arrayCutter) scan(to *Block) (at int, closed bool) {
	to.cuts = to.cuts[:0]
	w := a.window()
	for {
		for at < len(w) && (isSpace(w[at]) || (a.array && w[at] == ',')) {
			at++
		}
		switch {
		case at == len(w):
			return at, false
		case a.array && w[at] == ']':
			return at, true
		}
		var b brackets
		n, whole := b.feed(w[at:])
		if !whole && (!a.ended() || b.depth > 0 || b.quoted) || a.enough(len(to.cuts), at+n) {
			return at, false
		}
		to.cuts = append(to.cuts, cut{from: at, to: at + n})
		at += n
	}
}

// records makes a block of the records that scan found, and consumes them.
func (a *arrayCutter) records(b *Block, end int) {
	b.name, b.text, b.form, b.records, b.line, b.offset = a.in.Name, string(a.window()[:end]), cutForm{a.max}, len(b.cuts), a.line, a.offset
	a.advance(end)
}

// cutForm decodes records of JSON that lie anywhere in a text.
type cutForm struct{ max int }

func (f cutForm) decode(d *Decoder, b *Block, p *Page) {
	line, counted := b.line, 0
	for _, c := range b.cuts {
		line += int64(strings.Count(b.text[counted:c.from], "\n"))
		counted = c.from
		rec, offset := b.text[c.from:c.to], b.offset+int64(c.from)
		if len(rec) > f.max {
			p.reject(tooLong(int64(len(rec)), f.max), rec, position(b.name, line, offset))
			continue
		}
		at := line
		d.record(p, rec, b.name, false, func() string { return position(b.name, at, offset) })
	}
}

// closed ends an array. Its "]" is left unread: where an array grew in place,
// the next record stands there.
func (a *arrayCutter) closed(b *Block, end int) error {
	a.advance(end)
	w := a.window()
	if n := 1 + leadingSpace(w[1:], false); n < len(w) && !a.inner {
		b.reject("text after the end of the array is not read", string(w[n:min(len(w), n+feedlake.MaxRejectPayload)]), position(a.in.Name, a.line, a.offset+int64(n)))
	}
	return io.EOF
}

// unclosed ends a file that has no more records.
func (a *arrayCutter) unclosed(b *Block) error {
	if err := lastRecord(a.stream, b, func(string) bool { return false }); !errors.Is(err, io.EOF) {
		return err
	}
	if a.array && a.damage() == "" && len(a.window()) == 0 {
		b.reject("array is not closed: the file is truncated after the last record; the rest is read when it grows", "", a.at())
	}
	return io.EOF
}

// long rejects the record at from, which does not fit the window, and skips it.
func (a *arrayCutter) long(ctx context.Context, to *Block, from int) error {
	a.advance(from)
	at, begin := a.at(), a.offset
	head := string(a.window()[:min(len(a.window()), feedlake.MaxRejectPayload)])
	var b brackets
	for {
		n, whole := b.feed(a.window())
		a.advance(n)
		if whole || a.ended() {
			break
		}
		if err := a.fill(ctx, a.block); err != nil {
			return err
		}
	}
	to.reject(tooLong(a.offset-begin, a.max), head, at)
	return nil
}

// brackets follows one JSON value over pieces of text, by its brackets and
// quotes alone.
type brackets struct {
	depth   int
	quoted  bool
	escaped bool
	scalar  bool // a bare number or word
}

// feed goes on with w. It returns how much of w belongs to the value and whether
// the value is whole.
func (b *brackets) feed(w []byte) (n int, whole bool) {
	for i, c := range w {
		switch {
		case b.escaped:
			b.escaped = false
		case b.quoted:
			switch c {
			case '\\':
				b.escaped = true
			case '"':
				b.quoted = false
				if b.depth == 0 {
					return i + 1, true
				}
			}
		case c == '"':
			if b.scalar {
				return i, true
			}
			b.quoted = true
		case c == '{' || c == '[':
			if b.scalar {
				return i, true
			}
			b.depth++
		case c == '}' || c == ']':
			if b.depth == 0 { // stray: a record of its own, which will be rejected
				if b.scalar {
					return i, true
				}
				return i + 1, true
			}
			if b.depth--; b.depth == 0 {
				return i + 1, true
			}
		case b.depth == 0:
			if c == ',' || isSpace(c) {
				if b.scalar {
					return i, true
				}
				return i + 1, true
			}
			b.scalar = true
		}
	}
	return len(w), false
}
