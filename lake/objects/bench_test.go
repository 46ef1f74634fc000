package objects

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/feedlake/feedlake"
)

// benchFiles is a table of many small files.
const benchFiles = 1000

func BenchmarkFetch(b *testing.B) { benchFetch(b, fakeServer(b).open(b)) }

// benchFetch measures 1,000 files of 2,000 posts: cold from the store, warm from
// the cache.
func benchFetch(b *testing.B, s *S3) {
	file := posts(b, 2000)
	want := make([]Want, benchFiles)
	for i := range want {
		key := fmt.Sprintf("raw/posts/data/day=2026-01-%02d/%05d.parquet", i%30+1, i)
		if _, err := s.PutBytes(b.Context(), key, file, false); err != nil {
			b.Fatal(err)
		}
		want[i] = Want{Key: key, Size: int64(len(file))}
	}
	fetch := func(c *Cache) {
		_, release, err := c.Fetch(b.Context(), s, want)
		if err != nil {
			b.Fatal(err)
		}
		release()
	}
	b.Run("cold", func(b *testing.B) {
		b.SetBytes(int64(len(file)) * benchFiles)
		for b.Loop() {
			b.StopTimer()
			c := openCache(b, b.TempDir(), 10<<30)
			b.StartTimer()
			fetch(c)
		}
	})
	b.Run("warm", func(b *testing.B) {
		c := openCache(b, b.TempDir(), 10<<30)
		fetch(c)
		for b.Loop() {
			fetch(c)
		}
	})
}

// posts returns a Parquet file as the lake writes it.
func posts(b *testing.B, n int) []byte {
	b.Helper()
	words := strings.Fields("the quick brown fox jumps over a lazy dog while rain falls on grey roofs and nobody looks")
	rows := make([]feedlake.Post, n)
	for i := range rows {
		var text []string
		for _, x := range noise(12, uint64(i)) {
			text = append(text, words[int(x)%len(words)])
		}
		at := time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC)
		rows[i] = feedlake.Post{
			Source: "bench", ID: fmt.Sprintf("%x", noise(8, uint64(i))), Kind: feedlake.KindPost, AuthorID: fmt.Sprint(i % 300),
			CreatedAt: at, ObservedAt: at.Add(time.Minute), Text: strings.Join(text, " "), Lang: "en", RunID: "run",
		}
	}
	var out bytes.Buffer
	w := parquet.NewGenericWriter[feedlake.Post](&out, parquet.Compression(&parquet.Zstd))
	if _, err := w.Write(rows); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}
