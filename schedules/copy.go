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

// pageRuns is how many runs or steps Copy writes at a time: SQLite takes 32,766
// parameters.
const pageRuns = 200

// Copy copies the history of one ledger into another: runs with their steps,
// the windows that are due and not begun, up to when each plan has been looked
// at, and what accounts used, with their rate limits. Nobody can write to either ledger meanwhile, and to gets all of it
// or nothing. Copy returns how many runs it brought; a second call brings nothing,
// and later ones what is new.
//
// feedlake.ErrBusy: a living run of from is under way. feedlake.ErrConflict:
// both ledgers have a run of one ID, and they are not the same.
func Copy(ctx context.Context, from, to *Ledger) (runs int64, err error) {
	if from.on.where == to.on.where {
		err = fmt.Errorf("it is one ledger: %w", feedlake.ErrConfig)
	} else {
		runs, err = copyAll(ctx, from, to)
	}
	if err != nil {
		return 0, fmt.Errorf("copy ledger %s to %s: %w", from.on.where, to.on.where, err)
	}
	return runs, nil
}

func copyAll(ctx context.Context, from, to *Ledger) (runs int64, err error) {
	var there error // kept apart: from knows its own errors only
	err = from.tx(ctx, func(old querier) error {
		if err := from.still(ctx, old); err != nil {
			return err
		}
		there = to.tx(ctx, func(q querier) (err error) {
			runs, err = (&copying{from: old, to: q}).all(ctx)
			return err
		})
		if there != nil {
			return errThere
		}
		return nil
	})
	if errors.Is(err, errThere) {
		err = there
	}
	return runs, err
}

// errThere ends the reading of a ledger when the other one cannot be written.
var errThere = errors.New("the other ledger gives up")

// still reports feedlake.ErrBusy when a run is under way.
func (l *Ledger) still(ctx context.Context, q querier) error {
	if err := l.sweep(ctx, q, l.sessionID()); err != nil {
		return err
	}
	running, err := selectRuns(ctx, q, "where state = ? order by seq limit 1", Running)
	if err != nil || len(running) == 0 {
		return err
	}
	r := running[0]
	err = fmt.Errorf("run %s (%s) of %s is under way since %s: %w", r.ID, r.Job, r.Holder, r.Started.Format(time.RFC3339), feedlake.ErrBusy)
	return feedlake.Hint(err, "wait until it has ended, or end process %d on %s, and copy again", r.Holder.PID, r.Holder.Host)
}

// copying is one copy under way.
type copying struct {
	from, to querier
	behind   int64 // the place of the last run that has ended there
}

func (c *copying) all(ctx context.Context) (copied int64, err error) {
	if err := c.to.QueryRowContext(ctx, "select coalesce(max(place), 0) from runs").Scan(&c.behind); err != nil {
		return 0, err
	}
	for seq := int64(0); ; {
		var upto *int64
		err := c.from.QueryRowContext(ctx, "select max(seq) from (select seq from runs where seq > ? order by seq limit ?) as page", seq, pageRuns).Scan(&upto)
		if err != nil {
			return 0, err
		}
		if upto == nil {
			if err := c.plans(ctx); err != nil {
				return 0, err
			}
			return copied, c.accounts(ctx)
		}
		n, err := c.page(ctx, seq, *upto)
		if err != nil {
			return 0, err
		}
		copied, seq = copied+n, *upto
	}
}

// page copies the runs after one place up to another, and returns how many were
// missing.
func (c *copying) page(ctx context.Context, after, upto int64) (int64, error) {
	runs, err := selectRuns(ctx, c.from, "where seq > ? and seq <= ? order by seq", after, upto)
	if err != nil {
		return 0, err
	}
	first, last := bounds(runs)
	there, err := selectRuns(ctx, c.to, "where id between ? and ?", first, last)
	if err != nil {
		return 0, err
	}
	have := make(map[string]Run, len(there))
	for _, r := range there {
		have[r.ID] = r
	}
	var missing []Run
	for _, r := range runs {
		other, ok := have[r.ID]
		switch {
		case !ok, other.State == Pending && r.State != Pending: // it has run since it was copied
			missing = append(missing, r)
		case !sameRun(r, other):
			err := fmt.Errorf("run %s is another one in each ledger: %w", r.ID, feedlake.ErrConflict)
			return 0, feedlake.Hint(err, "both ledgers were used for different runs: copy into a new one")
		}
	}
	if len(missing) == 0 {
		return 0, nil
	}
	places, err := c.places(ctx, after, upto)
	if err != nil {
		return 0, err
	}
	if err := c.runs(ctx, missing, places); err != nil {
		return 0, err
	}
	return int64(len(missing)), c.steps(ctx, missing)
}

