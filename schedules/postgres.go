package schedules

import (
	"context"
	"database/sql"
	"database/sql/driver"
	_ "embed"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/feedlake/feedlake"
)

//go:embed postgres.sql
var postgresSchema string

// postgresUpgrade is what a ledger of an older version lacks of postgres.sql.
func postgresUpgrade() map[int]string {
	_, usage, _ := strings.Cut(postgresSchema, "create table usage")
	usage, _, _ = strings.Cut(usage, "-- The locks that")
	_, locks, _ := strings.Cut(postgresSchema, "-- The locks that")
	locks, _, _ = strings.Cut(locks, "create table ledger")
	return map[int]string{
		1: "create table usage" + usage + "; update ledger set version = 2",
		2: placesAndKinds("bigint") + "update ledger set version = 3",
		3: "-- The locks that" + locks + "; update ledger set version = 4",
	}
}

// DefaultSchema is the PostgreSQL schema of a ledger that names none.
const DefaultSchema = "feedlake_ops"

const (
	connectTimeout = 10 * time.Second
	usualSilence   = 30 * time.Second // of a server, after which its connection counts as broken; longer than it may wait for the lock
	idleTime       = 5 * time.Minute  // after which a connection that is not needed is closed
	maxConns       = 4                // a transaction, the heartbeat, and who reads meanwhile
	maxName        = 63               // bytes; PostgreSQL cuts longer names
)

// postgresLimits are the bounds of a transaction: of the wait for another one,
// as on SQLite, and of the silence of a client that hangs and holds the lock.
const postgresLimits = "set local lock_timeout = '10s'; set local statement_timeout = '25s'; set local idle_in_transaction_session_timeout = '30s'; "

// openPostgres opens a schema of a database; it does not connect yet.
func openPostgres(dsn, schema string, silence time.Duration) (*sql.DB, dialect, error) {
	if schema == "" {
		schema = DefaultSchema
	}
	d := dialect{where: "postgres schema " + schema}
	config, err := pgx.ParseConfig(dsn)
	if err != nil { // its text may hold a piece of the password
		return nil, d, feedlake.Hint(fmt.Errorf("read dsn: not a URL or key=value string: %w", feedlake.ErrConfig),
			"write postgres://user:password@host:5432/database; percent-encode special characters of the password, or put it into PGPASSWORD or ~/.pgpass")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "feedlake"
	}
	d = postgresDialect(config, schema)
	if len(schema) > maxName {
		return nil, d, fmt.Errorf("schema name of %d bytes, PostgreSQL cuts it after %d: %w", len(schema), maxName, feedlake.ErrConfig)
	}
	config.DialFunc = pgconn.DialFunc(feedlake.Patient(feedlake.Dial(config.DialFunc), silence))
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxConns)
	db.SetConnMaxIdleTime(idleTime)
	return db, d, nil
}

func postgresDialect(config *pgx.ConnConfig, schema string) dialect {
	s := &pgServer{config: config, schema: schema}
	// The path is said in every transaction, not once by connection: a pooler between may change connections.
	path := "set local search_path = " + s.ident(schema)
	return dialect{
		where: s.where(),
		// Not a higher level: it would read as of before the wait for the lock.
		write:   sql.TxOptions{Isolation: sql.LevelReadCommitted},
		enter:   postgresLimits + path + "; select pg_advisory_xact_lock(" + strconv.FormatInt(lockKey(schema), 10) + ")",
		look:    postgresLimits + path,
		bind:    numbered,
		version: s.version,
		create:  s.create,
		upgrade: postgresUpgrade(),
		broken:  pgBroken,
		aborted: pgAborted,
		explain: s.explain,
		scrub:   []string{"vacuum " + pgx.Identifier{schema, "runs"}.Sanitize(), "vacuum " + pgx.Identifier{schema, "steps"}.Sanitize()},
	}
}

// lockKey is the advisory lock of a schema's ledger. Every version of this
// program has to use the same.
func lockKey(schema string) int64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, "feedlake ledger "+schema) // a hash takes everything
	return int64(h.Sum64())                             //nolint:gosec // any 64 bits do
}

// numbered writes the parameters of a query, ?, as $1, $2 and so on. Between
// double quotes a question mark is part of a name.
func numbered(query string) string {
	var b strings.Builder
	n, name := 0, false
	for _, c := range query {
		switch {
		case c == '?' && !name:
			n++
			b.WriteString("$" + strconv.Itoa(n))
			continue
		case c == '"':
			name = !name
		}
		b.WriteRune(c)
	}
	return b.String()
}

// pgServer is a schema of a database, as its errors name it.
type pgServer struct {
	config *pgx.ConnConfig
	schema string
}

func (*pgServer) ident(name string) string { return pgx.Identifier{name}.Sanitize() }

func (s *pgServer) where() string {
	return fmt.Sprintf("%s/%s schema %s", net.JoinHostPort(s.config.Host, strconv.Itoa(int(s.config.Port))), s.config.Database, s.schema)
}

