// Package lake keeps posts and everything derived from them as Apache Iceberg
// tables: immutable Parquet files on a directory, snapshots that name the files
// of one moment, and a SQL catalog that says which snapshot is current. Stages
// meet here and nowhere else.
package lake

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	icesql "github.com/apache/iceberg-go/catalog/sql"
	"github.com/apache/iceberg-go/table"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake/objects"
)

// Interceptor sees every storage operation of a lake before it happens: op is
// "create", "close", "read", "remove", "commit" or "create-table", path a file
// or a table. It calls do, or does not, and answers in its place. Tests fail
// the i-th operation with it, before or after its effect.
type Interceptor func(op, path string, do func() error) error

// Config says where a lake lies and what it may use. With Dir alone it is one
// folder and needs no service.
type Config struct {
	Dir     string // this machine's folder: catalog.db, warehouse/, models/; with S3: staging/ and cache/
	Catalog string // DSN of a PostgreSQL database that keeps the catalog; "": SQLite, <Dir>/catalog.db

	S3         *objects.S3Config // the warehouse is a bucket; nil: <Dir>/warehouse
	CacheDir   string            // copies of a bucket's files; "": <Dir>/cache
	CacheLimit int64             // bytes; 0: DefaultCacheLimit
	Direct     bool              // files of a bucket are not fetched: whoever reads them can read S3

	// Receiving opens a catalog that holds no lake's entries, to be the target of
	// MoveCatalog.
	Receiving bool

	recovering bool   // Recover opens it: it may lack what the warehouse holds
	scratch    string // a file in place of catalog.db

	// Silence is after how long a PostgreSQL server that says nothing is given up;
	// 0: 45 seconds, which is longer than a statement may take.
	Silence time.Duration

	Now func() time.Time // the clock; required
	// StorageNow is the clock that ages of files and snapshots are told by; nil:
	// the storage's own. Only tests need another.
	StorageNow func(ctx context.Context) (time.Time, error)
	Log        *slog.Logger // required
	Intercept  Interceptor  // nil: none
}

// Lake is an open lake. It is safe for concurrent use, by several processes
// too: the catalog's compare-and-swap orders their commits.
type Lake struct {
	dir    string
	now    func() time.Time
	clock  func(ctx context.Context) (time.Time, error) // Config.StorageNow
	log    *slog.Logger
	ic     Interceptor
	db     *sql.DB
	place  string // of the catalog, for people; without secrets
	kind   icesql.SupportedDialect
	cat    *icesql.Catalog
	s3     *objects.S3Config  // nil: none
	props  iceberg.Properties // of the catalog and of Iceberg's file IO
	aws    *aws.Config        // with which Iceberg reaches the bucket; nil: none
	known  metadataCache
	plans  planCache
	landed landedIndex
	turns  chan struct{} // holds the one commit of this process that has its turn
	store  storage
	direct bool
	// codec is shared by all writers: it keeps its encoders, which are costly to
	// make for small files.
	codec *zstd.Codec
}

// Open opens the lake in c.Dir and creates it where there is none.
func Open(ctx context.Context, c Config) (*Lake, error) {
	if c.Now == nil || c.Log == nil {
		return nil, errors.New("open lake: clock and logger are required")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("open lake %s: %w", c.Dir, err)
	}
	l := &Lake{turns: make(chan struct{}, 1), dir: dir, direct: c.Direct, now: c.Now, clock: c.StorageNow, log: c.Log, ic: c.Intercept, s3: withRegion(c.S3), codec: &zstd.Codec{Level: zstd.SpeedFastest}}
	if l.ic == nil {
		l.ic = func(_, _ string, do func() error) error { return do() }
	}
	if l.store, err = openStorage(ctx, c, dir, l.ic); err != nil {
		return nil, fmt.Errorf("open lake: %w", err)
	}
	if l.aws, err = awsConfig(l.store, l.s3 != nil && strings.HasPrefix(l.s3.Endpoint, "https:"), l.s3); err != nil {
		return nil, fmt.Errorf("open lake: %w", err)
	}
	if err := l.openCatalog(ctx, c); err != nil {
		return nil, fmt.Errorf("open lake %s: %w", dir, err)
	}
	return l, nil
}

// Close releases the catalog.
func (l *Lake) Close() error {
	return errors.Join(l.cat.Close(), l.db.Close())
}

// Dir is the lake's root folder, absolute.
func (l *Lake) Dir() string { return l.dir }

// Now reads the lake's clock.
func (l *Lake) Now() time.Time { return l.now() }

// Tables lists the tables as "namespace.name", sorted.
func (l *Lake) Tables(ctx context.Context) ([]string, error) {
	spaces, err := l.cat.ListNamespaces(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	var names []string
	for _, ns := range spaces {
		for id, err := range l.cat.ListTables(ctx, ns) {
			if err != nil {
				return nil, fmt.Errorf("list tables: %w", err)
			}
			names = append(names, strings.Join(id, "."))
		}
	}
	slices.Sort(names)
	return names, nil
}

// load reads a table's current metadata. A missing table is feedlake.ErrNotFound.
func (l *Lake) load(ctx context.Context, name string, cat table.CatalogIO) (*table.Table, error) {
	id, err := identifier(name)
	if err != nil {
		return nil, err
	}
	t, err := cat.LoadTable(ctx, id)
	switch {
	case errors.Is(err, catalog.ErrNoSuchTable):
		return nil, fmt.Errorf("table %s: %w", name, feedlake.ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("load table %s: %w", name, err)
	}
	return t, nil
}

func identifier(name string) (table.Identifier, error) {
	ns, tbl, ok := strings.Cut(name, ".")
	if !ok || ns == "" || tbl == "" || strings.ContainsAny(tbl, "./") {
		return nil, fmt.Errorf("table name %q: want namespace.name: %w", name, feedlake.ErrConfig)
	}
	return table.Identifier{ns, tbl}, nil
}

func fileURL(path string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()
}

// localPath undoes fileURL for the paths that stand in table metadata.
func localPath(location string) string {
	if u, err := url.Parse(location); err == nil && u.Scheme == "file" {
		return filepath.FromSlash(u.Path)
	}
	return location
}
