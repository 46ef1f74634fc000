package erasure

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// textMatcher finds texts in what may hold them in another spelling: in JSON or
// in CSV. It reads its input once, however many texts there are.
type textMatcher struct {
	byStart map[uint64][]string // the first matchStart bytes of a spelling to the spellings
}

const (
	matchStart = 8  // bytes that a spelling must have
	matchWhole = 24 // bytes below which a text counts only as a whole quoted value
)

// newTextMatcher searches for texts. A text too short to tell its post from
// others is searched only as a whole value, and not at all below 6 bytes.
func newTextMatcher(texts []string) *textMatcher {
	m := &textMatcher{byStart: map[uint64][]string{}}
	for _, t := range texts {
		t = strings.TrimSpace(t)
		for _, s := range spellings(t) {
			if len(t) < matchWhole {
				s = `"` + s + `"`
			}
			if len(s) < matchStart {
				continue
			}
			k := startOf(s)
			m.byStart[k] = append(m.byStart[k], s)
		}
	}
	return m
}

func startOf(s string) uint64 {
	var k uint64
	for i := range matchStart {
		k = k<<8 | uint64(s[i])
	}
	return k
}

func (m *textMatcher) empty() bool { return len(m.byStart) == 0 }

// in reports whether s holds one of the texts.
func (m *textMatcher) in(s string) bool {
	if m.empty() || len(s) < matchStart {
		return false
	}
	var k uint64
	for i := range len(s) {
		k = k<<8 | uint64(s[i])
		if i < matchStart-1 {
			continue
		}
		for _, want := range m.byStart[k] {
			if strings.HasPrefix(s[i-matchStart+1:], want) {
				return true
			}
		}
	}
	return false
}

// spellings lists how a text may be written in a record: as it is, as JSON with
// and without escapes of what is not ASCII, and with the quotes of CSV.
func spellings(text string) []string {
	out := []string{text}
	add := func(s string) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	b, err := json.Marshal(text) // a string cannot fail; HTML's characters are escaped
	if err != nil {
		return out
	}
	html := string(b[1 : len(b)-1])
	plain := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&", `\u2028`, "\u2028", `\u2029`, "\u2029").Replace(html)
	for _, s := range []string{html, plain, asciiJSON(plain, "%04x"), asciiJSON(plain, "%04X"), strings.ReplaceAll(text, `"`, `""`)} {
		add(s)
		add(strings.ReplaceAll(s, "/", `\/`))
	}
	return out
}

// asciiJSON escapes what is not ASCII, as many writers of JSON do.
func asciiJSON(s, format string) string {
	var b strings.Builder
	for _, r := range s {
		if r < 0x80 {
			b.WriteRune(r)
			continue
		}
		for _, u := range utf16.Encode([]rune{r}) {
			b.WriteString(`\u` + fmt.Sprintf(format, u))
		}
	}
	return b.String()
}