func (s *pgServer) version(ctx context.Context, q querier) (version int, err error) {
	var there bool // asked of the catalog's tables: what to_regclass says may be of before the wait for the lock
	err = q.QueryRowContext(ctx, "select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = ? and c.relname = 'ledger')",
		s.schema).Scan(&there)
	if err != nil || !there {
		return 0, err
	}
	err = q.QueryRowContext(ctx, "select version from "+s.ident(s.schema)+".ledger").Scan(&version)
	return version, err
}

func (s *pgServer) create(ctx context.Context, q querier) error {
	var there bool // a role may own its schema and not be allowed to make one, not even "if not exists"
	err := q.QueryRowContext(ctx, "select exists (select from pg_namespace where nspname = ?)", s.schema).Scan(&there)
	if err == nil && !there {
		_, err = q.ExecContext(ctx, "create schema "+s.ident(s.schema))
	}
	if err == nil {
		_, err = q.ExecContext(ctx, postgresSchema)
	}
	return err
}

// explain sorts an error and adds the next step for a person. The codes are
// those of PostgreSQL's appendix A. The password is in none of the errors.
func (s *pgServer) explain(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && !pgConnecting(err) {
		return err
	}
	unknown := errors.Is(err, feedlake.ErrUnknown)
	switch e, says := errors.AsType[*pgconn.PgError](err); {
	case says:
		err = s.refused(e, err)
	case pgBroken(err):
		err = s.unreachable(err)
	}
	if unknown && !errors.Is(err, feedlake.ErrUnknown) {
		err = fmt.Errorf("%w: %w", err, feedlake.ErrUnknown)
	}
	return err
}

// refused explains what the server says.
func (s *pgServer) refused(e *pgconn.PgError, err error) error {
	user, database := s.config.User, s.config.Database
	says := fmt.Errorf("%s: %s (SQLSTATE %s)", s.where(), e.Message, e.Code)
	kind := func(kind error) error { return fmt.Errorf("%w: %w", says, kind) }
	switch e.Code {
	case "28P01", "28000":
		return feedlake.Hint(kind(feedlake.ErrConfig), "check user %s and its password in the dsn, PGPASSWORD or ~/.pgpass, and the server's pg_hba.conf", user)
	case "3D000":
		return feedlake.Hint(kind(feedlake.ErrConfig), "create it: createdb -h %s -p %d %s", s.config.Host, s.config.Port, database)
	case "42501":
		return feedlake.Hint(kind(feedlake.ErrConfig), "as an administrator: CREATE SCHEMA IF NOT EXISTS %s AUTHORIZATION %s; if it is there: ALTER SCHEMA %[1]s OWNER TO %[2]s, and the tables in it too",
			s.ident(s.schema), s.ident(user))
	case "42P07":
		return feedlake.Hint(kind(feedlake.ErrConfig), "the schema is used for something else; give the ledger one of its own")
	case "25006":
		return feedlake.Hint(kind(feedlake.ErrConfig), "this server only reads, as a standby does: name the primary in the dsn")
	case "53100":
		return feedlake.Hint(says, "the server's disk is full")
	case "53300":
		return feedlake.Hint(says, "all connections of the server are taken; raise max_connections or close some")
	case "55P03":
		return feedlake.Hint(says, "another process holds the ledger's lock; on the server, pg_stat_activity tells which")
	}
	if pgBroken(err) {
		return feedlake.Hint(says, "the server stops or starts; try again when it is up")
	}
	return err
}

// unreachable explains a connection that broke or was not to be had.
func (s *pgServer) unreachable(err error) error {
	cause := err
	if e, ok := errors.AsType[*net.OpError](err); ok {
		cause = e
	}
	if p := s.config.Password; p != "" && strings.Contains(cause.Error(), p) {
		cause = errors.New("no connection")
	}
	return feedlake.Hint(fmt.Errorf("connect to %s: %w", s.where(), cause),
		"is the server running there, and does it accept connections from here? try: psql -h %s -p %d -U %s %s",
		s.config.Host, s.config.Port, s.config.User, s.config.Database)
}

// pgConnecting reports whether err is of an attempt to connect.
func pgConnecting(err error) bool {
	_, ok := errors.AsType[*pgconn.ConnectError](err)
	return ok
}

// pgBroken reports whether the server or the way to it broke, or asks for
// another try.
func pgBroken(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code {
		case "40001", "40P01", // lost against another transaction
			"57P01", "57P02", "57P03", // the server stops, has crashed, starts
			"25P03", // this process was silent for too long
			"53300": // no connection free
			return true
		}
		return strings.HasPrefix(e.Code, "08")
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return pgConnecting(err) || pgconn.SafeToRetry(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone)
}

// pgAborted reports whether an error of a commit tells that nothing was
// committed. pgconn.SafeToRetry does not know: it says so of a connection that
// broke while the answer was awaited.
func pgAborted(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code != "40003" && !strings.HasPrefix(e.Code, "08") && !strings.HasPrefix(e.Code, "57P")
	}
	return errors.Is(err, pgx.ErrTxCommitRollback) || errors.Is(err, sql.ErrTxDone)
}
