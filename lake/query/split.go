package query

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/feedlake/feedlake/lake"
)

// Split is a lake.Splitter for tables that fit into DuckDB's memory, or its folder
// for spilling. derive gives columns that the rows lack, as SQL by name.
func (d *DB) Split(derive map[string]string) lake.Splitter {
	return func(ctx context.Context, cols []lake.Column, in []lake.File, by []string, path func(lake.Partition) (string, error)) (made []string, err error) {
		var replace []string
		for column, expr := range derive {
			replace = append(replace, expr+" AS "+Ident(column))
		}
		from := Select(cols, in)
		if len(replace) > 0 {
			from = "SELECT * REPLACE (" + strings.Join(replace, ", ") + ") FROM (" + from + ")"
		}
		if _, err := d.sql.ExecContext(ctx, "CREATE OR REPLACE TABLE split_rows AS "+from); err != nil {
			return nil, fmt.Errorf("read rows: %w", err)
		}
		defer func() {
			_, derr := d.sql.ExecContext(context.WithoutCancel(ctx), "DROP TABLE IF EXISTS split_rows")
			err = errors.Join(err, derr)
		}()
		exprs, names := make([]string, len(by)), make([]string, len(by))
		for i, p := range by {
			exprs[i], names[i] = "CAST("+Ident(p)+" AS VARCHAR)", p
			if inner, ok := strings.CutPrefix(p, "day("); ok {
				exprs[i], names[i] = "CAST(CAST("+Ident(strings.TrimSuffix(inner, ")"))+" AS DATE) AS VARCHAR)", "day"
			}
		}
		parts, err := d.distinct(ctx, exprs)
		if err != nil {
			return nil, err
		}
		for _, values := range parts {
			var pairs, where []string
			for i, v := range values {
				pairs, where = append(pairs, names[i], v), append(where, exprs[i]+" = "+Quote(v))
			}
			out, err := path(lake.MakePartition(pairs...))
			if err != nil {
				return made, err
			}
			made = append(made, out)
			if _, err := d.sql.ExecContext(ctx, "COPY (SELECT * FROM split_rows WHERE "+strings.Join(where, " AND ")+") TO "+Quote(out)+" ("+CopyOptions+")"); err != nil {
				return made, fmt.Errorf("write partition: %w", err)
			}
		}
		return made, nil
	}
}

// distinct lists the values of expressions over the rows to split.
func (d *DB) distinct(ctx context.Context, exprs []string) (parts [][]string, err error) {
	rows, err := d.sql.QueryContext(ctx, "SELECT DISTINCT "+strings.Join(exprs, ", ")+" FROM split_rows ORDER BY ALL")
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		values, to := make([]string, len(exprs)), make([]any, len(exprs))
		for i := range values {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			return nil, fmt.Errorf("list partitions: %w", err)
		}
		parts = append(parts, values)
	}
	return parts, rows.Err()
}
