package transforms_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/sql"
	"github.com/feedlake/feedlake/transforms"
	"github.com/feedlake/feedlake/transforms/duckdb"
)

// clock is the time of every test lake.
func clock() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// rig is a lake, an engine that remembers its queries, and models.
type rig struct {
	t      testing.TB
	lake   *lake.Lake
	engine *recorder
	graph  *transforms.Graph
	run    int
	opts   transforms.Options // overrides of the next run
}

// recorder is an Engine that remembers what it was asked, and calls what hook set
// ahead of every query.
type recorder struct {
	transforms.Engine
	mu      sync.Mutex
	queries []transforms.Query
	before  func(ctx context.Context, q transforms.Query) error
}

func (r *recorder) Run(ctx context.Context, q transforms.Query) (transforms.Output, error) {
	r.mu.Lock()
	r.queries = append(r.queries, q)
	before := r.before
	r.mu.Unlock()
	if before != nil {
		if err := before(ctx, q); err != nil {
			return transforms.Output{}, err
		}
	}
	return r.Engine.Run(ctx, q)
}

// hook sets what is called before every query, at times several at once; nil:
// nothing.
func (r *recorder) hook(before func(ctx context.Context, q transforms.Query) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = before
}

func newRig(t testing.TB) *rig {
	t.Helper()
	return newRigWith(t, openEngine(t), nil)
}

func openEngine(t testing.TB) transforms.Engine {
	t.Helper()
	e, err := duckdb.Open(t.Context(), duckdb.Options{TempDir: filepath.Join(t.TempDir(), "spill")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func newRigWith(t testing.TB, e transforms.Engine, ic lake.Interceptor) *rig {
	t.Helper()
	r := openRig(t, t.TempDir(), e, ic)
	t.Cleanup(r.close)
	return r
}

// openRig opens the lake in dir; the caller closes it.
func openRig(t testing.TB, dir string, e transforms.Engine, ic lake.Interceptor) *rig {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	l, err := lake.Open(t.Context(), lake.Config{Dir: dir, Now: clock, Log: log, Intercept: ic})
	if err != nil {
		t.Fatal(err)
	}
	g, err := transforms.Load(sql.Models)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, lake: l, engine: &recorder{Engine: e}, graph: g}
}

func (r *rig) close() {
	if err := r.lake.Close(); err != nil {
		r.t.Error(err)
	}
}

// models replaces the graph; each text is a model file.
func (r *rig) models(texts ...string) {
	r.t.Helper()
	fsys := fstest.MapFS{}
	for i, text := range texts {
		fsys[fmt.Sprintf("m%d.sql", i)] = &fstest.MapFile{Data: []byte(text)}
	}
	g, err := transforms.Load(fsys)
	if err != nil {
		r.t.Fatal(err)
	}
	r.graph = g
}

// transform runs the models and forgets the queries of earlier runs.
func (r *rig) transform() (transforms.Report, error) {
	r.t.Helper()
	r.run++
	r.engine.queries = nil
	o := r.opts
	o.Lake, o.Engine, o.Graph = r.lake, r.engine, r.graph
	if o.Now == nil {
		o.Now = clock
	}
	o.Log = slog.New(slog.NewTextHandler(r.t.Output(), nil))
	if o.RunID == "" {
		o.RunID = fmt.Sprintf("run-%d", r.run)
	}
	o.TempDir = filepath.Join(r.t.TempDir(), "spill")
	return transforms.Run(r.t.Context(), o)
}

func (r *rig) mustTransform() transforms.Report {
	r.t.Helper()
	rep, err := r.transform()
	if err != nil {
		r.t.Fatalf("%v\n%s", err, rep.String())
	}
	return rep
}

// of returns a model's part of a report.
func of(t testing.TB, rep transforms.Report, model string) transforms.ModelReport {
	t.Helper()
	i := slices.IndexFunc(rep.Models, func(m transforms.ModelReport) bool { return m.Model == model })
	if i < 0 {
		t.Fatalf("model %s is not in the report:\n%s", model, rep.String())
	}
	return rep.Models[i]
}

// ensure creates tables.
func (r *rig) ensure(specs ...lake.Spec) {
	r.t.Helper()
	for _, s := range specs {
		if err := r.lake.Ensure(r.t.Context(), s); err != nil {
			r.t.Fatal(err)
		}
	}
}

// land commits posts to raw.posts, as ingest does: a file per partition.
func (r *rig) land(posts ...feedlake.Post) {
	r.t.Helper()
	r.ensure(lake.RawPosts())
	byPart := map[lake.Partition][]feedlake.Post{}
	for _, p := range posts {
		part := lake.MakePartition("source", p.Source, "day", p.CreatedAt.UTC().Format(time.DateOnly))
		byPart[part] = append(byPart[part], p)
	}
	var paths []string
	for part, list := range byPart {
		path, err := lake.WriteRows(r.t.Context(), r.lake, "raw.posts", part, list)
		if err != nil {
			r.t.Fatal(err)
		}
		paths = append(paths, path)
	}
	if _, err := r.lake.Commit(r.t.Context(), lake.Commit{Table: "raw.posts", Add: paths}); err != nil {
		r.t.Fatal(err)
	}
}

// post makes a post of a day in 2026 ("01-31"), seen an hour after it was made.
func post(id, day, text string) feedlake.Post {
	at, err := time.Parse(time.DateTime, "2026-"+day+" 10:00:00")
	if err != nil {
		panic(err)
	}
	likes, followers := int64(len(id)), int64(100)
	return feedlake.Post{
		Source: "x", ID: id, Kind: feedlake.KindPost, AuthorID: "author-" + id[:1], AuthorFollowers: &followers, CreatedAt: at,
		ObservedAt: at.Add(time.Hour), Text: text, Lang: "en", Likes: &likes, Payload: "{}", RunID: "ingest-1",
	}
}

// seen moves a post's observation by d and gives it another text.
func seen(p feedlake.Post, d time.Duration, text string) feedlake.Post {
	p.ObservedAt, p.Text = p.ObservedAt.Add(d), text
	return p
}

func deleted(p feedlake.Post, d time.Duration) feedlake.Post {
	p.ObservedAt, p.Deleted, p.Text = p.ObservedAt.Add(d), true, ""
	return p
}

func part(day string) lake.Partition { return lake.MakePartition("source", "x", "day", "2026-"+day) }

// pinned opens DuckDB over the lake as it is now.
func (r *rig) pinned() (db *query.DB, done func()) {
	r.t.Helper()
	db, err := query.Open(r.t.Context(), query.Options{TempDir: filepath.Join(r.t.TempDir(), "spill")})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := db.Pin(r.t.Context(), r.lake, nil); err != nil {
		r.t.Fatal(err)
	}
	return db, func() {
		if err := db.Close(); err != nil {
			r.t.Error(err)
		}
	}
}

// rows reads a query over the lake, a JSON object a row.
func (r *rig) rows(text string) []string {
	r.t.Helper()
	db, done := r.pinned()
	defer done()
	return r.rowsOf(db, text)
}

func (r *rig) rowsOf(db *query.DB, text string) []string {
	r.t.Helper()
	rows, err := db.SQL().QueryContext(r.t.Context(), "SELECT CAST(to_json(q) AS VARCHAR) FROM ("+text+") AS q")
	if err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			r.t.Fatal(err)
		}
		out = append(out, line)
	}
	if err := rows.Err(); err != nil {
		r.t.Fatal(err)
	}
	return out
}

