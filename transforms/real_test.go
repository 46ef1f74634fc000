package transforms_test

import (
	"fmt"
	"testing"

	"github.com/feedlake/feedlake/transforms"
)

// TestRealTweets builds every model over 96,474 real tweets: no check fails, and
// the tables agree on how many there are.
func TestRealTweets(t *testing.T) {
	r := newRig(t)
	landTweets(r, 1)
	rep := r.mustTransform()
	if got := states(rep)[transforms.Built]; len(got) != len(r.graph.Models()) {
		t.Fatalf("built %v\n%s", got, rep.String())
	}
	for _, text := range []string{
		"SELECT count(*) AS n FROM features.posts", "SELECT count(*) AS n FROM features.text_stats", "SELECT CAST(sum(posts) AS BIGINT) AS n FROM features.authors",
		"SELECT CAST(sum(posts) AS BIGINT) AS n FROM marts.volume", "SELECT CAST(sum(posts) AS BIGINT) AS n FROM marts.engagement",
		"SELECT CAST(sum(posts) AS BIGINT) AS n FROM marts.daily_sentiment",
	} {
		if got := r.rows(text)[0]; got != `{"n":96474}` {
			t.Errorf("%s: %s, want 96474", text, got)
		}
	}
	// Counted by another program, on lower-case tags with a letter outside links.
	got := fmt.Sprint(r.rows("SELECT hashtag, posts, authors FROM marts.trending_hashtags WHERE day = DATE '2016-10-06' AND rank <= 3 ORDER BY rank"))
	want := `[{"hashtag":"nowplaying","posts":257,"authors":44} {"hashtag":"hurricanematthew","posts":175,"authors":62} {"hashtag":"tcot","posts":160,"authors":26}]`
	if got != want {
		t.Errorf("leading hashtags of 6 October:\ngot  %s\nwant %s", got, want)
	}
}
