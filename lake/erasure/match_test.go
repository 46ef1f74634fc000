package erasure

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/lake"
)

const plantedText = `Zanzibar is a "unique" place to plant a text: ünder/über #zanzitag`

func TestEraseReadTargets(t *testing.T) {
	t.Parallel()
	got, err := ReadTargets(strings.NewReader("\ufeff# x\n\npost a/b/c\r\nauthor a/did:plc:x\n"), "f")
	if err != nil {
		t.Fatal(err)
	}
	want := []Target{{lake.ErasedPost, "a", "b/c"}, {lake.ErasedAuthor, "a", "did:plc:x"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for text, at := range map[string]string{"post a": "f:1:", "\npost /x": "f:2:", "a/b": "f:1:", "author a/": "f:1:"} {
		if _, err := ReadTargets(strings.NewReader(text), "f"); err == nil || !strings.Contains(err.Error(), at) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestTextMatcher(t *testing.T) {
	t.Parallel()
	m := newTextMatcher([]string{plantedText, "short one", "ok"})
	for text, want := range map[string]bool{
		`x` + plantedText + `y`: true,
		`{"t":"Zanzibar is a \"unique\" place to plant a text: \u00fcnder\/\u00FCber #zanzitag"}`: false, // mixed cases of hex: nobody writes so
		`{"t":"Zanzibar is a \"unique\" place to plant a text: \u00fcnder/\u00fcber #zanzitag"}`:  true,
		`{"t":"Zanzibar is a \"unique\" place to plant a text: ünder\/über #zanzitag"}`:           true,
		`"Zanzibar is a ""unique"" place to plant a text: ünder/über #zanzitag",1`:                true,
		`Zanzibar is a "unique" place`:      false,
		`{"t": "short one"}`:                true,
		`{"t": "a short one among others"}`: false,
		`{"t": "ok"}`:                       false,
		"":                                  false,
	} {
		if got := m.in(text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
}
