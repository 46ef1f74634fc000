package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/schedules"
	"github.com/feedlake/feedlake/serving"
	"github.com/feedlake/feedlake/serving/export"
	"github.com/feedlake/feedlake/serving/postgres"
)

// publisher makes the client of one configured place.
func (a *app) publisher(p publishConfig) (serving.Publisher, error) {
	if p.Kind == "postgres" {
		return postgres.New(postgres.Options{DSN: p.DSN, Schema: p.Schema, Log: a.log})
	}
	return export.New(export.Options{Dir: a.cfg.path(p.Dir), Memory: a.cfg.Engine.Memory, Threads: a.cfg.Engine.Threads, Log: a.log})
}

// publish brings the marts to every configured place. A place that fails does
// not stop the others.
func (a *app) publish(ctx context.Context) error { return a.publishTables(ctx, nil) }

func (a *app) publishTables(ctx context.Context, only []string) (err error) {
	if len(a.cfg.Publish) == 0 {
		schedules.Report(ctx, schedules.Counts{Detail: "no place to publish to is configured"})
		return nil
	}
	db, err := a.duckdb(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var failed []error
	var details []string
	for _, p := range a.cfg.Publish {
		res, name, err := a.publishOne(ctx, db, p, only)
		schedules.Report(ctx, schedules.Counts{RowsOut: res.Rows})
		switch {
		case err != nil && ctx.Err() != nil:
			return err
		case err != nil:
			failed = append(failed, err)
			details = append(details, name+": stopped")
		case !res.Changed():
			details = append(details, name+": nothing new")
		default:
			details = append(details, name+": "+plural(res.Rows, "row"))
		}
	}
	schedules.Report(ctx, schedules.Counts{Detail: strings.Join(details, "; ")})
	return inPart(len(a.cfg.Publish), "target", failed)
}

func (a *app) publishOne(ctx context.Context, db *query.DB, p publishConfig, only []string) (res serving.PublishResult, name string, err error) {
	name = p.Name
	if name == "" {
		name = p.Kind
	}
	pub, err := a.publisher(p)
	if err != nil {
		return res, name, fmt.Errorf("publish to %s: %w", name, err)
	}
	tables := p.Tables
	if only != nil {
		tables = only
	}
	res, err = serving.Publish(ctx, serving.PublishOptions{
		Lake: a.lake, DB: db, Publisher: pub, Name: name, Tables: tables, Withheld: a.cfg.withheld(), RunID: schedules.RunOf(ctx).ID,
		Now: a.o.env.now, Log: a.log,
		Progress: func(table string, done, total int64) {
			a.bars.update(ctx, stepPublish, done, total, "rows", name+" "+table)
		},
	})
	return res, name, err
}
