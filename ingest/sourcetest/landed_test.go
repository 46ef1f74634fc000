package sourcetest_test

import (
	"fmt"
	"testing"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// TestLandedLanguages lands languages as networks spell them: the run and the
// contract, each by its own reading of BCP 47, make the same of them.
func TestLandedLanguages(t *testing.T) {
	clock := sourcetest.NewClock()
	var posts sourcetest.Slice
	for i, said := range []string{
		"", "en", "EN", "en-us", "en_US", "eng", "in", "iw", "ji", "jw", "zh-cn", "zh-hant-tw", "sr-latn", "pt-br", "es-419", "fil", "qu",
		"und", "und-Latn", "root", "zxx", "mul", "mis", "art", "qme", "qst", "xx", "English", "unknown", "日本語",
	} {
		posts = append(posts, feedlake.Post{ID: fmt.Sprint(i), CreatedAt: clock.Now(), Kind: feedlake.KindPost, Text: "text", Lang: said, Payload: "{}"})
	}
	sourcetest.Land(t, posts, clock.Now)
}
