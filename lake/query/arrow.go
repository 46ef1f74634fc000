package query

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	duckdb "github.com/duckdb/duckdb-go/v2"
)

// Arrow runs a query and hands its result to each, batch by batch, as DuckDB
// makes it: columns of up to 2,048 rows, no value boxed. A batch is each's only
// until it returns; strings taken from it must be copied to be kept.
func (d *DB) Arrow(ctx context.Context, each func(arrow.RecordBatch) error, text string, args ...any) (err error) {
	conn, err := d.sql.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect to duckdb: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return readArrow(ctx, conn, each, text, args...)
}

func readArrow(ctx context.Context, conn *sql.Conn, each func(arrow.RecordBatch) error, text string, args ...any) error {
	return conn.Raw(func(raw any) error {
		dc, ok := raw.(driver.Conn)
		if !ok {
			return fmt.Errorf("duckdb connection %T: %w", raw, errors.ErrUnsupported)
		}
		a, err := duckdb.NewArrowFromConn(dc)
		if err != nil {
			return fmt.Errorf("open arrow interface: %w", err)
		}
		rows, err := a.QueryContext(ctx, text, args...)
		if err != nil {
			return err
		}
		defer rows.Release()
		for rows.Next() {
			if err := each(rows.RecordBatch()); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}
