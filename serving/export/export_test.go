package export_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/serving"
	"github.com/feedlake/feedlake/serving/export"
	"github.com/feedlake/feedlake/serving/publishertest"
)

func newPublisher(t *testing.T, dir string) *export.Publisher {
	t.Helper()
	p, err := export.New(export.Options{Dir: dir, Threads: 1, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// read runs a query in a DuckDB of its own, as another program would.
func read(ctx context.Context, path, q string, columns int) (out [][]any, err error) {
	db, err := query.Open(ctx, query.Options{Path: path, Threads: 1})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.SQL().QueryContext(ctx, q)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		row, at := make([]any, columns), make([]any, columns)
		for i := range row {
			at[i] = &row[i]
		}
		if err := rows.Scan(at...); err != nil {
			return nil, err
		}
		for i, v := range row {
			row[i] = plain(v)
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// plain turns DuckDB's Go types into those of serving.Batch.
func plain(v any) any {
	switch v := v.(type) {
	case int32:
		return int64(v)
	case time.Time:
		return v.UTC()
	case []any:
		list := make([]string, len(v))
		for i, e := range v {
			list[i] = fmt.Sprint(e)
		}
		return list
	}
	return v
}

// selectFrom spells a query over the named columns.
func selectFrom(columns []string, from string) string {
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = query.Ident(c)
	}
	return "SELECT " + strings.Join(quoted, ", ") + " FROM " + from
}

func TestContract(t *testing.T) {
	t.Run("database", func(t *testing.T) {
		publishertest.Run(t, func(t *testing.T) publishertest.Target {
			dir := t.TempDir()
			return publishertest.Target{Publisher: newPublisher(t, dir), Rows: func(table string, columns []string) ([][]any, error) {
				_, name, _ := strings.Cut(table, ".")
				return read(t.Context(), filepath.Join(dir, export.Database)+"?access_mode=read_only", selectFrom(columns, "marts."+query.Ident(name)), len(columns))
			}}
		})
	})
	t.Run("parquet", func(t *testing.T) {
		publishertest.Run(t, func(t *testing.T) publishertest.Target {
			dir := t.TempDir()
			return publishertest.Target{Publisher: newPublisher(t, dir), Rows: func(table string, columns []string) ([][]any, error) {
				file := filepath.Join(dir, strings.Replace(table, ".", "/", 1)+".parquet")
				return read(t.Context(), "", selectFrom(columns, "read_parquet("+query.Quote(file)+")"), len(columns))
			}}
		})
	})
}

// batch is one row for marts.volume.
func batch(snapshot, posts int64) serving.Batch {
	day := time.Date(2016, 10, 6, 0, 0, 0, 0, time.UTC)
	return serving.Batch{
		ID: fmt.Sprintf("marts.volume@%d", snapshot), Table: "marts.volume", Key: []string{"day", "source"},
		Columns:    []lake.Column{{Name: "day", Type: "DATE"}, {Name: "source", Type: "VARCHAR"}, {Name: "posts", Type: "BIGINT"}},
		Provenance: serving.Provenance{Snapshot: snapshot, CommittedAt: day, Model: "marts.volume@abc", RunID: "run-1", PublishedAt: day},
		Rows:       func(yield func([]any, error) bool) { yield([]any{day, "reddit", posts}, nil) },
	}
}

// TestFiles looks at the folder as a person finds it.
func TestFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's new", "export")
	p := newPublisher(t, dir)
	if err := os.MkdirAll(filepath.Join(dir, ".publishing-killed"), 0o755); err != nil {
		t.Fatal(err)
	}
	other := batch(7, 9)
	other.ID, other.Table = "ml.trends@7", "ml.trends"
	for _, b := range []serving.Batch{batch(1, 5), other} {
		if err := p.Publish(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	var files []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path) // below dir by construction
		files = append(files, rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{".", ".feedlake.lock", "marts", "marts/volume.parquet", "marts.duckdb", "ml", "ml/trends.parquet"}, files); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
	database := filepath.Join(dir, export.Database)
	for q, want := range map[string]any{
		"SELECT posts FROM volume":             int64(5),
		"SELECT posts FROM marts.volume":       int64(5),
		"SELECT posts FROM ml.trends":          int64(9),
		"SELECT count(*) FROM duckdb_tables()": int64(3),
		"SELECT string_agg(table_name || snapshot_id || rows, ',' ORDER BY table_name) FROM feedlake_published":                                             "marts.volume11,ml.trends71",
		"SELECT comment FROM duckdb_tables() WHERE table_name = 'volume'":                                                                                   "feedlake: snapshot 1 of 2016-10-06T00:00:00Z; model marts.volume@abc; published by run run-1",
		"SELECT decode(value) FROM parquet_kv_metadata(" + query.Quote(filepath.Join(dir, "marts", "volume.parquet")) + ") WHERE key = 'feedlake.snapshot'": "1",
	} {
		got, err := read(t.Context(), database, q, 1)
		if d := cmp.Diff([][]any{{want}}, got); err != nil || d != "" {
			t.Errorf("%s: %v (-want +got):\n%s", q, err, d)
		}
	}
}

// TestOpenReader keeps the old file open, as Tableau does, while a new one lands.
func TestOpenReader(t *testing.T) {
	dir := t.TempDir()
	p := newPublisher(t, dir)
	if err := p.Publish(t.Context(), batch(1, 5)); err != nil {
		t.Fatal(err)
	}
	db, err := query.Open(t.Context(), query.Options{Path: filepath.Join(dir, export.Database) + "?access_mode=read_only"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := p.Publish(t.Context(), batch(2, 6)); err != nil {
		t.Fatal(err)
	}
	var posts int64
	if err := db.SQL().QueryRowContext(t.Context(), "SELECT posts FROM volume").Scan(&posts); err != nil || posts != 5 {
		t.Errorf("the open reader sees %d, %v; want its old 5", posts, err)
	}
}

// TestLostFiles deletes what was published: the next Publish writes it again.
func TestLostFiles(t *testing.T) {
	for _, lost := range []string{"marts/volume.parquet", export.Database} {
		t.Run(lost, func(t *testing.T) {
			dir := t.TempDir()
			p := newPublisher(t, dir)
			if err := p.Publish(t.Context(), batch(1, 5)); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(dir, lost)); err != nil {
				t.Fatal(err)
			}
			if h, err := p.Published(t.Context(), "marts.volume"); err != nil || h.Snapshot != 0 {
				t.Errorf("held %+v, %v; want nothing", h, err)
			}
			if err := p.Publish(t.Context(), batch(1, 5)); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(filepath.Join(dir, lost)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(dir, "broken")
	if err := os.MkdirAll(filepath.Join(broken, "marts"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{export.Database, "marts/volume.parquet"} {
		if err := os.WriteFile(filepath.Join(broken, name), []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, dir, hint string }{
		{"a file in place of the folder", file, "choose a folder"},
		{"no database", broken, "move it away"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPublisher(t, c.dir)
			checkHint(t, p.Publish(t.Context(), batch(1, 5)), c.hint)
		})
	}
	_, err := newPublisher(t, broken).Published(t.Context(), "marts.volume")
	checkHint(t, err, "move it away")
	_, err = export.New(export.Options{})
	checkHint(t, err, "publish: dir")
	if b, err := os.ReadFile(filepath.Join(broken, export.Database)); err != nil || !strings.HasPrefix(string(b), "no database") {
		t.Errorf("the unreadable file was touched: %v", err)
	}
}

func checkHint(t *testing.T, err error, hint string) {
	t.Helper()
	h, ok := errors.AsType[*feedlake.HintError](err)
	if !ok || !strings.Contains(h.Hint, hint) || !errors.Is(err, feedlake.ErrConfig) {
		t.Errorf("error %v with hint %+v, want ErrConfig and a hint with %q", err, h, hint)
	}
}
