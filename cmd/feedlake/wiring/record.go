package wiring

import (
	"context"
	"fmt"
	"maps"
	"slices"
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
	Day       int32     `parquet:"day,optional,date"`
}

// Record brings the history of ended runs from the ledger into ops.steps, of
// runs that were killed too, and then into marts.pipeline_runs and the places
// where marts are published. It costs what the runs of their days cost.
func (a *App) Record(ctx context.Context) error { return a.holdRecord(ctx, a.record) }

func (a *App) record(ctx context.Context) error {
	done, err := a.Lake.Property(ctx, "ops.steps", recordedUpTo)
	if err != nil {
		return err
	}
	rows, upTo, err := unrecorded(ctx, a.Ledger, done, a.Now())
	if err != nil || len(rows) == 0 {
		return err
	}
	byDay := map[string][]stepRow{}
	for _, r := range rows {
		day := time.Unix(int64(r.Day)*86400, 0).UTC().Format(time.DateOnly)
		byDay[day] = append(byDay[day], r)
	}
	var paths []string
	for _, day := range slices.Sorted(maps.Keys(byDay)) {
		path, err := lake.WriteRows(ctx, a.Lake, "ops.steps", lake.MakePartition("day", day), byDay[day])
		if err != nil {
			return err
		}
		paths = append(paths, path)
	}
	_, err = a.Lake.Commit(ctx, lake.Commit{
		Table: "ops.steps", ID: "record " + upTo, Add: paths,
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
func unrecorded(ctx context.Context, ledger *schedules.Ledger, done string, now time.Time) (rows []stepRow, upTo string, err error) {
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
		day := dayOf(r, now)
		rows = append(rows, stepRow{
			Day: day, RunID: r.ID, Job: r.Job, Step: kindRun, Kind: kindRun, StartedAt: r.Started, EndedAt: r.Ended, State: string(r.State), Error: r.Err,
		})
		for _, s := range steps {
			rows = append(rows, stepRow{
				Day: day, RunID: r.ID, Job: r.Job, Step: s.Job, Kind: s.Kind, StartedAt: s.Started, EndedAt: s.Ended, State: string(s.State),
				RowsIn: s.RowsIn, RowsOut: s.RowsOut, Rejects: s.Rejects, Detail: s.Detail, Error: s.Err,
			})
		}
		upTo = r.ID
	}
	return rows, upTo, nil
}

// dayOf is the day that a run is recorded under, in days since 1970: that of its end,
// or what is nearest to that.
func dayOf(r schedules.Run, now time.Time) int32 {
	at := r.Ended
	if at.IsZero() {
		at = r.Started
	}
	if at.IsZero() {
		at = now
	}
	return int32(at.Unix() / 86400) //nolint:gosec // days of our time
}
