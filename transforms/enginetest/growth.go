package enginetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/transforms"
)

// Growth lands random micro-batches in a few days, with a build after each: new
// posts, late ones, edits, deletions, deletions of posts that nobody holds, doubles
// within a batch, posts that another source brings too, corrected times, days that
// leave, compaction, scores. Every now and then all tables must be what a build of
// everything makes of the same lake, to the last row: so a model that says that it
// grows, and does not, is found out. Each seed is one history; tables names the
// models to build, all when it is nil.
func Growth(t *testing.T, g *transforms.Graph, open func(t *testing.T) transforms.Engine, seeds, batches int, tables ...string) {
	e := open(t)
	grown := map[string]int{} // by model: partitions that were not computed whole
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(seed), 19)) //nolint:gosec // a test, counted from 0
			h := growing{history: history{t: t, graph: g, engine: e, tables: tables, rnd: rnd}}
			l, done := h.open()
			defer done()
			for batch := range batches {
				what := h.step(l, batch)
				for _, m := range h.build(l, transforms.Options{RunID: fmt.Sprint("build-", batch)}).Models {
					grown[m.Model] += m.Grown
				}
				if rnd.IntN(3) > 0 && batch < batches-1 {
					continue
				}
				var got, want map[string][]string
				h.reading(l, func(texts func(string) []string) { got = h.rows(texts) })
				h.build(l, transforms.Options{RunID: fmt.Sprint("whole-", batch), Full: true})
				h.reading(l, func(texts func(string) []string) { want = h.rows(texts) })
				if diff := gocmp.Diff(want, got); diff != "" {
					t.Fatalf("after batch %d, %s (-built whole +grown):\n%s", batch, what, diff)
				}
			}
		})
	}
	models, err := g.Select(tables...)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range models {
		if m.Grows != transforms.ByPartition && grown[m.Name] == 0 {
			t.Errorf("%s never grew: nothing was tested", m.Name)
		}
	}
}

// growing is a history that comes in small batches.
type growing struct {
	history
	posts []feedlake.Post // landed
	seq   int64
}

// step does what happens between two builds, and says what it was.
func (h *growing) step(l *lake.Lake, batch int) string {
	h.t.Helper()
	switch n := h.rnd.IntN(12); {
	case n == 0 && batch > 2:
		h.compact(l)
		return "compaction"
	case n == 1 && batch > 2:
		return "a day left: " + h.drop(l)
	case n == 2 && batch > 0:
		h.score(l)
		return "scores"
	}
	posts, what := h.batch()
	if h.rnd.IntN(8) == 0 { // two landings, and a compaction between them
		h.commit(l, posts[:len(posts)/2])
		h.compact(l)
		posts, what = posts[len(posts)/2:], what+", compacted"
	}
	h.commit(l, posts)
	return what
}

// batch makes some posts, in most batches new ones alone.
func (h *growing) batch() ([]feedlake.Post, string) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(h.seq) * 7 * time.Minute)
	var out []feedlake.Post
	var what string
	for range 1 + h.rnd.IntN(8) {
		out = append(out, h.fresh(now))
	}
	if h.rnd.IntN(3) > 0 {
		return out, "new posts"
	}
	for range 1 + h.rnd.IntN(3) {
		p := h.fresh(now)
		if len(h.posts) > 0 {
			p = h.posts[h.rnd.IntN(len(h.posts))]
		}
		h.seq++
		p.Seq, p.ObservedAt = h.seq, now.Add(48*time.Hour)
		switch h.rnd.IntN(7) {
		case 0:
			p.Text, what = p.Text+" #edited", what+" edit"
		case 1:
			p.Deleted, p.Text, p.Likes, what = true, "", nil, what+" deletion"
		case 2:
			p = h.fresh(now)
			p.Deleted, p.Text, what = true, "", what+" deletion of a post not held"
		case 3:
			p.CreatedAt, what = p.CreatedAt.Add(time.Duration(h.rnd.IntN(72)-24)*time.Hour), what+" corrected time"
		case 4:
			p = h.fresh(now.Add(-time.Duration(h.rnd.IntN(72)) * time.Hour))
			what += " late post"
		case 5:
			p, what = out[h.rnd.IntN(len(out))], what+" double"
		case 6:
			if p.Network != "" {
				p.Source, what = map[string]string{"a": "b", "b": "a"}[p.Source], what+" other source"
			}
		}
		out = append(out, p)
	}
	h.posts = append(h.posts, out...)
	return out, what
}

