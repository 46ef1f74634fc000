package dashboard_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/serving/dashboard"
)

// TestNewestBuilds has each of thirty days built by a run of its own: the newest
// are told, and how many there are.
func TestNewestBuilds(t *testing.T) {
	w := newWorld(t)
	w.ensure()
	var want []string
	for d := range 30 {
		day := lastDay().AddDate(0, 0, -d)
		run := day.Format("20060102T150405Z") + "-7"
		put(w, "marts.volume", day.Format(time.DateOnly), []volumeRow{{
			Hour: day, Day: date(day), Source: "tweets", Lang: "en", Posts: 1, built: built{run, "marts.volume@0123456789ab", inputs},
		}})
		want = append(want, run)
	}
	w.flush()
	a, _ := get(t, dashboard.Handler(w.options()), "/api/volume")
	var got []string
	for _, b := range a.Provenance.BuiltBy {
		got = append(got, b.RunID)
	}
	if !slices.Equal(got, want[:20]) || a.Provenance.Builds != len(want) {
		t.Errorf("%d builds, the newest %v", a.Provenance.Builds, got)
	}
}

// TestCommandGivesTheNumber runs the command that the panel offers when the lake
// has moved on: the snapshot that it names has the number that was shown.
func TestCommandGivesTheNumber(t *testing.T) {
	w := newWorld(t)
	w.fill(lastDay().AddDate(0, 0, -1), 2)
	a, _ := get(t, dashboard.Handler(w.options()), "/api/summary")
	posts := a.Metrics["posts"]
	w.fillDay(lastDay())
	w.flush()
	_, at, _ := strings.Cut(posts.Provenance.Command, " --at ")
	at, _, _ = strings.Cut(at, " ")
	table, snapshot, _ := strings.Cut(at, "@")
	id, err := strconv.ParseInt(snapshot, 10, 64)
	if err != nil {
		t.Fatalf("command %q: %v", posts.Provenance.Command, err)
	}
	if err := w.db.PinTable(t.Context(), w.lake, table, id); err != nil {
		t.Fatal(err)
	}
	var got float64
	if err := w.db.SQL().QueryRowContext(t.Context(), "SELECT posts FROM ("+posts.Provenance.SQL+")").Scan(&got); err != nil || got != posts.Data["posts"] {
		t.Errorf("the command answers %v, %v was shown: %v", got, posts.Data["posts"], err)
	}
}

