// Package export publishes tables as files in a folder, for people without a
// server: one DuckDB database, and one Parquet file a table, for DuckDB, Tableau,
// Power BI, pandas and whatever else reads either.
//
//	marts.duckdb            every published table, and feedlake_published
//	marts/volume.parquet    the same rows of marts.volume
//
// Both files are made beside the old ones and take their names at once, so a
// reader sees all of a batch or nothing, and may keep the old file open as long
// as it likes. In marts.duckdb the tables of the namespace marts lie in the
// default schema: SELECT … FROM volume and FROM marts.volume both work.
package export

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/serving"
)

// Options says where the files go.
type Options struct {
	Dir     string // made when it is missing
	Memory  string // DuckDB's bound, such as "500MB"; "" leaves its default
	Threads int    // 0: one per core
	Log     *slog.Logger
}

// Publisher writes to one folder. It is safe for concurrent use, by several
// processes too.
type Publisher struct {
	dir     string
	memory  string
	threads int
	log     *slog.Logger
}

var _ serving.Publisher = (*Publisher)(nil)

// Names in the folder.
const (
	Database   = "marts.duckdb" // the DuckDB database
	lockFile   = ".feedlake.lock"
	workPrefix = ".publishing-"
)

// defaultNamespace is the namespace whose tables lie in the default schema: in
// a database called marts, a schema marts would make every name ambiguous.
const defaultNamespace = "marts"

// New reads the options; it touches no file.
func New(o Options) (*Publisher, error) {
	if o.Dir == "" {
		return nil, feedlake.Hint(fmt.Errorf("export: no folder: %w", feedlake.ErrConfig), "name one in the config under publish: dir")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return &Publisher{dir: dir, memory: o.Memory, threads: o.Threads, log: o.Log}, nil
}

// Where is the folder.
func (p *Publisher) Where() string { return p.dir }

// Published says what the folder holds of a table. A table whose Parquet file
// is gone counts as not held, so that the next Publish writes it.
func (p *Publisher) Published(ctx context.Context, table string) (serving.Published, error) {
	if err := ctx.Err(); err != nil {
		return serving.Published{}, err
	}
	for _, path := range []string{filepath.Join(p.dir, Database), p.parquet(table)} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return serving.Published{}, nil
		}
	}
	db, err := p.open(ctx, filepath.Join(p.dir, Database)+"?access_mode=read_only", "")
	if err != nil {
		return serving.Published{}, err
	}
	defer db.Close() //nolint:errcheck // read only
	return held(ctx, db.SQL(), table)
}

// querier is a database or one connection of it.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// held reads the ledger.
func held(ctx context.Context, q querier, table string) (serving.Published, error) {
	var h serving.Published
	err := q.QueryRowContext(ctx, `SELECT batch_id, snapshot_id, model, run_id, published_at, rows FROM feedlake_published WHERE table_name = ?`, table).
		Scan(&h.BatchID, &h.Snapshot, &h.Model, &h.RunID, &h.PublishedAt, &h.Rows)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return serving.Published{}, nil
	case err != nil:
		return serving.Published{}, fmt.Errorf("read feedlake_published: %w", err)
	}
	h.PublishedAt = h.PublishedAt.UTC()
	return h, nil
}

// open opens a database file; spill is the folder for what exceeds the memory.
func (p *Publisher) open(ctx context.Context, path, spill string) (*query.DB, error) {
	db, err := query.Open(ctx, query.Options{
		Path: path, Memory: p.memory, Threads: p.threads, TempDir: spill,
		Setup: []string{"SET preserve_insertion_order = true"}, // tables are sorted by key
	})
	if err == nil {
		return db, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, feedlake.Hint(fmt.Errorf("open %s in %s: %w: %w", Database, p.dir, err, feedlake.ErrConfig),
		"if it is no DuckDB database of this version, move it away: the next publish builds it anew")
}

// parquet is the path of a table's Parquet file.
func (p *Publisher) parquet(table string) string {
	ns, name, _ := strings.Cut(table, ".")
	return filepath.Join(p.dir, url.PathEscape(ns), url.PathEscape(name)+".parquet")
}

// name spells a lake table in the database.
func name(table string) string {
	ns, t, _ := strings.Cut(table, ".")
	if ns == defaultNamespace {
		return query.Ident(t)
	}
	return query.Ident(ns) + "." + query.Ident(t)
}
