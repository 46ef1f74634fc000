package schedules

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/feedlake/feedlake"
)

// LedgerConfig opens a ledger.
type LedgerConfig struct {
	Path    string               // the SQLite file, made when missing; not used with a DSN
	DSN     string               // a PostgreSQL database, as URL or key=value; PGPASSFILE and the PG* variables count too. "" means Path. Never shown
	Schema  string               // in the database, made when missing; every ledger has its own. "" means DefaultSchema
	Now     func() time.Time     // the clock
	Log     *slog.Logger         // nil discards
	Silence time.Duration        // after which a PostgreSQL server that says nothing counts as gone; 0 means half a minute
	OnWait  func(Claim, Holding) // called when a claim begins to wait, and when it waits for another; nil means nobody listens
	Lease   time.Duration        // after this silence a process of another machine counts as dead; 0 means DefaultLease
}

// DefaultLease is the longest silence of a living process. It must be longer
// than the clocks of two machines may differ.
const DefaultLease = time.Minute

// Ledger is the history of runs in an SQLite file or a PostgreSQL schema, and
// by it the lock that keeps two runs apart: a run that is running holds its
// window. Any number of processes may open one ledger. A process that holds
// runs says every third of the lease that it lives; when it has died, the first
// to look marks its runs Abandoned and so frees their windows.
//
// When a PostgreSQL server goes away, a call waits for it up to a third of the
// lease; after a whole lease without it the runs held here are lost.
type Ledger struct {
	db    *sql.DB
	on    dialect
	now   func() time.Time
	log   *slog.Logger
	lease time.Duration
	me    Holder

	onWait func(Claim, Holding)

	begins  sync.Mutex                         // one Begin at a time: it may open the session
	mu      sync.Mutex                         // guards what follows
	session int64                              // this process's row in sessions; 0 before its first run
	heard   time.Time                          // when that row was last renewed
	held    map[string]context.CancelCauseFunc // by Run.ID: the runs begun here and not finished
	unsaid  map[string]word                    // by Run.ID: how runs of the session ended, when the ledger could not be told
	unfreed map[int64]bool                     // tickets of claims of the session that are over, when the ledger could not be told
	lost    map[int64]bool                     // sessions that this process has given up; nobody else knows that they are dead
	stop    context.CancelFunc                 // ends the heartbeat
	beats   sync.WaitGroup
}

// OpenLedger opens the ledger that c names, and makes it when it is missing.
func OpenLedger(ctx context.Context, c LedgerConfig) (*Ledger, error) {
	db, on, err := openDatabase(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", on.where, err)
	}
	l := &Ledger{
		db: db, on: on, now: c.Now, log: c.Log, lease: c.Lease, me: self(), onWait: c.OnWait,
		held: map[string]context.CancelCauseFunc{}, unsaid: map[string]word{}, unfreed: map[int64]bool{}, lost: map[int64]bool{},
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if l.lease <= 0 {
		l.lease = DefaultLease
	}
	if err := l.migrate(ctx); err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", on.where, errors.Join(err, db.Close()))
	}
	return l, nil
}

func openDatabase(ctx context.Context, c LedgerConfig) (*sql.DB, dialect, error) {
	if c.DSN != "" {
		return openPostgres(c.DSN, c.Schema, cmp.Or(c.Silence, usualSilence))
	}
	return openSQLite(ctx, c.Path)
}

// closing is how long Close tries to reach a server.
const closing = 2 * time.Second

// Where names the ledger to people, without secrets.
func (l *Ledger) Where() string { return l.on.where }

// Close ends the heartbeat and closes every connection. Runs begun here and not
// finished are marked Abandoned, and their contexts cancelled.
func (l *Ledger) Close() error {
	l.mu.Lock()
	stop, session, unsaid := l.stop, l.session, l.unsaid
	l.session, l.stop, l.unsaid = 0, nil, map[string]word{}
	l.drop(errors.New("the ledger was closed"))
	l.mu.Unlock()
	if stop == nil {
		return l.db.Close()
	}
	stop()
	l.beats.Wait()
	// Close has to work when every context has ended. Whom it cannot tell will find this process dead.
	ctx, cancel := context.WithTimeout(context.Background(), finishing)
	defer cancel()
	err := l.persist(ctx, false, closing, func(q querier) error {
		if err := say(ctx, q, session, unsaid); err != nil {
			return err
		}
		return l.bury(ctx, q, session, l.now(), "it ended without finishing the run")
	})
	if err != nil {
		err = fmt.Errorf("close ledger %s: %w", l.on.where, err)
	}
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
	asked, session := r, int64(0)
	err := l.tx(ctx, func(q querier) (err error) {
		if session != 0 && r.ID != "" { // tried before
			if ours, err := holds(ctx, q, r, session); err != nil || ours {
				return err
			}
		}
		r = asked
		if session, err = l.join(ctx, q); err != nil {
			return err
		}
		if err := l.sweep(ctx, q, session); err != nil {
			return err
		}
		if err := alone(ctx, q, r); err != nil {
			return err
		}
		return l.insert(ctx, q, &r, session)
	})
	if errors.Is(err, feedlake.ErrUnknown) { // should the claim stand, nobody uses it
		l.mu.Lock()
		l.enter(session)
		l.mu.Unlock()
		l.later(session, r.ID, word{Abandoned, stamp(l.now()), "the connection to the ledger broke as the run began"})
	}
	if err != nil {
		return nil, Run{}, fmt.Errorf("begin run of %s: %w", r.Job, err)
	}
	held, cancel := context.WithCancelCause(ctx)
	l.hold(session, r.ID, cancel)
	return held, r, nil
}

