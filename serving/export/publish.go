package export

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/serving"
)

// errHeld ends a build early: the folder holds the batch already.
var errHeld = errors.New("held already")

// Publish builds the new database and the table's Parquet file in a folder of
// their own, then renames them into place, the database last: it holds the
// ledger, so a crash between the two renames only means that the next Publish
// does the same again.
func (p *Publisher) Publish(ctx context.Context, b serving.Batch) (err error) {
	if err := b.Validate(); err != nil {
		return err
	}
	unlock, err := p.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	work, err := p.makeWork()
	if err != nil {
		return p.explain(err)
	}
	defer os.RemoveAll(work) //nolint:errcheck // the next Publish sweeps
	database, table := filepath.Join(work, Database), filepath.Join(work, "table.parquet")
	if err := copyFile(filepath.Join(p.dir, Database), database); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p.explain(err)
	}
	if err := p.build(ctx, b, database, table); err != nil {
		if errors.Is(err, errHeld) {
			return nil
		}
		return p.explain(err)
	}
	return p.explain(p.land(database, table, b.Table))
}

// build brings the database at path to b and writes the table to parquet.
func (p *Publisher) build(ctx context.Context, b serving.Batch, path, parquet string) (err error) {
	db, err := p.open(ctx, path, filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.SQL().Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	before, err := p.prepare(ctx, conn, b)
	if err != nil {
		return err
	}
	if err := stage(ctx, conn, b); err != nil {
		return err
	}
	return swap(ctx, conn, b, before, parquet)
}

// prepare makes the ledger and compares it with b.
func (p *Publisher) prepare(ctx context.Context, conn *sql.Conn, b serving.Batch) (serving.Published, error) {
	err := execAll(ctx, conn, `CREATE TABLE IF NOT EXISTS feedlake_published (table_name VARCHAR PRIMARY KEY, snapshot_id BIGINT, model VARCHAR,
		run_id VARCHAR, published_at TIMESTAMPTZ, rows BIGINT, batch_id VARCHAR)`)
	if err != nil {
		return serving.Published{}, err
	}
	h, err := held(ctx, conn, b.Table)
	if err != nil {
		return h, err
	}
	_, statErr := os.Stat(p.parquet(b.Table))
	switch {
	case h.BatchID == b.ID && statErr == nil:
		return h, errHeld
	case b.Base != 0 && h.Snapshot != b.Base:
		return h, fmt.Errorf("%s holds snapshot %d of %s, not %d: %w", p.dir, h.Snapshot, b.Table, b.Base, feedlake.ErrConflict)
	}
	return h, nil
}

const staging = "feedlake_staging"

// checkEvery is the number of rows between two looks at the context.
const checkEvery = 1024

// stage appends the rows to a temporary table and makes sure that no key stands
// there twice.
func stage(ctx context.Context, conn *sql.Conn, b serving.Batch) error {
	defs := make([]string, len(b.Columns))
	for i, c := range b.Columns {
		defs[i] = query.Ident(c.Name) + " " + c.Type
	}
	if err := execAll(ctx, conn, "CREATE TEMP TABLE "+staging+" ("+strings.Join(defs, ", ")+")"); err != nil {
		return err
	}
	err := conn.Raw(func(raw any) error {
		dc, ok := raw.(driver.Conn)
		if !ok {
			return fmt.Errorf("connection is %T", raw)
		}
		return appendRows(ctx, dc, b)
	})
	if err != nil {
		return err
	}
	return checkKey(ctx, conn, b)
}

func appendRows(ctx context.Context, conn driver.Conn, b serving.Batch) (err error) {
	app, err := duckdb.NewAppender(conn, "temp", "main", staging)
	if err != nil {
		return fmt.Errorf("append rows: %w", err)
	}
	defer func() { err = errors.Join(err, app.Close()) }()
	values := make([]driver.Value, len(b.Columns))
	n := 0
	for row, err := range b.Checked() {
		if err != nil {
			return err
		}
		if n++; n%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		for i, v := range row {
			values[i] = v
		}
		if err := app.AppendRow(values...); err != nil {
			return fmt.Errorf("append row %d: %w", n, err)
		}
	}
	return ctx.Err()
}

// checkKey fails with feedlake.ErrRejected when two staged rows share the key.
func checkKey(ctx context.Context, conn *sql.Conn, b serving.Batch) error {
	if len(b.Key) == 0 {
		return nil
	}
	key := identList(b.Key)
	var example string
	var n int64
	err := conn.QueryRowContext(ctx, "SELECT row("+key+")::VARCHAR, count(*) FROM "+staging+" GROUP BY "+key+" HAVING count(*) > 1 LIMIT 1").Scan(&example, &n)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("check key: %w", err)
	}
	return fmt.Errorf("table %s: %d rows have the key (%s) = %s: %w", b.Table, n, strings.Join(b.Key, ", "), example, feedlake.ErrRejected)
}

