package lake

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	iceberg "github.com/apache/iceberg-go"
	icesql "github.com/apache/iceberg-go/catalog/sql"
	iceio "github.com/apache/iceberg-go/io"
	_ "github.com/apache/iceberg-go/io/gocloud/s3" // Iceberg's own files in a bucket
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite" // the embedded catalog's driver
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake/objects"
)

// CatalogName is the catalog's name, which another engine must use, too, to see
// the same tables.
const CatalogName = "feedlake"

// catalogFile is the embedded catalog in the lake's folder.
const catalogFile = "catalog.db"

// openCatalog opens the Iceberg SQL catalog, SQLite or PostgreSQL.
func (l *Lake) openCatalog(ctx context.Context, c Config) (err error) {
	defer func() { err = damaged(err) }()
	dsn := c.Catalog
	if dsn == "" {
		l.db, err = openSQLite(ctx, cmp.Or(c.scratch, filepath.Join(l.dir, catalogFile)))
		l.kind, l.place = icesql.SQLite, "SQLite "+filepath.Join(l.dir, catalogFile)
	} else {
		l.kind = icesql.Postgres
		l.db, l.place, err = openPostgres(ctx, dsn, c.Silence)
	}
	if err != nil {
		return err
	}
	if err := l.admit(ctx, c.Receiving); err != nil {
		return errors.Join(err, l.db.Close())
	}
	l.props = iceberg.Properties{"warehouse": l.store.root()}
	if l.s3 != nil {
		l.props[iceio.S3EndpointURL] = l.s3.Endpoint
		l.props[iceio.S3Region] = l.s3.Region
	}
	cat, err := icesql.NewCatalog(CatalogName, l.db, l.kind, l.props)
	if err != nil {
		return errors.Join(fmt.Errorf("open catalog: %w", err), l.db.Close())
	}
	l.cat = cat
	if c.Receiving || c.recovering {
		return nil
	}
	if err := l.takeCharge(ctx); err != nil {
		return errors.Join(err, l.Close())
	}
	return nil
}

// isDamaged reports whether a file is no SQLite database, or not a whole one.
func isDamaged(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code()&0xff == sqlite3.SQLITE_NOTADB || e.Code()&0xff == sqlite3.SQLITE_CORRUPT)
}

// damaged gives the error of a damaged catalog its hint.
func damaged(err error) error {
	if !isDamaged(err) {
		return err
	}
	return feedlake.Hint(fmt.Errorf("%w: catalog.db is damaged: %w", feedlake.ErrConfig, err), "%s", recoverHint)
}

// openSQLite opens the embedded catalog. Writers take the lock when a
// transaction begins, so that two of them queue instead of failing midway.
func openSQLite(ctx context.Context, path string) (*sql.DB, error) {
	dsn := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: url.Values{
		"_pragma": {"busy_timeout(30000)", "journal_mode(WAL)", "synchronous(FULL)"},
		"_txlock": {"immediate"},
	}.Encode()}).String()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	if err := reach(ctx, db); err != nil {
		if isDamaged(err) {
			return nil, errors.Join(fmt.Errorf("open catalog: %w", err), db.Close())
		}
		return nil, errors.Join(feedlake.Hint(fmt.Errorf("open catalog: %w", err), "the folder must be writable and catalog.db an SQLite file"), db.Close())
	}
	return db, nil
}

// reachTime bounds how long reach tries.
const reachTime = 10 * time.Second

// reach makes the first connection, which turns the journal of a new file into
// a write-ahead log. While another process does the same, SQLite says at once
// that the file is busy, whatever its busy_timeout is.
func reach(ctx context.Context, db *sql.DB) error {
	enough, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	for try := 0; ; try++ {
		err := db.PingContext(ctx)
		if e, ok := errors.AsType[*sqlite.Error](err); !ok || e.Code()&0xff != sqlite3.SQLITE_BUSY || backoff(enough, try) != nil {
			return err
		}
	}
}

// catalogConnections bounds what one process takes of a server.
const catalogConnections = 8

// Bounds of the catalog's PostgreSQL. The server ends what waits or works for
// too long; a server that says nothing at all is given up by this side.
const (
	catalogConnect = 10 * time.Second
	catalogSilence = 45 * time.Second // longer than the server's own bounds, so that it can say what was wrong
	catalogLimits  = "SET lock_timeout = '20s'; SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '60s'"
)

// openPostgres opens a catalog in service.
func openPostgres(ctx context.Context, dsn string, silence time.Duration) (_ *sql.DB, place string, _ error) {
	c, err := pgx.ParseConfig(dsn)
	if err != nil { // the error quotes the DSN, which may hold a password
		return nil, "", feedlake.Hint(fmt.Errorf("open catalog: the DSN cannot be read: %w", feedlake.ErrConfig),
			"postgres://user:password@host:5432/database, from the environment: ${FEEDLAKE_DSN}")
	}
	silence = cmp.Or(silence, catalogSilence)
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = min(catalogConnect, silence)
	}
	c.DialFunc = pgconn.DialFunc(feedlake.Patient(feedlake.Dial(c.DialFunc), silence))
	db := stdlib.OpenDB(*c, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, catalogLimits)
		return err
	}))
	db.SetMaxOpenConns(catalogConnections)
	db.SetMaxIdleConns(2)
	db.SetConnMaxIdleTime(time.Minute)
	if err := db.PingContext(ctx); err != nil {
		return nil, "", errors.Join(postgresFault(c, err), db.Close())
	}
	return db, "PostgreSQL " + databaseName(c), nil
}