// holds reports whether a session runs r.
func holds(ctx context.Context, q querier, r Run, session int64) (bool, error) {
	runs, err := selectRuns(ctx, q, "where id = ? and session = ? and state = 'running' and started = ?", r.ID, session, stamp(r.Started))
	return len(runs) > 0, err
}

// alone reports feedlake.ErrBusy when a running run excludes r.
func alone(ctx context.Context, q querier, r Run) error {
	if r.Lock == Unlocked {
		return nil
	}
	running, err := selectRuns(ctx, q, "where state = ? and lock = ?", Running, r.Lock)
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
func (l *Ledger) insert(ctx context.Context, q querier, r *Run, session int64) error {
	if !r.Due.IsZero() {
		others, err := selectRuns(ctx, q, "where job = ? and due = ? and try >= ? and not (id = ? and state = 'pending')",
			r.Job, stamp(r.Due), r.Try, r.ID)
		if err != nil {
			return err
		}
		if len(others) > 0 {
			return fmt.Errorf("try %d of the window due %s is run %s: %w", r.Try, stamp(r.Due), others[0].ID, feedlake.ErrConflict)
		}
	}
	var seq int64
	if err := q.QueryRowContext(ctx, "select coalesce(max(seq), 0) + 1 from runs").Scan(&seq); err != nil {
		return err
	}
	if r.ID == "" {
		r.ID = fmt.Sprintf("%s-%d", l.now().UTC().Format("20060102T150405Z"), seq)
	}
	res, err := q.ExecContext(ctx, `insert into runs (seq, id, job, lock, win_start, win_end, due, try, state, started, ended, session, host, pid, error)
		values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?, ?, '')
		on conflict (id) do update set state = excluded.state, started = excluded.started, session = excluded.session, host = excluded.host, pid = excluded.pid
		where runs.state = 'pending'`,
		seq, r.ID, r.Job, r.Lock, stamp(r.Window.Start), stamp(r.Window.End), stamp(r.Due), r.Try, r.State, stamp(r.Started),
		session, r.Holder.Host, r.Holder.PID)
	if err != nil {
		return err
	}
	return one(res, "run "+r.ID+" exists")
}

// Step records where a step of a running run stands; the last word of a step
// replaces the ones before. feedlake.ErrConflict: the run is no longer held.
func (l *Ledger) Step(ctx context.Context, s Step) error {
	session := l.sessionID()
	err := l.tx(ctx, func(q querier) error {
		res, err := q.ExecContext(ctx, `insert into steps (run, job, kind, try, state, started, ended, rows_in, rows_out, rejects, detail, error)
			select id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? from runs where id = ? and state = 'running' and session = ?
			on conflict (run, job) do update set try = excluded.try, state = excluded.state, started = excluded.started, ended = excluded.ended,
				rows_in = excluded.rows_in, rows_out = excluded.rows_out, rejects = excluded.rejects, detail = excluded.detail, error = excluded.error`,
			s.Job, cmp.Or(s.Kind, s.Job), s.Try, s.State, stamp(s.Started), stamp(s.Ended), s.RowsIn, s.RowsOut, s.Rejects, s.Detail, s.Err, s.Run, session)
		if err != nil {
			return err
		}
		return one(res, "the run is not held")
	})
	if err != nil {
		return fmt.Errorf("record step %s of run %s: %w", s.Job, s.Run, err)
	}
	return nil
}

// Finish records how a run ended and frees its window. cause becomes the run's
// Err; it may be nil. feedlake.ErrConflict: the run is no longer held. After
// another error the heartbeat tells the ledger as soon as it can.
func (l *Ledger) Finish(ctx context.Context, id string, state State, cause error) (Run, error) {
	l.mu.Lock()
	cancel, session := l.held[id], l.session
	delete(l.held, id)
	delete(l.unsaid, id)
	l.mu.Unlock()
	if cancel != nil {
		defer cancel(nil)
	}
	last := word{state: state, ended: stamp(l.now())}
	if cause != nil {
		last.why = cause.Error()
	}
	r, err := l.finish(ctx, id, session, last)
	if err != nil && !errors.Is(err, feedlake.ErrConflict) {
		l.later(session, id, last)
	}
	if err != nil {
		return Run{}, fmt.Errorf("finish run %s: %w", id, err)
	}
	return r, nil
}

func (l *Ledger) finish(ctx context.Context, id string, session int64, last word) (r Run, err error) {
	tried := false
	err = l.tx(ctx, func(q querier) error {
		told, err := last.say(ctx, q, id, session)
		if err != nil {
			return err
		}
		tail, args := "where id = ?", []any{id}
		if !told { // unless an earlier try did, without hearing of it
			tail, args = tail+" and session = ? and state = ? and ended = ?", append(args, session, last.state, last.ended)
		}
		again := tried
		tried = true
		runs, err := selectRuns(ctx, q, tail, args...)
		if err != nil {
			return err
		}
		if !told && !again || len(runs) == 0 {
			return fmt.Errorf("the run is not held: %w", feedlake.ErrConflict)
		}
		r = runs[0]
		return nil
	})
	return r, err
}
