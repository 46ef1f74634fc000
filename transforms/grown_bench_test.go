package transforms_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/transforms"
)

// size reads a number for a benchmark from the environment.
func size(name string, small int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return small
}

// fillDay lands n posts in the first 19 hours of a day, in files of a million, as
// one landing does.
func fillDay(r *rig, n int) {
	r.t.Helper()
	r.ensure(lake.Fixed()...)
	db, err := query.Open(r.t.Context(), query.Options{Memory: "2GB", TempDir: filepath.Join(r.t.TempDir(), "spill")})
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var paths []string
	for from := 0; from < n; from += 1_000_000 {
		path, err := r.lake.NewPath("raw.posts", lake.MakePartition("source", "x", "day", "2026-02-20"))
		if err != nil {
			r.t.Fatal(err)
		}
		cols := make([]string, len(lake.RawPosts().Columns))
		for i, c := range lake.RawPosts().Columns {
			cols[i] = "CAST(NULL AS " + c.Type + ") AS " + query.Ident(c.Name)
			if have := map[string]string{
				"source": "'x'", "id": "'old-' || k", "kind": "CASE k % 3 WHEN 0 THEN 'repost' ELSE 'post' END", "author_id": "'author-' || hash(k) % 400000",
				"author_followers": "hash(k) % 5000", "likes": "hash(k) % 90", "created_at": "made_at", "observed_at": "made_at + INTERVAL 1 MINUTE", "lang": "'en'",
				"text": "'a post about things, number ' || k || CASE k % 4 WHEN 0 THEN ' #tag' || hash(k) % 3000 ELSE '' END", "deleted": "false", "run_id": "'bench'", "seq": "k",
			}[c.Name]; have != "" {
				cols[i] = "CAST(" + have + " AS " + c.Type + ") AS " + query.Ident(c.Name)
			}
		}
		text := fmt.Sprintf(`COPY (SELECT %s FROM (SELECT k, TIMESTAMPTZ '2026-02-20 00:00:00+00' + to_microseconds(CAST(k * (19 * 3600e6 / %d) AS BIGINT)) AS made_at
			FROM range(%d, %d) t(k))) TO %s (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)`,
			strings.Join(cols, ", "), n, from, min(n, from+1_000_000), query.Quote(path))
		if _, err := db.SQL().ExecContext(r.t.Context(), text); err != nil {
			r.t.Fatal(err)
		}
		paths = append(paths, path)
	}
	if _, err := r.lake.Commit(r.t.Context(), lake.Commit{Table: "raw.posts", Add: paths}); err != nil {
		r.t.Fatal(err)
	}
}

// microBatch makes the n-th batch of 500 posts of the day's last hours.
func microBatch(n, of int) []feedlake.Post {
	start := time.Date(2026, 2, 20, 19, 0, 0, 0, time.UTC)
	list := make([]feedlake.Post, 500)
	for i := range list {
		likes, followers := int64(i%90), int64(i%5000)
		at := start.Add(time.Duration(n)*5*time.Hour/time.Duration(of) + time.Duration(i)*time.Millisecond)
		list[i] = feedlake.Post{
			Source: "x", ID: fmt.Sprintf("new-%d-%d", n, i), Kind: feedlake.KindPost, AuthorID: fmt.Sprint("author-", (n*500+i)*7919%400000),
			AuthorFollowers: &followers, Likes: &likes, CreatedAt: at, ObservedAt: at.Add(time.Minute), Lang: "en", RunID: "ingest", Seq: int64(i),
			Text: fmt.Sprintf("a post about things, number %d #tag%d", i, i%300),
		}
	}
	return list
}

// BenchmarkGrownDay lands batches of 500 posts, with a build of features and marts
// after each, in a day that holds FEEDLAKE_BENCH_POSTS posts (200,000), and in an
// empty one: x_empty is the ratio of their mean CPU times, of FEEDLAKE_BENCH_BATCHES
// batches (20). Every 50 batches the lake is compacted, as a pipeline does it by
// itself; that is in the mean.
func BenchmarkGrownDay(b *testing.B) {
	posts, batches := size("FEEDLAKE_BENCH_POSTS", 200_000), size("FEEDLAKE_BENCH_BATCHES", 20)
	for _, name := range []string{"growing", "all"} { // the models that say that they grow, and all
		b.Run(name, func(b *testing.B) {
			for range b.N {
				empty, _ := grownDay(b, 0, batches, name == "all")
				full, slow := grownDay(b, posts, batches, name == "all")
				b.ReportMetric(full.Seconds()/empty.Seconds(), "x_empty")
				b.ReportMetric(full.Seconds(), "cpu-s/batch")
				b.ReportMetric(slow.Seconds(), "p95-wall-s")
			}
		})
	}
}

func grownDay(b *testing.B, posts, batches int, all bool) (mean, p95 time.Duration) {
	r := newRig(b)
	if posts > 0 {
		fillDay(r, posts)
	} else {
		r.ensure(lake.Fixed()...)
	}
	for _, m := range r.graph.Models() {
		if !all && m.Grows != transforms.ByPartition {
			r.opts.Only = append(r.opts.Only, m.Name)
		}
	}
	for n := range 2 { // the keys of raw.posts are taken, the present hour is there
		r.land(microBatch(-1-n, batches)...)
		r.mustTransform()
	}
	walls := make([]time.Duration, batches)
	took := map[string]time.Duration{}
	start := cpu(b)
	for n := range batches {
		at := time.Now() //nolint:forbidigo // a benchmark
		r.land(microBatch(n, batches)...)
		r.opts.Now = time.Now //nolint:forbidigo // a benchmark
		rep := r.mustTransform()
		walls[n] = time.Since(at)
		for _, m := range rep.Models {
			took[m.Model] += m.Took
		}
		if n%50 == 49 {
			benchCompact(b, r)
		}
	}
	used := cpu(b) - start
	slices.Sort(walls)
	for _, m := range r.graph.Models() {
		b.Logf("%d posts: %-26s %s a batch", posts, m.Name, took[m.Name]/time.Duration(batches))
	}
	return used / time.Duration(batches), walls[len(walls)*95/100]
}

func benchCompact(b *testing.B, r *rig) {
	b.Helper()
	db, err := query.Open(b.Context(), query.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := r.lake.Compact(b.Context(), lake.CompactOptions{MinFiles: 8, Rewrite: db.Rewrite}); err != nil {
		b.Fatal(err)
	}
}
