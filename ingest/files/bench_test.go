package files_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The columns that the tweets' mapping fills, as DuckDB reads them: typed, and
// out of the raw line, which is then the payload.
const (
	duckTyped = `select 'tweets' as source, id, case post_type when 'R' then 'repost' when 'Q' then 'quote' else 'post' end as kind,
		author as author_id, author as author_name, followers as author_followers, created_at, now() as observed_at, text,
		case lang when 'English' then 'en' else 'und' end as lang, account_category as query, false as deleted
		from read_json(%s, format='newline_delimited', columns={id:'VARCHAR',post_type:'VARCHAR',author:'VARCHAR',followers:'BIGINT',
		created_at:'TIMESTAMPTZ',text:'VARCHAR',lang:'VARCHAR',account_category:'VARCHAR'})`
	duckPayload = `select 'tweets' as source, p.id, case p.post_type when 'R' then 'repost' when 'Q' then 'quote' else 'post' end as kind,
		p.author as author_id, p.author as author_name, p.followers as author_followers, p.created_at, now() as observed_at, p.text,
		case p.lang when 'English' then 'en' else 'und' end as lang, p.account_category as query, false as deleted, json as payload
		from (select json, json_transform(json, '{"id":"VARCHAR","post_type":"VARCHAR","author":"VARCHAR","followers":"BIGINT","created_at":"TIMESTAMPTZ","text":"VARCHAR","lang":"VARCHAR","account_category":"VARCHAR"}') as p
		from read_ndjson_objects(%s))`
)

// BenchmarkLandTweets lands the real tweets and, in the same run, lets DuckDB
// write the same columns to Parquet, with and without the payload that feedlake
// keeps. It reports rows for each second of processor time, and the ratios, that of
// the time that passed with two threads, too. What
// is packed with zstd is compared with DuckDB on the unpacked text.
func BenchmarkLandTweets(b *testing.B) {
	dir := b.TempDir()
	text := unpackTweets(b, shared(b), dir)
	gz := filepath.Join(shared(b), "tweets_daily", "*.ndjson.gz")
	for _, bench := range []struct{ name, glob, duck string }{{"gz", gz, gz}, {"plain", text, text}, {"zst", packTweets(b, text, b.TempDir()), text}} {
		b.Run(bench.name, func(b *testing.B) {
			var ours, typed, payload, wall, duckWall time.Duration
			rows := 0
			for b.Loop() {
				begun := time.Now()
				n, took := landTweets(b, bench.glob)
				rows, ours, wall = rows+n, ours+took, wall+time.Since(begun)
				typed += duck(b, duckTyped, bench.duck)
				begun = time.Now()
				payload += duck(b, duckPayload, bench.duck)
				duckWall += time.Since(begun)
			}
			rate := func(d time.Duration) float64 { return float64(rows) / d.Seconds() }
			b.ReportMetric(rate(ours), "rows/cpu-s")
			b.ReportMetric(rate(typed), "duckdb-rows/cpu-s")
			b.ReportMetric(rate(payload), "duckdb-payload-rows/cpu-s")
			b.ReportMetric(rate(ours)/rate(typed), "of-duckdb")
			b.ReportMetric(rate(ours)/rate(payload), "of-duckdb-payload")
			b.ReportMetric(duckWall.Seconds()/wall.Seconds(), "wall-of-duckdb-payload")
		})
	}
}

func unpackTweets(b *testing.B, from, to string) string {
	b.Helper()
	names, err := filepath.Glob(filepath.Join(from, "tweets_daily", "*.gz"))
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range names {
		in, err := os.Open(name)
		if err != nil {
			b.Fatal(err)
		}
		z, err := gzip.NewReader(in)
		if err != nil {
			b.Fatal(err)
		}
		text, err := io.ReadAll(z)
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, strings.TrimSuffix(filepath.Base(name), ".gz")), text, 0o600); err != nil {
			b.Fatal(err)
		}
		if err := in.Close(); err != nil {
			b.Fatal(err)
		}
	}
	return filepath.Join(to, "*.ndjson")
}

// packTweets packs files with zstd.
func packTweets(b *testing.B, glob, to string) string {
	b.Helper()
	names, err := filepath.Glob(glob)
	if err != nil {
		b.Fatal(err)
	}
	w, err := zstd.NewWriter(nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(name)+".zst"), w.EncodeAll(text, nil), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return filepath.Join(to, "*.ndjson.zst")
}

