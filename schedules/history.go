package schedules

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
)

// Filter chooses runs. Zero fields choose all.
type Filter struct {
	Job    string
	States []State
	Since  time.Time // runs that began at or after it
	Limit  int       // the newest so many
}

// Runs returns the chosen runs, newest first. Runs whose process has died are
// marked Abandoned first.
func (l *Ledger) Runs(ctx context.Context, f Filter) ([]Run, error) {
	where, args := []string{"true"}, []any{}
	if f.Job != "" {
		where, args = append(where, "job = ?"), append(args, f.Job)
	}
	if len(f.States) > 0 {
		where = append(where, "state in "+list(len(f.States)))
		for _, s := range f.States {
			args = append(args, s)
		}
	}
	if !f.Since.IsZero() {
		where, args = append(where, "started >= ?"), append(args, stamp(f.Since))
	}
	tail := "where " + strings.Join(where, " and ") + " order by seq desc"
	if f.Limit > 0 {
		tail, args = tail+" limit ?", append(args, f.Limit)
	}
	var runs []Run
	err := l.tx(ctx, func(q querier) (err error) {
		if err := l.sweep(ctx, q, l.sessionID()); err != nil {
			return err
		}
		runs, err = selectRuns(ctx, q, tail, args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	return runs, nil
}

// EndedAfter returns the runs that ended after the run of an ID did, in the order
// in which they ended; with an ID that the ledger does not know, all that ended.
// What is still due or under way is not among them, and comes when it has ended.
// Runs whose process has died are marked Abandoned first.
func (l *Ledger) EndedAfter(ctx context.Context, id string) ([]Run, error) {
	var runs []Run
	err := l.tx(ctx, func(q querier) (err error) {
		if err := l.sweep(ctx, q, l.sessionID()); err != nil {
			return err
		}
		runs, err = selectRuns(ctx, q, "where place > (select coalesce(max(place), 0) from runs where id = ?) order by place, seq", id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list runs that ended after %q: %w", id, err)
	}
	return runs, nil
}

// Last returns the newest run of a job, "" meaning any job, in one of states,
// none meaning any state. feedlake.ErrNotFound: there is none.
func (l *Ledger) Last(ctx context.Context, job string, states ...State) (Run, error) {
	runs, err := l.Runs(ctx, Filter{Job: job, States: states, Limit: 1})
	if err == nil && len(runs) == 0 {
		err = feedlake.ErrNotFound
	}
	if err != nil {
		return Run{}, fmt.Errorf("last run of %q: %w", job, err)
	}
	return runs[0], nil
}

// Run returns the run of an ID. feedlake.ErrNotFound: there is none.
func (l *Ledger) Run(ctx context.Context, id string) (Run, error) {
	var runs []Run
	err := l.read(ctx, func(q querier) (err error) {
		runs, err = selectRuns(ctx, q, "where id = ?", id)
		return err
	})
	if err == nil && len(runs) == 0 {
		err = feedlake.ErrNotFound
	}
	if err != nil {
		return Run{}, fmt.Errorf("run %s: %w", id, err)
	}
	return runs[0], nil
}

// Steps returns the steps of a run in the order in which they began.
func (l *Ledger) Steps(ctx context.Context, run string) ([]Step, error) {
	var steps []Step
	err := l.read(ctx, func(q querier) (err error) {
		steps, err = selectSteps(ctx, q, "where run = ? order by rowid", run)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list steps of run %s: %w", run, err)
	}
	return steps, nil
}

func selectSteps(ctx context.Context, q querier, tail string, args ...any) ([]Step, error) {
	return collect(ctx, q, func(rows *sql.Rows) (s Step, err error) {
		var started, ended string
		err = rows.Scan(&s.Run, &s.Job, &s.Kind, &s.Try, &s.State, &started, &ended, &s.RowsIn, &s.RowsOut, &s.Rejects, &s.Detail, &s.Err)
		return s, errors.Join(err, times(map[*time.Time]string{&s.Started: started, &s.Ended: ended}))
	}, "select run, job, kind, try, state, started, ended, rows_in, rows_out, rejects, detail, error from steps "+tail, args...)
}

func selectRuns(ctx context.Context, q querier, tail string, args ...any) ([]Run, error) {
	return collect(ctx, q, func(rows *sql.Rows) (r Run, err error) {
		var start, end, due, started, ended string
		err = rows.Scan(&r.ID, &r.Job, &r.Lock, &start, &end, &due, &r.Try, &r.State, &started, &ended, &r.Holder.Host, &r.Holder.PID, &r.Err)
		return r, errors.Join(err, times(map[*time.Time]string{
			&r.Window.Start: start, &r.Window.End: end, &r.Due: due, &r.Started: started, &r.Ended: ended,
		}))
	}, "select id, job, lock, win_start, win_end, due, try, state, started, ended, host, pid, error from runs "+tail, args...)
}
