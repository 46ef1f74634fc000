package simulate_test

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/simulate"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

func clock() time.Time { return time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC) }

func open(t testing.TB, c simulate.Config) ingest.Source {
	t.Helper()
	s, err := simulate.Open(t.Context(), ingest.Env{Name: "sim", Now: clock, Log: slog.New(slog.DiscardHandler)}, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) ingest.Source { return open(t, simulate.Config{Seed: 3, Posts: 9000}) })
}

func drain(t *testing.T, c simulate.Config) ([]feedlake.Post, []feedlake.Reject) {
	t.Helper()
	posts, rejects, _ := sourcetest.Drain(t, open(t, c), "")
	return posts, rejects
}

func TestSeedDecides(t *testing.T) {
	a, ra := drain(t, simulate.Config{Seed: 1, Posts: 3000})
	b, rb := drain(t, simulate.Config{Seed: 1, Posts: 3000})
	if d := cmp.Diff(a, b); d != "" {
		t.Error("the same seed gave other posts:", d)
	}
	if d := cmp.Diff(ra, rb); d != "" {
		t.Error("the same seed gave other rejects:", d)
	}
	c, _ := drain(t, simulate.Config{Seed: 2, Posts: 3000})
	if cmp.Equal(a, c) {
		t.Error("another seed gave the same posts")
	}
}

// TestLanded lands the posts of the demo: every column of every row is what its
// page said, and another unbroken run of the same seed lands the same table.
func TestLanded(t *testing.T) {
	t.Parallel()
	tables := make([][]string, 2)
	for i := range tables {
		l := sourcetest.Land(t, open(t, simulate.Config{Seed: 7, Posts: 20_000}), clock)
		sourcetest.EachRow(t, l, func(row map[string][]parquet.Value) {
			var line strings.Builder
			for _, column := range slices.Sorted(maps.Keys(row)) {
				fmt.Fprintf(&line, "%s %+q\n", column, row[column])
			}
			tables[i] = append(tables[i], line.String())
		})
		slices.Sort(tables[i])
	}
	if len(tables[0]) < 15_000 || !slices.Equal(tables[0], tables[1]) {
		t.Errorf("two runs of one seed landed %d and %d rows, and not the same", len(tables[0]), len(tables[1]))
	}
}

// TestEverythingOccurs wants what real networks have.
func TestEverythingOccurs(t *testing.T) {
	posts, rejects := drain(t, simulate.Config{Seed: 1, Posts: 40_000, Days: 14})
	if n := len(posts) + len(rejects); n != 40_000 {
		t.Errorf("%d records, want 40000: nothing may vanish", n)
	}
	seen := map[string]int{}
	count := func(what string, yes bool) {
		if yes {
			seen[what]++
		}
	}
	versions := map[string]map[string]bool{}
	authors, perAuthor := map[string]int64{}, map[string]int{}
	for _, p := range posts {
		count("source "+p.Source, true)
		count("lang "+p.Lang, p.Lang != "")
		count("kind "+p.Kind, true)
		count("deleted", p.Deleted)
		count("no likes", !p.Deleted && p.Likes == nil)
		count("views", p.Views != nil)
		count("hashtag", strings.Contains(p.Text, "#"))
		count("mention", strings.Contains(p.Text, " @"))
		count("url", strings.Contains(p.Text, "https://"))
		if versions[p.Key()] == nil {
			versions[p.Key()] = map[string]bool{}
		}
		count("duplicate", versions[p.Key()][p.Payload])
		count("edit", !p.Deleted && len(versions[p.Key()]) > 0 && !versions[p.Key()][p.Payload])
		versions[p.Key()][p.Payload] = true
		if p.AuthorFollowers != nil {
			if was, ok := authors[p.AuthorID]; ok && was != *p.AuthorFollowers {
				t.Errorf("author %s has %d followers, and %d", p.AuthorID, was, *p.AuthorFollowers)
			}
			authors[p.AuthorID] = *p.AuthorFollowers
			perAuthor[p.AuthorID]++
		}
		for _, label := range []string{"negative", "neutral", "positive", "sentiment"} {
			if strings.Contains(p.Payload, `"`+label) {
				t.Fatalf("the payload names a sentiment: %s", p.Payload)
			}
		}
	}
	for _, what := range []string{
		"source sim-x", "source sim-reddit", "source sim-mastodon", "lang en", "lang de", "lang es", "lang fr", "kind post", "kind reply", "kind repost",
		"kind quote", "deleted", "no likes", "views", "hashtag", "mention", "url", "duplicate", "edit",
	} {
		if seen[what] < 50 {
			t.Errorf("%s: %d times", what, seen[what])
		}
	}
	if len(rejects) < 40 {
		t.Errorf("%d rejects", len(rejects))
	}
	most := 0
	for _, n := range perAuthor {
		most = max(most, n)
	}
	if mean := len(posts) / len(perAuthor); most < 10*mean {
		t.Errorf("the busiest author wrote %d posts, the mean is %d: no skew", most, mean)
	}
}

