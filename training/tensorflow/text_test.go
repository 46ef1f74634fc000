package tensorflow

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// spell writes tokens as kind:text with ¬ for negated, ^ for shouted, ~ for
// drawn out.
func spell(tokens []token) string {
	var out []string
	for _, t := range tokens {
		s := string("w#@u0s!"[t.kind]) + ":" + t.text
		for _, m := range []struct {
			on   bool
			mark string
		}{{t.negated, "¬"}, {t.shouted, "^"}, {t.drawn, "~"}} {
			if m.on {
				s += m.mark
			}
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestTokenise(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"white space and controls", " \t\r\n\x00\u200b\u00a0", ""},
		{"words, case, numbers", "Paid 3.39 on Sat", "w:paid 0:0 !:. 0:0 w:on w:sat"},
		{"drawn out and shouted", "sooooo GOOD OMG I", "w:soo~ w:good^ w:omg^ w:i"},
		{"a negation reaches to the clause's end", "I can't say it. Fine", "w:i w:can't w:say¬ w:it¬ !:. w:fine"},
		{"a negation reaches six words", "not a b c d e f g", "w:not w:a¬ w:b¬ w:c¬ w:d¬ w:e¬ w:f¬ w:g"},
		{"but ends a negation", "not bad but slow", "w:not w:bad¬ w:but w:slow"},
		{"typographic apostrophe", "don’t go", "w:don't w:go¬"},
		{"addresses and accounts have no name", "@Bob see HTTPS://t.co/x?y=1 or www.x.org", "@:@user w:see u:http w:or u:http"},
		{"a hashtag keeps its word", "#MondayBlues # @ #é", "#:mondayblues !:# !:@ #:é"},
		{"entities", "&lt;3 Tom &amp; Jerry", "s:<3 w:tom !:& w:jerry"},
		{"emoticons", ":) :-( ;D :'( xD (: ^_^ -_- :/", "s::) s::-( s:;D s::'( s:xD s:(: s:^_^ s:-_- s::/"},
		{"no emoticons", "8:30 3:4 x:80 foo:bar f(y) Maxx 10)", "0:0 !:: 0:0 0:0 !:: 0:0 w:x !:: 0:0 w:foo !:: w:bar w:f !:( w:y !:) w:maxx 0:0 !:)"},
		{"emoji without skin or selector", "👍🏽❤️😂😂", "s:👍 s:❤ s:😂 s:😂"},
		{"a family, a flag, a keycap, a region", "👨‍👩‍👧‍👦🇩🇪1️⃣🏴󠁧󠁢󠁥󠁮󠁧󠁿❤️‍🔥⭐5", "s:👨‍👩‍👧‍👦 s:🇩🇪 s:1⃣ s:🏴󠁧󠁢󠁥󠁮󠁧󠁿 s:❤‍🔥 s:⭐ 0:0"},
		{"runs of marks", "what?!! ....... $$", "w:what !:? !:!! !:... !:$$"},
		{"other scripts", "ПРИВЕТ мир 你好 नमस्ते", "w:привет^ w:мир w:你好 w:नमस्ते"},
		{"compatibility forms", "ＦＵＬＬ ﬁne 𝓁𝑜𝓋𝑒", "w:full^ w:fine w:love"},
		{"broken UTF-8", "a\xffb \xc3", "w:a w:b"},
	} {
		if d := cmp.Diff(c.want, spell(tokenise(c.in))); d != "" {
			t.Errorf("%s: %q (-want +got):\n%s", c.name, c.in, d)
		}
	}
}

func TestFeelings(t *testing.T) {
	lex, err := parseLexicon(emojiText)
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]feeling{
		":)": feelingGood, "<3": feelingGood, "(:": feelingGood, "😂": feelingGood, "=D": feelingGood, "\\o/": feelingGood,
		":(": feelingBad, ":'(": feelingBad, "</3": feelingBad, "-_-": feelingBad, "😭": feelingBad, "):": feelingBad, ":'/": feelingBad,
		":/": feelingWry, ":P": feelingWry, "🌍": feelingNone,
	} {
		tokens := tokenise(in)
		if len(tokens) != 1 || tokens[0].kind != kindSmile {
			t.Errorf("%q is %s", in, spell(tokens))
			continue
		}
		if got := feelingOf(tokens[0].text, lex.smile(tokens[0].text)); got != want {
			t.Errorf("%q: feeling %d, want %d", in, got, want)
		}
	}
}

