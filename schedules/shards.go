package schedules

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/feedlake/feedlake"
)

// Incomplete is a step whose work was cut into shards of which some are missing:
// they have not begun, failed, or died. A run of the whole step completes it.
type Incomplete struct {
	Step    string
	Missing []Shard
}

// Error is feedlake.ErrPartial, and names what is missing.
func (i Incomplete) Error() error {
	err := fmt.Errorf("step %s: shards %v are missing: %w", i.Step, i.Missing, feedlake.ErrPartial)
	return feedlake.Hint(err, "run them, or the whole step: feedlake run --step %s", i.Step)
}

// Incomplete lists the steps of which shards are missing, by name.
func (l *Ledger) Incomplete(ctx context.Context) ([]Incomplete, error) {
	type row struct {
		step string
		Shard
	}
	var rows []row
	err := l.read(ctx, func(q querier) (err error) {
		rows, err = collect(ctx, q, func(r *sql.Rows) (s row, err error) {
			return s, r.Scan(&s.step, &s.Index, &s.Of)
		}, "select step, shard, of from shards where done = 0 order by step, shard")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list shards: %w", err)
	}
	var all []Incomplete
	for _, r := range rows {
		if len(all) == 0 || all[len(all)-1].Step != r.step {
			all = append(all, Incomplete{Step: r.step})
		}
		last := &all[len(all)-1]
		last.Missing = append(last.Missing, r.Shard)
	}
	return all, nil
}

// shardBegins notes that a run does a shard of a step. The first of a number of
// shards lets all of them be missing.
func (l *Ledger) shardBegins(ctx context.Context, step string, s Shard, run string) error {
	err := l.tx(ctx, func(q querier) error {
		if _, err := q.ExecContext(ctx, "delete from shards where step = ? and of <> ?", step, s.Of); err != nil {
			return err
		}
		for i := range s.Of {
			_, err := q.ExecContext(ctx, "insert into shards (step, shard, of, run, done) values (?, ?, ?, '', 0) on conflict (step, shard) do nothing", step, i, s.Of)
			if err != nil {
				return err
			}
		}
		_, err := q.ExecContext(ctx, "update shards set done = 0, run = ? where step = ? and shard = ?", run, step, s.Index)
		return err
	})
	if err != nil {
		return fmt.Errorf("begin shard %s of %s: %w", s, step, err)
	}
	return nil
}

// shardDone notes that a run has done a shard, or with the whole Shard all of the
// step. With the last shard the step is complete.
func (l *Ledger) shardDone(ctx context.Context, step string, s Shard, run string) error {
	if s.Whole() { // as most are: nothing is missing, and nothing is to be written
		if missing, err := l.Incomplete(ctx); err != nil || !slices.ContainsFunc(missing, func(i Incomplete) bool { return i.Step == step }) {
			return err
		}
	}
	err := l.tx(ctx, func(q querier) error {
		if !s.Whole() {
			if _, err := q.ExecContext(ctx, "update shards set done = 1 where step = ? and shard = ? and of = ? and run = ?", step, s.Index, s.Of, run); err != nil {
				return err
			}
			var missing int
			if err := q.QueryRowContext(ctx, "select count(*) from shards where step = ? and done = 0", step).Scan(&missing); err != nil || missing > 0 {
				return err
			}
		}
		_, err := q.ExecContext(ctx, "delete from shards where step = ?", step)
		return err
	})
	if err != nil {
		return fmt.Errorf("end shard %s of %s: %w", s, step, err)
	}
	return nil
}
