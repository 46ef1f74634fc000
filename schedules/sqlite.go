package schedules

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite" // registers the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed sqlite.sql
var sqliteSchema string

// sqliteUpgrade is what a ledger of an older version lacks of sqlite.sql.
func sqliteUpgrade() map[int]string {
	_, usage, _ := strings.Cut(sqliteSchema, "-- What accounts used")
	usage, _, _ = strings.Cut(usage, "-- The locks that")
	_, locks, _ := strings.Cut(sqliteSchema, "-- The locks that")
	locks, _, _ = strings.Cut(locks, "pragma")
	return map[int]string{
		1: "-- What accounts used" + usage + "pragma user_version = 2",
		2: placesAndKinds("integer") + "pragma user_version = 3",
		3: "-- The locks that" + locks + "pragma user_version = 4",
	}
}

// openSQLite opens a file, and makes it and its folder when they are missing.
func openSQLite(ctx context.Context, path string) (*sql.DB, dialect, error) {
	d := dialect{
		where: path,
		bind:  func(query string) string { return query },
		version: func(ctx context.Context, q querier) (version int, err error) {
			err = q.QueryRowContext(ctx, "pragma user_version").Scan(&version)
			return version, err
		},
		create: func(ctx context.Context, q querier) error {
			_, err := q.ExecContext(ctx, sqliteSchema)
			return err
		},
		upgrade: sqliteUpgrade(),
		broken:  func(error) bool { return false },
		aborted: func(error) bool { return true }, // the driver rolls back what it cannot commit
		explain: func(err error) error { return err },
		scrub:   []string{"vacuum", "pragma wal_checkpoint(truncate)"},
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, d, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, d, err
	}
	d.where = path
	// A transaction takes the write lock as it begins: what it read stays true until it commits.
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: url.Values{
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "foreign_keys(1)"},
		"_txlock": {"immediate"},
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, d, err
	}
	db.SetMaxOpenConns(1) // SQLite has one writer; a second connection would only wait for the first
	if err := reach(ctx, db); err != nil {
		return nil, d, errors.Join(err, db.Close())
	}
	return db, d, nil
}

// reach makes the first connection, which turns the journal of a new file into
// a write-ahead log. While another process does the same, SQLite says at once
// that the file is busy, whatever its busy_timeout is.
func reach(ctx context.Context, db *sql.DB) error {
	enough := time.NewTimer(connectTimeout)
	defer enough.Stop()
	for {
		err := db.PingContext(ctx)
		if e, ok := errors.AsType[*sqlite.Error](err); !ok || e.Code()&0xff != sqlite3.SQLITE_BUSY || !pause(ctx, firstWait, enough.C) {
			return err
		}
	}
}
