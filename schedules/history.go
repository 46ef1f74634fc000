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
		where = append(where, "state in (?"+strings.Repeat(", ?", len(f.States)-1)+")")
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
	err := l.tx(ctx, func(tx *sql.Tx) (err error) {
		if err := l.sweep(ctx, tx, l.sessionID()); err != nil {
			return err
		}
		runs, err = selectRuns(ctx, tx, tail, args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
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
	runs, err := selectRuns(ctx, l.db, "where id = ?", id)
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
	steps, err := collect(ctx, l.db, func(rows *sql.Rows) (s Step, err error) {
		var started, ended string
		err = rows.Scan(&s.Run, &s.Job, &s.Try, &s.State, &started, &ended, &s.RowsIn, &s.RowsOut, &s.Rejects, &s.Detail, &s.Err)
		return s, errors.Join(err, times(map[*time.Time]string{&s.Started: started, &s.Ended: ended}))
	}, "select run, job, try, state, started, ended, rows_in, rows_out, rejects, detail, error from steps where run = ? order by rowid", run)
	if err != nil {
		return nil, fmt.Errorf("list steps of run %s: %w", run, err)
	}
	return steps, nil
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
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

func times(texts map[*time.Time]string) error {
	for t, text := range texts {
		var err error
		if *t, err = unstamp(text); err != nil {
			return err
		}
	}
	return nil
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