// fresh makes a post that was nowhere before.
func (h *growing) fresh(at time.Time) feedlake.Post {
	h.seq++
	pick := func(list ...string) string { return list[h.rnd.IntN(len(list))] }
	likes, followers := h.rnd.Int64N(12), h.rnd.Int64N(90)
	p := feedlake.Post{
		Source: pick("a", "a", "a", "b", "c"), Network: "x", ID: fmt.Sprint("p", h.seq), Kind: pick(feedlake.KindPost, feedlake.KindReply, feedlake.KindRepost),
		AuthorID: pick("ann", "bob", "cyd", "dan"), AuthorName: pick("", "Ann", "Bob"), Lang: pick("en", "en", "de"), CreatedAt: at, ObservedAt: at.Add(time.Minute),
		Text: fmt.Sprint("text ", h.rnd.IntN(3), " #tag", h.rnd.IntN(3), " https://example.org/", h.rnd.IntN(2)), RunID: "run-1", Seq: h.seq,
		Likes: &likes, AuthorFollowers: &followers,
	}
	if p.Source == "c" {
		p.Network = ""
	}
	return p
}

// compact merges the files of every partition that has two.
func (h *growing) compact(l *lake.Lake) {
	h.t.Helper()
	db, err := query.Open(h.t.Context(), query.Options{})
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := l.Compact(h.t.Context(), lake.CompactOptions{MinFiles: 2, RunID: "compact", Rewrite: db.Rewrite}); err != nil {
		h.t.Fatal(err)
	}
}

// drop takes a day of raw.posts away, as retention does.
func (h *growing) drop(l *lake.Lake) string {
	h.t.Helper()
	cur, err := l.Current(h.t.Context(), lake.RawPosts().Name)
	if err != nil {
		h.t.Fatal(err)
	}
	files, err := l.Files(h.t.Context(), lake.RawPosts().Name, cur.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	if len(files) == 0 {
		return "none"
	}
	p := files[h.rnd.IntN(len(files))].Partition
	if _, err := l.Commit(h.t.Context(), lake.Commit{Table: lake.RawPosts().Name, Replace: []lake.Partition{p}}); err != nil {
		h.t.Fatal(err)
	}
	return string(p)
}

// score gives some posts that have none a score, in files of their own.
func (h *growing) score(l *lake.Lake) {
	h.t.Helper()
	db, err := query.Open(h.t.Context(), query.Options{})
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.PinTables(h.t.Context(), l, []string{"features.posts", "ml.sentiment_scores"}, nil); err != nil {
		h.t.Fatal(err)
	}
	waiting := fmt.Sprintf(`FROM features.posts p WHERE text_md5 IS NOT NULL AND hash(id) %% 3 > %d AND NOT EXISTS (
		SELECT 1 FROM ml.sentiment_scores s WHERE s.source = p.source AND s.id = p.id AND s.text_md5 = p.text_md5)`, h.rnd.IntN(3)-1)
	parts, err := db.Texts(h.t.Context(), "SELECT DISTINCT source || '/' || CAST(day AS VARCHAR) "+waiting+" ORDER BY 1")
	if err != nil {
		h.t.Fatal(err)
	}
	var paths []string
	for _, part := range parts {
		source, day, _ := strings.Cut(part, "/")
		path, err := l.NewPath(lake.SentimentScores().Name, lake.MakePartition("source", source, "day", day))
		if err != nil {
			h.t.Fatal(err)
		}
		_, err = db.SQL().ExecContext(h.t.Context(), `COPY (SELECT source, id, day, text_md5, 'positive' AS label, 0.25::DOUBLE AS p_negative, 0::DOUBLE AS p_neutral,
			0.75::DOUBLE AS p_positive, 0.75::DOUBLE AS confidence, 'sentiment' AS model, 1::BIGINT AS model_version, 0::BIGINT AS input_snapshot, 'score' AS run_id,
			TIMESTAMPTZ '2026-02-01' AS scored_at, CAST(NULL AS VARCHAR) AS unscored `+waiting+` AND source = '`+source+`' AND day = DATE '`+day+`')
			TO `+query.Quote(path)+` (FORMAT parquet)`)
		if err != nil {
			h.t.Fatal(err)
		}
		paths = append(paths, path)
	}
	if len(paths) == 0 {
		return
	}
	if _, err := l.Commit(h.t.Context(), lake.Commit{Table: lake.SentimentScores().Name, Add: paths}); err != nil {
		h.t.Fatal(err)
	}
}
