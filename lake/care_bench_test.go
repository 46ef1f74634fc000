package lake_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// Sizes of the benchmarks: so many files, each of so many posts.
const (
	benchFiles = 1000
	benchPosts = 200
)

func benchPost(n int) feedlake.Post {
	likes := int64(n % 97)
	return feedlake.Post{
		Source: "bench", ID: fmt.Sprintf("%09d", n), CreatedAt: noon.Add(time.Duration(n) * time.Millisecond), ObservedAt: noon, Lang: "en",
		Text: fmt.Sprintf("post %d says %x #tag%d", n, uint64(n)*0x9e3779b97f4a7c15, n%50), Hashtags: []string{fmt.Sprintf("tag%d", n%50)}, Likes: &likes,
	}
}

func benchRows(from, n int) []feedlake.Post {
	out := make([]feedlake.Post, n)
	for i := range out {
		out[i] = benchPost(from + i)
	}
	return out
}

func benchLake(b *testing.B) *lake.Lake {
	b.Helper()
	l, err := lake.Open(b.Context(), lake.Config{Dir: b.TempDir(), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	})
	if err := l.Ensure(b.Context(), lake.RawPosts()); err != nil {
		b.Fatal(err)
	}
	return l
}

// benchLand commits files of rows, one after the other, each of its own or all
// at once.
func benchLand(b *testing.B, l *lake.Lake, files, rows, each int) {
	b.Helper()
	var paths []string
	for i := range files {
		path, err := lake.WriteRows(b.Context(), l, "raw.posts", partitionOfDay("bench", noon), benchRows(i*rows, rows))
		if err != nil {
			b.Fatal(err)
		}
		if paths = append(paths, path); len(paths) == each {
			commit(b, l, lake.Commit{Add: paths})
			paths = nil
		}
	}
}

// coldPlan times the plan of a snapshot in a lake that was just opened, as a
// nightly run does it: nothing is remembered of metadata and manifests.
func coldPlan(b *testing.B, l *lake.Lake, snapshot int64, want int) time.Duration {
	b.Helper()
	fresh, err := lake.Open(b.Context(), lake.Config{Dir: l.Dir(), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer fresh.Close()
	start := time.Now()
	files, err := fresh.Files(b.Context(), "raw.posts", snapshot)
	took := time.Since(start)
	if err != nil || (want > 0 && len(files) != want) {
		b.Fatal(len(files), err)
	}
	return took
}

func medianPlan(b *testing.B, l *lake.Lake, snapshot int64, want int) float64 {
	b.Helper()
	var took []time.Duration
	for range 9 {
		took = append(took, coldPlan(b, l, snapshot, want))
	}
	slices.Sort(took)
	return took[len(took)/2].Seconds() * 1000
}

// median times do, and does it several times.
func median(do func()) time.Duration {
	var took []time.Duration
	for range 9 {
		start := time.Now()
		do()
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// BenchmarkPlanAfterCommits plans a table after 1,000 small commits, and tells
// what planning costs with lake care: after expiry, and after compaction too.
func BenchmarkPlanAfterCommits(b *testing.B) {
	l := benchLake(b)
	benchLand(b, l, benchFiles, 1, 1)
	id := current(b, l, "raw.posts").ID
	for b.Loop() {
		coldPlan(b, l, id, benchFiles)
	}
	b.StopTimer()
	b.ReportMetric(medianPlan(b, l, id, benchFiles), "ms/plan-no-care")
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
	later := openLater(b, l.Dir(), month, nil)
	care := func() {
		if _, err := later.Expire(b.Context(), lake.ExpireOptions{KeepLast: 100}); err != nil {
			b.Fatal(err)
		}
	}
	start := time.Now()
	care()
	b.ReportMetric(ms(time.Since(start)), "ms/expire")
	b.ReportMetric(medianPlan(b, l, id, benchFiles), "ms/plan-expired")
	if _, err := l.Compact(b.Context(), lake.CompactOptions{Rewrite: rewriter(b)}); err != nil {
		b.Fatal(err)
	}
	id = current(b, l, "raw.posts").ID
	b.ReportMetric(medianPlan(b, l, id, 0), "ms/plan-compacted")
}

// BenchmarkQueryCompacted plans and runs an aggregate over a compacted table,
// and compares it with the same rows in small files and freshly written.
func BenchmarkQueryCompacted(b *testing.B) {
	l, fresh := benchLake(b), benchLake(b)
	benchLand(b, l, benchFiles, benchPosts, 100)
	benchLand(b, fresh, 1, benchFiles*benchPosts, 1)
	db := openQuery(b)
	ask := func(l *lake.Lake) {
		if err := db.PinTable(b.Context(), l, "raw.posts", current(b, l, "raw.posts").ID); err != nil {
			b.Fatal(err)
		}
		text := "select concat_ws(' ', count(*), sum(likes), sum(length(text)), count(distinct hashtags[1])) from raw.posts"
		if got := texts(b, db, text); len(got) != 1 || !strings.HasPrefix(got[0], fmt.Sprint(benchFiles*benchPosts)) {
			b.Fatal(got)
		}
	}
	small := median(func() { ask(l) })
	if _, err := l.Compact(b.Context(), lake.CompactOptions{Rewrite: db.Rewrite}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		ask(l)
	}
	b.StopTimer()
	base := median(func() { ask(fresh) })
	b.ReportMetric(small.Seconds()/base.Seconds(), "x-small/fresh")
	b.ReportMetric(median(func() { ask(l) }).Seconds()/base.Seconds(), "x-compacted/fresh")
}
