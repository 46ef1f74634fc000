package schedules

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
)

// CatchUp says what becomes of windows that came due while nothing ran.
type CatchUp string

// Policies for missed windows. The empty CatchUp is CatchUpAll.
const (
	CatchUpAll    CatchUp = "all"    // each is run, oldest first
	CatchUpLatest CatchUp = "latest" // only the newest is run
	CatchUpNone   CatchUp = "none"   // none is run; the plan goes on with the next one
)

// Plan says which jobs run when, over which window.
type Plan struct {
	Name string // the Job of its runs
	Cron Cron
	Lock string // of its runs, see Run.Lock
	// Span aligns windows: the window of a due instant is the last whole Span
	// (in UTC) before it, such as yesterday for 24h. 0: from the due instant
	// before to this one, so that windows touch.
	Span    time.Duration
	Since   time.Time // where the due instants of a plan new to the ledger begin; zero means at the first look
	CatchUp CatchUp
	Tries   int           // of a window whose run failed or was abandoned; below 1 means 3
	Retry   time.Duration // the wait after the first failed try, doubled by every further one; 0 means a minute
	Jitter  time.Duration // a random wait of at most this before a window's first try
	Jobs    []Job
}

const (
	defaultTries = 3
	defaultRetry = time.Minute
	maxRetry     = 6 * time.Hour
	grace        = 2 * time.Minute // CatchUpNone: a window due no longer ago than this is not missed
	atOnce       = 500             // windows that enter the ledger in one transaction; the rest follows
)

// Check reports, wrapping feedlake.ErrConfig, what is not usable in p.
func (p *Plan) Check() error {
	err := CheckJobs(p.Jobs)
	switch {
	case err != nil:
	case p.Name == "":
		err = errors.New("it has no name")
	case p.Cron == nil:
		err = errors.New("it has no cron expression")
	case p.Span < 0 || p.Retry < 0 || p.Jitter < 0:
		err = errors.New("a duration below zero")
	case p.CatchUp != "" && p.CatchUp != CatchUpAll && p.CatchUp != CatchUpLatest && p.CatchUp != CatchUpNone:
		err = fmt.Errorf("catch-up %q is none of all, latest, none", p.CatchUp)
	}
	if err != nil {
		return fmt.Errorf("check plan %q: %w: %w", p.Name, err, feedlake.ErrConfig)
	}
	return nil
}

// window is the window of the due instant due, which comes after prev.
func (p *Plan) window(prev, due time.Time) feedlake.Window {
	if p.Span == 0 {
		return feedlake.Window{Start: prev, End: due}
	}
	end := due.UTC().Truncate(p.Span)
	return feedlake.Window{Start: end.Add(-p.Span), End: end}
}

// due lists the windows to run of the due instants in (upto, now], how many are
// left out, and up to where that decides. It lists at most atOnce; more follow
// in the next call.
func (p *Plan) due(upto, now time.Time) (run []Run, skipped int, decided time.Time) {
	decided = upto
	for len(run) < atOnce {
		at := p.Cron.Next(decided).UTC()
		if at.IsZero() || at.After(now) || !at.After(decided) {
			break
		}
		r := Run{Job: p.Name, Lock: p.Lock, Window: p.window(decided, at), Due: at, Try: 1, State: Pending}
		decided = at
		switch {
		case p.CatchUp == CatchUpLatest:
			skipped += len(run)
			run = append(run[:0], r)
		case p.CatchUp == CatchUpNone && now.Sub(at) > grace:
			skipped++
		default:
			run = append(run, r)
		}
	}
	return run, skipped, decided
}

// enqueue enters the windows that have come due into the ledger as pending
// runs, each once whoever looks. It returns how many it entered and left out,
// and up to when the plan has now been looked at.
func (l *Ledger) enqueue(ctx context.Context, p *Plan) (entered, skipped int, decided time.Time, err error) {
	err = l.tx(ctx, func(q querier) error {
		now := l.now().UTC()
		upto, err := l.upto(ctx, q, p, now)
		if err != nil {
			return err
		}
		var runs []Run
		runs, skipped, decided = p.due(upto, now)
		entered = len(runs)
		for i := range runs {
			if err := l.insert(ctx, q, &runs[i], 0); err != nil {
				return err
			}
		}
		if !decided.After(upto) {
			return nil
		}
		_, err = q.ExecContext(ctx, "update plans set upto = ? where name = ?", stamp(decided), p.Name)
		return err
	})
	if err != nil {
		err = fmt.Errorf("look for windows of plan %s: %w", p.Name, err)
	}
	return entered, skipped, decided, err
}

// upto returns up to when the plan has been looked at, and begins with a new one.
func (l *Ledger) upto(ctx context.Context, q querier, p *Plan, now time.Time) (time.Time, error) {
	var text string
	err := q.QueryRowContext(ctx, "select upto from plans where name = ?", p.Name).Scan(&text)
	if err == nil {
		return unstamp(text)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, err
	}
	since := now
	if !p.Since.IsZero() {
		since = p.Since.UTC()
	}
	_, err = q.ExecContext(ctx, "insert into plans (name, upto) values (?, ?)", p.Name, stamp(since))
	return since, err
}

// next returns the oldest window of p that may run now; the windows of a plan
// run one after the other. When there is none, ok is false and at says when to
// look again, zero meaning not before another comes due.
func (l *Ledger) next(ctx context.Context, p *Plan) (run Run, at time.Time, ok bool, err error) {
	var open []Run
	fails := map[string]int{}
	err = l.tx(ctx, func(q querier) (err error) {
		if err = l.sweep(ctx, q, l.sessionID()); err != nil {
			return err
		}
		open, err = selectRuns(ctx, q, `where seq in (select max(seq) from runs where job = ? and due <> '' group by due)
			and state in ('pending', 'running', 'failed', 'cancelled', 'abandoned') order by due`, p.Name)
		for i := 0; i < len(open) && err == nil; i++ {
			if s := open[i].State; s != Failed && s != Abandoned {
				continue
			}
			var n int
			err = q.QueryRowContext(ctx, "select count(*) from runs where job = ? and due = ? and state in ('failed', 'abandoned')",
				p.Name, stamp(open[i].Due)).Scan(&n)
			fails[open[i].ID] = n
		}
		return err
	})
	if err != nil {
		return Run{}, time.Time{}, false, fmt.Errorf("look for windows of plan %s: %w", p.Name, err)
	}
	now := l.now()
	if slices.ContainsFunc(open, func(r Run) bool { return r.State == Running }) {
		return Run{}, now.Add(busyWait), false, nil // in another scheduler
	}
	for _, r := range open {
		ready, again := p.again(r, fails[r.ID])
		switch {
		case !again:
		case !ready.After(now):
			if r.State != Pending {
				r = Run{Job: r.Job, Lock: p.Lock, Window: r.Window, Due: r.Due, Try: r.Try + 1}
			}
			return r, time.Time{}, true, nil
		case at.IsZero() || ready.Before(at):
			at = ready
		}
	}
	return Run{}, at, false, nil
}

// again says whether the window of its last run r is to be tried, and not
// before when. fails is how often it has failed or was abandoned; being
// cancelled is no failure, and costs no wait.
func (p *Plan) again(r Run, fails int) (ready time.Time, again bool) {
	if r.State == Pending || r.State == Cancelled {
		return time.Time{}, true
	}
	tries, wait := p.Tries, p.Retry
	if tries < 1 {
		tries = defaultTries
	}
	if wait == 0 {
		wait = defaultRetry
	}
	for range fails - 1 {
		wait = min(2*wait, maxRetry)
	}
	return r.Ended.Add(wait), fails < tries
}
