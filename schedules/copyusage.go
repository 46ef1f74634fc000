package schedules

import (
	"context"
	"database/sql"
)

// accounts copies what accounts used and the limits that they were told. Where
// both ledgers count, neither knows what the other has counted since they were
// copied last: the greater number holds, and of limits the one that ends later.
func (c *copying) accounts(ctx context.Context) error {
	// Of two numbers SQLite knows max and PostgreSQL greatest: both know case.
	greater := func(column string) string {
		return column + " = case when usage." + column + " < excluded." + column + " then excluded." + column + " else usage." + column + " end"
	}
	err := c.table(ctx, 5, "select account, period, requests, posts, micros from usage order by account, period",
		"insert into usage (account, period, requests, posts, micros) values ",
		" on conflict (account, period) do update set "+greater("requests")+", "+greater("posts")+", "+greater("micros"))
	if err != nil {
		return err
	}
	return c.table(ctx, 4, "select account, endpoint, remaining, reset from limits order by account, endpoint",
		"insert into limits (account, endpoint, remaining, reset) values ",
		` on conflict (account, endpoint) do update set remaining = excluded.remaining, reset = excluded.reset
			where limits.reset < excluded.reset or limits.reset = excluded.reset and excluded.remaining < limits.remaining`)
}

// table copies the rows that a query gives, of so many columns.
func (c *copying) table(ctx context.Context, columns int, query, insert, conflict string) error {
	rows, err := collect(ctx, c.from, func(rows *sql.Rows) ([]any, error) {
		row, to := make([]any, columns), make([]any, columns)
		for i := range row {
			to[i] = &row[i]
		}
		return row, rows.Scan(to...)
	}, query)
	if err != nil {
		return err
	}
	for len(rows) > 0 {
		part := rows[:min(len(rows), pageRuns)]
		rows = rows[len(part):]
		var args []any
		for _, row := range part {
			args = append(args, row...)
		}
		if _, err := c.to.ExecContext(ctx, insert+values(len(part), len(args))+conflict, args...); err != nil {
			return err
		}
	}
	return nil
}
