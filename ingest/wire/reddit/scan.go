package reddit

import "math/bits"

// scanner goes through JSON once, checking the grammar (RFC 8259) on the way. It
// exists for speed: a page of a listing is read as its posts are cut out of it,
// where a general reader goes over each byte once a level.
type scanner struct {
	s     string
	i     int
	bad   bool
	depth int
}

// maxDepth bounds nesting; Reddit's trees go down about 10 comments, each of
// them four levels of JSON.
const maxDepth = 400

// at is the next character; 0 at the end.
func (p *scanner) at() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *scanner) space() {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\n' || p.s[p.i] == '\t' || p.s[p.i] == '\r') {
		p.i++
	}
}

func (p *scanner) fail() { p.bad, p.i = true, len(p.s) }

// open steps into an object or an array, and reports whether something is in it.
func (p *scanner) open(left byte) bool {
	p.space()
	if p.at() != left || p.depth == maxDepth {
		p.fail()
		return false
	}
	p.i++
	p.depth++
	p.space()
	if p.at() == left+2 { // in ASCII, } and ] come two behind { and [
		p.i++
		p.depth--
		return false
	}
	return true
}

// more steps over the comma to what comes next, or out of what ends with right.
func (p *scanner) more(right byte) bool {
	p.space()
	switch c := p.at(); {
	case p.bad:
		return false
	case c == ',':
		p.i++
		p.space()
		return true
	case c == right:
		p.i++
		p.depth--
		return false
	}
	p.fail()
	return false
}

// key reads a key, without its quotes and as it is spelled, up to its value.
func (p *scanner) key() string {
	from := p.i + 1
	p.text()
	to := p.i - 1
	p.space()
	if p.bad || p.at() != ':' {
		p.fail()
		return ""
	}
	p.i++
	p.space()
	return p.s[from:to]
}

// value reads a value as it is spelled.
func (p *scanner) value() string {
	from := p.i
	p.skip()
	return p.s[from:p.i]
}

func (p *scanner) skip() {
	switch c := p.at(); c {
	case '"':
		p.text()
	case '{':
		for ok := p.open('{'); ok; ok = p.more('}') {
			p.key()
			p.skip()
		}
	case '[':
		for ok := p.open('['); ok; ok = p.more(']') {
			p.skip()
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

func (p *scanner) word(w string) {
	if len(p.s)-p.i < len(w) || p.s[p.i:p.i+len(w)] != w {
		p.fail()
		return
	}
	p.i += len(w)
}

func (p *scanner) digits() {
	from := p.i
	for c := p.at(); c >= '0' && c <= '9'; c = p.at() {
		p.i++
	}
	if p.i == from {
		p.fail()
	}
}

func (p *scanner) number() {
	if p.at() == '-' {
		p.i++
	}
	if p.at() == '0' {
		p.i++
	} else {
		p.digits()
	}
	if p.at() == '.' {
		p.i++
		p.digits()
	}
	if c := p.at(); c == 'e' || c == 'E' {
		p.i++
		if c := p.at(); c == '+' || c == '-' {
			p.i++
		}
		p.digits()
	}
}

// Eight equal bytes, to look at eight characters at a time.
const (
	ones    = 0x0101010101010101
	highs   = 0x80 * ones
	quotes  = '"' * ones
	slashes = '\\' * ones
	blanks  = ' ' * ones
)

// text steps over a string.
func (p *scanner) text() {
	if p.at() != '"' {
		p.fail()
		return
	}
	for i := p.i + 1; ; {
		i = plain(p.s, i)
		if i >= len(p.s) || p.s[i] < ' ' {
			p.fail()
			return
		}
		if p.s[i] == '"' {
			p.i = i + 1
			return
		}
		n := escape(p.s[i+1:])
		if n == 0 {
			p.fail()
			return
		}
		i += 1 + n
	}
}

// plain is where the characters end that mean themselves in a string.
func plain(s string, i int) int {
	for ; i+8 <= len(s); i += 8 {
		w := s[i : i+8]
		x := uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24 | uint64(w[4])<<32 | uint64(w[5])<<40 | uint64(w[6])<<48 | uint64(w[7])<<56
		q, b := x^quotes, x^slashes
		if hit := ((x-blanks)&^x | (q-ones)&^q | (b-ones)&^b) & highs; hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
	}
	for i < len(s) && s[i] >= ' ' && s[i] != '"' && s[i] != '\\' {
		i++
	}
	return i
}

// escape is how many characters of s, behind a backslash, belong to it.
func escape(s string) int {
	if s == "" {
		return 0
	}
	switch s[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1
	case 'u':
		if len(s) < 5 {
			return 0
		}
		for _, c := range []byte(s[1:5]) {
			if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
				return 0
			}
		}
		return 5
	}
	return 0
}
