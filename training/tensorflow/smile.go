package tensorflow

import (
	"strings"
	"unicode/utf8"
)

// feeling is the class of an emoticon or emoji. It lets a small set of labels
// speak for smiles it never saw; what each class is worth is still learned.
type feeling uint8

const (
	feelingNone feeling = iota
	feelingGood
	feelingBad
	feelingWry
)

// Parts of a western emoticon: eyes, an optional nose, a mouth. Mirrored ones
// put the mouth first.
const (
	smileEyes  = ":;=8xX"
	smileNoses = "-o'^*~"
	goodMouths = ")]}Dd*>3"
	badMouths  = "([{<@cC"
	wryMouths  = "/\\|sSPp$oO0"
)

// wholeSmile reads the emoticons that have no eyes, nose and mouth.
func wholeSmile(s string) (length int, kind feeling) {
	switch {
	case strings.HasPrefix(s, "</3"):
		return 3, feelingBad
	case strings.HasPrefix(s, "<3"):
		n := 2
		for n < len(s) && s[n] == '3' {
			n++
		}
		return n, feelingGood
	case strings.HasPrefix(s, "^_^"), strings.HasPrefix(s, "^.^"), strings.HasPrefix(s, "\\o/"):
		return 3, feelingGood
	case strings.HasPrefix(s, "^^"):
		return 2, feelingGood
	case strings.HasPrefix(s, "-_-"), strings.HasPrefix(s, "-.-"), strings.HasPrefix(s, ">_<"), strings.HasPrefix(s, "T_T"), strings.HasPrefix(s, "t_t"):
		return 3, feelingBad
	case strings.HasPrefix(s, "-__-"):
		return 4, feelingBad
	}
	return 0, feelingNone
}

// smileAt returns the length in bytes and the feeling of the emoticon at the
// start of s; 0 when there is none.
func smileAt(s string) (int, feeling) {
	if n, f := wholeSmile(s); n > 0 {
		return n, f
	}
	if n, f := facing(s, smileEyes, goodMouths, badMouths); n > 0 {
		return n, f
	}
	return mirrored(s)
}

// facing reads eyes, nose, mouth: ":-)".
func facing(s, eyes, good, bad string) (int, feeling) {
	if len(s) < 2 || strings.IndexByte(eyes, s[0]) < 0 {
		return 0, feelingNone
	}
	i, tear := 1, false
	if i+1 < len(s) && strings.IndexByte(smileNoses, s[i]) >= 0 {
		tear = s[i] == '\''
		i++
	}
	kind := mouth(s[i], good, bad)
	if kind == feelingNone {
		return 0, feelingNone
	}
	if tear && kind == feelingWry {
		kind = feelingBad
	}
	// Letters and digits as eyes or mouth are only a face where no word goes on.
	end := i + 1
	for end < len(s) && s[end] == s[i] {
		end++
	}
	if isAlnum(s[0]) && isAlnum(s[i]) && s[i] != 'D' {
		return 0, feelingNone
	}
	if isAlnum(s[i]) && end < len(s) && isAlnumAt(s, end) {
		return 0, feelingNone
	}
	if s[i] == '/' && end < len(s) && (end > i+1 || isAlnumAt(s, end)) { // "://", ":/a"
		return 0, feelingNone
	}
	return end, kind
}

// mirrored reads mouth, nose, eyes: "(:".
func mirrored(s string) (int, feeling) {
	if len(s) < 2 || strings.IndexByte("()[]D", s[0]) < 0 {
		return 0, feelingNone
	}
	i := 1
	if i+1 < len(s) && strings.IndexByte("-'", s[i]) >= 0 {
		i++
	}
	if s[i] != ':' && s[i] != '=' && s[i] != ';' {
		return 0, feelingNone
	}
	if i+1 < len(s) && s[i+1] == '/' {
		return 0, feelingNone
	}
	if s[0] == '(' || s[0] == '[' {
		return i + 1, feelingGood
	}
	return i + 1, feelingBad
}

func mouth(c byte, good, bad string) feeling {
	switch {
	case strings.IndexByte(good, c) >= 0:
		return feelingGood
	case strings.IndexByte(bad, c) >= 0:
		return feelingBad
	case strings.IndexByte(wryMouths, c) >= 0:
		return feelingWry
	}
	return feelingNone
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

func isAlnumAt(s string, i int) bool {
	r, _ := utf8.DecodeRuneInString(s[i:])
	return isWordRune(r)
}

// emoticon consumes an emoticon that does not continue a word or a number.
func (s *scanner) emoticon(rest string) bool {
	if rest[0] >= utf8.RuneSelf {
		return false
	}
	if s.pos > 0 && isAlnum(rest[0]) {
		if before, _ := utf8.DecodeLastRuneInString(s.text[:s.pos]); isWordRune(before) {
			return false
		}
	}
	n, _ := smileAt(rest)
	if n == 0 {
		return false
	}
	s.add(kindSmile, rest[:min(n, 4)])
	s.pos += n
	return true
}

// feelingOf returns the class of an emoticon; an emoji's follows from its
// strength.
func feelingOf(smile string, strength int) feeling {
	switch {
	case smile[0] < utf8.RuneSelf:
		_, f := smileAt(smile)
		return f
	case strength > 0:
		return feelingGood
	case strength < 0:
		return feelingBad
	}
	return feelingNone
}
