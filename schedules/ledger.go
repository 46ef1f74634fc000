package schedules

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"github.com/feedlake/feedlake"
)

// LedgerConfig opens a ledger.
type LedgerConfig struct {
	Path  string           // the SQLite file, made when missing
	Now   func() time.Time // the clock
	Log   *slog.Logger     // nil discards
	Lease time.Duration    // after this silence a process of another machine counts as dead; 0 means DefaultLease
}

// DefaultLease is the longest silence of a living process. It must be longer
// than the clocks of two machines may differ.
const DefaultLease = time.Minute

// ledgerVersion is the schema's version, kept in SQLite's user_version.
const ledgerVersion = 1

//go:embed ledger.sql
var ledgerSchema string

// Ledger is the history of runs in an SQLite file, and by it the lock that
// keeps two runs apart: a run that is running holds its window. Any number of
// processes may open one ledger. A process that holds runs says every third of
// the lease that it lives; when it has died, the first to look marks its runs
// Abandoned and so frees their windows.
type Ledger struct {
	db    *sql.DB
	now   func() time.Time
	log   *slog.Logger
	lease time.Duration
	me    Holder

	begins  sync.Mutex                         // one Begin at a time: it may open the session
	mu      sync.Mutex                         // guards what follows
	session int64                              // this process's row in sessions; 0 before its first run
	heard   time.Time                          // when that row was last renewed
	held    map[string]context.CancelCauseFunc // by Run.ID: the runs begun here and not finished
	stop    context.CancelFunc                 // ends the heartbeat
	beats   sync.WaitGroup
}

// OpenLedger opens the ledger at c.Path, and makes it when it is missing.
func OpenLedger(ctx context.Context, c LedgerConfig) (*Ledger, error) {
	l, err := openLedger(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", c.Path, err)
	}
	return l, nil
}

func openLedger(ctx context.Context, c LedgerConfig) (*Ledger, error) {
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	// A transaction takes the write lock as it begins: what it read stays true until it commits.
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: url.Values{
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "foreign_keys(1)"},
		"_txlock": {"immediate"},
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // SQLite has one writer; a second connection would only wait for the first
	l := &Ledger{db: db, now: c.Now, log: c.Log, lease: c.Lease, me: self(), held: map[string]context.CancelCauseFunc{}}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if l.lease <= 0 {
		l.lease = DefaultLease
	}
	if err := l.migrate(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return l, nil
}

func (l *Ledger) migrate(ctx context.Context) error {
	var version int
	if err := l.db.QueryRowContext(ctx, "pragma user_version").Scan(&version); err != nil {
		return err
	}
	if version == ledgerVersion {
		return nil
	}
	return l.tx(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, "pragma user_version").Scan(&version); err != nil {
			return err
		}
		switch version {
		case ledgerVersion: // another process was faster
			return nil
		case 0:
			_, err := tx.ExecContext(ctx, ledgerSchema)
			return err
		}
		err := fmt.Errorf("version %d of the file, this program knows %d: %w", version, ledgerVersion, feedlake.ErrConfig)
		return feedlake.Hint(err, "a newer feedlake wrote this ledger: use that version")
	})
}

// Close ends the heartbeat and closes the file. Runs begun here and not
// finished are marked Abandoned, and their contexts cancelled.
func (l *Ledger) Close() error {
	l.mu.Lock()
	stop, session := l.stop, l.session
	l.session, l.stop = 0, nil
	l.drop(errors.New("the ledger was closed"))
	l.mu.Unlock()
	if stop == nil {
		return l.db.Close()
	}
	stop()
	l.beats.Wait()
	ctx := context.Background() // Close has to work when every context has ended
	err := l.tx(ctx, func(tx *sql.Tx) error {
		return l.bury(ctx, tx, session, l.now(), "it ended without finishing the run")
	})
	return errors.Join(err, l.db.Close())
}

// Begin claims r's window and records r as running. The context returned is
// ctx's child; it ends with Finish, and before that, with feedlake.ErrBusy as
// its cause, when the claim is lost. Begin returns feedlake.ErrBusy when a
// living run with the same Lock and an overlapping window exists, and
// feedlake.ErrConflict when this try of a planned window was already begun.
func (l *Ledger) Begin(ctx context.Context, r Run) (context.Context, Run, error) {
	r.State, r.Started, r.Ended, r.Err, r.Holder = Running, l.now().UTC(), time.Time{}, "", l.me
	r.Try = max(r.Try, 1)
	l.begins.Lock()
	defer l.begins.Unlock()
	var session int64
	err := l.tx(ctx, func(tx *sql.Tx) (err error) {
		if session, err = l.join(ctx, tx); err != nil {
			return err
		}
		if err := l.sweep(ctx, tx, session); err != nil {
			return err
		}
		if err := free(ctx, tx, r); err != nil {
			return err
		}
		return l.insert(ctx, tx, &r, session)
	})
	if err != nil {
		return nil, Run{}, fmt.Errorf("begin run of %s: %w", r.Job, err)
	}
	held, cancel := context.WithCancelCause(ctx)
	l.hold(session, r.ID, cancel)
	return held, r, nil
}

