package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/schedules"
)

// recordedUpTo is the property of ops.steps that says up to which run the
// ledger's history stands there.
const recordedUpTo = "feedlake.recorded"

// stepRow is a row of ops.steps.
type stepRow struct {
	RunID     string    `parquet:"run_id,optional,dict"`
	Job       string    `parquet:"job,optional,dict"`
	Step      string    `parquet:"step,optional,dict"`
	StartedAt time.Time `parquet:"started_at,optional,timestamp(microsecond)"`
	EndedAt   time.Time `parquet:"ended_at,optional,timestamp(microsecond)"`
	State     string    `parquet:"state,optional,dict"`
	RowsIn    int64     `parquet:"rows_in"`
	RowsOut   int64     `parquet:"rows_out"`
	Rejects   int64     `parquet:"rejects"`
	Detail    string    `parquet:"detail,optional"`
	Error     string    `parquet:"error,optional"`
}

// record brings the history of ended runs from the ledger into ops.steps, of
// runs that were killed too, and then into marts.pipeline_runs and the places
// where marts are published.
func (a *app) record(ctx context.Context) error {
	done, err := a.lake.Property(ctx, "ops.steps", recordedUpTo)
	if err != nil {
		return err
	}
	rows, upTo, err := a.unrecorded(ctx, done)
	if err != nil || len(rows) == 0 {
		return err
	}
	path, err := lake.WriteRows(ctx, a.lake, "ops.steps", "", rows)
	if err != nil {
		return err
	}
	_, err = a.lake.Commit(ctx, lake.Commit{
		Table: "ops.steps", ID: "record " + upTo, Add: []string{path},
		Set: map[string]string{recordedUpTo: upTo}, Expect: map[string]string{recordedUpTo: done},
		Summary: map[string]string{lake.SummaryRunID: upTo},
	})
	if err != nil {
		return fmt.Errorf("record run: %w", err)
	}
	if err := a.transformOnly(ctx, []string{"marts.pipeline_runs"}); err != nil {
		return err
	}
	return a.publishTables(ctx, []string{"marts.pipeline_runs"})
}

// unrecorded lists the steps of runs that ended after the run named done, oldest
// first, and the name of the last of them.
func (a *app) unrecorded(ctx context.Context, done string) ([]stepRow, string, error) {
	runs, err := a.ledger.Runs(ctx, schedules.Filter{})
	if err != nil {
		return nil, "", err
	}
	if i := slices.IndexFunc(runs, func(r schedules.Run) bool { return r.ID == done }); i >= 0 {
		runs = runs[:i] // the ledger lists the newest first
	}
	slices.Reverse(runs)
	var rows []stepRow
	upTo := done
	for _, r := range runs {
		if !r.State.Ended() {
			break // what comes after it waits for the next time, so that nothing is left out
		}
		steps, err := a.ledger.Steps(ctx, r.ID)
		if err != nil {
			return nil, "", err
		}
		for _, s := range steps {
			rows = append(rows, stepRow{
				RunID: r.ID, Job: r.Job, Step: s.Job, StartedAt: s.Started, EndedAt: s.Ended, State: string(s.State),
				RowsIn: s.RowsIn, RowsOut: s.RowsOut, Rejects: s.Rejects, Detail: s.Detail, Error: s.Err,
			})
		}
		upTo = r.ID
	}
	return rows, upTo, nil
}
