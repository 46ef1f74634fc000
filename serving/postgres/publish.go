package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/serving"
)

// Publish sends b's rows to a staging table with COPY, and in the same
// transaction replaces the windows from there. Readers are never blocked, save
// for the moment of a commit that adds a column.
func (p *Publisher) Publish(ctx context.Context, b serving.Batch) error {
	if err := b.Validate(); err != nil {
		return err
	}
	conn, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer p.close(ctx, conn)
	tx, err := conn.Begin(ctx)
	if err != nil {
		return p.explain(ctx, "begin", err)
	}
	defer func() { // after a commit this does nothing; on a lost connection the server does it
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		_ = tx.Rollback(ctx)
	}()
	if again, err := p.replace(ctx, tx, b); again || err != nil {
		return err
	}
	return p.commit(ctx, tx)
}

// commit ends the transaction. It is not cancelled midway: an interrupted
// commit would be an unknown outcome.
func (p *Publisher) commit(ctx context.Context, tx pgx.Tx) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	err := tx.Commit(ctx)
	if err == nil || serverSays(err) != nil || errors.Is(err, pgx.ErrTxCommitRollback) {
		return p.explain(ctx, "commit", err)
	}
	return feedlake.Hint(fmt.Errorf("commit to %s: %w: %w", p.Where(), feedlake.ErrUnknown, err),
		"publish again: the database remembers whether it has this batch")
}

// replace does the whole work inside tx. It answers true when the database
// holds b already.
func (p *Publisher) replace(ctx context.Context, tx pgx.Tx, b serving.Batch) (again bool, err error) {
	held, err := p.prepare(ctx, tx, b.Table)
	if err != nil {
		return false, err
	}
	switch {
	case held.BatchID == b.ID:
		return true, nil
	case b.Base != 0 && held.Snapshot != b.Base:
		return false, fmt.Errorf("%s holds snapshot %d of %s, not %d: %w", p.Where(), held.Snapshot, b.Table, b.Base, feedlake.ErrConflict)
	}
	sent, err := p.stage(ctx, tx, b)
	if err != nil {
		return false, err
	}
	if err := p.ensureTable(ctx, tx, b); err != nil {
		return false, err
	}
	gone, err := p.swap(ctx, tx, b)
	if err != nil {
		return false, err
	}
	if err := p.ensureKey(ctx, tx, p.table(b.Table), b.Key); err != nil {
		return false, err
	}
	rows := held.Rows - gone + sent
	if err := p.remember(ctx, tx, b, rows); err != nil {
		return false, err
	}
	p.log.DebugContext(ctx, "published to postgres", "table", b.Table, "rows", sent, "replaced", gone)
	return false, nil
}

// prepare takes the schema's lock, which other publishers wait for and readers
// never see, makes the schema and the ledger, and reads what is held.
func (p *Publisher) prepare(ctx context.Context, tx pgx.Tx, table string) (serving.Published, error) {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "feedlake publishes "+p.schema); err != nil {
		return serving.Published{}, p.explain(ctx, "lock schema "+p.schema, err)
	}
	if err := p.ensureSchema(ctx, tx); err != nil {
		return serving.Published{}, err
	}
	held, err := p.held(ctx, tx, table)
	if err != nil {
		return held, p.explain(ctx, "read "+ledger, err)
	}
	return held, nil
}

// stage copies the rows into a temporary table and makes sure that no key
// stands there twice.
func (p *Publisher) stage(ctx context.Context, tx pgx.Tx, b serving.Batch) (int64, error) {
	defs, names := make([]string, len(b.Columns)), make([]string, len(b.Columns))
	for i, c := range b.Columns {
		defs[i], names[i] = ident(c.Name)+" "+columnType(c.Type), c.Name
	}
	if _, err := tx.Exec(ctx, "CREATE TEMPORARY TABLE "+staging+" ("+strings.Join(defs, ", ")+") ON COMMIT DROP"); err != nil {
		return 0, p.explain(ctx, "create staging table", err)
	}
	source := newSource(b.Checked())
	defer source.stop()
	n, err := tx.CopyFrom(ctx, pgx.Identifier{"pg_temp", staging}, names, source)
	if source.err != nil { // the server would only say that the copy broke off
		return 0, source.err
	}
	if err != nil {
		return 0, p.explain(ctx, "copy rows of "+b.Table, err)
	}
	return n, p.checkKey(ctx, tx, b)
}