// tables reads every table that models made, as one text a table: its rows in
// order, without the columns that tell one run from another.
func (r *rig) tables() map[string]string {
	r.t.Helper()
	db, done := r.pinned()
	defer done()
	out := map[string]string{}
	for _, m := range r.graph.Models() {
		if _, err := r.lake.Current(r.t.Context(), m.Name); err == nil {
			out[m.Name] = strings.Join(r.rowsOf(db, "SELECT * EXCLUDE (_run_id, _inputs) FROM "+m.Name+" ORDER BY ALL"), "\n")
		}
	}
	return out
}

// snapshots counts the snapshots of the tables that models made.
func (r *rig) snapshots() map[string]int {
	r.t.Helper()
	out := map[string]int{}
	for _, m := range r.graph.Models() {
		list, err := r.lake.Snapshots(r.t.Context(), m.Name)
		if err == nil {
			out[m.Name] = len(list)
		}
	}
	return out
}

// states lists the models by state.
func states(rep transforms.Report) map[transforms.State][]string {
	out := map[transforms.State][]string{}
	for _, m := range rep.Models {
		out[m.State] = append(out[m.State], m.Model)
	}
	return out
}

// inputFiles lists the partitions of the files that the queries of a model read
// of a table.
func (r *rig) inputPartitions(model, table string) []lake.Partition {
	set := map[lake.Partition]bool{}
	for _, q := range r.engine.queries {
		if q.Model.Name == model {
			for _, f := range q.Inputs[table] {
				set[f.Partition] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

func discardLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// interrupted runs the models and stops for good at query n.
func interrupted(r *rig, n int) error {
	ctx, cancel := context.WithCancelCause(r.t.Context())
	defer cancel(nil)
	var count atomic.Int64
	r.engine.hook(func(context.Context, transforms.Query) error {
		if count.Add(1) > int64(n) {
			cancel(errFault)
			return errFault
		}
		return nil
	})
	defer r.engine.hook(nil)
	_, err := transforms.Run(ctx, transforms.Options{
		Lake: r.lake, Engine: r.engine, Graph: r.graph, Only: r.opts.Only, RunID: "interrupted", Now: clock, Log: discardLog(),
	})
	if context.Cause(ctx) != nil && err != nil {
		return context.Cause(ctx)
	}
	return err
}

// meanwhile calls f once, when the next query begins.
func (r *rig) meanwhile(f func()) {
	once := sync.OnceFunc(f)
	r.engine.hook(func(context.Context, transforms.Query) error {
		r.engine.hook(nil)
		once()
		return nil
	})
}
