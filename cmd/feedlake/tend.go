package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// careConfig says what feedlake does by itself, after each run, to keep the lake
// fast: small files become large ones, and snapshots that nobody needs go.
type careConfig struct {
	Auto    bool          `yaml:"auto"`
	Time    time.Duration `yaml:"time"`    // no rewriting begins later than this after a run
	Rewrite string        `yaml:"rewrite"` // so much is rewritten after a run at most
}

// validateCare reports the first value of the care part that cannot be used.
func (c *config) validateCare(bad func(hint, format string, args ...any) error) error {
	if n, err := parseSize(c.Care.Rewrite); err != nil || n <= 0 {
		return bad("such as 1GB", "care.rewrite %q", c.Care.Rewrite)
	}
	if c.Care.Time <= 0 {
		return bad("such as 1m; auto: false leaves care to feedlake lake compact and expire", "care.time %s", c.Care.Time)
	}
	return nil
}

// tend looks after the lake when a run has ended, within the bounds of the config.
// What cannot be done now is due after the next run, too: a failure is told and
// changes nothing of how the run ended.
func (a *app) tend(ctx context.Context, run string) {
	if !a.cfg.Care.Auto || ctx.Err() != nil {
		return
	}
	var db *query.DB
	defer func() {
		if db != nil {
			if err := db.Close(); err != nil {
				a.log.WarnContext(ctx, "duckdb of lake care not closed", "err", err)
			}
		}
	}()
	size, err := parseSize(a.cfg.Care.Rewrite)
	if err != nil { // the config was checked
		a.log.WarnContext(ctx, "lake not looked after", "err", err)
		return
	}
	start := a.lake.Now()
	rep, err := a.lake.Tend(ctx, lake.TendOptions{
		Compact: lake.CompactOptions{
			RunID: run, MaxBytes: size, Until: start.Add(a.cfg.Care.Time),
			Rewrite: func(ctx context.Context, cols []lake.Column, in []lake.File, out string) (err error) {
				if db == nil { // seldom is anything due
					if db, err = a.duckdb(ctx); err != nil {
						return err
					}
				}
				return db.Rewrite(ctx, cols, in, out)
			},
		},
		Expire: func(ctx context.Context) (e lake.ExpireOptions, err error) {
			if e.Running, err = a.running(ctx); err != nil {
				return e, err
			}
			e.Keep, err = a.neededSnapshots(ctx)
			return e, err
		},
	})
	if err != nil && ctx.Err() == nil {
		level := slog.LevelWarn
		if errors.Is(err, feedlake.ErrBusy) { // somebody looks after it, or a run has not told yet since when it runs
			level = slog.LevelDebug
		}
		a.log.Log(ctx, level, "lake not looked after", "err", err)
	}
	a.logCare(ctx, run, rep, a.lake.Now().Sub(start))
}

// logCare says what was done, if anything was.
func (a *app) logCare(ctx context.Context, run string, rep lake.TendReport, took time.Duration) {
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
	a.log.InfoContext(ctx, "lake looked after", "run", run, "files_compacted", before, "files_made", after,
		"snapshots_expired", snapshots, "files_removed", files, "manifests_merged", len(rep.Manifests), "took", took)
}
