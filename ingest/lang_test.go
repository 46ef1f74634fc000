package ingest

import (
	"encoding/csv"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

func TestLanguageTag(t *testing.T) {
	for said, want := range map[string]string{
		"": "", "en": "en", "EN": "en", "en-us": "en-US", "en_US": "en-US", "en-Latn": "en", "eng": "en", "en_US.UTF-8": "en",
		"in": "id", "iw": "he", "ji": "yi", "jw": "jv", "i-klingon": "tlh",
		"zh-cn": "zh-CN", "zh-hant": "zh-Hant", "zh-hant-tw": "zh-Hant-TW", "sr-latn": "sr-Latn", "pt-br": "pt-BR", "es-419": "es-419",
		"ca-valencia": "ca-valencia", "de-de-1901": "de-DE-1901", "qu": "qu", "fil": "fil",
		"und": "", "und-Latn": "", "root": "", "zxx": "", "mul": "", "mis": "", "art": "", "x-mine": "",
		"qaa": "", "qam": "", "qct": "", "qht": "", "qme": "", "qst": "", "qtz": "", "qme-US": "",
		"None": "", "unknown": "", "null": "", "English": "", "xx": "", "e": "", "-": "", "\xff": "", "日本語": "",
	} {
		got := languageTag(said)
		if got != want {
			t.Errorf("languageTag(%q) = %q, want %q", said, got, want)
		}
		if again := languageTag(got); again != got {
			t.Errorf("languageTag(%q) = %q: not canonical", got, again)
		}
	}
}

// TestBatchLanguages wants canonical languages in the lake whatever the
// connector says, and bounded memory for a source that says something new with
// every record.
func TestBatchLanguages(t *testing.T) {
	now := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	b := batch{rules: rules{erased: &lake.Erasures{}}}
	posts := []feedlake.Post{{Lang: "en_us"}, {Lang: "qme"}, {Lang: "in"}, {Lang: "en_us"}}
	for n := range 2 * maxLanguages {
		posts = append(posts, feedlake.Post{Lang: fmt.Sprintf("de-x-%d", n)})
	}
	for i := range posts {
		posts[i].ID, posts[i].CreatedAt = fmt.Sprint(i), now
	}
	var langs languages
	b.take(b.admit(Page{Posts: posts}, now, "s", "run", &langs), "s", "run")
	for i, want := range []string{"en-US", "", "id", "en-US", "de-x-0"} {
		if got := b.pages[0][i].Lang; got != want {
			t.Errorf("post %d landed with language %q, want %q", i, got, want)
		}
	}
	if len(langs) > maxLanguages {
		t.Errorf("%d languages kept, want at most %d", len(langs), maxLanguages)
	}
}

// TestLanguagesAgree wants features.posts to make of an old row, which holds
// what the network said, the tag that a new row lands with.
func TestLanguagesAgree(t *testing.T) {
	said, tagged := goldenLanguages(t, "in.raw.posts.csv", "lang"), goldenLanguages(t, "want.csv", "lang_tag")
	if len(said) != len(tagged) || len(said) < 40 {
		t.Fatalf("%d posts in, %d out", len(said), len(tagged))
	}
	for id, s := range said {
		want := languageTag(s)
		if s == "mo" {
			want = "ro" // the SQL does not add the region that tells Moldavian from Romanian
		}
		if tagged[id] != want {
			t.Errorf("%q: features.posts makes it %q, landing %q", s, tagged[id], want)
		}
	}
}

func goldenLanguages(t *testing.T, file, column string) map[string]string {
	t.Helper()
	f, err := os.Open("../sql/testdata/features.posts/languages/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for i, name := range rows[0] {
		name, _, _ = strings.Cut(name, ":")
		at[name] = i
	}
	out := map[string]string{}
	for _, r := range rows[1:] {
		out[r[at["id"]]] = r[at[column]]
	}
	return out
}
