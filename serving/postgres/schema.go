package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/serving"
)

// maxName is the length, in bytes, to which PostgreSQL cuts names.
const maxName = 63

// ensureSchema makes the schema and the ledger where they are missing. It looks
// first: CREATE SCHEMA IF NOT EXISTS asks for rights that a publisher into an
// existing schema does not need.
func (p *Publisher) ensureSchema(ctx context.Context, tx pgx.Tx) error {
	var there bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, p.schema).Scan(&there); err != nil {
		return p.explain(ctx, "look for schema "+p.schema, err)
	}
	if !there {
		if _, err := tx.Exec(ctx, "CREATE SCHEMA "+ident(p.schema)); err != nil {
			return p.explain(ctx, "create schema "+p.schema, err)
		}
	}
	if err := tx.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, p.name(ledger)).Scan(&there); err != nil {
		return p.explain(ctx, "look for "+ledger, err)
	}
	if there {
		return nil
	}
	_, err := tx.Exec(ctx, "CREATE TABLE "+p.name(ledger)+` (table_name text PRIMARY KEY, snapshot_id bigint NOT NULL, model text NOT NULL,
		run_id text NOT NULL, published_at timestamptz NOT NULL, rows bigint NOT NULL, batch_id text NOT NULL)`)
	if err != nil {
		return p.explain(ctx, "create "+ledger, err)
	}
	return nil
}

// ensureTable makes the table, or adds the columns that came later, and drops the
// index of a key that is no longer the table's: the rows that come may break it. A
// column of another type is feedlake.ErrConfig: other people's views may hang on it.
func (p *Publisher) ensureTable(ctx context.Context, tx pgx.Tx, b serving.Batch) error {
	table := p.table(b.Table)
	have, err := p.columns(ctx, tx, table)
	if err != nil {
		return err
	}
	var add []string
	for _, c := range b.Columns {
		if len(c.Name) > maxName {
			return fmt.Errorf("column %s: PostgreSQL cuts names after %d bytes: %w", c.Name, maxName, feedlake.ErrConfig)
		}
		switch typ, ok := have[c.Name]; {
		case !ok:
			add = append(add, ident(c.Name)+" "+columnType(c.Type))
		case typ != columnType(c.Type):
			return feedlake.Hint(fmt.Errorf("table %s: column %s is %s in the database, %s in the lake: %w", p.name(table), c.Name, typ, columnType(c.Type), feedlake.ErrConfig),
				"run DROP TABLE %s (with what hangs on it) and DELETE FROM %s WHERE table_name = %s, then publish again", p.name(table), p.name(ledger), literal(table))
		}
	}
	if len(have) == 0 {
		if _, err := tx.Exec(ctx, "CREATE TABLE "+p.name(table)+" ()"); err != nil {
			return p.explain(ctx, "create table "+table, err)
		}
	}
	for _, def := range add {
		if _, err := tx.Exec(ctx, "ALTER TABLE "+p.name(table)+" ADD COLUMN "+def); err != nil {
			return p.explain(ctx, "add column to "+table, err)
		}
	}
	if _, err := p.dropKey(ctx, tx, table, b.Key); err != nil {
		return err
	}
	if b.WindowColumn == "" || (len(b.Key) > 0 && b.Key[0] == b.WindowColumn) {
		return nil
	}
	return p.createIndex(ctx, tx, "INDEX IF NOT EXISTS", indexName(table, b.WindowColumn), table, []string{b.WindowColumn}, "")
}

// columns maps the table's columns to their types; none when it is not there.
func (p *Publisher) columns(ctx context.Context, tx pgx.Tx, table string) (map[string]string, error) {
	rows, err := tx.Query(ctx, `SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
		WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped`, p.name(table))
	if err != nil {
		return nil, p.explain(ctx, "look for table "+table, err)
	}
	defer rows.Close()
	have := map[string]string{}
	for rows.Next() {
		var name, typ string
		if err := rows.Scan(&name, &typ); err != nil {
			return nil, p.explain(ctx, "look for table "+table, err)
		}
		have[name] = typ
	}
	if err := rows.Err(); err != nil {
		return nil, p.explain(ctx, "look for table "+table, err)
	}
	return have, nil
}

// dropKey drops the unique index of a table unless it is over key, and reports
// whether that one is there.
func (p *Publisher) dropKey(ctx context.Context, tx pgx.Tx, table string, key []string) (there bool, err error) {
	name := indexName(table, "key")
	var have []string
	err = tx.QueryRow(ctx, `SELECT coalesce(array_agg(a.attname::text ORDER BY k.ord), '{}') FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY k(num, ord), pg_attribute a
		WHERE i.indexrelid = to_regclass($1) AND a.attrelid = i.indrelid AND a.attnum = k.num`, p.name(name)).Scan(&have)
	if err != nil {
		return false, p.explain(ctx, "look for key of "+table, err)
	}
	if len(have) == 0 || slices.Equal(have, key) {
		return len(have) > 0, nil
	}
	if _, err := tx.Exec(ctx, "DROP INDEX "+p.name(name)); err != nil {
		return false, p.explain(ctx, "drop old key of "+table, err)
	}
	return false, nil
}

// ensureKey keeps one unique index, over the key, by which BI tools know what
// identifies a row. It looks at the rows that are there: a table whose key has
// changed must hold the new ones.
func (p *Publisher) ensureKey(ctx context.Context, tx pgx.Tx, table string, key []string) error {
	there, err := p.dropKey(ctx, tx, table, key)
	if err != nil || there || len(key) == 0 {
		return err
	}
	var version int
	if err := tx.QueryRow(ctx, `SELECT current_setting('server_version_num')::int`).Scan(&version); err != nil {
		return p.explain(ctx, "read server version", err)
	}
	nulls := ""
	if version >= 150000 { // before, two NULLs pass the index; the staged rows are checked anyway
		nulls = " NULLS NOT DISTINCT"
	}
	return p.createIndex(ctx, tx, "UNIQUE INDEX", indexName(table, "key"), table, key, nulls)
}

func (p *Publisher) createIndex(ctx context.Context, tx pgx.Tx, kind, name, table string, cols []string, tail string) error {
	if _, err := tx.Exec(ctx, "CREATE "+kind+" "+ident(name)+" ON "+p.name(table)+" ("+identList(cols)+")"+tail); err != nil {
		return p.explain(ctx, "index "+table, err)
	}
	return nil
}

// indexName cuts a table's name so that the index keeps its ending.
func indexName(table, ending string) string {
	return table[:min(len(table), maxName-len(ending)-1)] + "_" + ending
}
