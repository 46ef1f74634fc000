package tensorflow

import (
	_ "embed" // the list of emoji
	"strings"
	"unicode/utf8"
)

// emojiText has the form of the lexicon: a strength, and emoji without skin
// tones and selectors.
//
//go:embed emoji.txt
var emojiText string

const joiner = '\u200d'

// emojiAt reads the emoji at the start of s as Unicode's sequences have it (UTS
// 51): a pictograph with selectors and skin tones, several tied by joiners, a
// flag of two letters or of tags, a keycap. text is the sequence without
// selectors and skin tones, size its length in s; 0 when there is none.
func emojiAt(s string) (text string, size int) {
	r, n := utf8.DecodeRuneInString(s)
	switch {
	case isFlagLetter(r):
		if second, m := utf8.DecodeRuneInString(s[n:]); isFlagLetter(second) {
			return s[:n+m], n + m
		}
		return s[:n], n
	case r >= '0' && r <= '9' || r == '#' || r == '*':
		if rest := strings.TrimPrefix(s[n:], "\ufe0f"); strings.HasPrefix(rest, "\u20e3") {
			return s[:n] + "\u20e3", len(s) - len(rest) + len("\u20e3")
		}
		return "", 0
	case !isEmoji(r):
		return "", 0
	}
	var b strings.Builder
	for {
		b.WriteRune(r)
		size += n
		for { // what changes the look of the pictograph only
			q, m := utf8.DecodeRuneInString(s[size:])
			if !isSkinTone(q) && !isSelector(q) && !isTag(q) {
				break
			}
			if isTag(q) {
				b.WriteRune(q)
			}
			size += m
		}
		after, tied := strings.CutPrefix(s[size:], string(joiner))
		if r, n = utf8.DecodeRuneInString(after); !tied || !isEmoji(r) {
			return b.String(), size
		}
		b.WriteRune(joiner)
		size += len(string(joiner))
	}
}

// isEmoji reports the pictographs: the emoji planes without the skin tones, and
// the older symbols and dingbats that Unicode's list of emoji takes up.
func isEmoji(r rune) bool {
	switch {
	case r >= 0x1F000 && r <= 0x1FAFF:
		return !isSkinTone(r) && !isFlagLetter(r)
	case r >= 0x2600 && r <= 0x27BF, r >= 0x23E9 && r <= 0x23FA, r >= 0x2934 && r <= 0x2935, r >= 0x2B05 && r <= 0x2B07:
		return true
	}
	return strings.ContainsRune("⌚⌛⌨⏏▪▫▶◀◻◼◽◾⬛⬜⭐⭕〰〽", r)
}

func isSkinTone(r rune) bool { return r >= 0x1F3FB && r <= 0x1F3FF }

func isFlagLetter(r rune) bool { return r >= 0x1F1E6 && r <= 0x1F1FF }

// isTag reports the letters that spell a region after a black flag.
func isTag(r rune) bool { return r >= 0xE0020 && r <= 0xE007F }