// free reports feedlake.ErrBusy when a running run excludes r.
func free(ctx context.Context, tx *sql.Tx, r Run) error {
	running, err := selectRuns(ctx, tx, "where state = ? and lock = ?", Running, r.Lock)
	if err != nil {
		return err
	}
	for _, other := range running {
		if !overlap(r.Window, other.Window) {
			continue
		}
		err := fmt.Errorf("run %s (%s) of %s holds it since %s: %w",
			other.ID, other.Job, other.Holder, other.Started.Format(time.RFC3339), feedlake.ErrBusy)
		return feedlake.Hint(err, "wait until it has ended, or end process %d on %s; a run whose process is gone frees itself",
			other.Holder.PID, other.Holder.Host)
	}
	return nil
}

func overlap(a, b feedlake.Window) bool {
	before := func(end, start time.Time) bool { return !end.IsZero() && !start.IsZero() && !start.Before(end) }
	return !before(a.End, b.Start) && !before(b.End, a.Start)
}

// insert stores r for a session, 0 meaning none, as a new row or over the
// pending row of its ID.
func (l *Ledger) insert(ctx context.Context, tx *sql.Tx, r *Run, session int64) error {
	if !r.Due.IsZero() {
		others, err := selectRuns(ctx, tx, "where job = ? and due = ? and try >= ? and not (id = ? and state = 'pending')",
			r.Job, stamp(r.Due), r.Try, r.ID)
		if err != nil {
			return err
		}
		if len(others) > 0 {
			return fmt.Errorf("try %d of the window due %s is run %s: %w", r.Try, stamp(r.Due), others[0].ID, feedlake.ErrConflict)
		}
	}
	if r.ID == "" {
		var seq int64
		if err := tx.QueryRowContext(ctx, "select coalesce(max(seq), 0) + 1 from runs").Scan(&seq); err != nil {
			return err
		}
		r.ID = fmt.Sprintf("%s-%d", l.now().UTC().Format("20060102T150405Z"), seq)
	}
	res, err := tx.ExecContext(ctx, `insert into runs (id, job, lock, win_start, win_end, due, try, state, started, ended, session, host, pid, error)
		values (?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?, ?, '')
		on conflict (id) do update set state = excluded.state, started = excluded.started, session = excluded.session, host = excluded.host, pid = excluded.pid
		where runs.state = 'pending'`,
		r.ID, r.Job, r.Lock, stamp(r.Window.Start), stamp(r.Window.End), stamp(r.Due), r.Try, r.State, stamp(r.Started),
		session, r.Holder.Host, r.Holder.PID)
	if err != nil {
		return err
	}
	return one(res, "run "+r.ID+" exists")
}

// Step records where a step of a running run stands; the last word of a step
// replaces the ones before. feedlake.ErrConflict: the run is no longer held.
func (l *Ledger) Step(ctx context.Context, s Step) error {
	res, err := l.db.ExecContext(ctx, `insert into steps (run, job, try, state, started, ended, rows_in, rows_out, rejects, detail, error)
		select id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? from runs where id = ? and state = 'running' and session = ?
		on conflict (run, job) do update set try = excluded.try, state = excluded.state, started = excluded.started, ended = excluded.ended,
			rows_in = excluded.rows_in, rows_out = excluded.rows_out, rejects = excluded.rejects, detail = excluded.detail, error = excluded.error`,
		s.Job, s.Try, s.State, stamp(s.Started), stamp(s.Ended), s.RowsIn, s.RowsOut, s.Rejects, s.Detail, s.Err, s.Run, l.sessionID())
	if err == nil {
		err = one(res, "the run is not held")
	}
	if err != nil {
		return fmt.Errorf("record step %s of run %s: %w", s.Job, s.Run, err)
	}
	return nil
}

// Finish records how a run ended and frees its window. cause becomes the run's
// Err; it may be nil. feedlake.ErrConflict: the run is no longer held.
func (l *Ledger) Finish(ctx context.Context, id string, state State, cause error) (Run, error) {
	l.mu.Lock()
	cancel := l.held[id]
	delete(l.held, id)
	l.mu.Unlock()
	if cancel != nil {
		defer cancel(nil)
	}
	why := ""
	if cause != nil {
		why = cause.Error()
	}
	var r Run
	err := l.tx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, "update runs set state = ?, ended = ?, error = ? where id = ? and state = 'running' and session = ?",
			state, stamp(l.now()), why, id, l.sessionID())
		if err != nil {
			return err
		}
		if err := one(res, "the run is not held"); err != nil {
			return err
		}
		runs, err := selectRuns(ctx, tx, "where id = ?", id)
		if err == nil {
			r = runs[0]
		}
		return err
	})
	if err != nil {
		return Run{}, fmt.Errorf("finish run %s: %w", id, err)
	}
	return r, nil
}

// one reports feedlake.ErrConflict unless res changed a row.
func one(res sql.Result, otherwise string) error {
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		err = fmt.Errorf("%s: %w", otherwise, feedlake.ErrConflict)
	}
	return err
}

// tx runs do in a transaction.
func (l *Ledger) tx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		if back := tx.Rollback(); back != nil && !errors.Is(back, sql.ErrTxDone) {
			return errors.Join(err, back)
		}
		return err
	}
	return tx.Commit()
}

// layout of an instant in the file: sorts as text, and people can read it.
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
