// Package query reads lake tables with DuckDB: a snapshot is planned with
// Iceberg and its Parquet files are shown to DuckDB as a view of the table's
// plain name, so no extension is needed and a query sees one moment of each
// table.
package query

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/feedlake/feedlake/lake"
)

// Options bounds a DuckDB instance.
type Options struct {
	Memory  string   // such as "700MB"; "" leaves DuckDB's default
	Threads int      // 0: one per core
	TempDir string   // where it spills; "" means no spilling
	Setup   []string // statements run once, such as macros
	Path    string   // a database file; "" keeps it in memory
}

// DB is a DuckDB instance. All its connections share the views, but for those of
// a Session.
type DB struct {
	views
	connector *duckdb.Connector
	sql       *sql.DB
	sessions  atomic.Int64 // opened so far
}

// Open starts DuckDB in this process. It loads no extension by itself and
// counts time in UTC.
func Open(ctx context.Context, o Options) (*DB, error) {
	settings := []string{
		"SET autoinstall_known_extensions = false",
		"SET autoload_known_extensions = false",
		"SET preserve_insertion_order = false",
		"SET enable_external_file_cache = false",
	}
	if o.Memory != "" {
		settings = append(settings, "SET memory_limit = "+Quote(o.Memory))
	}
	if o.Threads > 0 {
		settings = append(settings, fmt.Sprintf("SET threads = %d", o.Threads))
	}
	if o.TempDir != "" {
		settings = append(settings, "SET temp_directory = "+Quote(o.TempDir))
	}
	connector, err := duckdb.NewConnector(o.Path, func(ex driver.ExecerContext) error {
		// Connections are made as they are needed, also after ctx has ended.
		_, err := ex.ExecContext(context.WithoutCancel(ctx), "SET TimeZone = 'UTC'", nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open duckdb: %w", err)
	}
	d := &DB{connector: connector, sql: sql.OpenDB(connector)}
	d.views = newViews(d.sql)
	for _, s := range append(settings, o.Setup...) {
		if _, err := d.sql.ExecContext(ctx, s); err != nil {
			return nil, errors.Join(fmt.Errorf("set up duckdb: %w", err), d.Close()) // without the statement: it may hold a secret
		}
	}
	return d, nil
}

// SQL is the pool of connections.
func (d *DB) SQL() *sql.DB { return d.sql }

// Close stops DuckDB and lets go of the files that it read.
func (d *DB) Close() error {
	err := errors.Join(d.sql.Close(), d.connector.Close())
	d.release()
	return err
}

// Pin makes one view for every table of the lake, at the snapshots named in at
// and at the newest ones otherwise, and returns the snapshot of each table.
func (d *DB) Pin(ctx context.Context, l *lake.Lake, at map[string]int64) (map[string]int64, error) {
	names, err := l.Tables(ctx)
	if err != nil {
		return nil, err
	}
	return d.PinTables(ctx, l, names, at)
}

// PinTables is Pin for some tables only.
func (d *DB) PinTables(ctx context.Context, l *lake.Lake, names []string, at map[string]int64) (map[string]int64, error) {
	pinned := map[string]int64{}
	maps.Copy(pinned, at)
	for _, name := range names {
		if _, ok := at[name]; !ok {
			s, err := l.Current(ctx, name)
			if err != nil {
				return nil, err
			}
			pinned[name] = s.ID
		}
		if err := d.PinTable(ctx, l, name, pinned[name]); err != nil {
			return nil, err
		}
	}
	return pinned, nil
}

// PinTable makes the view of one table at one snapshot.
func (d *DB) PinTable(ctx context.Context, l *lake.Lake, name string, snapshot int64) error {
	files, err := l.Files(ctx, name, snapshot)
	if err != nil {
		return err
	}
	cols, err := l.Columns(ctx, name)
	if err != nil {
		return err
	}
	return d.ViewOf(ctx, l, name, cols, files)
}

// Select spells a query that yields the columns of the files, in the table's
// order and types. Files from before a column was added give NULL for it.
func Select(cols []lake.Column, files []lake.File) string {
	var names, nulls []string
	added := false
	for _, c := range cols {
		names = append(names, Ident(c.Name))
		nulls = append(nulls, "CAST(NULL AS "+c.Type+") AS "+Ident(c.Name))
		added = added || c.Added
	}
	empty := "SELECT " + strings.Join(nulls, ", ") + " WHERE false"
	if len(files) == 0 {
		return empty
	}
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = Quote(f.Path)
	}
	list := "read_parquet([" + strings.Join(paths, ", ") + "], hive_partitioning = false"
	if !added {
		return "SELECT " + strings.Join(names, ", ") + " FROM " + list + ")"
	}
	return "SELECT " + strings.Join(names, ", ") + " FROM (" + empty +
		" UNION ALL BY NAME SELECT * FROM " + list + ", union_by_name = true))"
}

// Quote spells a string literal.
func Quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Instant spells a time as a literal, to the microsecond.
func Instant(t time.Time) string {
	return t.UTC().Format("TIMESTAMPTZ '2006-01-02 15:04:05.999999+00'")
}

// Ident spells an identifier.
func Ident(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

func tableIdent(name string) string {
	schema, tbl, _ := strings.Cut(name, ".")
	return Ident(schema) + "." + Ident(tbl)
}
