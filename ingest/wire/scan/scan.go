// Package scan goes through JSON once, checking the grammar (RFC 8259) on the
// way. It exists for speed: a decoder cuts posts out of a page as it reads them,
// where a general reader goes over each byte once a level.
//
// Values are given as they are spelled, parts of the input without a copy. That
// strings are UTF-8 is not checked: UTF8 does so for a whole record at less cost.
// What was read is worth something only when End says so: broken JSON may show at
// the last byte.
package scan

import "unicode/utf8"

// MaxDepth bounds nesting, and so the stack. Reddit's trees are the deepest: they
// go down about 10 comments, each of them four levels of JSON.
const MaxDepth = 400

// Scanner stands before a value, a comma or the end of what it reads. After an
// error it stands at the end of its input, so that every loop over it ends.
type Scanner struct {
	s     string
	i     int
	depth int
	bad   bool
	wide  uint64 // the bits of what strings hold, eight bytes over each other
}

// New is a scanner before the first value of s, which lies depth levels deep in
// what it was cut from.
func New(s string, depth int) Scanner {
	p := Scanner{s: s, depth: depth}
	p.space()
	return p
}

// Valid reports whether s is one value of JSON, at most MaxDepth deep.
func Valid(s string) bool {
	p := New(s, 0)
	p.Skip()
	return p.End()
}

// At is the next character; 0 at the end.
func (p *Scanner) At() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

// Pos is how many bytes were read.
func (p *Scanner) Pos() int { return p.i }

// Part is the input between two places that Pos told.
func (p *Scanner) Part(from, to int) string { return p.s[from:to] }

// Depth is how many objects and arrays the scanner is in.
func (p *Scanner) Depth() int { return p.depth }

// Bad reports whether the JSON is broken, as far as it was read.
func (p *Scanner) Bad() bool { return p.bad }

// UTF8 reports whether s, a part of what was read without an error, is valid
// UTF-8. As long as all was ASCII, as most APIs spell it, nothing is looked at.
func (p *Scanner) UTF8(s string) bool { return p.wide&highs == 0 || utf8.ValidString(s) }

// Fail gives up: the JSON is of a shape that the caller cannot use.
func (p *Scanner) Fail() { p.bad, p.i = true, len(p.s) }

// End reports whether all was read and nothing was wrong with it.
func (p *Scanner) End() bool {
	p.space()
	return !p.bad && p.i == len(p.s)
}

// space steps over what may stand between values: nothing in compact JSON, and
// one blank in what Python writes.
func (p *Scanner) space() {
	if p.i < len(p.s) && p.s[p.i] <= ' ' {
		p.spaces()
	}
}

func (p *Scanner) spaces() {
	i := p.i
	for i < len(p.s) && p.s[i] <= ' ' && (p.s[i] == ' ' || p.s[i] == '\n' || p.s[i] == '\t' || p.s[i] == '\r') {
		i++
	}
	p.i = i
}

// Open steps into an object or an array, and reports whether something is in it.
// Another value is an error.
func (p *Scanner) Open(left byte) bool {
	if p.At() != left || p.depth >= MaxDepth {
		p.Fail()
		return false
	}
	p.i++
	p.depth++
	p.space()
	if p.At() == left+2 { // in ASCII, } and ] come two behind { and [
		p.i++
		p.depth--
		return false
	}
	return true
}

// Enter is Open for a value that may be of another kind: it steps over that.
func (p *Scanner) Enter(left byte) bool {
	if p.At() == left {
		return p.Open(left)
	}
	p.Skip()
	return false
}

// More steps over the comma to what comes next, or out of what ends with right.
func (p *Scanner) More(right byte) bool {
	p.space()
	switch c := p.At(); {
	case c == ',':
		p.i++
		p.space()
		return true
	case p.bad:
		return false
	case c == right:
		p.i++
		p.depth--
		return false
	}
	p.Fail()
	return false
}

// Key reads a key, without its quotes and as it is spelled, up to its value.
func (p *Scanner) Key() string {
	from := p.i + 1
	p.text()
	to := p.i - 1
	p.space()
	if p.At() != ':' { // nor is it after an error
		p.Fail()
		return ""
	}
	p.i++
	p.space()
	return p.s[from:to]
}

// Value reads a value as it is spelled.
func (p *Scanner) Value() string {
	from := p.i
	p.Skip()
	return p.s[from:p.i]
}

// Str reads a string; "" for another value.
func (p *Scanner) Str() string { return Text(p.Value()) }

// Skip steps over a value.
func (p *Scanner) Skip() {
	switch c := p.At(); c {
	case '"':
		p.text()
	case '{':
		for ok := p.Open('{'); ok; ok = p.More('}') {
			p.Key()
			p.Skip()
		}
	case '[':
		for ok := p.Open('['); ok; ok = p.More(']') {
			p.Skip()
		}
	case 't':
		p.word("true")
	case 'f':
		p.word("false")
	case 'n':
		p.word("null")
	default:
		p.number()
	}
}
