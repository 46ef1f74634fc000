package x

import (
	"strings"

	"github.com/tidwall/gjson"
)

// scanner goes through JSON that is known to be valid, and looks at each byte
// once: a search page is nested four deep, and a reader that finds the end of
// every value before it steps into it goes over the page as often. On other
// input it stops early; it never reads beyond the end.
type scanner struct {
	s string
	i int
}

// space steps over what may stand between values, commas and colons included.
func (s *scanner) space() {
	for s.i < len(s.s) {
		switch s.s[s.i] {
		case ' ', '\t', '\n', '\r', ',', ':':
			s.i++
		default:
			return
		}
	}
}

// open steps into an object or an array, and over a value that is none.
func (s *scanner) open(bracket byte) bool {
	s.space()
	if s.i < len(s.s) && s.s[s.i] == bracket {
		s.i++
		return true
	}
	s.skip()
	return false
}

// more reports whether another value follows before the end of the array, and
// steps out of it otherwise.
func (s *scanner) more() bool {
	s.space()
	if s.i >= len(s.s) {
		return false
	}
	if c := s.s[s.i]; c == ']' || c == '}' {
		s.i++
		return false
	}
	return true
}

// key reads the next key of an object; "", false at its end. Keys that are read
// have no escapes.
func (s *scanner) key() (string, bool) {
	if !s.more() || s.s[s.i] != '"' {
		return "", false
	}
	from := s.i + 1
	for i := from; i < len(s.s); i++ {
		switch s.s[i] {
		case '"':
			s.i = i + 1
			return s.s[from:i], true
		case '\\':
			s.quoted()
			return s.s[from:s.i], true
		}
	}
	s.i = len(s.s)
	return "", false
}

// skip steps over a value and returns it as it stands.
func (s *scanner) skip() string {
	s.space()
	from := s.i
	if from >= len(s.s) {
		return ""
	}
	switch s.s[from] {
	case '"':
		s.quoted()
	case '{', '[':
		s.nested()
	default:
		s.scalar()
	}
	return s.s[from:s.i]
}

// short is how far a string is looked at byte by byte: most end before.
const short = 24

// quoted steps over a string.
func (s *scanner) quoted() {
	in := s.s
	for i, end := s.i+1, min(len(in), s.i+1+short); i < end; i++ {
		if in[i] == '"' {
			s.i = i + 1
			return
		}
		if in[i] == '\\' {
			break
		}
	}
	for at := s.i + 1; ; {
		n := strings.IndexByte(in[at:], '"')
		if n < 0 {
			s.i = len(in)
			return
		}
		end := at + n
		back := end - 1
		for in[back] == '\\' { // ends at the opening quote at the latest
			back--
		}
		at = end + 1
		if (end-back)%2 == 1 {
			s.i = at
			return
		}
	}
}

// nested steps over an object or an array.
func (s *scanner) nested() {
	in, depth := s.s, 0
	for i := s.i; i < len(in); i++ {
		switch c := in[i]; {
		case c == '"':
			s.i = i
			s.quoted()
			i = s.i - 1
		case c|0x20 == '{': // or [
			depth++
		case c|0x20 == '}': // or ]
			if depth--; depth == 0 {
				s.i = i + 1
				return
			}
		}
	}
	s.i = len(in)
}

// scalar steps over a number, a truth value or null: one byte at least.
func (s *scanner) scalar() {
	for s.i++; s.i < len(s.s); s.i++ {
		switch s.s[s.i] {
		case ',', '}', ']', ' ', '\t', '\n', '\r':
			return
		}
	}
}

// str reads a string; "" for another value.
func (s *scanner) str() string { return text(s.skip()) }

// text is what a string says; "" for another value.
func text(raw string) string {
	if len(raw) < 2 || raw[0] != '"' {
		return ""
	}
	if strings.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	return gjson.Parse(raw).Str
}

// number reads an integer that is not negative.
func (s *scanner) number() (int64, bool) {
	raw := s.skip()
	if raw == "" || len(raw) > 18 {
		return 0, false
	}
	n := int64(0)
	for i := range len(raw) {
		c := raw[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = 10*n + int64(c)
	}
	return n, true
}
