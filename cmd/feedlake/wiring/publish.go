package wiring

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/schedules"
	"github.com/feedlake/feedlake/serving"
	"github.com/feedlake/feedlake/serving/export"
	"github.com/feedlake/feedlake/serving/postgres"
)

// publishers is every kind of place to publish to that this program knows.
func publishers() serving.Registry {
	r := serving.Registry{}
	export.Register(r)
	postgres.Register(r)
	return r
}

// openPublishers makes the publishers of the configuration; none connects.
func (a *App) openPublishers() error {
	for i, p := range a.Config.Publish {
		env := serving.Env{Name: p.Name, Base: a.Config.Base, Memory: a.Config.Engine.Memory, Threads: a.threads(), Log: a.Log}
		pub, err := a.places.Open(p.Kind, env, serving.Decoder(a.Config.Decoder(p.With)))
		if err != nil {
			return fmt.Errorf("%s: publish[%d]: %w", a.Config.File, i, err)
		}
		a.publishers = append(a.publishers, pub)
	}
	return nil
}

// Publishers are the places of the configuration, in its order.
func (a *App) Publishers() []serving.Publisher { return a.publishers }

// Publish brings the marts to every configured place. A place that fails does
// not stop the others.
func (a *App) Publish(ctx context.Context) error { return a.publishTables(ctx, nil) }

func (a *App) publishTables(ctx context.Context, only []string) (err error) {
	if len(a.Config.Publish) == 0 {
		schedules.Report(ctx, schedules.Counts{Detail: "no place to publish to is configured"})
		return nil
	}
	db, err := a.DuckDB(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var failed []error
	var details []string
	for i, p := range a.Config.Publish {
		var res serving.PublishResult
		err := a.holdPlace(ctx, p.Name, func(ctx context.Context) (err error) {
			res, err = a.publishOne(ctx, db, i, only)
			return err
		})
		schedules.Report(ctx, schedules.Counts{RowsOut: res.Rows})
		switch {
		case err != nil && ctx.Err() != nil:
			return err
		case err != nil:
			failed = append(failed, err)
			details = append(details, p.Name+": stopped")
		case !res.Changed():
			details = append(details, p.Name+": nothing new")
		default:
			details = append(details, p.Name+": "+feedlake.Plural(res.Rows, "row"))
		}
	}
	schedules.Report(ctx, schedules.Counts{Detail: strings.Join(details, "; ")})
	return inPart(len(a.Config.Publish), "target", failed)
}

// publishOne brings tables to the i-th place.
func (a *App) publishOne(ctx context.Context, db *query.DB, i int, only []string) (serving.PublishResult, error) {
	p := a.Config.Publish[i]
	tables := p.Tables
	if only != nil {
		tables = only
	}
	return serving.Publish(ctx, serving.PublishOptions{
		Lake: a.Lake, DB: db, Publisher: a.publishers[i], Name: p.Name, Tables: tables, Withheld: a.Config.Withheld(), RunID: schedules.RunOf(ctx).ID,
		Now: a.Now, Log: a.Log,
		Progress: func(table string, done, total int64) {
			a.Progress(ctx, StepPublish, done, total, "rows", p.Name+" "+table)
		},
	})
}
