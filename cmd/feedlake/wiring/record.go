package wiring

import (
	"context"
	"fmt"
	"time"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/schedules"
)

// recordedUpTo is the property of ops.steps that says up to which run the
// ledger's history stands there.
const recordedUpTo = "feedlake.recorded"

// kindRun is the kind of the row that tells of a run as a whole.
const kindRun = "run"

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
	Kind      string    `parquet:"kind,optional,dict"`
}

// Record brings the history of ended runs from the ledger into ops.steps, of
// runs that were killed too, and then into marts.pipeline_runs and the places
// where marts are published.
func (a *App) Record(ctx context.Context) error { return a.holdRecord(ctx, a.record) }

func (a *App) record(ctx context.Context) error {
	done, err := a.Lake.Property(ctx, "ops.steps", recordedUpTo)
	if err != nil {
		return err
	}
	rows, upTo, err := unrecorded(ctx, a.Ledger, done)
	if err != nil || len(rows) == 0 {
		return err
	}
	path, err := lake.WriteRows(ctx, a.Lake, "ops.steps", "", rows)
	if err != nil {
		return err
	}
	_, err = a.Lake.Commit(ctx, lake.Commit{
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

// unrecorded lists the runs that ended after the run named done, each with its
// steps, and the name of the last of them. A run that is due or under way holds
// nothing up: it follows when it has ended.
func unrecorded(ctx context.Context, ledger *schedules.Ledger, done string) (rows []stepRow, upTo string, err error) {
	runs, err := ledger.EndedAfter(ctx, done)
	if err != nil {
		return nil, "", err
	}
	upTo = done
	for _, r := range runs {
		steps, err := ledger.Steps(ctx, r.ID)
		if err != nil {
			return nil, "", err
		}
		rows = append(rows, stepRow{
			RunID: r.ID, Job: r.Job, Step: kindRun, Kind: kindRun, StartedAt: r.Started, EndedAt: r.Ended, State: string(r.State), Error: r.Err,
		})
		for _, s := range steps {
			rows = append(rows, stepRow{
				RunID: r.ID, Job: r.Job, Step: s.Job, Kind: s.Kind, StartedAt: s.Started, EndedAt: s.Ended, State: string(s.State),
				RowsIn: s.RowsIn, RowsOut: s.RowsOut, Rejects: s.Rejects, Detail: s.Detail, Error: s.Err,
			})
		}
		upTo = r.ID
	}
	return rows, upTo, nil
}
