package query

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/feedlake/feedlake/lake"
)

// Rows removes rows, and values, that SQL conditions over a table's columns
// describe. It is a lake.Eraser.
type Rows struct {
	DB     *DB
	Remove string            // rows for which it is true leave
	Clear  map[string]string // column to a condition: rows for which it is true lose the value
}

var _ lake.Eraser = Rows{}

// yes spells a condition that is never NULL.
func yes(condition string) string {
	if condition == "" {
		return "false"
	}
	return "coalesce((" + condition + "), false)"
}

func (r Rows) anyClear() string {
	terms := []string{"false"}
	for _, c := range slices.Sorted(maps.Keys(r.Clear)) {
		terms = append(terms, "("+Ident(c)+" IS NOT NULL AND "+yes(r.Clear[c])+")")
	}
	return "(" + strings.Join(terms, " OR ") + ")"
}

// Find counts the affected rows of each file.
func (r Rows) Find(ctx context.Context, cols []lake.Column, files []lake.File) (_ map[string]lake.Affected, err error) {
	out := map[string]lake.Affected{}
	for _, f := range files {
		var a lake.Affected
		err := r.DB.sql.QueryRowContext(ctx, "SELECT count(*) FILTER (WHERE "+yes(r.Remove)+"), count(*) FILTER (WHERE NOT "+yes(r.Remove)+" AND "+r.anyClear()+
			") FROM ("+Select(cols, []lake.File{f})+") t").Scan(&a.Removed, &a.Cleared)
		if err != nil {
			return nil, fmt.Errorf("search %s: %w", f.Path, err)
		}
		if a != (lake.Affected{}) {
			out[f.Path] = a
		}
	}
	return out, nil
}

// Rewrite writes the rows that stay.
func (r Rows) Rewrite(ctx context.Context, cols []lake.Column, in []lake.File, out string) (kept int64, err error) {
	list := make([]string, len(cols))
	for i, c := range cols {
		list[i] = Ident(c.Name)
		if when, ok := r.Clear[c.Name]; ok {
			list[i] = "CASE WHEN " + yes(when) + " THEN NULL ELSE " + list[i] + " END AS " + list[i]
		}
	}
	text := "SELECT " + strings.Join(list, ", ") + " FROM (" + Select(cols, in) + ") t WHERE NOT " + yes(r.Remove)
	err = r.DB.sql.QueryRowContext(ctx, "COPY ("+text+") TO "+Quote(out)+" ("+CopyOptions+")").Scan(&kept)
	if err != nil {
		return 0, fmt.Errorf("rewrite %d files: %w", len(in), err)
	}
	return kept, nil
}

// Define teaches DuckDB the function name: whether something holds of some
// texts. It is called by several goroutines at once; NULL gives NULL.
func (d *DB) Define(ctx context.Context, name string, args int, holds func(texts []string) bool) (err error) {
	text, err := duckdb.NewTypeInfo(duckdb.TYPE_VARCHAR)
	if err != nil {
		return fmt.Errorf("define %s: %w", name, err)
	}
	boolean, err := duckdb.NewTypeInfo(duckdb.TYPE_BOOLEAN)
	if err != nil {
		return fmt.Errorf("define %s: %w", name, err)
	}
	conn, err := d.sql.Conn(ctx)
	if err != nil {
		return fmt.Errorf("define %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	f := predicate{duckdb.ScalarFuncConfig{InputTypeInfos: slices.Repeat([]duckdb.TypeInfo{text}, args), ResultTypeInfo: boolean}, holds}
	if err := duckdb.RegisterScalarUDF(conn, name, f); err != nil {
		return fmt.Errorf("define %s: %w", name, err)
	}
	return nil
}

// predicate is a function of texts as duckdb-go asks for it.
type predicate struct {
	config duckdb.ScalarFuncConfig
	holds  func([]string) bool
}

// Config tells the types.
func (p predicate) Config() duckdb.ScalarFuncConfig { return p.config }

// Executor calls the function for one row.
func (p predicate) Executor() duckdb.ScalarFuncExecutor {
	return duckdb.ScalarFuncExecutor{RowExecutor: func(values []driver.Value) (any, error) {
		texts := make([]string, len(values))
		for i, v := range values {
			text, ok := v.(string)
			if !ok {
				return nil, fmt.Errorf("value %d is %T, want text", i, v)
			}
			texts[i] = text
		}
		return p.holds(texts), nil
	}}
}

// Texts runs a query of one column of texts and returns them.
func (d *DB) Texts(ctx context.Context, text string, args ...any) (out []string, err error) {
	rows, err := d.sql.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s sql.NullString
		if err := rows.Scan(&s); err != nil {
			return nil, fmt.Errorf("query: %w", err)
		}
		out = append(out, s.String)
	}
	return out, rows.Err()
}
