package schedules

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
)

// LockAll is the lock that excludes every other: who holds it works alone.
const LockAll = "lake"

// Shard is a part of a step's work: the Index-th of Of, from 0. The zero Shard is
// the whole.
type Shard struct{ Index, Of int }

// Whole reports whether s is all of the work.
func (s Shard) Whole() bool { return s.Of == 0 }

// String writes "1/4"; the whole is "".
func (s Shard) String() string {
	if s.Whole() {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.Index, s.Of)
}

// Claim asks for locks, all at once.
type Claim struct {
	Locks  []string
	Window feedlake.Window // claims of windows that do not overlap do not exclude each other; zero: all of time
	Shard  Shard           // other shards of the same number do not exclude this one
	Work   string          // for people: what is done with them
	Wait   time.Duration   // for others to release them; 0: until ctx ends, below 0: not at all
}

// Holding is a lock that somebody holds, or waits for.
type Holding struct {
	Lock   string
	Run    string // "" outside of runs
	Work   string
	Holder Holder
	Since  time.Time // when it was got, or asked for
	Waits  bool

	ticket int64
	Claim
}

// String names who holds a lock, and since when.
func (h Holding) String() string {
	who := h.Work
	if h.Run != "" {
		who = fmt.Sprintf("run %s (%s)", h.Run, h.Work)
	}
	verb := "holds"
	if h.Waits {
		verb = "waits before this for"
	}
	return fmt.Sprintf("%s of %s %s %s since %s", who, h.Holder, verb, h.Lock, h.Since.Format(time.RFC3339))
}

// excludes reports whether two claims cannot be granted both.
func (c Claim) excludes(other Claim) bool {
	if !overlap(c.Window, other.Window) {
		return false
	}
	if !c.Shard.Whole() && c.Shard.Of == other.Shard.Of && c.Shard.Index != other.Shard.Index {
		return false
	}
	return slices.ContainsFunc(c.Locks, func(name string) bool {
		return slices.ContainsFunc(other.Locks, func(o string) bool { return name == o || name == LockAll || o == LockAll })
	})
}

// covers reports whether who holds c needs nothing more for other.
func (c Claim) covers(other Claim) bool {
	if c.Window != (feedlake.Window{}) && c.Window != other.Window || !c.Shard.Whole() && c.Shard != other.Shard {
		return false
	}
	return slices.Contains(c.Locks, LockAll) || !slices.ContainsFunc(other.Locks, func(name string) bool { return !slices.Contains(c.Locks, name) })
}

type claimKey struct{}

// Waits between two looks whether a lock is free.
const (
	firstLook   = 20 * time.Millisecond
	longestLook = time.Second
)

// Claim gets all the locks of c, or none. The context returned is ctx's child; it
// ends when release is called, and before that, with feedlake.ErrBusy as its
// cause, when this process is taken for dead. Claims are granted in the order in
// which they were asked for, as far as they exclude each other, so that nobody
// waits for ever; and who holds some gets no more, so that no two wait for each
// other: a claim under a context that holds these locks already is granted by it,
// and one for others is refused.
//
// Errors: feedlake.ErrBusy, which names who holds a lock, when c.Wait is over.
func (l *Ledger) Claim(ctx context.Context, c Claim) (held context.Context, release func(), err error) {
	if of, ok := ctx.Value(claimKey{}).(Claim); ok {
		if of.covers(c) {
			return ctx, func() {}, nil
		}
		return nil, nil, fmt.Errorf("claim %s under %s: who holds locks gets no more", strings.Join(c.Locks, ", "), strings.Join(of.Locks, ", "))
	}
	if len(c.Locks) == 0 {
		return ctx, func() {}, nil
	}
	w := waiting{Ledger: l, Claim: c, run: RunOf(ctx).ID}
	if err := w.wait(ctx); err != nil {
		w.leave(ctx)
		return nil, nil, fmt.Errorf("claim %s: %w", strings.Join(c.Locks, ", "), err)
	}
	held, cancel := context.WithCancelCause(context.WithValue(ctx, claimKey{}, c))
	key := fmt.Sprintf("lock %d of session %d", w.ticket, w.session)
	l.hold(w.session, key, cancel)
	return held, func() {
		l.mu.Lock()
		delete(l.held, key)
		l.mu.Unlock()
		w.leave(ctx)
		cancel(nil)
	}, nil
}

// waiting is a claim on its way.
type waiting struct {
	*Ledger
	Claim
	run             string
	session, ticket int64
	told            string // whom it was said to wait for
}

