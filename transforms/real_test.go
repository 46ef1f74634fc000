package transforms_test

import (
	"fmt"
	"testing"

	"github.com/feedlake/feedlake/transforms"
)

// TestWholeRealTweets builds every model over 96,474 real tweets: no check fails, and
// the tables agree on how many there are.
func TestWholeRealTweets(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	landTweets(r, 1)
	rep := r.mustTransform()
	if got := states(rep)[transforms.Built]; len(got) != len(r.graph.Models()) {
		t.Fatalf("built %v\n%s", got, rep.String())
	}
	const all, originals = `{"n":96474}`, `{"n":25082}` // 71,392 are reposts
	for text, want := range map[string]string{
		"SELECT count(*) AS n FROM features.posts": all, "SELECT count(*) AS n FROM features.text_stats": all,
		"SELECT CAST(sum(posts) AS BIGINT) AS n FROM features.authors": all, "SELECT CAST(sum(posts) AS BIGINT) AS n FROM marts.volume": all,
		"SELECT CAST(sum(originals) AS BIGINT) AS n FROM marts.volume":      originals,
		"SELECT CAST(sum(posts) AS BIGINT) AS n FROM marts.engagement":      originals,
		"SELECT CAST(sum(posts) AS BIGINT) AS n FROM marts.daily_sentiment": originals,
	} {
		if got := r.rows(text)[0]; got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	// Counted by another program, on lower-case tags with a letter outside links, in
	// originals.
	got := fmt.Sprint(r.rows("SELECT hashtag, posts, authors FROM marts.trending_hashtags WHERE day = DATE '2016-10-06' AND rank <= 3 ORDER BY rank"))
	want := `[{"hashtag":"foke","posts":41,"authors":1} {"hashtag":"politics","posts":31,"authors":6} {"hashtag":"health","posts":16,"authors":1}]`
	if got != want {
		t.Errorf("leading hashtags of 6 October:\ngot  %s\nwant %s", got, want)
	}
}
