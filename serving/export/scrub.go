package export

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/feedlake/feedlake/lake/query"
)

// Scrub writes the database anew: DuckDB keeps the bytes of rows that were
// replaced in the free blocks of its file. Rows, and what the folder remembers
// of them, stay.
func (p *Publisher) Scrub(ctx context.Context) (err error) {
	unlock, err := p.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	old := filepath.Join(p.dir, Database)
	if _, err := os.Stat(old); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	work, err := p.makeWork()
	if err != nil {
		return p.explain(err)
	}
	defer os.RemoveAll(work) //nolint:errcheck // the next Publish sweeps
	fresh := filepath.Join(work, Database)
	if err := p.copyInto(ctx, old, fresh); err != nil {
		return fmt.Errorf("scrub %s: %w", old, err)
	}
	if err := syncFile(fresh); err != nil {
		return p.explain(err)
	}
	if err := os.Rename(fresh, old); err != nil {
		return p.explain(err)
	}
	return p.explain(syncFile(p.dir))
}

func (p *Publisher) copyInto(ctx context.Context, old, fresh string) (err error) {
	db, err := p.open(ctx, "", filepath.Dir(fresh))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, s := range []string{
		"ATTACH " + query.Quote(old) + " AS old_data (READ_ONLY)", "ATTACH " + query.Quote(fresh) + " AS new_data",
		"COPY FROM DATABASE old_data TO new_data",
	} {
		if _, err := db.SQL().ExecContext(ctx, s); err != nil {
			return fmt.Errorf("copy database: %w", err)
		}
	}
	comments, err := db.Texts(ctx, "SELECT 'COMMENT ON TABLE new_data.' || '\"' || replace(schema_name, '\"', '\"\"') || '\".\"' || replace(table_name, '\"', '\"\"') || '\" IS ''' || replace(comment, '''', '''''') || '''' "+
		"FROM duckdb_tables() WHERE database_name = 'old_data' AND comment IS NOT NULL")
	if err != nil {
		return fmt.Errorf("copy comments: %w", err)
	}
	for _, s := range append(comments, "CHECKPOINT new_data", "DETACH new_data", "DETACH old_data") {
		if _, err := db.SQL().ExecContext(ctx, s); err != nil {
			return fmt.Errorf("copy database: %w", err)
		}
	}
	return nil
}
