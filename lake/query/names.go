package query

import (
	"context"
	"errors"
	"fmt"

	duckdb "github.com/duckdb/duckdb-go/v2"
)

// TableNames lists the tables that a statement names, as "schema.table", so that
// only these need to be at hand. It is a help and no promise: a table may also
// be reached by other ways, such as query_table.
func (d *DB) TableNames(ctx context.Context, text string) (names []string, err error) {
	conn, err := d.sql.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to duckdb: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return duckdb.GetTableNames(conn, text, true)
}
