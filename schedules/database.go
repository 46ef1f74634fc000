package schedules

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/feedlake/feedlake"
)

// ledgerVersion is the version of the tables, kept in the database.
const ledgerVersion = 4

// dialect is what differs between the databases that can keep a ledger.
type dialect struct {
	where   string                                      // names the ledger to people, without secrets
	write   sql.TxOptions                               // of a transaction that may write
	enter   string                                      // begins one, so that what it reads stays true until it commits; "" when the driver does that
	look    string                                      // begins a transaction that only reads; "" when there is nothing to say
	bind    func(query string) string                   // writes the parameters, which are ?, as the database wants them
	version func(context.Context, querier) (int, error) // of the tables, 0 when there are none
	create  func(context.Context, querier) error        // makes the tables
	upgrade map[int]string                              // statements that bring the tables from a version to the next
	broken  func(error) bool                            // the server or the way to it broke: another try may help
	aborted func(error) bool                            // of an error of a commit: nothing was committed
	explain func(error) error                           // adds the next step for a person
	scrub   []string                                    // statements, outside a transaction, after which old bytes of rows are gone
}

// querier runs queries in a transaction; parameters are written as ?.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// bound is a transaction of which the parameters are written as ?.
type bound struct {
	tx   *sql.Tx
	bind func(string) string
}

func (b bound) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return b.tx.ExecContext(ctx, b.bind(query), args...)
}

func (b bound) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return b.tx.QueryContext(ctx, b.bind(query), args...)
}

func (b bound) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return b.tx.QueryRowContext(ctx, b.bind(query), args...)
}

// migrate makes the tables when there are none, and brings older ones up to date.
func (l *Ledger) migrate(ctx context.Context) error {
	var version int
	look := func(q querier) (err error) {
		version, err = l.on.version(ctx, q)
		return err
	}
	if err := l.once(ctx, true, look); err != nil || version == ledgerVersion {
		return l.explain(ctx, err)
	}
	err := l.once(ctx, false, func(q querier) error {
		if err := look(q); err != nil {
			return err
		}
		if version == 0 {
			return l.on.create(ctx, q)
		}
		found := version
		for ; l.on.upgrade[version] != ""; version++ {
			if _, err := q.ExecContext(ctx, l.on.upgrade[version]); err != nil {
				return fmt.Errorf("upgrade tables of version %d: %w", version, err)
			}
		}
		if found == ledgerVersion { // another process was faster
			return nil
		}
		if version == ledgerVersion {
			return l.still(ctx, q) // a program that runs with the older tables knows no locks
		}
		err := fmt.Errorf("version %d of the tables, this program knows %d: %w", version, ledgerVersion, feedlake.ErrConfig)
		return feedlake.Hint(err, "a newer feedlake wrote this ledger: use that version")
	})
	return l.explain(ctx, err)
}

// placesAndKinds is what version 3 of the tables brought. Until then runs were
// told of in the order in which they were entered, and a job's name said what it
// did.
func placesAndKinds(integer string) string {
	return "alter table runs add column place " + integer + ` not null default 0;
		update runs set place = seq where state not in ('pending', 'running');
		create index runs_by_place on runs (place);
		alter table steps add column kind text not null default '';
		update steps set kind = job;
		`
}

// explain adds the next step for a person to an error of once. What broke
// because ctx ended says so.
func (l *Ledger) explain(ctx context.Context, err error) error {
	broken := err != nil && l.on.broken(err)
	err = l.on.explain(err)
	if broken && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

// tx runs do in a transaction that no other one of this ledger, of whatever
// process, overlaps. When the connection breaks it is run again for a third of
// the lease, also when it is not known whether it was committed: do has to give
// the same result then. An error that leaves that unknown is feedlake.ErrUnknown.
func (l *Ledger) tx(ctx context.Context, do func(querier) error) error {
	return l.persist(ctx, false, l.lease/3, do)
}

// read runs do in a transaction that must not write, and waits for nobody.
func (l *Ledger) read(ctx context.Context, do func(querier) error) error {
	return l.persist(ctx, true, l.lease/3, do)
}

// Waits between the tries of a transaction.
const (
	firstWait   = 50 * time.Millisecond
	longestWait = 2 * time.Second
)

// persist runs do in a transaction, and again while the connection is broken
// and patience lasts.
func (l *Ledger) persist(ctx context.Context, readOnly bool, patience time.Duration, do func(querier) error) error {
	enough := time.NewTimer(patience)
	defer enough.Stop()
	var unknown error
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		err := l.once(ctx, readOnly, do)
		broken := err != nil && (ctx.Err() != nil || l.on.broken(err))
		if errors.Is(err, feedlake.ErrUnknown) {
			unknown = feedlake.ErrUnknown
		} else if broken && unknown != nil { // nothing was learned of the try before
			err = fmt.Errorf("%w: %w", err, unknown)
		}
		err = l.explain(ctx, err)
		if !broken || ctx.Err() != nil {
			return err
		}
		if wait == firstWait {
			l.log.WarnContext(ctx, "try ledger again", "ledger", l.on.where, "err", err)
		}
		if !pause(ctx, wait, enough.C) {
			return err
		}
	}
}

// pause waits, and reports false when ctx or the time for all has ended.
func pause(ctx context.Context, wait time.Duration, enough <-chan time.Time) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-enough:
	}
	return false
}

// once runs do in a transaction, without patience. Its errors are not explained.
func (l *Ledger) once(ctx context.Context, readOnly bool, do func(querier) error) error {
	options, first := l.on.write, l.on.enter
	if readOnly {
		options, first = sql.TxOptions{ReadOnly: true}, l.on.look
	}
	tx, err := l.db.BeginTx(ctx, &options)
	if err != nil {
		return err
	}
	if first != "" {
		_, err = tx.ExecContext(ctx, first)
	}
	if err == nil {
		err = do(bound{tx, l.on.bind})
	}
	if err != nil {
		back := tx.Rollback()
		if back == nil || errors.Is(back, sql.ErrTxDone) || ctx.Err() != nil || l.on.broken(back) {
			return err
		}
		return errors.Join(err, back)
	}
	err = tx.Commit()
	if err != nil && !l.on.aborted(err) {
		return fmt.Errorf("%w: %w", err, feedlake.ErrUnknown)
	}
	return err
}

// collect returns the rows of a query as scan reads them.
func collect[T any](ctx context.Context, q querier, scan func(*sql.Rows) (T, error), query string, args ...any) (all []T, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// one reports feedlake.ErrConflict unless res changed a row.
func one(res sql.Result, otherwise string) error {
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		err = fmt.Errorf("%s: %w", otherwise, feedlake.ErrConflict)
	}
	return err
}

// layout of an instant in the database: sorts as text, and people can read it.
const layout = "2006-01-02T15:04:05.000000Z"

// stamp writes t as stored; the zero time is the empty text.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(layout)
}

func unstamp(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return time.Parse(layout, s)
}

// times reads instants as stored.
func times(texts map[*time.Time]string) error {
	for t, text := range texts {
		var err error
		if *t, err = unstamp(text); err != nil {
			return err
		}
	}
	return nil
}
