package schedules

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/feedlake/feedlake"
)

// errLost is the cause when a run's context ends because its claim was lost.
var errLost = fmt.Errorf("the ledger took this process for dead: %w", feedlake.ErrBusy)

func (l *Ledger) sessionID() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session
}

// join returns this process's session, and enters it when there is none yet or
// another process has taken it for dead.
func (l *Ledger) join(ctx context.Context, tx *sql.Tx) (int64, error) {
	now := stamp(l.now())
	if id := l.sessionID(); id != 0 {
		res, err := tx.ExecContext(ctx, "update sessions set beat = ? where id = ?", now, id)
		if err != nil {
			return 0, err
		}
		if one(res, "") == nil {
			return id, nil
		}
	}
	res, err := tx.ExecContext(ctx, "insert into sessions (host, pid, boot, born, beat) values (?, ?, ?, ?, ?)",
		l.me.Host, l.me.PID, l.me.boot, l.me.born, now)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// hold remembers a run begun for a session, and starts the heartbeat with the
// first.
func (l *Ledger) hold(session int64, run string, cancel context.CancelCauseFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != session {
		l.drop(errLost) // what an earlier session held
	}
	l.session, l.heard = session, l.now()
	l.held[run] = cancel
	if l.stop == nil {
		ctx, stop := context.WithCancel(context.Background()) // outlives the call: it ends with Close
		l.stop = stop
		l.beats.Go(func() { l.beat(ctx) })
	}
}

// beat renews the session until ctx ends. When that fails for a whole lease, or
// another process has buried the session, the runs held here are no longer ours.
func (l *Ledger) beat(ctx context.Context) {
	tick := time.NewTicker(l.lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := l.renew(ctx); err != nil && ctx.Err() == nil {
			l.log.ErrorContext(ctx, "lose runs", "err", err)
		}
	}
}

// renew says that this process lives. An error means that its runs are lost.
func (l *Ledger) renew(ctx context.Context) error {
	l.mu.Lock()
	session, heard, idle := l.session, l.heard, len(l.held) == 0
	l.mu.Unlock()
	if session == 0 || idle {
		return nil // nothing to keep; should the session be taken for dead, the next Begin joins again
	}
	now := l.now()
	res, err := l.db.ExecContext(ctx, "update sessions set beat = ? where id = ?", stamp(now), session)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if now.Sub(heard) < l.lease {
			l.log.WarnContext(ctx, "renew session", "err", err)
			return nil
		}
	} else {
		err = one(res, "session was taken for dead")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != session { // a Begin was faster and has dropped the runs
		return nil
	}
	if err != nil {
		l.session = 0
		l.drop(errLost)
		return err
	}
	l.heard = now
	return nil
}

// drop cancels every run held here. The caller holds l.mu.
func (l *Ledger) drop(cause error) {
	for id, cancel := range l.held {
		cancel(cause)
		delete(l.held, id)
	}
}

// sweep marks the runs of dead processes Abandoned and forgets the processes.
// Of the process's own session it thinks nothing.
func (l *Ledger) sweep(ctx context.Context, tx *sql.Tx, own int64) error {
	type session struct {
		Holder
		id   int64
		beat time.Time
	}
	others, err := collect(ctx, tx, func(rows *sql.Rows) (s session, err error) {
		var beat string
		if err = rows.Scan(&s.id, &s.Host, &s.PID, &s.boot, &s.born, &beat); err == nil {
			s.beat, err = unstamp(beat)
		}
		return s, err
	}, "select id, host, pid, boot, born, beat from sessions where id <> ?", own)
	if err != nil {
		return err
	}
	now := l.now()
	for _, s := range others {
		if s.alive(l.me, s.beat, now, l.lease) {
			continue
		}
		if err := l.bury(ctx, tx, s.id, s.beat, s.String()+" died without finishing the run"); err != nil {
			return err
		}
	}
	return nil
}

// bury marks a session's unfinished runs and steps Abandoned, as ended when the
// session was last heard of, and removes the session.
func (l *Ledger) bury(ctx context.Context, tx *sql.Tx, session int64, heard time.Time, why string) error {
	const ours = " where state = 'running' and "
	_, err := tx.ExecContext(ctx, "update steps set state = 'abandoned', ended = max(started, ?), error = ?"+ours+
		"run in (select id from runs"+ours+"session = ?)", stamp(heard), why, session)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "update runs set state = 'abandoned', ended = max(started, ?), error = ?"+ours+"session = ?", stamp(heard), why, session)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "delete from sessions where id = ?", session)
	return err
}