// checkKey fails with feedlake.ErrRejected when two staged rows share the key.
func (p *Publisher) checkKey(ctx context.Context, tx pgx.Tx, b serving.Batch) error {
	if len(b.Key) == 0 {
		return nil
	}
	key := identList(b.Key)
	var example string
	var n int64
	err := tx.QueryRow(ctx, "SELECT row("+key+")::text, count(*) FROM pg_temp."+staging+" GROUP BY "+key+" HAVING count(*) > 1 LIMIT 1").Scan(&example, &n)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return p.explain(ctx, "check key of "+b.Table, err)
	}
	return fmt.Errorf("table %s: %d rows have the key (%s) = %s: %w", b.Table, n, strings.Join(b.Key, ", "), example, feedlake.ErrRejected)
}

// swap deletes the windows and fills them from staging; it returns the number
// of rows deleted.
func (p *Publisher) swap(ctx context.Context, tx pgx.Tx, b serving.Batch) (int64, error) {
	table := p.name(p.table(b.Table))
	var gone int64
	if b.WindowColumn == "" {
		tag, err := tx.Exec(ctx, "DELETE FROM "+table)
		if err != nil {
			return 0, p.explain(ctx, "empty "+table, err)
		}
		gone = tag.RowsAffected()
	}
	column := ident(b.WindowColumn)
	for _, w := range b.Windows {
		tag, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE "+column+" >= $1 AND "+column+" < $2", w.Start, w.End)
		if err != nil {
			return 0, p.explain(ctx, "empty window of "+table, err)
		}
		gone += tag.RowsAffected()
	}
	names := make([]string, len(b.Columns))
	for i, c := range b.Columns {
		names[i] = c.Name
	}
	list := identList(names)
	if _, err := tx.Exec(ctx, "INSERT INTO "+table+" ("+list+") SELECT "+list+" FROM pg_temp."+staging); err != nil {
		return 0, p.explain(ctx, "fill "+table, err)
	}
	return gone, nil
}

// remember writes the ledger's row and the table's comment.
func (p *Publisher) remember(ctx context.Context, tx pgx.Tx, b serving.Batch, rows int64) error {
	v := b.Provenance
	_, err := tx.Exec(ctx, `INSERT INTO `+p.name(ledger)+` AS l (table_name, snapshot_id, model, run_id, published_at, rows, batch_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (table_name) DO UPDATE SET snapshot_id = excluded.snapshot_id, model = excluded.model,
		run_id = excluded.run_id, published_at = excluded.published_at, rows = excluded.rows, batch_id = excluded.batch_id`,
		p.table(b.Table), v.Snapshot, v.Model, v.RunID, v.PublishedAt, rows, b.ID)
	if err != nil {
		return p.explain(ctx, "write "+ledger, err)
	}
	if _, err := tx.Exec(ctx, "COMMENT ON TABLE "+p.name(p.table(b.Table))+" IS "+literal(v.String())); err != nil {
		return p.explain(ctx, "comment on "+b.Table, err)
	}
	return nil
}

// source feeds COPY from an iterator and keeps the iterator's error.
type source struct {
	next func() ([]any, error, bool)
	stop func()
	row  []any
	err  error
}

func newSource(rows iter.Seq2[[]any, error]) *source {
	next, stop := iter.Pull2(rows)
	return &source{next: next, stop: stop}
}

// Next moves to the next row.
func (s *source) Next() bool {
	row, err, ok := s.next()
	s.row, s.err = row, err
	return ok && err == nil
}

// Values returns the row.
func (s *source) Values() ([]any, error) { return s.row, nil }

// Err returns the iterator's error.
func (s *source) Err() error { return s.err }

func identList(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = ident(n)
	}
	return strings.Join(out, ", ")
}

// literal spells a string where the server takes no parameter.
func literal(s string) string {
	return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// columnType is the PostgreSQL type of a lake type, as format_type spells it.
func columnType(lakeType string) string {
	switch lakeType {
	case "BIGINT":
		return "bigint"
	case "INTEGER":
		return "integer"
	case "DOUBLE":
		return "double precision"
	case "BOOLEAN":
		return "boolean"
	case "DATE":
		return "date"
	case "TIMESTAMPTZ":
		return "timestamp with time zone"
	case "VARCHAR[]":
		return "text[]"
	default: // Batch.Validate lets only VARCHAR pass
		return "text"
	}
}