// TestCopies wants totals over sources to count a post once, and a source that is
// chosen to show all of its posts.
func TestCopies(t *testing.T) {
	w := newWorld(t)
	w.ensure()
	day := lastDay()
	for table, rows := range map[string]func(source string, copies bool, n int64){
		"marts.volume": func(source string, copies bool, n int64) {
			put(w, "marts.volume", day.Format(time.DateOnly), []volumeRow{{Hour: day, Day: date(day), Source: source, Lang: "en", Copy: copies, Posts: n}})
		},
		"marts.daily_sentiment": func(source string, copies bool, n int64) {
			put(w, "marts.daily_sentiment", day.Format(time.DateOnly), []sentimentRow{{Day: date(day), Source: source, Lang: "en", Copy: copies, Posts: n, Scored: n, Positive: n}})
		},
		"marts.engagement": func(source string, copies bool, n int64) {
			put(w, "marts.engagement", day.Format(time.DateOnly), []engagementRow{{
				Day: date(day), Source: source, Lang: "en", Copy: copies, Posts: n, RatedPosts: n, Likes: &n, Total: &n, Engagement: &n, Followers: new(10 * n),
			}})
		},
	} {
		rows("mastodon", false, 100)
		rows("tweets", false, 20)
		rows("tweets", true, 3)
		if len(w.next[table].Add) != 3 {
			t.Fatalf("%s has %d files", table, len(w.next[table].Add))
		}
	}
	w.flush()
	h := dashboard.Handler(w.options())
	for query, want := range map[string]float64{"": 120, "?lang=en": 120, "?source=mastodon": 100, "?source=tweets": 23, "?source=tweets&lang=en": 23} {
		sum := func(path, column string) (n float64) {
			a, _ := get(t, h, "/api/"+path+query)
			if path == "summary" {
				for _, metric := range []string{"posts", "engagement_rate", "sentiment"} {
					n, _ = a.Metrics[metric].Data[column].(float64)
					if n != want {
						t.Errorf("%s of %s%s: %v, want %v", metric, path, query, n, want)
					}
				}
				return n
			}
			rows, _ := a.Data["rows"].([]any)
			for _, r := range rows {
				m, _ := r.(map[string]any)
				v, _ := m[column].(float64)
				n += v
			}
			return n
		}
		for _, path := range []string{"summary", "volume", "heatmap", "sentiment"} {
			if got := sum(path, "posts"); got != want {
				t.Errorf("%s%s adds up to %v, want %v", path, query, got, want)
			}
		}
	}
	if a, _ := get(t, h, "/api/engagement"); fmt.Sprint(likesOf(a)) != "map[mastodon:100 tweets:23]" { // each source by itself
		t.Errorf("likes by source %v", likesOf(a))
	}
	a, _ := get(t, h, "/api/filters")
	if got := fmt.Sprint(a.Data["sources"], a.Data["langs"]); !strings.Contains(got, "posts:23") || !strings.Contains(got, "posts:120") {
		t.Errorf("filters %s", got)
	}
	if !strings.Contains(a.Provenance.Definitions["posts"], "counts once") {
		t.Errorf("nothing says so: %v", a.Provenance.Definitions)
	}
}

func likesOf(a reply) map[string]any {
	likes := map[string]any{}
	rows, _ := a.Data["rows"].([]any)
	for _, r := range rows {
		m, _ := r.(map[string]any)
		likes[fmt.Sprint(m["source"])] = m["likes"]
	}
	return likes
}

// TestMartsOfOlderVersions shows what marts tell that were built before copies and
// pooled rates were known, and says what they do not tell.
func TestMartsOfOlderVersions(t *testing.T) {
	w := newWorld(t)
	day := lastDay()
	for _, s := range marts() {
		if s.Name == "marts.volume" || s.Name == "marts.engagement" {
			old := []string{"hour", "day", "source", "lang", "posts"}
			s.Columns = slices.DeleteFunc(s.Columns, func(c lake.Column) bool { return !slices.Contains(old, c.Name) })
		}
		if err := w.lake.Ensure(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	type oldVolume struct {
		Hour   time.Time `parquet:"hour,optional,timestamp(microsecond)"`
		Day    int32     `parquet:"day,optional,date"`
		Source string    `parquet:"source,optional"`
		Lang   string    `parquet:"lang,optional"`
		Posts  int64     `parquet:"posts"`
	}
	type oldEngagement struct {
		Day    int32  `parquet:"day,optional,date"`
		Source string `parquet:"source,optional"`
		Lang   string `parquet:"lang,optional"`
		Posts  int64  `parquet:"posts"`
	}
	put(w, "marts.volume", day.Format(time.DateOnly), []oldVolume{{day, date(day), "tweets", "en", 5}})
	put(w, "marts.engagement", day.Format(time.DateOnly), []oldEngagement{{date(day), "tweets", "en", 5}})
	w.flush()
	h := dashboard.Handler(w.options())
	a, status := get(t, h, "/api/summary")
	if status != http.StatusOK || a.Metrics["posts"].Data["posts"] != 5.0 {
		t.Errorf("status %d, posts %+v", status, a.Metrics["posts"])
	}
	e, _ := get(t, h, "/api/engagement")
	for name, m := range map[string]reply{"card": a.Metrics["engagement_rate"], "tile": e} {
		if m.State != "missing" || !strings.Contains(m.Message, "older version; feedlake run builds it anew") {
			t.Errorf("%s: %s, %s", name, m.State, m.Message)
		}
	}
}
