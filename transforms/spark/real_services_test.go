//go:build services

package spark_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/files"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/sql"
	"github.com/feedlake/feedlake/transforms"
	"github.com/feedlake/feedlake/transforms/duckdb"
	"github.com/feedlake/feedlake/transforms/enginetest"
	"github.com/feedlake/feedlake/transforms/spark"
)

func clock() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// openLake opens a lake with all of feedlake's own tables.
func openLake(t testing.TB, dir string) *lake.Lake {
	t.Helper()
	l := openPlain(t, dir)
	for _, s := range lake.Fixed() {
		if err := l.Ensure(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func openPlain(t testing.TB, dir string) *lake.Lake {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{Dir: dir, Now: clock, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// catalogOf is the SQLite catalog of a lake on a folder.
func catalogOf(dir string) *spark.Catalog {
	return &spark.Catalog{Name: "feedlake", URI: "jdbc:sqlite:" + filepath.Join(dir, "catalog.db"), Warehouse: "file://" + filepath.Join(dir, "warehouse")}
}

// landArchives lands every real post, as examples/archives.yaml says.
func landArchives(t *testing.T, l *lake.Lake) (posts int64) {
	t.Helper()
	shared := enginetest.Shared(t)
	text, err := os.ReadFile("../../examples/archives.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Sources []struct {
			Name string
			With any
		}
	}
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(string(text), "${FEEDLAKE_SHARED:-../../shared}", shared)), &config); err != nil {
		t.Fatal(err)
	}
	registry := ingest.Registry{}
	files.Register(registry)
	for _, s := range config.Sources {
		with, err := yaml.Marshal(s.With)
		if err != nil {
			t.Fatal(err)
		}
		env := ingest.Env{Name: s.Name, Base: ".", Now: clock, Log: slog.New(slog.DiscardHandler)}
		src, err := registry.Open(t.Context(), files.Kind, env, func(v any) error { return yaml.Unmarshal(with, v) })
		if err != nil {
			t.Fatal(err)
		}
		res, err := ingest.Run(t.Context(), ingest.Options{Name: s.Name, RunID: "land", Source: src, Lake: l, Now: clock, Log: env.Log})
		if err != nil {
			t.Fatal(err)
		}
		posts += res.Posts
	}
	return posts
}

func build(t *testing.T, l *lake.Lake, e transforms.Engine) transforms.Report {
	t.Helper()
	g, err := transforms.Load(sql.Models)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := transforms.Run(t.Context(), transforms.Options{
		Lake: l, Engine: e, Graph: g, RunID: "run", Now: time.Now, Log: slog.New(slog.DiscardHandler), TempDir: t.TempDir(),
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, rep.String())
	}
	return rep
}

// differing counts the rows of a table that only one of two lakes has, beside
// the columns that tell one run from another.
func differing(t *testing.T, table string, a, b *lake.Lake) (rows, different int64) {
	t.Helper()
	db, err := query.Open(t.Context(), query.Options{Memory: "1GB", TempDir: filepath.Join(t.TempDir(), "spill")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	for i, l := range []*lake.Lake{a, b} {
		cur, err := l.Current(t.Context(), table)
		if err != nil {
			t.Fatal(err)
		}
		files, err := l.Files(t.Context(), table, cur.ID)
		if err != nil {
			t.Fatal(err)
		}
		cols, err := l.Columns(t.Context(), table)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.View(t.Context(), fmt.Sprintf("side.t%d", i), cols, files); err != nil {
			t.Fatal(err)
		}
	}
	const side = "SELECT * EXCLUDE (_run_id, _inputs) FROM side."
	text := "SELECT (SELECT count(*) FROM side.t0), (SELECT count(*) FROM (" + side + "t0 EXCEPT ALL " + side + "t1)) + " +
		"(SELECT count(*) FROM (" + side + "t1 EXCEPT ALL " + side + "t0))"
	if err := db.SQL().QueryRowContext(t.Context(), text).Scan(&rows, &different); err != nil {
		t.Fatal(err)
	}
	return rows, different
}

// TestServiceRealPosts builds all models over about 150,000 real posts on both
// engines, Spark from the Iceberg tables at pinned snapshots: 0 rows differ.
func TestServiceRealPosts(t *testing.T) {
	dir := t.TempDir()
	byDuckDB, bySpark := openLake(t, filepath.Join(dir, "duckdb")), openLake(t, filepath.Join(dir, "spark"))
	if n := landArchives(t, byDuckDB); n < 140_000 || landArchives(t, bySpark) != n {
		t.Fatalf("landed %d posts, or another number the second time", n)
	}
	d, err := duckdb.Open(t.Context(), duckdb.Options{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	build(t, byDuckDB, d)
	e := openWith(t, spark.Options{Remote: address(t), Catalog: catalogOf(filepath.Join(dir, "spark"))})
	rep := build(t, bySpark, e)
	for _, m := range rep.Models {
		rows, different := differing(t, m.Model, byDuckDB, bySpark)
		t.Logf("%s: %d rows in %d files, %d partitions, %s: %d differ", m.Model, rows, m.Files, len(m.Partitions), m.Took.Round(time.Millisecond), different)
		if different != 0 || m.State != transforms.Built {
			t.Errorf("%s: %s, %d of %d rows differ", m.Model, m.State, different, rows)
		}
	}
}
