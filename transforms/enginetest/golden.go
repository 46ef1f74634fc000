package enginetest

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/transforms"
)

// Golden runs the golden cases of every model on an engine and compares rows
// and types exactly. A case is a folder dir/<model>/<case> with one
// in.<table>.csv per input and the answer in want.csv, ordered by the model's
// key. A model without a case fails. With update, want.csv is written anew.
//
// The header's fields are name:TYPE; of feedlake's own tables (lake.Fixed) the
// type may be left out, and columns that a file does not give are NULL. An empty
// field is NULL, "" is the empty text, a list is JSON.
func Golden(t *testing.T, g *transforms.Graph, dir string, open func(t *testing.T) transforms.Engine, update bool) {
	e := open(t) // one for all: Spark takes a while to open a session
	for _, m := range g.Models() {
		t.Run(m.Name, func(t *testing.T) {
			cases, err := os.ReadDir(filepath.Join(dir, m.Name))
			if err != nil || len(cases) == 0 {
				t.Fatalf("model %s has no golden case in %s: %v", m.Name, dir, err)
			}
			for _, c := range cases {
				t.Run(c.Name(), func(t *testing.T) {
					golden(t, e, m, filepath.Join(dir, m.Name, c.Name()), update)
				})
			}
		})
	}
}

func golden(t *testing.T, e transforms.Engine, m transforms.Model, dir string, update bool) {
	r := newRig(t)
	inputs := map[string]input{}
	for _, in := range m.Inputs {
		inputs[in.Table] = r.csvInput(in.Table, filepath.Join(dir, "in."+in.Table+".csv"))
	}
	out := mustRun(t, e, r.query(m, inputs))
	if diff := cmp.Diff(m.Order, columnNames(out.Columns)); diff != "" {
		t.Errorf("columns of the head and of the result (-head +result):\n%s", diff)
	}
	order := make([]string, len(m.Key))
	for i, k := range m.Key {
		order[i] = query.Ident(k) + " NULLS FIRST"
	}
	got := formatCSV(out.Columns, r.rows(out.Columns, out.Files, strings.Join(order, ", ")))
	path := filepath.Join(dir, "want.csv")
	if update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func columnNames(cols []lake.Column) []string {
	names := make([]string, len(cols))
	for i, c := range cols {
		names[i] = c.Name
	}
	return names
}

// csvInput turns a CSV file into Parquet of the right types; a missing file of
// one of feedlake's own tables is the empty table.
func (r *rig) csvInput(table, path string) input {
	r.t.Helper()
	spec := fixedColumns(table)
	head, err := header(path)
	if errors.Is(err, fs.ErrNotExist) && spec != nil {
		return input{columns: spec}
	}
	if err != nil {
		r.t.Fatal(err)
	}
	cols := slices.Clone(spec)
	given, exprs := map[string]string{}, make([]string, 0, len(cols))
	var columns []string
	for _, h := range head {
		columns = append(columns, query.Quote(h)+": 'VARCHAR'")
		name, typ, typed := strings.Cut(h, ":")
		given[name] = h
		if !slices.ContainsFunc(spec, func(c lake.Column) bool { return c.Name == name }) {
			if !typed {
				r.t.Fatalf("%s: column %s needs a type, as in %s:VARCHAR", path, name, name)
			}
			cols = append(cols, lake.Column{Name: name, Type: typ})
		}
	}
	for _, c := range cols {
		exprs = append(exprs, fromText(c, given[c.Name]))
	}
	from := fmt.Sprintf("read_csv(%s, auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"', nullstr = '', "+
		"allow_quoted_nulls = false, parallel = false, columns = {%s})", query.Quote(path), strings.Join(columns, ", "))
	return input{columns: cols, files: []lake.File{r.file("", "SELECT "+strings.Join(exprs, ", ")+" FROM "+from)}}
}

// fromText spells a column's value, read as text from the field of that name.
func fromText(c lake.Column, field string) string {
	switch {
	case field == "":
		return "CAST(NULL AS " + c.Type + ") AS " + query.Ident(c.Name)
	case strings.HasSuffix(c.Type, "[]"):
		return "from_json(" + query.Ident(field) + `, '["VARCHAR"]') AS ` + query.Ident(c.Name)
	}
	return "CAST(" + query.Ident(field) + " AS " + c.Type + ") AS " + query.Ident(c.Name)
}

func fixedColumns(table string) []lake.Column {
	for _, s := range lake.Fixed() {
		if s.Name == table {
			return s.Columns
		}
	}
	return nil
}

func header(path string) (names []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return csv.NewReader(f).Read()
}

// formatCSV spells rows as csvInput reads them.
func formatCSV(cols []lake.Column, rows [][]string) string {
	var b strings.Builder
	for i, c := range cols {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(c.Name + ":" + c.Type)
	}
	b.WriteByte('\n')
	for _, row := range rows {
		for i, v := range row {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(field(v))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func field(v string) string {
	switch {
	case v == null:
		return ""
	case v == "" || strings.ContainsAny(v, "\",\n\r") || strings.TrimSpace(v) != v:
		return `"` + strings.ReplaceAll(v, `"`, `""`) + `"`
	}
	return v
}
