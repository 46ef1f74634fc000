package schedules

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
)

// errLost is the cause when a run's context ends because its claim was lost.
var errLost = fmt.Errorf("the ledger took this process for dead: %w", feedlake.ErrBusy)

// hasLost reports whether this process held a session and has given it up.
func (l *Ledger) hasLost(session int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost[session]
}

func (l *Ledger) sessionID() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session
}

// join returns this process's session, and enters it when there is none yet or
// another process has taken it for dead.
func (l *Ledger) join(ctx context.Context, q querier) (int64, error) {
	now := stamp(l.now())
	if id := l.sessionID(); id != 0 {
		res, err := q.ExecContext(ctx, "update sessions set beat = ? where id = ?", now, id)
		if err != nil {
			return 0, err
		}
		if one(res, "") == nil {
			return id, nil
		}
	}
	var id int64
	err := q.QueryRowContext(ctx, "insert into sessions (host, pid, boot, born, beat) values (?, ?, ?, ?, ?) returning id",
		l.me.Host, l.me.PID, l.me.boot, l.me.born, now).Scan(&id)
	return id, err
}

// hold remembers a run begun for a session.
func (l *Ledger) hold(session int64, run string, cancel context.CancelCauseFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enter(session)
	l.heard = l.now()
	l.held[run] = cancel
}

// enter makes session this process's, and starts the heartbeat with the first.
// The caller holds l.mu.
func (l *Ledger) enter(session int64) {
	if l.session != session { // what an earlier session held is lost
		l.drop(errLost)
		clear(l.unsaid)
		clear(l.unfreed)
		l.lost[l.session] = l.session != 0
		l.session, l.heard = session, l.now()
	}
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

// renew says that this process lives, and what is unsaid. An error means that
// its runs are lost.
func (l *Ledger) renew(ctx context.Context) error {
	l.mu.Lock()
	session, heard, unsaid := l.session, l.heard, maps.Clone(l.unsaid)
	unfreed := slices.Collect(maps.Keys(l.unfreed))
	idle := len(l.held)+len(unsaid)+len(unfreed) == 0
	l.mu.Unlock()
	if session == 0 || idle {
		return nil // nothing to keep; should the session be taken for dead, the next Begin joins again
	}
	now := l.now()
	err := l.tell(ctx, session, stamp(now), unsaid, unfreed)
	if err != nil && !errors.Is(err, feedlake.ErrConflict) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if l.now().Sub(heard) < l.lease {
			l.log.WarnContext(ctx, "renew session", "err", err)
			return nil
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != session { // a Begin was faster and has dropped the runs
		return nil
	}
	if err != nil {
		l.session = 0
		l.lost[session] = true
		l.drop(errLost)
		clear(l.unfreed)
		clear(l.unsaid) // whoever buried the session has ended its runs
		return err
	}
	for _, ticket := range unfreed {
		delete(l.unfreed, ticket)
	}
	maps.DeleteFunc(l.unsaid, func(id string, w word) bool { return unsaid[id] == w })
	l.heard = now
	return nil
}

// tell renews a session and records what is unsaid of it. A server that does
// not answer gets no more time than until the next beat.
func (l *Ledger) tell(ctx context.Context, session int64, now string, unsaid map[string]word, unfreed []int64) error {
	ctx, cancel := context.WithTimeout(ctx, l.lease/3)
	defer cancel()
	err := l.once(ctx, false, func(q querier) error {
		res, err := q.ExecContext(ctx, "update sessions set beat = ? where id = ?", now, session)
		if err == nil {
			err = one(res, "session was taken for dead")
		}
		if err != nil {
			return err
		}
		if err := free(ctx, q, session, unfreed...); err != nil {
			return err
		}
		return say(ctx, q, session, unsaid)
	})
	return l.explain(ctx, err)
}

// nextPlace is the place of runs that end now, in the order in which runs end.
const nextPlace = "(select coalesce(max(place), 0) + 1 from runs)"

// word is how a run ended.
type word struct {
	state State
	ended string // an instant, as stored
	why   string
}

// say records how a running run of a session ended, and reports whether it was one.
func (w word) say(ctx context.Context, q querier, run string, session int64) (bool, error) {
	res, err := q.ExecContext(ctx, "update runs set state = ?, ended = ?, error = ?, place = "+nextPlace+" where id = ? and state = 'running' and session = ?",
		w.state, w.ended, w.why, run, session)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// say records how runs of a session ended. Those that somebody else has ended
// stay as they are.
func say(ctx context.Context, q querier, session int64, words map[string]word) error {
	for run, w := range words {
		if _, err := w.say(ctx, q, run, session); err != nil {
			return err
		}
	}
	return nil
}

// later leaves it to the heartbeat to record how a run ended, unless the
// session is lost: then sweep does.
func (l *Ledger) later(session int64, run string, w word) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if session != 0 && l.session == session {
		l.unsaid[run] = w
	}
}

// drop cancels every run held here. The caller holds l.mu.
func (l *Ledger) drop(cause error) {
	for id, cancel := range l.held {
		cancel(cause)
		delete(l.held, id)
	}
}

// sweep marks the runs of dead processes Abandoned and forgets the processes,
// and those of sessions that this process has lost. Of the process's own
// session it thinks nothing.
func (l *Ledger) sweep(ctx context.Context, q querier, own int64) error {
	type session struct {
		Holder
		id   int64
		beat time.Time
	}
	others, err := collect(ctx, q, func(rows *sql.Rows) (s session, err error) {
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
		why := s.String() + " died without finishing the run"
		if l.hasLost(s.id) {
			why = s.String() + " could not reach the ledger for " + l.lease.String()
		} else if s.alive(l.me, s.beat, now, l.lease) {
			continue
		}
		if err := l.bury(ctx, q, s.id, s.beat, why); err != nil {
			return err
		}
	}
	return nil
}

// bury marks a session's unfinished runs and steps Abandoned, as ended when the
// session was last heard of, and removes the session.
func (l *Ledger) bury(ctx context.Context, q querier, session int64, heard time.Time, why string) error {
	end := stamp(heard)
	const ours = " where state = 'running' and "
	_, err := q.ExecContext(ctx, "update steps set state = 'abandoned', ended = case when started > ? then started else ? end, error = ?"+ours+
		"run in (select id from runs"+ours+"session = ?)", end, end, why, session)
	if err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, "update runs set state = 'abandoned', ended = case when started > ? then started else ? end, error = ?, place = "+nextPlace+ours+"session = ?",
		end, end, why, session)
	if err != nil {
		return err
	}
	if _, err = q.ExecContext(ctx, "delete from locks where session = ?", session); err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, "delete from sessions where id = ?", session)
	return err
}