func landTweets(b *testing.B, glob string) (rows int, took time.Duration) {
	b.Helper()
	l, err := lake.Open(b.Context(), lake.Config{Dir: b.TempDir(), Now: clock, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	at := cpu(b)
	src := openSource(b, "", strings.Replace(tweets, "tweets_daily/*.ndjson.gz", glob, 1))
	got, err := ingest.Run(b.Context(), ingest.Options{Name: "tweets", RunID: "r", Source: src, Lake: l, Now: clock, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	took = cpu(b) - at
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	return int(got.Posts), took
}

func duck(b *testing.B, sql, glob string) time.Duration {
	b.Helper()
	db, err := query.Open(b.Context(), query.Options{Threads: 2})
	if err != nil {
		b.Fatal(err)
	}
	at := cpu(b)
	sql = fmt.Sprintf("copy ("+sql+") to %s (format parquet, compression zstd, compression_level 1)", query.Quote(glob), query.Quote(filepath.Join(b.TempDir(), "x.parquet")))
	if _, err := db.SQL().ExecContext(b.Context(), sql); err != nil {
		b.Fatal(err)
	}
	took := cpu(b) - at
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	return took
}

// BenchmarkDecode reads the real tweets without landing them.
func BenchmarkDecode(b *testing.B) {
	for name, config := range map[string]string{"tweets": tweets, "reddit": reddit, "csv": fight} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			at, rows := cpu(b), 0
			for b.Loop() {
				src := openSource(b, shared(b), config)
				for cur := feedlake.Cursor(""); ; {
					p, err := src.Fetch(context.Background(), cur)
					if err != nil {
						b.Fatal(err)
					}
					rows += len(p.Posts)
					if cur = p.Next; p.Done {
						break
					}
				}
			}
			b.ReportMetric(float64(rows)/(cpu(b)-at).Seconds(), "rows/cpu-s")
		})
	}
}

// BenchmarkUnsorted lands posts of 500 days in order of time and in none, and tells
// what the second costs of the first, in processor time, and in files.
func BenchmarkUnsorted(b *testing.B) {
	const posts, days = 300_000, 500
	write := func(day func(i int) int) string {
		dir := b.TempDir()
		var text strings.Builder
		for i := range posts {
			fmt.Fprintf(&text, `{"id":"%d","at":%d,"t":"a text of some length, number %d","n":%d}`+"\n", i, 1577934245+day(i)*86400, i, i%100)
		}
		if err := os.WriteFile(filepath.Join(dir, "a.ndjson"), []byte(text.String()), 0o600); err != nil {
			b.Fatal(err)
		}
		return dir
	}
	sorted, unsorted := write(func(i int) int { return i / (posts / days) }), write(func(i int) int { return i * 37 % days })
	land := func(dir string) (took time.Duration, files int) {
		l, err := lake.Open(b.Context(), lake.Config{Dir: b.TempDir(), Now: clock, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		at := cpu(b)
		got, err := ingest.Run(b.Context(), ingest.Options{Name: "src", RunID: "r", Source: openSource(b, dir, "path: '*'\n"+plain), Lake: l, Now: clock, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		took = cpu(b) - at
		live, err := l.Files(b.Context(), lake.RawPosts().Name, got.Snapshot)
		if err != nil {
			b.Fatal(err)
		}
		return took, len(live)
	}
	var first, second time.Duration
	files, of := 0, 0
	for b.Loop() {
		took, n := land(sorted)
		first, of = first+took, n
		took, n = land(unsorted)
		second, files = second+took, n
	}
	b.ReportMetric(second.Seconds()/first.Seconds(), "cpu-of-sorted")
	b.ReportMetric(float64(files)/float64(of), "files-of-sorted")
}

// BenchmarkGrow reads one line that was appended to a file, and tells what that costs
// in a file of 64 MiB, of what it costs in one of 1 MiB.
func BenchmarkGrow(b *testing.B) {
	append1 := func(length int) func() time.Duration {
		dir := b.TempDir()
		name := filepath.Join(dir, "a.ndjson")
		text := strings.Repeat(line(7)+"\n", length/len(line(7)))
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		at := feedlake.Cursor("")
		read := func() (posts int) {
			src := openSource(b, dir, "path: '*'\n"+plain)
			for {
				p, err := src.Fetch(b.Context(), at)
				if err != nil {
					b.Fatal(err)
				}
				posts += len(p.Posts)
				if at = p.Next; p.Done {
					return posts
				}
			}
		}
		read()
		return func() time.Duration {
			f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := f.WriteString(line(8) + "\n"); err != nil {
				b.Fatal(err)
			}
			if err := f.Close(); err != nil {
				b.Fatal(err)
			}
			begun := cpu(b)
			if n := read(); n != 1 {
				b.Fatalf("%d posts", n)
			}
			return cpu(b) - begun
		}
	}
	short, long := append1(1<<20), append1(64<<20)
	var of, took time.Duration
	for b.Loop() {
		of, took = of+short(), took+long()
	}
	b.ReportMetric(took.Seconds()/of.Seconds(), "cpu-of-short")
}
