package scan

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Text is the text that a value spells; "" when it is none. Half of a surrogate
// pair becomes U+FFFD, as in encoding/json.
func Text(v string) string {
	v = inner(v)
	if strings.IndexByte(v, '\\') < 0 {
		return v
	}
	var out strings.Builder
	out.Grow(len(v))
	write(&out, v)
	return out.String()
}

// Join is the texts of two values with sep between them, without it where one of
// them is empty or no text.
func Join(a, sep, b string) string {
	switch {
	case inner(a) == "":
		return Text(b)
	case inner(b) == "":
		return Text(a)
	}
	var out strings.Builder
	out.Grow(len(a) + len(sep) + len(b))
	write(&out, inner(a))
	out.WriteString(sep)
	write(&out, inner(b))
	return out.String()
}

// inner is what stands between the quotes of a value; "" when it has none.
func inner(v string) string {
	if len(v) < 2 || v[0] != '"' {
		return ""
	}
	return v[1 : len(v)-1]
}

// write adds what v means, which has escapes.
func write(out *strings.Builder, v string) {
	for at := strings.IndexByte(v, '\\'); at >= 0; at = strings.IndexByte(v, '\\') {
		out.WriteString(v[:at])
		v = unescape(out, v[at:])
	}
	out.WriteString(v)
}

// unescape adds what the escape at the beginning of s means to out, and returns
// what is behind it: nothing, when it is cut off.
func unescape(out *strings.Builder, s string) string {
	if escape(s[1:]) == 0 {
		return ""
	}
	switch c := s[1]; c {
	case 'u':
		r, rest := rune4(s[2:]), s[6:]
		if utf16.IsSurrogate(r) {
			r, rest = pair(r, rest)
		}
		out.WriteRune(r)
		return rest
	case 'b':
		out.WriteByte('\b')
	case 'f':
		out.WriteByte('\f')
	case 'n':
		out.WriteByte('\n')
	case 'r':
		out.WriteByte('\r')
	case 't':
		out.WriteByte('\t')
	default: // a quote or a slash
		out.WriteByte(c)
	}
	return s[2:]
}

// pair reads the other half of a surrogate pair; without it, r means nothing.
func pair(r rune, s string) (rune, string) {
	if len(s) > 1 && s[0] == '\\' && s[1] == 'u' && escape(s[1:]) > 0 {
		if whole := utf16.DecodeRune(r, rune4(s[2:])); whole != utf8.RuneError {
			return whole, s[6:]
		}
	}
	return utf8.RuneError, s
}

// rune4 is the number that four hexadecimal digits spell.
func rune4(s string) (r rune) {
	for _, c := range []byte(s[:4]) {
		if c >= 'A' {
			c += 9 // the low half of a letter counts from 1
		}
		r = r<<4 | rune(c&0xf)
	}
	return r
}
