package enginetest

import (
	"cmp"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/transforms"
)

// Histories lands random histories of versions, edits, deletions, reposts,
// corrected times and posts that two sources bring, and wants the same tables
// whatever the order of arrival, the grouping into runs and the grouping of days
// into queries; features.posts must hold what a plain reading of the rules gives,
// and totals over sources must be those of one source that brings everything. Each
// seed is one history; tables names the models to build, all when it is nil.
func Histories(t *testing.T, g *transforms.Graph, open func(t *testing.T) transforms.Engine, seeds int, tables ...string) {
	e := open(t)
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(seed), 16)) //nolint:gosec // a test, counted from 0
			h := history{t: t, graph: g, engine: e, tables: tables, rnd: rnd}
			posts := h.random()
			want := h.oracle(posts)
			whole := h.land(posts, 1, 1_000_000)
			if diff := gocmp.Diff(want, whole.posts); diff != "" {
				t.Fatalf("features.posts (-rules +built):\n%s", diff)
			}
			shuffled := slices.Clone(posts)
			rnd.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			if diff := gocmp.Diff(whole.tables, h.land(shuffled, 2+rnd.IntN(3), 20+rnd.Int64N(60)).tables); diff != "" {
				t.Errorf("in another order, in several runs, day by day (-at once +in parts):\n%s", diff)
			}
			var one []feedlake.Post
			for _, p := range posts {
				if p.Network != "" && p.Reading == 0 {
					one = append(one, p)
				}
			}
			two := h.land(one, 1, 1_000_000)
			for i := range one {
				one[i].Source = "a"
			}
			if diff := gocmp.Diff(h.land(one, 1, 1_000_000).totals, two.totals); diff != "" {
				t.Errorf("totals over sources (-through one +through two):\n%s", diff)
			}
		})
	}
}

// history makes and lands the posts of one seed.
type history struct {
	t      *testing.T
	graph  *transforms.Graph
	engine transforms.Engine
	tables []string
	rnd    *rand.Rand
}

// built is what the tables hold, each row as text, sorted.
type built struct {
	posts, totals []string
	tables        map[string][]string
}

// random makes versions of some posts: sources a and b bring posts of one network,
// c has ids of its own.
func (h *history) random() []feedlake.Post {
	var posts []feedlake.Post
	pick := func(list ...string) string { return list[h.rnd.IntN(len(list))] }
	start := time.Date(2026, 1, 1, 22, 0, 0, 0, time.UTC)
	for id := range 40 {
		kind := pick(feedlake.KindPost, feedlake.KindPost, feedlake.KindReply, feedlake.KindRepost)
		created := start.Add(time.Duration(h.rnd.IntN(4)) * time.Hour)
		for range 1 + h.rnd.IntN(4) {
			p := feedlake.Post{
				Source: pick("a", "a", "b", "c"), Network: "x", ID: fmt.Sprint("p", id), Kind: kind, AuthorID: pick("ann", "bob"), Lang: "en",
				CreatedAt: created, Text: fmt.Sprint("text ", h.rnd.IntN(3), " #tag", h.rnd.IntN(3)),
				RunID: pick("run-1", "run-2"), Seq: int64(len(posts) + 1),
			}
			likes, followers := h.rnd.Int64N(12), int64(10+id)
			p.Likes, p.AuthorFollowers = &likes, &followers
			if h.rnd.IntN(6) == 0 { // a corrected time
				p.CreatedAt = created.Add(time.Duration(h.rnd.IntN(72)) * time.Hour)
			}
			if h.rnd.IntN(4) > 0 { // with few moments, so that some tie
				p.ObservedAt = start.Add(time.Duration(100+h.rnd.IntN(3)) * time.Hour)
			}
			if h.rnd.IntN(6) == 0 {
				p.Deleted, p.Text, p.Likes = true, "", nil
				p.CreatedAt = created.Add(time.Duration(h.rnd.IntN(48)) * time.Hour)
				p.ObservedAt = start.Add(time.Duration(100+h.rnd.IntN(3)) * time.Hour)
			}
			if h.rnd.IntN(8) == 0 {
				p.Reading = 1
			}
			if p.Source == "c" {
				p.Network = ""
			}
			posts = append(posts, p)
		}
	}
	return posts
}

// oracle reads the rules of docs/adr/0015 plainly, and spells the rows of
// features.posts as land does.
func (h *history) oracle(posts []feedlake.Post) []string {
	byPost := map[string][]feedlake.Post{}
	for _, p := range posts {
		byPost[cmp.Or(p.Network, "source:"+p.Source)+" "+p.ID] = append(byPost[cmp.Or(p.Network, "source:"+p.Source)+" "+p.ID], p)
	}
	var rows []string
	for _, versions := range byPost {
		reading := map[string]int64{}
		for _, p := range versions {
			reading[p.Source] = max(reading[p.Source], p.Reading)
		}
		current := slices.DeleteFunc(slices.Clone(versions), func(p feedlake.Post) bool { return p.Reading < reading[p.Source] })
		won := slices.MaxFunc(current, holds)
		if won.Deleted {
			continue
		}
		shown := map[string]bool{}
		for _, p := range current {
			shown[p.Source] = shown[p.Source] || !p.Deleted
		}
		first := true
		for _, source := range []string{"a", "b", "c"} {
			if !shown[source] {
				continue
			}
			likes := "NULL"
			if won.Kind != feedlake.KindRepost {
				likes = fmt.Sprint(*won.Likes)
			}
			rows = append(rows, strings.Join([]string{
				source, won.ID, fmt.Sprint(!first), won.Kind, won.CreatedAt.Format(time.DateOnly), won.Text, likes, fmt.Sprint(len(versions)),
			}, "|"))
			first = false
		}
	}
	slices.Sort(rows)
	return rows
}

