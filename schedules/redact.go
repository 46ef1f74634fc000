package schedules

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Redacted stands where Redact took a text away.
const Redacted = "(erased)"

// Redact takes away the errors and details of runs and steps about which secret
// reports true, and has the database let go of their bytes. It returns how many
// it took away. Runs that are under way keep what they will still write.
func (l *Ledger) Redact(ctx context.Context, secret func(text string) bool) (n int64, err error) {
	err = l.tx(ctx, func(q querier) error {
		n = 0
		for _, at := range [][2]string{{"runs", "error"}, {"steps", "error"}, {"steps", "detail"}} {
			texts, err := collect(ctx, q, func(rows *sql.Rows) (text string, err error) { return text, rows.Scan(&text) },
				"select distinct "+at[1]+" from "+at[0]+" where "+at[1]+" <> ''")
			if err != nil {
				return err
			}
			for _, text := range texts {
				if !secret(text) {
					continue
				}
				res, err := q.ExecContext(ctx, "update "+at[0]+" set "+at[1]+" = ? where "+at[1]+" = ?", Redacted, text)
				if err != nil {
					return err
				}
				changed, err := res.RowsAffected()
				if err != nil {
					return err
				}
				n += changed
			}
		}
		return nil
	})
	if err == nil && n > 0 {
		err = l.scrub(ctx)
	}
	if err != nil {
		return 0, fmt.Errorf("redact ledger: %w", err)
	}
	return n, nil
}

// scrub has the database overwrite what rows held before.
func (l *Ledger) scrub(ctx context.Context) error {
	var errs []error
	for _, s := range l.on.scrub {
		_, err := l.db.ExecContext(ctx, s)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