// bounds returns the first and the last ID in the order of bytes. IDs begin
// with an instant, so that few others lie between those of neighbours; and
// PostgreSQL finds a range by the index, of a long list it tries every row.
func bounds(runs []Run) (first, last string) {
	byID := func(a, b Run) int { return strings.Compare(a.ID, b.ID) }
	return slices.MinFunc(runs, byID).ID, slices.MaxFunc(runs, byID).ID
}

// sameRun reports whether other is r, or what became of the window r was due for.
func sameRun(r, other Run) bool {
	if r.State == Pending {
		return r.Job == other.Job && r.Due.Equal(other.Due) && r.Try == other.Try
	}
	return r.Job == other.Job && r.State == other.State && r.Started.Equal(other.Started) && r.Ended.Equal(other.Ended)
}

// places maps the runs of a page that have ended to their place there: behind
// those that are there, in the order in which they ended here.
func (c *copying) places(ctx context.Context, after, upto int64) (map[string]int64, error) {
	type ended struct {
		id    string
		place int64
	}
	runs, err := collect(ctx, c.from, func(rows *sql.Rows) (e ended, err error) {
		err = rows.Scan(&e.id, &e.place)
		return e, err
	}, "select id, place from runs where seq > ? and seq <= ? and place > 0", after, upto)
	if err != nil {
		return nil, err
	}
	places := make(map[string]int64, len(runs))
	for _, e := range runs {
		places[e.id] = c.behind + e.place
	}
	return places, nil
}

// runs writes runs behind those that are there, of no session.
func (c *copying) runs(ctx context.Context, runs []Run, places map[string]int64) error {
	var last int64
	if err := c.to.QueryRowContext(ctx, "select coalesce(max(seq), 0) from runs").Scan(&last); err != nil {
		return err
	}
	var args []any
	for i, r := range runs {
		args = append(args, last+1+int64(i), r.ID, r.Job, r.Lock, stamp(r.Window.Start), stamp(r.Window.End), stamp(r.Due), r.Try, r.State,
			stamp(r.Started), stamp(r.Ended), 0, r.Holder.Host, r.Holder.PID, r.Err, places[r.ID])
	}
	_, err := c.to.ExecContext(ctx, `insert into runs (seq, id, job, lock, win_start, win_end, due, try, state, started, ended, session, host, pid, error, place)
		values `+values(len(runs), len(args))+` on conflict (id) do update set state = excluded.state, started = excluded.started, ended = excluded.ended,
			host = excluded.host, pid = excluded.pid, error = excluded.error, place = excluded.place`, args...)
	return err
}

// steps copies the steps of runs.
func (c *copying) steps(ctx context.Context, runs []Run) error {
	wanted := make(map[string]bool, len(runs))
	for _, r := range runs {
		wanted[r.ID] = true
	}
	first, last := bounds(runs)
	steps, err := selectSteps(ctx, c.from, "where run between ? and ? order by run, rowid", first, last)
	if err != nil {
		return err
	}
	steps = slices.DeleteFunc(steps, func(s Step) bool { return !wanted[s.Run] })
	for part := range slices.Chunk(steps, pageRuns) {
		var args []any
		for _, s := range part {
			args = append(args, s.Run, s.Job, s.Kind, s.Try, s.State, stamp(s.Started), stamp(s.Ended), s.RowsIn, s.RowsOut, s.Rejects, s.Detail, s.Err)
		}
		_, err := c.to.ExecContext(ctx, "insert into steps (run, job, kind, try, state, started, ended, rows_in, rows_out, rejects, detail, error) values "+
			values(len(part), len(args)), args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// plans copies up to when each plan has been looked at; the later one counts.
func (c *copying) plans(ctx context.Context) error {
	type plan struct{ name, upto string }
	plans, err := collect(ctx, c.from, func(rows *sql.Rows) (p plan, err error) {
		err = rows.Scan(&p.name, &p.upto)
		return p, err
	}, "select name, upto from plans order by name")
	if err != nil {
		return err
	}
	for _, p := range plans {
		_, err := c.to.ExecContext(ctx, "insert into plans (name, upto) values (?, ?) on conflict (name) do update set upto = excluded.upto where plans.upto < excluded.upto",
			p.name, p.upto)
		if err != nil {
			return err
		}
	}
	return nil
}

// list is "(?, ?)" for n parameters.
func list(n int) string { return "(" + strings.TrimPrefix(strings.Repeat(", ?", n), ", ") + ")" }

// values is "(?, ?), (?, ?)" for rows that have all parameters together.
func values(rows, parameters int) string {
	return strings.TrimPrefix(strings.Repeat(", "+list(parameters/rows), rows), ", ")
}