// holds orders two versions of a post: the greater one holds.
func holds(a, b feedlake.Post) int {
	flag := func(deleted bool) int {
		if deleted {
			return 1
		}
		return 0
	}
	return cmp.Or(a.ObservedAt.Compare(b.ObservedAt), cmp.Compare(flag(a.Deleted), flag(b.Deleted)), cmp.Compare(a.RunID, b.RunID), cmp.Compare(a.Seq, b.Seq))
}

// land brings the posts into a new lake in some landings with a build after each.
func (h *history) land(posts []feedlake.Post, landings int, maxRows int64) built {
	h.t.Helper()
	l, done := h.open()
	defer done()
	for i := range landings {
		h.commit(l, posts[i*len(posts)/landings:(i+1)*len(posts)/landings])
		h.build(l, transforms.Options{RunID: fmt.Sprint("build-", i), MaxRows: maxRows})
	}
	return h.read(l)
}

func historyClock() time.Time { return time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC) }

// open makes a lake with the fixed tables.
func (h *history) open() (l *lake.Lake, done func()) {
	h.t.Helper()
	l, err := lake.Open(h.t.Context(), lake.Config{Dir: h.t.TempDir(), Now: historyClock, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, s := range lake.Fixed() {
		if err := l.Ensure(h.t.Context(), s); err != nil {
			h.t.Fatal(err)
		}
	}
	return l, func() {
		if err := l.Close(); err != nil {
			h.t.Error(err)
		}
	}
}

// build brings the tables up to date.
func (h *history) build(l *lake.Lake, o transforms.Options) transforms.Report {
	h.t.Helper()
	o.Lake, o.Engine, o.Graph, o.Only, o.Now, o.Log = l, h.engine, h.graph, h.tables, historyClock, slog.New(slog.DiscardHandler)
	o.TempDir = filepath.Join(h.t.TempDir(), "spill")
	rep, err := transforms.Run(h.t.Context(), o)
	if err != nil {
		h.t.Fatalf("%v\n%s", err, rep.String())
	}
	return rep
}

// commit lands posts as ingest does.
func (h *history) commit(l *lake.Lake, posts []feedlake.Post) {
	h.t.Helper()
	byPart, set := map[lake.Partition][]feedlake.Post{}, map[string]string{}
	for _, p := range posts {
		part := lake.MakePartition("source", p.Source, "day", p.CreatedAt.Format(time.DateOnly))
		byPart[part] = append(byPart[part], p)
		if p.Network != "" {
			set[lake.PropertyNetwork+p.Source] = p.Network
		}
	}
	var paths []string
	for part, list := range byPart {
		path, err := lake.WriteRows(h.t.Context(), l, lake.RawPosts().Name, part, list)
		if err != nil {
			h.t.Fatal(err)
		}
		paths = append(paths, path)
	}
	if _, err := l.Commit(h.t.Context(), lake.Commit{Table: lake.RawPosts().Name, Add: paths, Set: set}); err != nil {
		h.t.Fatal(err)
	}
}

// read spells the rows of all tables, and of some the rows that the rules tell.
func (h *history) read(l *lake.Lake) built {
	h.t.Helper()
	out := built{}
	h.reading(l, func(texts func(string) []string) {
		out.tables = h.rows(texts)
		out.posts = texts(`SELECT concat_ws('|', source, id, copy, kind, day, text, coalesce(CAST(likes AS VARCHAR), 'NULL'), versions) FROM features.posts ORDER BY 1`)
		out.totals = slices.Concat(
			texts("SELECT CAST(t AS VARCHAR) FROM (SELECT * EXCLUDE (source, copy, _run_id, _model, _inputs) FROM features.posts WHERE NOT copy) t ORDER BY 1"),
			texts(`SELECT concat_ws('|', hour, lang, sum(posts), sum(originals), sum(replies), sum(reposts), sum(with_engagement))
				FROM marts.volume WHERE NOT copy GROUP BY hour, lang ORDER BY 1`))
	})
	return out
}

// rows spells the rows of every table, without what tells one run from another.
func (h *history) rows(texts func(string) []string) map[string][]string {
	out := map[string][]string{}
	for _, m := range h.models() {
		out[m.Name] = texts("SELECT CAST(t AS VARCHAR) FROM (SELECT * EXCLUDE (_run_id, _model, _inputs) FROM " + m.Name + ") t ORDER BY 1")
	}
	return out
}

func (h *history) models() []transforms.Model {
	h.t.Helper()
	models, err := h.graph.Select(h.tables...)
	if err != nil {
		h.t.Fatal(err)
	}
	return models
}

// reading opens DuckDB over the tables.
func (h *history) reading(l *lake.Lake, do func(texts func(string) []string)) {
	h.t.Helper()
	db, err := query.Open(h.t.Context(), query.Options{})
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			h.t.Error(err)
		}
	}()
	for _, m := range h.models() {
		if _, err := db.PinTables(h.t.Context(), l, []string{m.Name}, nil); err != nil {
			h.t.Fatal(err)
		}
	}
	do(func(text string) []string {
		rows, err := db.Texts(h.t.Context(), text)
		if err != nil {
			h.t.Fatalf("%s: %v", text, err)
		}
		return rows
	})
}