func TestLexicon(t *testing.T) {
	l, err := parseLexicon(lexiconText)
	if err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]int{
		"love": 2, "nice": 1, "sad": -1, "terrible": -2, "disappointing": -1, "table": 0, "": 0, "celebrating": 2,
	} {
		if got := l.strength(word); got != want {
			t.Errorf("%q: %d, want %d", word, got, want)
		}
	}
	for _, bad := range []string{"good\n", "+3 good", "0 so", "x"} {
		if _, err := parseLexicon("# head\n\n" + bad); err == nil || !strings.Contains(err.Error(), "line 3") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestFeaturesAreStable pins ids: a stored model is worthless once they change
// without featureVersion.
func TestFeaturesAreStable(t *testing.T) {
	f := DefaultFeatures()
	f.Bits = 12
	z, err := newFeaturiser(f)
	if err != nil {
		t.Fatal(err)
	}
	got := z.features("Not GOOD :)")
	want := textIDs{
		words: []int32{1536, 788, 1666, 242, 1910, 1109, 415, 1935, 1558, 1715, 1965, 1009, 1316, 2030, 458, 1058, 611, 86, 1789, 1290, 1968, 1085, 1665, 522, 287},
		chars: []int32{3995, 3939, 3922, 3553, 3874, 2958, 2493, 2251, 3669, 3984, 3005, 2970, 3053, 4044, 3706, 3167, 2182, 2375, 2247, 3754, 3214, 2484, 3480, 3913, 3297, 3435, 2884},
	}
	if d := cmp.Diff(want.words, got.words); d != "" {
		t.Errorf("words (-want +got):\n%s\n%#v", d, got.words)
	}
	if d := cmp.Diff(want.chars, got.chars); d != "" {
		t.Errorf("characters (-want +got):\n%s\n%#v", d, got.chars)
	}
}

func TestFeatureSettings(t *testing.T) {
	for name, change := range map[string]func(*Features){
		"another version": func(f *Features) { f.Version++ },
		"too many bits":   func(f *Features) { f.Bits = 30 },
		"no words":        func(f *Features) { f.WordMax = 0 },
		"no room":         func(f *Features) { f.MaxPerText = 0 },
	} {
		f := DefaultFeatures()
		change(&f)
		if _, err := newFeaturiser(f); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// checkFeatures holds what must be true of any text's features.
func checkFeatures(tb testing.TB, z *featuriser, text string) {
	tb.Helper()
	got := z.features(text)
	half := int32(1) << (z.f.Bits - 1)
	for group, ids := range [...][]int32{got.words, got.chars} {
		if len(ids) > z.f.MaxPerText {
			tb.Errorf("%q: %d ids in a group", text, len(ids))
		}
		seen := map[int32]bool{}
		for _, id := range ids {
			if lower := half * int32(group); id < lower || id >= lower+half || seen[id] {
				tb.Errorf("%q: id %d of group %d out of range or twice", text, id, group)
			}
			seen[id] = true
		}
	}
	if again := z.features(text); !cmp.Equal(got.words, again.words) || !cmp.Equal(got.chars, again.chars) {
		tb.Errorf("%q: other features the second time", text)
	}
	for _, t := range tokenise(text) {
		if t.text == "" || !utf8.ValidString(t.text) {
			tb.Errorf("%q: token %q", text, t.text)
		}
	}
}

func TestLongTexts(t *testing.T) {
	f := DefaultFeatures()
	f.MaxPerText = 50
	z, err := newFeaturiser(f)
	if err != nil {
		t.Fatal(err)
	}
	long := "another different word ünd "
	for i := range 4000 {
		long += string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + "é "
	}
	checkFeatures(t, z, long)
	if a, b := z.features(long[:MaxTextBytes]), z.features(long); !cmp.Equal(a.chars, b.chars) {
		t.Error("the text beyond the bound was read")
	}
	checkFeatures(t, z, strings.Repeat("é", MaxTextBytes)) // the cut falls into a rune
}

func FuzzTokenise(f *testing.F) {
	for _, s := range []string{"", "can't stop :) http://x", "\xff\xfe#", "<3333", "&#x1F600;&lt;/3", ":-", "D:", "@", "’’", "ﷺﷺ", "D====", "</", "((((:"} {
		f.Add(s)
	}
	z, err := newFeaturiser(Features{Version: featureVersion, Bits: 10, WordMax: 3, CharMin: 1, CharMax: 8, MaxPerText: 64})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) { checkFeatures(t, z, text) })
}
