package sql_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest/simulate"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/transforms/duckdb"
	"github.com/feedlake/feedlake/transforms/enginetest"
)

// The models of texts take shortcuts, so that expressions over text run only where
// there is something to find. testdata/plain holds the same models without any.

// plainly are the models that testdata/plain holds.
func plainly() []string { return []string{"features.text_stats", "features.entities"} }

// plain reads a SELECT of testdata/plain.
func plain(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "plain", name+".sql"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// hostilePost is a post as the models of texts read it.
type hostilePost struct {
	ID       string    `json:"id"`
	Kind     *string   `json:"kind"`
	Text     *string   `json:"text"`
	Hashtags *[]string `json:"hashtags"`
	Mentions *[]string `json:"mentions"`
	URLs     *[]string `json:"urls"`
}

// pieces of texts: what the patterns look for, what almost looks so, and letters,
// digits and marks of all kinds. ␀ becomes NUL.
func pieces() []string {
	return append(strings.Fields(`a Z ß İ ς Σ é e é ж Ю 中 文 日 한 글 ا ع 9 0 ٣ ２ ² Ⅷ ª ﬁ ǅ 𝔄 # ＃ ## #a #1 #１a #é @ ＠ @a @A_1 @bob@host.tld @a.b.c RT rt RT@ . .. - -- _ / // :
		:// http:// https:// HTTPS:// hxxp:// www. x.y/ x.com x.com/z a.b.c.d.e.f.g.h.i.j.k.l 1.2.3.4 256.1.1.1 xn--p1ai XN--a- müller.de 中.中国 a_b.co a-.co u:p@h.io ?q=1 #frag :80 /p
		&amp; &#39; &lt &nbsp;&nbsp; & && ; ! !! ? ?! “ ” … — ' " * + = ~ % $ € | \ ( ) [ ] { } < > ^ `+"` ␀ \u200d \ufe0f \ufe0e \u20e3 \u0301 \u05be \u05f3 \u00b7 \u3003 \u200c \u200b"+`
		😀 ⭐ 1️⃣ ▶ ▶️ ©️ 🇩🇪 🇩 👩‍👩‍👦 🙏🏽 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ❤️ ☎ ↔`), " ", "  ", "   ", "\n", "\t", "\r\n", "\u00a0", "\u2028", "\v", "\x01", "\x7f")
}

func hostileText(r *rand.Rand, all []string) string {
	var b strings.Builder
	for range r.IntN(1 + r.IntN(24)) {
		b.WriteString(all[r.IntN(len(all))])
	}
	if r.IntN(500) == 0 {
		return strings.Repeat(b.String(), 40)
	}
	return b.String()
}

func hostilePosts(n int) []hostilePost {
	r, all := rand.New(rand.NewPCG(1, 2)), pieces()
	list := func() *[]string {
		if r.IntN(4) > 0 {
			return nil
		}
		words := make([]string, r.IntN(3))
		for i := range words {
			words[i] = hostileText(r, all)
		}
		return &words
	}
	out := make([]hostilePost, n)
	for i := range out {
		text, kind := hostileText(r, all), []string{"post", "repost", "reply"}[r.IntN(3)]
		out[i] = hostilePost{ID: fmt.Sprint(i), Text: &text, Kind: &kind, Hashtags: list(), Mentions: list(), URLs: list()}
		if r.IntN(50) == 0 {
			out[i].Text, out[i].Kind = nil, nil
		}
	}
	return out
}

// openTexts opens DuckDB with the macros and a features.posts that holds what a
// SELECT of id, kind, text, hashtags, mentions and urls gives.
func openTexts(t testing.TB, posts string, args ...any) *query.DB {
	t.Helper()
	db, err := query.Open(t.Context(), query.Options{Memory: "2GB", Threads: 1, TempDir: t.TempDir(), Setup: []string{duckdb.Macros(), "CREATE SCHEMA features"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	run(t, db, `CREATE TABLE features.posts AS SELECT 's' AS source, id, DATE '2026-01-01' AS day, TIMESTAMPTZ '2026-01-01 00:00:00+00' AS hour,
		'a' AS author_id, 'und' AS lang, kind, text, hashtags, mentions, urls FROM (`+posts+`)`, args...)
	return db
}

func run(t testing.TB, db *query.DB, text string, args ...any) {
	t.Helper()
	if _, err := db.SQL().ExecContext(t.Context(), text, args...); err != nil {
		t.Fatalf("%.200s: %v", text, err)
	}
}

// fromJSON spells the rows of hostilePosts, given as a parameter.
const fromJSON = `SELECT id, kind, replace(text, '␀', chr(0)) AS text, hashtags, mentions, urls FROM (SELECT unnest(from_json(?,
	'[{"id":"VARCHAR","kind":"VARCHAR","text":"VARCHAR","hashtags":["VARCHAR"],"mentions":["VARCHAR"],"urls":["VARCHAR"]}]'), recursive := true))`

// TestShortcutsChangeNoRow wants of random texts what the plain models give.
func TestShortcutsChangeNoRow(t *testing.T) {
	posts, err := json.Marshal(hostilePosts(20_000))
	if err != nil {
		t.Fatal(err)
	}
	sameRows(t, openTexts(t, fromJSON, string(posts)))
}

// TestWholeShortcutsOnRealPosts wants the same of every fourth of 134,474 real
// posts, and of 30,000 that the simulator makes.
func TestWholeShortcutsOnRealPosts(t *testing.T) {
	sameRows(t, openTexts(t, "FROM ("+realTexts(t)+") WHERE hash(id) % 4 = 0"))
	sameRows(t, openTexts(t, fromJSON, simulatedTexts(t, 30_000)))
}

// sameRows compares the models with the plain ones over features.posts.
func sameRows(t testing.TB, db *query.DB) {
	t.Helper()
	for _, name := range plainly() {
		m, _ := load(t).Model(name)
		run(t, db, "CREATE OR REPLACE TABLE want AS "+plain(t, name))
		run(t, db, "CREATE OR REPLACE TABLE got AS "+m.SQL)
		for what, text := range map[string]string{"lacks": "FROM want EXCEPT ALL FROM got", "makes up": "FROM got EXCEPT ALL FROM want"} {
			rows, err := db.Texts(t.Context(), "SELECT left(to_json(d) || ' of ' || to_json(p), 2000) FROM ("+text+") d JOIN features.posts p USING (source, id) LIMIT 3")
			if err != nil {
				t.Fatal(err)
			}
			if len(rows) > 0 {
				t.Errorf("%s %s such rows as\n%s", name, what, strings.Join(rows, "\n"))
			}
		}
		n, err := db.Texts(t.Context(), "SELECT CASE WHEN count(*) < 5000 THEN count(*) || ' rows' END FROM want")
		if err != nil || n[0] != "" {
			t.Errorf("%s: too little to compare: %v %v", name, n, err)
		}
	}
}

func simulatedTexts(t testing.TB, n int64) string {
	t.Helper()
	items, err := simulate.Config{Seed: 1, Posts: n, Start: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), Days: 35}.Items()
	if err != nil {
		t.Fatal(err)
	}
	posts := make([]hostilePost, len(items))
	for i, it := range items {
		kind := "post"
		posts[i] = hostilePost{ID: fmt.Sprint(i), Kind: &kind, Text: &it.Text}
	}
	text, err := json.Marshal(posts)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// realTexts spells the posts of ../shared as openTexts reads them.
func realTexts(t testing.TB) string {
	t.Helper()
	posts := filepath.Join(enginetest.Shared(t), "data", "posts")
	from := func(id, kind, text, folder string) string {
		return "SELECT CAST(" + id + " AS VARCHAR) AS id, " + kind + " AS kind, CAST(" + text + " AS VARCHAR) AS text, CAST(NULL AS VARCHAR[]) AS hashtags, " +
			"CAST(NULL AS VARCHAR[]) AS mentions, CAST(NULL AS VARCHAR[]) AS urls FROM read_json(" +
			query.Quote(filepath.Join(posts, folder, "*.ndjson.gz")) + ", format = 'newline_delimited')"
	}
	return from("id", "CASE post_type WHEN 'R' THEN 'repost' ELSE 'post' END", "text", "tweets_daily") + " UNION ALL " +
		from("id", "'post'", "title || chr(10) || chr(10) || selftext", "reddit_daily")
}

// BenchmarkTexts runs the models of texts and those of commit 1848268 in turn, each
// to Parquet as the engine writes it: x_1848268 is the ratio of their CPU times.
func BenchmarkTexts(b *testing.B) {
	for _, of := range []struct {
		name  string
		posts func() (string, []any)
	}{
		{"real", func() (string, []any) { return realTexts(b), nil }},
		{"simulated", func() (string, []any) { return fromJSON, []any{simulatedTexts(b, 300_000)} }},
	} {
		posts, args := of.posts()
		db := openTexts(b, posts, args...)
		for _, name := range plainly() {
			m, _ := load(b).Model(name)
			b.Run(of.name+"/"+name, func(b *testing.B) {
				var ours, theirs time.Duration
				for range b.N {
					ours += copied(b, db, m.SQL)
					theirs += copied(b, db, plain(b, name+".1848268"))
				}
				b.ReportMetric(ours.Seconds()/float64(b.N), "cpu-s/op")
				b.ReportMetric(ours.Seconds()/theirs.Seconds(), "x_1848268")
			})
		}
	}
}

// copied writes what a SELECT gives, and returns the CPU time.
func copied(b *testing.B, db *query.DB, text string) time.Duration {
	b.Helper()
	start := cpu(b)
	run(b, db, "COPY ("+text+"\n) TO "+query.Quote(filepath.Join(b.TempDir(), "out.parquet"))+" (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)")
	return cpu(b) - start
}

func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
