package wiring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/config"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/schedules"
	"github.com/feedlake/feedlake/training"
)

// Tend looks after the lake when a run has ended, within the bounds of the config.
// The next run's end makes up for what could not be done: a failure is logged, and
// does not change how the run ended.
func (a *App) Tend(ctx context.Context, run string) {
	if !a.Config.Care.Auto || ctx.Err() != nil {
		return
	}
	var db *query.DB
	defer func() {
		if db != nil {
			if err := db.Close(); err != nil {
				a.Log.WarnContext(ctx, "duckdb of lake care not closed", "err", err)
			}
		}
	}()
	size, err := config.ParseSize(a.Config.Care.Rewrite)
	if err != nil { // the config was checked
		a.Log.WarnContext(ctx, "lake not looked after", "err", err)
		return
	}
	start := a.Lake.Now()
	var rep lake.TendReport
	err = a.hold(ctx, schedules.Claim{Locks: []string{LockCare}, Work: "care", Wait: -1}, func(ctx context.Context) (err error) {
		rep, err = a.Lake.Tend(ctx, lake.TendOptions{
			Compact: lake.CompactOptions{
				RunID: run, MaxBytes: size, Until: start.Add(a.Config.Care.Time),
				Rewrite: func(ctx context.Context, cols []lake.Column, in []lake.File, out string) (err error) {
					if db == nil { // seldom is anything due
						if db, err = a.DuckDB(ctx); err != nil {
							return err
						}
					}
					return db.Rewrite(ctx, cols, in, out)
				},
			},
			Expire: func(ctx context.Context) (e lake.ExpireOptions, err error) {
				if e.Running, err = a.Running(ctx); err != nil {
					return e, err
				}
				e.Keep, err = a.NeededSnapshots(ctx)
				return e, err
			},
		})
		return err
	})
	if err != nil && ctx.Err() == nil {
		level := slog.LevelWarn
		if errors.Is(err, feedlake.ErrBusy) { // somebody looks after it, or a run has not told yet since when it runs
			level = slog.LevelDebug
		}
		a.Log.Log(ctx, level, "lake not looked after", "err", err)
	}
	a.logCare(ctx, run, rep, a.Lake.Now().Sub(start))
}

// logCare says what was done, if anything was.
func (a *App) logCare(ctx context.Context, run string, rep lake.TendReport, took time.Duration) {
	var before, after, snapshots, files int
	for _, p := range rep.Compacted.Partitions {
		if !p.Skipped {
			before, after = before+p.FilesBefore, after+p.FilesAfter
		}
	}
	for _, t := range rep.Expired.Tables {
		snapshots, files = snapshots+len(t.Expired), files+t.Files
	}
	if before+snapshots+len(rep.Manifests) == 0 {
		return
	}
	a.Log.InfoContext(ctx, "lake looked after", "run", run, "files_compacted", before, "files_made", after,
		"snapshots_expired", snapshots, "files_removed", files, "manifests_merged", len(rep.Manifests), "took", took)
}

// Running names the runs that are under way: lake care leaves alone what they
// may use.
func (a *App) Running(ctx context.Context) ([]string, error) {
	runs, err := a.Ledger.Runs(ctx, schedules.Filter{States: []schedules.State{schedules.Running}})
	if err != nil {
		return nil, err
	}
	names := make([]string, len(runs))
	for i, r := range runs {
		names[i] = r.ID
	}
	return names, nil
}

// NeededSnapshots are those that models in use were fitted from and that places
// to publish to show, by table: their numbers must stay traceable.
func (a *App) NeededSnapshots(ctx context.Context) (map[string][]int64, error) {
	keep := map[string][]int64{}
	reg, err := a.Registry(ctx)
	if err != nil {
		return nil, err
	}
	models, err := reg.Models()
	if err != nil {
		return nil, err
	}
	for _, m := range models {
		card, err := reg.Champion(m)
		if errors.Is(err, feedlake.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		addSnapshots(keep, card)
	}
	tables, err := a.Lake.Tables(ctx)
	if err != nil {
		return nil, err
	}
	for _, pub := range a.Publishers() {
		for _, t := range tables {
			v, err := pub.Published(ctx, t)
			if err != nil {
				return nil, fmt.Errorf("ask what is published: %w", err)
			}
			if v.Snapshot != 0 {
				keep[t] = append(keep[t], v.Snapshot)
			}
		}
	}
	return keep, nil
}

func addSnapshots(keep map[string][]int64, card training.Card) {
	for table, id := range card.Data {
		keep[table] = append(keep[table], id)
	}
}
