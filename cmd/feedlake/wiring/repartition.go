package wiring

import (
	"context"
	"errors"
	"fmt"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// runDay gives the rows of a run the day that Record gives them today.
const runDay = "coalesce(day, cast(max(coalesce(ended_at, started_at)) over (partition by run_id) as date), date '1970-01-01')"

// repartition brings tables of older versions, which had no partitions, to those of
// today. Where that was done already it costs a look at their metadata.
func (a *App) repartition(ctx context.Context) (err error) {
	runs := lake.Spec{Name: "marts.pipeline_runs", Columns: []lake.Column{{Name: "day", Type: "DATE"}}, Partition: []string{"day"}}
	_, err = a.Lake.Columns(ctx, runs.Name)
	switch {
	case err == nil:
		err = a.Lake.Ensure(ctx, runs) // it lacks the day
	case errors.Is(err, feedlake.ErrNotFound):
		err = nil
	}
	if err != nil {
		return err
	}
	var db *query.DB
	defer func() {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	type table struct {
		spec   lake.Spec
		derive map[string]string
	}
	tables := []table{{lake.Steps(), map[string]string{"day": runDay}}, {runs, map[string]string{"day": runDay}}}
	waiting, err := ingest.Undelivered(ctx, a.Lake)
	if err != nil {
		return err
	}
	if !waiting { // files that wait were written for the table as it is; the run that delivers them lets the next one do this
		tables = append(tables, table{lake.RawRejects(), nil})
	}
	for _, t := range tables {
		split := func(ctx context.Context, cols []lake.Column, in []lake.File, by []string, path func(lake.Partition) (string, error)) (made []string, err error) {
			if db == nil {
				if db, err = a.DuckDB(ctx); err != nil {
					return nil, err
				}
			}
			return db.Split(t.derive)(ctx, cols, in, by, path)
		}
		if _, err := a.Lake.Repartition(ctx, t.spec, split); err != nil {
			return fmt.Errorf("bring lake to this version: %w", err)
		}
	}
	return nil
}
