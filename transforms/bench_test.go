package transforms_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/transforms"
	"github.com/feedlake/feedlake/transforms/duckdb"
	"github.com/feedlake/feedlake/transforms/enginetest"
)

// landTweets fills raw.posts with the real tweets, each copies times under
// another id and text, 13 months apart at most: a file per day, as ingest makes.
func landTweets(r *rig, copies int) {
	r.t.Helper()
	r.ensure(lake.Fixed()...)
	db, err := query.Open(r.t.Context(), query.Options{Memory: "1GB", TempDir: filepath.Join(r.t.TempDir(), "spill")})
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	exec := func(text string) {
		if _, err := db.SQL().ExecContext(r.t.Context(), text); err != nil {
			r.t.Fatalf("%s: %v", text, err)
		}
	}
	cols := make([]string, len(lake.RawPosts().Columns))
	for i, c := range lake.RawPosts().Columns {
		cols[i] = "CAST(NULL AS " + c.Type + ") AS " + query.Ident(c.Name)
		if have := map[string]string{
			"source": "'tweets'", "id": "id || '-' || k", "kind": "CASE post_type WHEN 'R' THEN 'repost' WHEN 'Q' THEN 'quote' ELSE 'post' END",
			"author_id": "author", "author_name": "author", "author_followers": "followers", "created_at": "made_at", "observed_at": "made_at + INTERVAL 1 HOUR",
			"text": "CASE k WHEN 0 THEN text ELSE k || ' ' || text END", "lang": "'en'", "deleted": "false", "payload": "CAST(to_json(t) AS VARCHAR)", "run_id": "'bench'",
		}[c.Name]; have != "" {
			cols[i] = "CAST(" + have + " AS " + c.Type + ") AS " + query.Ident(c.Name)
		}
	}
	exec(fmt.Sprintf(`CREATE TABLE posts AS SELECT %s FROM (SELECT *, CAST(created_at AS TIMESTAMPTZ) + to_days(CAST(31 * (k %% 13) AS INTEGER)) AS made_at
		FROM read_json(%s, format = 'newline_delimited'), range(%d) x(k)) t ORDER BY created_at`,
		strings.Join(cols, ", "), query.Quote(filepath.Join(enginetest.Shared(r.t), "data", "posts", "tweets_daily", "*.ndjson.gz")), copies))
	rows, err := db.SQL().QueryContext(r.t.Context(), "SELECT DISTINCT CAST(CAST(created_at AS DATE) AS VARCHAR) FROM posts")
	if err != nil {
		r.t.Fatal(err)
	}
	var list []string
	for rows.Next() {
		var day string
		if err := rows.Scan(&day); err != nil {
			r.t.Fatal(err)
		}
		list = append(list, day)
	}
	var paths []string
	for _, day := range list {
		path, err := r.lake.NewPath("raw.posts", lake.MakePartition("source", "tweets", "day", day))
		if err != nil {
			r.t.Fatal(err)
		}
		exec("COPY (SELECT * FROM posts WHERE created_at >= TIMESTAMPTZ '" + day + "' AND created_at < TIMESTAMPTZ '" + day + "' + INTERVAL 1 DAY) TO " +
			query.Quote(path) + " (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)")
		paths = append(paths, path)
	}
	if _, err := r.lake.Commit(r.t.Context(), lake.Commit{Table: "raw.posts", Add: paths}); err != nil {
		r.t.Fatal(err)
	}
}

func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak resets the process's peak memory and returns a function that reads it,
// in MB; Linux only, 0 elsewhere.
func peak() func() float64 {
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o200)
	return func() float64 {
		text, err := os.ReadFile("/proc/self/status")
		if err != nil {
			return 0
		}
		_, after, _ := strings.Cut(string(text), "VmHWM:")
		kb, err := strconv.ParseFloat(strings.Fields(after + " 0")[0], 64)
		if err != nil {
			return 0
		}
		return kb / 1024
	}
}

// raw runs the models' SQL as DuckDB alone would, over the same tables: one COPY
// to one file each, no partitions, checks, provenance or commit.
func raw(r *rig, dir string) {
	db, err := query.Open(r.t.Context(), query.Options{Memory: duckdb.DefaultMemory, TempDir: filepath.Join(dir, "spill"), Setup: []string{duckdb.Macros()}})
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Pin(r.t.Context(), r.lake, nil); err != nil {
		r.t.Fatal(err)
	}
	for _, m := range r.graph.Models() {
		text := "COPY (" + m.SQL + "\n) TO " + query.Quote(filepath.Join(dir, m.Name+".parquet")) + " (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
		if _, err := db.SQL().ExecContext(r.t.Context(), text); err != nil {
			r.t.Fatalf("%s: %v", m.Name, err)
		}
	}
}

// BenchmarkFirstBuild builds every model over the real tweets, and the same SQL
// by DuckDB alone over the same tables: x_raw is the ratio of their CPU times.
func BenchmarkFirstBuild(b *testing.B) {
	for _, copies := range []int{1, 13, 26} {
		b.Run(fmt.Sprintf("posts=%dk", copies*96474/1000), func(b *testing.B) {
			var ours, theirs time.Duration
			var mb float64
			for range b.N {
				b.StopTimer()
				r := newRig(b)
				landTweets(r, copies)
				high := peak()
				start := cpu(b)
				b.StartTimer()
				r.mustTransform()
				b.StopTimer()
				ours += cpu(b) - start
				mb = max(mb, high())
				start = cpu(b)
				raw(r, b.TempDir())
				theirs += cpu(b) - start
				b.StartTimer()
			}
			b.ReportMetric(ours.Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(ours.Seconds()/theirs.Seconds(), "x_raw")
			b.ReportMetric(float64(copies*96474*b.N)/ours.Seconds(), "posts/cpu-s")
			b.ReportMetric(mb, "peak-MB")
		})
	}
}

// BenchmarkNight adds a late post to a built lake: what a night costs that
// changes one day, and that it reads one day.
func BenchmarkNight(b *testing.B) {
	for _, copies := range []int{1, 13} {
		b.Run(fmt.Sprintf("posts=%dk", copies*96474/1000), func(b *testing.B) {
			r := newRig(b)
			landTweets(r, copies)
			r.mustTransform()
			var files int
			var rep transforms.Report
			start := cpu(b)
			b.ResetTimer()
			for i := range b.N {
				b.StopTimer()
				p := post(fmt.Sprintf("late-%d", i), "01-01", "late #go")
				p.Source, p.CreatedAt = "tweets", time.Date(2016, 10, 14, 12, 0, 0, 0, time.UTC)
				r.land(p)
				b.StartTimer()
				rep = r.mustTransform()
				files = 0
				for _, m := range rep.Models {
					files += m.InputFiles
				}
			}
			b.ReportMetric((cpu(b)-start).Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(float64(files), "files-read")
		})
	}
}