func databaseName(c *pgx.ConnConfig) string {
	return fmt.Sprintf("database %s of %s:%d", c.Database, c.Host, c.Port)
}

// postgresFault says without the password which server said no, and what helps.
func postgresFault(c *pgx.ConnConfig, err error) error {
	where := databaseName(c) + " as " + c.User
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		e := fmt.Errorf("open catalog in %s: %s (%s): %w", where, pg.Message, pg.Code, feedlake.ErrConfig)
		switch pg.Code {
		case "28P01", "28000":
			return feedlake.Hint(e, "check user and password of the DSN")
		case "3D000":
			return feedlake.Hint(e, "create the database, or name another one in the DSN")
		}
		return feedlake.Hint(e, "check the DSN of the catalog")
	}
	return feedlake.Hint(fmt.Errorf("open catalog in %s: the server cannot be reached: %w", where, err), "is the server running and the address in the DSN right?")
}

// Keys of the table feedlake_catalog, which says what a catalog is to feedlake.
// Iceberg's own tables stand beside it.
const (
	metaVersion = "version"
	metaMoved   = "moved_to"    // where the entries are now
	metaMoving  = "moving_here" // an unfinished MoveCatalog
)

// catalogVersion is the layout of what feedlake keeps in tables and properties.
const catalogVersion = 1

// admit makes or reads feedlake's own table and refuses a catalog that this
// program must not touch.
func (l *Lake) admit(ctx context.Context, receiving bool) error {
	_, err := l.db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS feedlake_catalog (name VARCHAR(64) PRIMARY KEY, value TEXT NOT NULL)")
	if err != nil {
		// Two that begin at once may collide in PostgreSQL; who reads it next sees it.
		if _, e := l.meta(ctx, metaVersion); e != nil {
			return feedlake.Hint(fmt.Errorf("open catalog: %w", err), "the user of the catalog needs the right to create tables in its schema")
		}
	}
	version, err := l.meta(ctx, metaVersion)
	if err != nil {
		return fmt.Errorf("open catalog: %w", err)
	}
	if version == "" {
		return l.setMeta(ctx, metaVersion, strconv.Itoa(catalogVersion))
	}
	if n, err := strconv.Atoi(version); err != nil || n > catalogVersion {
		return feedlake.Hint(fmt.Errorf("open catalog: version %s, this program knows %d: %w", version, catalogVersion, feedlake.ErrConfig),
			"a newer feedlake wrote this lake: use that version")
	}
	if receiving {
		return nil
	}
	moving, err := l.meta(ctx, metaMoving)
	if err != nil {
		return fmt.Errorf("open catalog: %w", err)
	}
	if moving != "" {
		return feedlake.Hint(fmt.Errorf("open catalog: a move to it was not finished: %w", feedlake.ErrConfig),
			"run feedlake lake migrate again with the config of the old catalog")
	}
	moved, err := l.meta(ctx, metaMoved)
	if err != nil {
		return fmt.Errorf("open catalog: %w", err)
	}
	if moved != "" {
		return feedlake.Hint(fmt.Errorf("open catalog: it was moved to %s: %w", moved, feedlake.ErrConfig),
			"set lake.catalog in the config to where it is now")
	}
	return nil
}

func (l *Lake) meta(ctx context.Context, name string) (string, error) {
	var value string
	err := l.db.QueryRowContext(ctx, l.bind("SELECT value FROM feedlake_catalog WHERE name = ?"), name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}

const putMeta = "INSERT INTO feedlake_catalog (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"

func (l *Lake) setMeta(ctx context.Context, name, value string) error {
	_, err := l.db.ExecContext(ctx, l.bind(putMeta), name, value)
	if err != nil {
		return fmt.Errorf("write catalog: %w", err)
	}
	return nil
}

// S3 is what the warehouse's bucket is asked with; nil where it is a folder.
func (l *Lake) S3() *objects.S3Config { return l.s3 }

// SignedS3 is S3 with the credentials of this moment, for engines that read the
// bucket themselves and take only static ones; nil where the warehouse is a
// folder.
func (l *Lake) SignedS3(ctx context.Context) (*objects.S3Config, error) {
	b, ok := l.store.(*bucket)
	if !ok {
		return nil, nil //nolint:nilnil // the warehouse is a folder
	}
	c, err := b.s3.Signed(ctx)
	return &c, err
}

// Warehouse is the URL that all locations of tables begin with.
func (l *Lake) Warehouse() string { return l.store.root() }

// bind writes the placeholders ? as the catalog's database wants them.
func (l *Lake) bind(text string) string {
	if l.kind != icesql.Postgres {
		return text
	}
	var b strings.Builder
	n := 0
	for _, r := range text {
		if r != '?' {
			b.WriteRune(r)
			continue
		}
		n++
		fmt.Fprintf(&b, "$%d", n)
	}
	return b.String()
}

// Catalog names the place of the catalog for people, without secrets.
func (l *Lake) Catalog() string { return l.place }
