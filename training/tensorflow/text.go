package tensorflow

import (
	"html"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxTextBytes bounds what the tokeniser looks at: what follows in a longer
// text says little more and would cost without limit.
const MaxTextBytes = 8 << 10

// tokenKind says which features a token makes.
type tokenKind uint8

const (
	kindWord    tokenKind = iota // letters and digits of any script, in lower case
	kindTag                      // a hashtag, without '#'
	kindMention                  // an account; its name is never a feature
	kindURL                      // an address; never a feature
	kindNumber                   // digits; their value is never a feature
	kindSmile                    // an emoticon or an emoji
	kindMark                     // a run of one punctuation mark, at most three long
)

// token is one unit of a normalised text.
type token struct {
	text    string
	kind    tokenKind
	negated bool // inside the scope of a negation
	shouted bool // at least two letters, none in lower case
	drawn   bool // held a letter drawn out, as in "sooo"
}

// clean makes of any bytes a text that the scanner may read: valid UTF-8, cut
// after MaxTextBytes, HTML entities resolved, compatibility forms folded
// (Unicode NFKC), typographic apostrophes straight.
func clean(text string) string {
	if len(text) > MaxTextBytes {
		text = text[:MaxTextBytes]
	}
	text = strings.ToValidUTF8(text, " ")
	if strings.IndexByte(text, '&') >= 0 {
		text = html.UnescapeString(text)
	}
	if !norm.NFKC.IsNormalString(text) {
		text = norm.NFKC.String(text)
	}
	if strings.ContainsAny(text, "’‘`´") {
		text = strings.Map(straight, text)
	}
	return text
}

func straight(r rune) rune {
	switch r {
	case '’', '‘', '`', '´':
		return '\''
	}
	return r
}

// tokenise splits any text into tokens. The same text gives the same tokens on
// every machine and in every run.
func tokenise(text string) []token {
	s := scanner{text: clean(text)}
	for s.pos < len(s.text) {
		s.next()
	}
	markNegation(s.tokens)
	return s.tokens
}

// scanner walks a cleaned text once, left to right.
type scanner struct {
	text   string
	pos    int
	tokens []token
}

func (s *scanner) add(kind tokenKind, text string) {
	s.tokens = append(s.tokens, token{text: text, kind: kind})
}

// next consumes one token, or one rune that makes none.
func (s *scanner) next() {
	rest := s.text[s.pos:]
	r, size := utf8.DecodeRuneInString(rest)
	switch {
	case unicode.IsSpace(r) || unicode.IsControl(r):
		s.pos += size
	case s.url(rest), s.emoji(rest), s.emoticon(rest), s.handle(rest, r):
	case isWordRune(r):
		s.word(rest)
	case (unicode.IsPunct(r) || unicode.IsSymbol(r)) && !isSkinTone(r):
		s.mark(rest, r, size)
	default: // joiners, selectors, skin tones, private use
		s.pos += size
	}
}

// url consumes an address up to the next white space.
func (s *scanner) url(rest string) bool {
	if rest[0]|0x20 != 'h' && rest[0]|0x20 != 'w' {
		return false
	}
	head := strings.ToLower(rest[:min(len(rest), len("https://"))])
	if !strings.HasPrefix(head, "http://") && head != "https://" && !strings.HasPrefix(head, "www.") {
		return false
	}
	end := strings.IndexFunc(rest, unicode.IsSpace)
	if end < 0 {
		end = len(rest)
	}
	s.pos += end
	s.add(kindURL, "http")
	return true
}

// emoji consumes one emoji with all that belongs to it.
func (s *scanner) emoji(rest string) bool {
	text, size := emojiAt(rest)
	if size == 0 {
		return false
	}
	s.add(kindSmile, text)
	s.pos += size
	return true
}

// handle consumes "@name" and "#tag". A mark with nothing behind it is left.
func (s *scanner) handle(rest string, r rune) bool {
	if r != '@' && r != '#' {
		return false
	}
	end := 1 + wordEnd(rest[1:], false)
	switch {
	case end == 1:
		return false
	case r == '@':
		s.add(kindMention, "@user")
	default:
		s.add(kindTag, strings.ToLower(rest[1:end]))
	}
	s.pos += end
	return true
}

// word consumes letters and digits with inner apostrophes, folds case and
// shortens letters drawn out to two.
func (s *scanner) word(rest string) {
	end := wordEnd(rest, true)
	raw := rest[:end]
	s.pos += end
	if isNumber(raw) {
		s.add(kindNumber, "0")
		return
	}
	text, drawn := squeeze(strings.ToLower(raw))
	s.add(kindWord, text)
	last := &s.tokens[len(s.tokens)-1]
	last.drawn, last.shouted = drawn, isShouted(raw)
}

// mark consumes a run of one punctuation mark or symbol.
func (s *scanner) mark(rest string, r rune, size int) {
	n := 1
	for strings.HasPrefix(rest[n*size:], rest[:size]) {
		n++
	}
	s.pos += n * size
	s.add(kindMark, strings.Repeat(string(r), min(n, 3)))
}

// wordEnd returns the length of the word at the start of s. inner allows an
// apostrophe between two letters ("can't").
func wordEnd(s string, inner bool) int {
	end := 0
	for i, r := range s {
		switch {
		case isWordRune(r):
			end = i + utf8.RuneLen(r)
		case inner && r == '\'' && i == end && i > 0:
		default:
			return end
		}
	}
	return end
}

// isWordRune reports letters, digits, '_' and the marks that belong to letters
// in many scripts.
func isWordRune(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_'
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) && !isSelector(r)
}

// isSelector reports the variation selectors, which only choose a glyph.
func isSelector(r rune) bool { return r >= 0xFE00 && r <= 0xFE0F }

func isNumber(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !unicode.IsDigit(r) }) < 0
}

func isShouted(s string) bool {
	letters := 0
	for _, r := range s {
		if unicode.IsLower(r) {
			return false
		}
		if unicode.IsUpper(r) {
			letters++
		}
	}
	return letters >= 2
}

// squeeze shortens every run of three or more equal runes to two and reports
// whether there was one.
func squeeze(s string) (string, bool) {
	run, prev, cut := 0, rune(-1), false
	short := strings.Map(func(r rune) rune {
		if r == prev {
			run++
		} else {
			run, prev = 1, r
		}
		if run > 2 {
			cut = true
			return -1
		}
		return r
	}, s)
	return short, cut
}
