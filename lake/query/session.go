package query

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
)

// Session is one connection with views and macros of its own, so that several
// queries read tables of one name over different files at once. It shares
// memory, threads and the folder for spilling with the whole instance. One
// statement runs in it at a time.
type Session struct {
	views
	conn *sql.Conn
	name string // of its database
	home string // the database that the connection began in
}

// Session opens a connection whose statements see its own views only; setup runs
// in it, such as macros. Close it before the DB.
func (d *DB) Session(ctx context.Context, setup ...string) (*Session, error) {
	conn, err := d.sql.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to duckdb: %w", err)
	}
	s := &Session{conn: conn, name: fmt.Sprintf("session_%d", d.sessions.Add(1))}
	s.views = newViews(conn)
	if err := conn.QueryRowContext(ctx, "SELECT current_database()").Scan(&s.home); err != nil {
		return nil, errors.Join(fmt.Errorf("set up session: %w", err), conn.Close())
	}
	for _, text := range append([]string{"ATTACH ':memory:' AS " + s.name, "USE " + s.name}, setup...) {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return nil, errors.Join(fmt.Errorf("set up session: %w", err), s.Close())
		}
	}
	return s, nil
}

// SQL is the session's connection.
func (s *Session) SQL() *sql.Conn { return s.conn }

// Arrow is DB.Arrow in this session.
func (s *Session) Arrow(ctx context.Context, each func(arrow.RecordBatch) error, text string, args ...any) error {
	return readArrow(ctx, s.conn, each, text, args...)
}

// Close takes the session's database away and lets go of its files.
func (s *Session) Close() error {
	ctx := context.Background()
	var errs []error
	for _, text := range []string{"USE " + Ident(s.home), "DETACH DATABASE IF EXISTS " + s.name} {
		if _, err := s.conn.ExecContext(ctx, text); err != nil {
			errs = append(errs, fmt.Errorf("close session: %w", err))
		}
	}
	s.release()
	return errors.Join(append(errs, s.conn.Close())...)
}
