package sql_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestEmojiOfUnicode holds the golden case of emoji against what it is made of:
// every sequence of Unicode's emoji-test.txt 17.0, forty in a text, with blanks
// between. Each counts one, whatever its qualification, but for the signs that
// are no emoji without a variation selector (plain), and for a skin tone that
// nobody has (component).
func TestEmojiOfUnicode(t *testing.T) {
	const dir = "testdata/features.text_stats/emoji/"
	texts, sequences := map[string]string{}, map[string]int{}
	for _, r := range readCSV(t, dir+"in.features.posts.csv") {
		texts[r["id"]] = r["text"]
	}
	for _, r := range readCSV(t, dir+"want.csv") {
		status, _, _ := strings.Cut(r["id"], "/")
		want := len(strings.Fields(texts[r["id"]]))
		sequences[status] += want
		switch status {
		case "plain", "component":
			want = 0
		case "glued":
			want = 41
		}
		if r["emoji"] != strconv.Itoa(want) {
			t.Errorf("%s: %s emoji, want %d: %s", r["id"], r["emoji"], want, texts[r["id"]])
		}
	}
	for status, want := range map[string]int{"fully-qualified": 3944, "minimally-qualified": 1029, "unqualified": 243 - sequences["plain"], "plain": 40, "component": 5} {
		if sequences[status] != want {
			t.Errorf("%s: %d sequences in the golden case, want %d", status, sequences[status], want)
		}
	}
	for word := range strings.FieldsSeq(texts["plain/000"]) {
		if utf8.RuneCountInString(word) != 1 {
			t.Errorf("plain: %q is more than a sign", word)
		}
	}
}

// TestOneRuleForTags wants text_stats to count tags as entities finds them:
// models cannot share a pattern, so both hold the same two.
func TestOneRuleForTags(t *testing.T) {
	blanks := regexp.MustCompile(`\s+`)
	patterns := func(model string) (links, tags string) {
		for _, m := range load(t).Models() {
			if m.Name == model {
				text := blanks.ReplaceAllString(m.SQL, " ")
				return between(text, ", '[Hh]", ", ' ')"), between(text, "replace(replace('(?:^|[`x{FE0E}", "chr(92))")
			}
		}
		return "", ""
	}
	links, tags := patterns("features.entities")
	if l, g := patterns("features.text_stats"); l != links || g != tags || len(links) < 50 || len(tags) < 50 {
		t.Errorf("features.text_stats takes links out with\n%s\nand finds tags with\n%s\nbut features.entities with\n%s\n%s", l, g, links, tags)
	}
}

func between(text, from, to string) string {
	_, rest, _ := strings.Cut(text, from)
	found, _, _ := strings.Cut(rest, to)
	return found
}
