//go:build services

package spark_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/sql"
	"github.com/feedlake/feedlake/transforms"
	"github.com/feedlake/feedlake/transforms/duckdb"
	"github.com/feedlake/feedlake/transforms/spark"
)

// BenchmarkCrossover builds four models anew on both engines, over lakes of
// growing size, and reports how many times longer Spark takes: where the ratio
// falls below one, Spark is worth its while on this machine. The bytes are those
// that `engine: auto` counts.
func BenchmarkCrossover(b *testing.B) {
	for _, posts := range []int{5_000, 50_000, 500_000} {
		b.Run(fmt.Sprintf("posts=%d", posts), func(b *testing.B) {
			dir := b.TempDir()
			l := openLake(b, dir)
			landMade(b, l, posts)
			duck, err := duckdb.Open(b.Context(), duckdb.Options{TempDir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer duck.Close()
			connect, err := spark.Open(b.Context(), spark.Options{Remote: address(b), Catalog: catalogOf(dir), Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			defer connect.Close()
			rebuild(b, l, connect) // the server compiles what it meets first
			var took [2]time.Duration
			var bytes int64
			for b.Loop() {
				for i, e := range []transforms.Engine{duck, connect} {
					began := time.Now()
					bytes = rebuild(b, l, e)
					took[i] += time.Since(began)
				}
			}
			n := float64(b.N)
			b.ReportMetric(took[0].Seconds()/n, "duckdb-s/op")
			b.ReportMetric(took[1].Seconds()/n, "spark-s/op")
			b.ReportMetric(float64(took[1])/float64(took[0]), "spark/duckdb")
			b.ReportMetric(float64(bytes)/1e6, "planned-MB")
		})
	}
}

// landMade lands made-up posts over eight days.
func landMade(b *testing.B, l *lake.Lake, n int) {
	b.Helper()
	first := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	var add []string
	for day := range 8 {
		at := first.AddDate(0, 0, day)
		posts := make([]feedlake.Post, 0, n/8)
		for i := range n / 8 {
			likes, followers := int64(i%50), int64(100+i%1000)
			posts = append(posts, feedlake.Post{
				Source: "made", ID: fmt.Sprintf("%d-%d", day, i), Kind: feedlake.KindPost, AuthorID: fmt.Sprintf("u%d", i%5000), AuthorFollowers: &followers,
				CreatedAt: at.Add(time.Duration(i%86400) * time.Second), ObservedAt: at.AddDate(0, 0, 1), Lang: "en", Likes: &likes, RunID: "land",
				Text: fmt.Sprintf("post %d says something about #tag%d and #topic%d, hello @u%d: see https://example.org/%d", i, i%400, i*7%90, i%300, i),
			})
		}
		path, err := lake.WriteRows(b.Context(), l, "raw.posts", lake.MakePartition("source", "made", "day", at.Format(time.DateOnly)), posts)
		if err != nil {
			b.Fatal(err)
		}
		add = append(add, path)
	}
	if _, err := l.Commit(b.Context(), lake.Commit{Table: "raw.posts", Add: add}); err != nil {
		b.Fatal(err)
	}
}

// rebuild computes four models whole and returns the bytes that were read.
func rebuild(b *testing.B, l *lake.Lake, e transforms.Engine) (bytes int64) {
	b.Helper()
	g, err := transforms.Load(sql.Models)
	if err != nil {
		b.Fatal(err)
	}
	rep, err := transforms.Run(b.Context(), transforms.Options{
		Lake: l, Engine: e, Graph: g, RunID: "bench", Full: true, Now: time.Now, Log: slog.New(slog.DiscardHandler), TempDir: b.TempDir(),
		Only: []string{"features.posts", "features.entities", "features.authors", "marts.volume"},
	})
	if err != nil {
		b.Fatal(err)
	}
	for _, m := range rep.Models {
		bytes += m.InputBytes
	}
	return bytes
}