// swap writes the table anew, sorted by key: what stays of the old rows, and
// the staged ones. A rewrite keeps the file compact, and a column that came
// later needs no more than the union by name.
func swap(ctx context.Context, conn *sql.Conn, b serving.Batch, before serving.Published, parquet string) error {
	table := name(b.Table)
	rows := "SELECT * FROM " + staging
	if b.WindowColumn != "" && before.Snapshot != 0 {
		rows += " UNION ALL BY NAME SELECT * FROM " + table + " WHERE NOT coalesce(" + inWindows(b) + ", false)"
	}
	if len(b.Key) > 0 {
		rows = "SELECT * FROM (" + rows + ") ORDER BY " + identList(b.Key)
	}
	var stmts []string
	if schema, _, ok := strings.Cut(table, "."); ok {
		stmts = append(stmts, "CREATE SCHEMA IF NOT EXISTS "+schema)
	}
	v := b.Provenance
	stmts = append(stmts, "BEGIN", "CREATE OR REPLACE TABLE "+table+" AS "+rows,
		"COMMENT ON TABLE "+table+" IS "+query.Quote(v.String()),
		fmt.Sprintf("INSERT OR REPLACE INTO feedlake_published SELECT %s, %d, %s, %s, make_timestamptz(%d), count(*), %s FROM %s", query.Quote(b.Table), v.Snapshot,
			query.Quote(v.Model), query.Quote(v.RunID), v.PublishedAt.UnixMicro(), query.Quote(b.ID), table),
		"COMMIT", "DROP TABLE "+staging, "CHECKPOINT",
		"COPY (FROM "+table+") TO "+query.Quote(parquet)+" (FORMAT parquet, COMPRESSION zstd, KV_METADATA {"+
			fmt.Sprintf("'feedlake.snapshot': '%d', ", v.Snapshot)+"'feedlake.provenance': "+query.Quote(v.String())+"})")
	return execAll(ctx, conn, stmts...)
}

// inWindows is the condition that a row lies in b's windows.
func inWindows(b serving.Batch) string {
	terms := []string{"false"}
	for _, w := range b.Windows {
		terms = append(terms, fmt.Sprintf("(%[1]s >= make_timestamptz(%[2]d) AND %[1]s < make_timestamptz(%[3]d))",
			query.Ident(b.WindowColumn), w.Start.UnixMicro(), w.End.UnixMicro()))
	}
	return strings.Join(terms, " OR ")
}

func execAll(ctx context.Context, conn *sql.Conn, stmts ...string) error {
	for _, s := range stmts {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("duckdb: %.60s…: %w", s, err)
		}
	}
	return nil
}

func identList(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = query.Ident(n)
	}
	return strings.Join(out, ", ")
}

// land makes the two new files durable and gives them their names.
func (p *Publisher) land(database, parquet, table string) error {
	target := p.parquet(table)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	for _, f := range []string{parquet, database} {
		if err := syncFile(f); err != nil {
			return err
		}
	}
	if err := os.Rename(parquet, target); err != nil {
		return err
	}
	if err := os.Rename(database, filepath.Join(p.dir, Database)); err != nil {
		return err
	}
	return errors.Join(syncFile(filepath.Dir(target)), syncFile(p.dir))
}

// explain adds the next step to errors of the file system.
func (p *Publisher) explain(err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return feedlake.Hint(fmt.Errorf("export to %s: %w", p.dir, err), "the folder must be writable and its disk have room for a second copy of %s; the old files are untouched", Database)
	}
	return err
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // read only
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// syncFile makes a file, or the names in a folder, survive a power cut.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