// wait asks until the locks are granted, ctx ends or the wait is over.
func (w *waiting) wait(ctx context.Context) error {
	var enough <-chan time.Time
	if w.Wait > 0 {
		timer := time.NewTimer(w.Wait)
		defer timer.Stop()
		enough = timer.C
	}
	for look := firstLook; ; look = min(2*look, longestLook) {
		before, err := w.ask(ctx)
		if err != nil || before == nil {
			return err
		}
		busy := feedlake.Hint(fmt.Errorf("%s: %w", before, feedlake.ErrBusy),
			"wait until it has ended, or end process %d on %s; a run whose process is gone frees its locks", before.Holder.PID, before.Holder.Host)
		if w.Wait < 0 {
			return busy
		}
		if now := before.String(); now != w.told {
			w.told = now
			w.log.InfoContext(ctx, "wait for lock", "lock", before.Lock, "run", before.Run, "work", before.Work,
				"host", before.Holder.Host, "pid", before.Holder.PID, "since", before.Since)
			if w.onWait != nil {
				w.onWait(w.Claim, *before)
			}
		}
		if !pause(ctx, look, enough) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return busy
		}
	}
}

// ask enters the claim, once, and returns whom it waits for; nil when it is
// granted.
func (w *waiting) ask(ctx context.Context) (before *Holding, err error) {
	w.begins.Lock() // the first may open the session
	defer w.begins.Unlock()
	var session, ticket int64
	err = w.tx(ctx, func(q querier) (err error) {
		before, ticket = nil, w.ticket
		if session, err = w.join(ctx, q); err != nil {
			return err
		}
		if err := w.sweep(ctx, q, session); err != nil {
			return err
		}
		if session != w.session {
			ticket = 0 // new, or what it had entered went with the session
		}
		if ticket == 0 {
			if ticket, err = w.enterQueue(ctx, q, session); err != nil {
				return err
			}
		}
		others, err := selectHoldings(ctx, q, "where ticket < ? order by ticket, lock", ticket)
		if err != nil {
			return err
		}
		for _, h := range others {
			if w.excludes(h.Claim) {
				before = &h
				return nil
			}
		}
		_, err = q.ExecContext(ctx, "update locks set held = 1, since = ? where ticket = ? and session = ?", stamp(w.now()), ticket, session)
		return err
	})
	if errors.Is(err, feedlake.ErrUnknown) && ticket != 0 { // should it stand, nobody uses it
		w.session, w.ticket = session, ticket
	}
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.enter(session)
	w.mu.Unlock()
	w.session, w.ticket = session, ticket
	return before, nil
}

// enterQueue puts the claim behind all that are there.
func (w *waiting) enterQueue(ctx context.Context, q querier, session int64) (ticket int64, err error) {
	if err := q.QueryRowContext(ctx, "select coalesce(max(ticket), 0) + 1 from locks").Scan(&ticket); err != nil {
		return 0, err
	}
	for _, name := range w.Locks {
		_, err := q.ExecContext(ctx, `insert into locks (ticket, lock, win_start, win_end, shard, shards, session, run, work, since, held)
			values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)`, ticket, name, stamp(w.Window.Start), stamp(w.Window.End), w.Shard.Index, w.Shard.Of,
			session, w.run, w.Work, stamp(w.now()))
		if err != nil {
			return 0, err
		}
	}
	return ticket, nil
}

// leave takes the claim back, held or not. Where the ledger cannot be told, the
// heartbeat tells it as soon as it can.
func (w *waiting) leave(ctx context.Context) {
	if w.ticket == 0 {
		return
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishing)
	defer cancel()
	err := w.tx(last, func(q querier) error { return free(last, q, w.session, w.ticket) })
	if err == nil {
		return
	}
	w.log.WarnContext(ctx, "release locks", "locks", w.Locks, "err", err)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.Ledger.session == w.session {
		w.unfreed[w.ticket] = true
	}
}

// free takes claims of a session back.
func free(ctx context.Context, q querier, session int64, tickets ...int64) error {
	for _, t := range tickets {
		if _, err := q.ExecContext(ctx, "delete from locks where ticket = ? and session = ?", t, session); err != nil {
			return err
		}
	}
	return nil
}

// Holdings lists the locks that are held and waited for, in the order in which
// they were asked for. Those of dead processes go first.
func (l *Ledger) Holdings(ctx context.Context) ([]Holding, error) {
	var all []Holding
	err := l.tx(ctx, func(q querier) (err error) {
		if err := l.sweep(ctx, q, l.sessionID()); err != nil {
			return err
		}
		all, err = selectHoldings(ctx, q, "order by ticket, lock")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list locks: %w", err)
	}
	return all, nil
}

func selectHoldings(ctx context.Context, q querier, tail string, args ...any) ([]Holding, error) {
	return collect(ctx, q, func(rows *sql.Rows) (h Holding, err error) {
		var start, end, since string
		var held int
		err = rows.Scan(&h.ticket, &h.Lock, &start, &end, &h.Shard.Index, &h.Shard.Of, &h.Run, &h.Work, &since, &held, &h.Holder.Host, &h.Holder.PID)
		h.Waits, h.Locks, h.Claim.Work = held == 0, []string{h.Lock}, h.Work
		return h, errors.Join(err, times(map[*time.Time]string{&h.Window.Start: start, &h.Window.End: end, &h.Since: since}))
	}, "select ticket, lock, win_start, win_end, shard, shards, run, work, since, held, host, pid from locks join sessions on sessions.id = locks.session "+tail, args...)
}
