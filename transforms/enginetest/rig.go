// Package enginetest holds what every transforms.Engine must keep, as tests, and
// runs golden cases of models: Parquet in, rows out, compared exactly.
package enginetest

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/transforms"
)

// rig makes input files and reads output files, beside the engine under test.
type rig struct {
	t   testing.TB
	dir string
	db  *query.DB
	seq atomic.Int64
}

func newRig(t testing.TB) *rig {
	t.Helper()
	dir := t.TempDir()
	db, err := query.Open(t.Context(), query.Options{Memory: "500MB", TempDir: filepath.Join(dir, "spill")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &rig{t: t, dir: dir, db: db}
}

// path returns a fresh path.
func (r *rig) path(lake.Partition) (string, error) {
	return filepath.Join(r.dir, fmt.Sprintf("%04d.parquet", r.seq.Add(1))), nil
}

// file writes the rows of a SELECT as one Parquet file.
func (r *rig) file(p lake.Partition, selectSQL string) lake.File {
	r.t.Helper()
	path, _ := r.path(p)
	f := lake.File{Path: path, Partition: p}
	text := "COPY (" + selectSQL + ") TO " + query.Quote(path) + " (FORMAT parquet, RETURN_STATS true)"
	var footer int64
	var stats, keys any
	if err := r.db.SQL().QueryRowContext(r.t.Context(), text).Scan(&f.Path, &f.Rows, &f.Bytes, &footer, &stats, &keys); err != nil {
		r.t.Fatalf("%s: %v", selectSQL, err)
	}
	return f
}

// model parses a model whose head is head and whose SELECT is sql.
func (r *rig) model(head, sql string) transforms.Model {
	r.t.Helper()
	m, err := transforms.ParseModel("models/case.sql", []byte(head+"\n\n"+sql+"\n"))
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// query asks for a model over the given files.
func (r *rig) query(m transforms.Model, inputs map[string]input) transforms.Query {
	q := transforms.Query{Model: m, Inputs: map[string][]lake.File{}, Columns: map[string][]lake.Column{}, Staging: r.path}
	for table, in := range inputs {
		q.Inputs[table], q.Columns[table] = in.files, in.columns
	}
	return q
}

// input is one table's files.
type input struct {
	columns []lake.Column
	files   []lake.File
}

func columns(pairs ...string) []lake.Column {
	var out []lake.Column
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, lake.Column{Name: pairs[i], Type: pairs[i+1]})
	}
	return out
}

// rows reads files back, ordered, each value as text: NULL, or what DuckDB
// spells, lists as JSON.
func (r *rig) rows(cols []lake.Column, files []lake.File, orderBy string) [][]string {
	r.t.Helper()
	exprs := make([]string, len(cols))
	for i, c := range cols {
		exprs[i] = "CAST(" + query.Ident(c.Name) + " AS VARCHAR)"
		if strings.HasSuffix(c.Type, "[]") {
			exprs[i] = "CAST(to_json(" + query.Ident(c.Name) + ") AS VARCHAR)"
		}
	}
	text := "SELECT " + strings.Join(exprs, ", ") + " FROM (" + query.Select(cols, files) + ") ORDER BY " + orderBy
	rows, err := r.db.SQL().QueryContext(r.t.Context(), text)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var out [][]string
	for rows.Next() {
		values := make([]sql.NullString, len(cols))
		to := make([]any, len(cols))
		for i := range values {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			r.t.Fatal(err)
		}
		line := make([]string, len(cols))
		for i, v := range values {
			line[i] = null
			if v.Valid {
				line[i] = v.String
			}
		}
		out = append(out, line)
	}
	if err := rows.Err(); err != nil {
		r.t.Fatal(err)
	}
	return out
}

// null stands for NULL in rows read back; no test writes it as text.
const null = "\x00"