// TestEditsKeepTheirPost wants the newest version of a post to be told by
// observed_at, and all versions to share created_at.
func TestEditsKeepTheirPost(t *testing.T) {
	posts, _ := drain(t, simulate.Config{Seed: 5, Posts: 20_000})
	created := map[string]time.Time{}
	firstSeen := map[string]time.Time{}
	for _, p := range posts {
		if at, ok := created[p.Key()]; ok && !at.Equal(p.CreatedAt) {
			t.Errorf("%s was created at %s and at %s", p.Key(), at, p.CreatedAt)
		}
		created[p.Key()] = p.CreatedAt
		if at, ok := firstSeen[p.Key()]; ok && p.ObservedAt.Before(at) {
			t.Errorf("%s: a later record was observed earlier", p.Key())
		} else if !ok {
			firstSeen[p.Key()] = p.ObservedAt
		}
	}
}

func TestBurstsStandOut(t *testing.T) {
	c := simulate.Config{Seed: 1, Posts: 100_000, Days: 14}
	posts, _ := drain(t, c)
	hourly := map[string]int{}
	for _, p := range posts {
		for w := range strings.FieldsSeq(p.Text) {
			if tag, ok := strings.CutPrefix(w, "#"); ok {
				hourly[tag+p.CreatedAt.Format(" 2006-01-02 15")]++
			}
		}
	}
	bursts := c.Bursts()
	if len(bursts) < 2 {
		t.Fatalf("%d bursts in 14 days", len(bursts))
	}
	for _, b := range bursts {
		at := func(d time.Duration) int { return hourly[b.Tag+b.Start.Add(d).Format(" 2006-01-02 15")] }
		if before, during := at(-2*time.Hour), at(time.Hour); during < 5*max(before, 1) {
			t.Errorf("#%s at %s: %d posts in an hour, %d before", b.Tag, b.Start, during, before)
		}
	}
	if hourly["coffee "+bursts[0].Start.Format("2006-01-02 15")] == 0 {
		t.Error("the steady tags have gone")
	}
}

func TestLabelled(t *testing.T) {
	c := simulate.Config{Seed: 1}
	counts := map[string]int{}
	texts := map[string]bool{}
	for l := range c.Labelled(3000) {
		counts[l.Label]++
		texts[l.Text] = true
	}
	if len(counts) != 3 || counts["negative"] < 800 || counts["neutral"] < 800 || counts["positive"] < 800 {
		t.Errorf("labels %v", counts)
	}
	if len(texts) < 2500 {
		t.Errorf("%d different texts of 3000", len(texts))
	}
}

func TestUnusableConfig(t *testing.T) {
	much := 0.9
	for _, c := range []simulate.Config{{Posts: -1}, {Days: -1}, {Broken: &much}, {Networks: []string{""}}} {
		_, err := simulate.Open(t.Context(), ingest.Env{Name: "sim", Now: clock}, c)
		var hint *feedlake.HintError
		if !errors.Is(err, feedlake.ErrConfig) || !errors.As(err, &hint) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func BenchmarkFetch(b *testing.B) {
	s := open(b, simulate.Config{Seed: 1, Posts: 1 << 40, Days: 3000})
	n := 0
	for i := 0; b.Loop(); i++ {
		p, err := s.Fetch(b.Context(), feedlake.Cursor(fmt.Sprint(i*4096)))
		if err != nil {
			b.Fatal(err)
		}
		n += len(p.Posts)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "posts/s")
}
