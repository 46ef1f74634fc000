package scan

import "math/bits"

// Natural reads an integer that is not negative and has at most 18 digits; false
// for another value, which it steps over.
func (p *Scanner) Natural() (int64, bool) {
	raw := p.Value()
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

func (p *Scanner) word(w string) {
	if len(p.s)-p.i < len(w) || p.s[p.i:p.i+len(w)] != w {
		p.Fail()
		return
	}
	p.i += len(w)
}

func (p *Scanner) digits() {
	i := p.i
	for i < len(p.s) && p.s[i]-'0' <= 9 {
		i++
	}
	if p.i == i {
		p.Fail()
		return
	}
	p.i = i
}

func (p *Scanner) number() {
	if p.At() == '-' {
		p.i++
	}
	if p.At() == '0' {
		p.i++
	} else {
		p.digits()
	}
	if p.At() == '.' {
		p.i++
		p.digits()
	}
	if c := p.At(); c == 'e' || c == 'E' {
		p.i++
		if c := p.At(); c == '+' || c == '-' {
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
func (p *Scanner) text() {
	if p.At() != '"' {
		p.Fail()
		return
	}
	wide := uint64(0)
	for i := p.i + 1; ; {
		i, wide = plain(p.s, i, wide)
		for i < len(p.s) && p.s[i] == '\\' { // texts in other scripts are escapes, one after the other
			n := escape(p.s[i+1:])
			if n == 0 {
				p.Fail()
				return
			}
			i += 1 + n
		}
		if i >= len(p.s) || p.s[i] < ' ' {
			p.Fail()
			return
		}
		if p.s[i] == '"' {
			p.i = i + 1
			p.wide |= wide
			return
		}
	}
}

// plain is where the characters end that mean themselves in a string, and wide
// with their bits. Of eight characters at once, x-blanks borrows into the high bit
// of one below a blank, and q-ones into that of a zero, which is a character
// sought; one that is not ASCII has the bit anyway and is none of them. A borrow
// goes wrong only behind the first hit, which is the one that counts.
func plain(s string, i int, wide uint64) (int, uint64) {
	for ; i+8 <= len(s); i += 8 {
		w := s[i : i+8]
		x := uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24 | uint64(w[4])<<32 | uint64(w[5])<<40 | uint64(w[6])<<48 | uint64(w[7])<<56
		wide |= x
		if hit := ((x - blanks) | (x ^ quotes - ones) | (x ^ slashes - ones)) &^ x & highs; hit != 0 {
			return i + bits.TrailingZeros64(hit)/8, wide
		}
	}
	for i < len(s) && s[i] >= ' ' && s[i] != '"' && s[i] != '\\' {
		wide |= uint64(s[i])
		i++
	}
	return i, wide
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
		if len(s) < 5 || !hex[s[1]] || !hex[s[2]] || !hex[s[3]] || !hex[s[4]] {
			return 0
		}
		return 5
	}
	return 0
}

// hex are the characters of a \u escape.
var hex = func() (is [256]bool) {
	for _, c := range "0123456789abcdefABCDEF" {
		is[c] = true
	}
	return is
}()
