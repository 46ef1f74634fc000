package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/schedules"
)

// app is an open lake with what the commands need around it.
type app struct {
	o       *options
	cfg     config
	log     *slog.Logger
	lake    *lake.Lake
	ledger  *schedules.Ledger
	bars    *progress
	closers []func() error

	kinds     ingest.Registry // of sources; what they open shares sessions
	models    *models         // see registry
	simulated int             // labelled texts that the demo takes from the simulator; 0: none
}

// open reads the config and opens the lake and the ledger. The fixed tables
// exist afterwards.
func (o *options) open(ctx context.Context) (*app, error) {
	c, err := o.load()
	if err != nil {
		return nil, err
	}
	log, err := o.logger(c)
	if err != nil {
		return nil, err
	}
	return o.openWith(ctx, c, log)
}

func (o *options) openWith(ctx context.Context, c config, log *slog.Logger) (*app, error) {
	a := &app{o: o, cfg: c, log: log, bars: newProgress(o, log), kinds: sources(), models: &models{}}
	at, err := c.lakeAt()
	if err != nil {
		return nil, err
	}
	at.Now, at.Log, at.Intercept = o.env.now, log, o.env.intercept
	l, err := lake.Open(ctx, at)
	if err != nil {
		return nil, err
	}
	a.lake = l
	a.closers = append(a.closers, l.Close)
	for _, s := range lake.Fixed() {
		if err := l.Ensure(ctx, s); err != nil {
			return nil, errors.Join(err, a.close())
		}
	}
	led, err := openLedger(ctx, &c, l.Dir(), o.env.now, log)
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	a.ledger = led
	a.closers = append(a.closers, led.Close)
	return a, nil
}

// openLedger opens the history of runs: in the catalog's database where that is
// PostgreSQL, in a file of the lake's folder otherwise.
func openLedger(ctx context.Context, c *config, dir string, now func() time.Time, log *slog.Logger) (*schedules.Ledger, error) {
	at := schedules.LedgerConfig{Schema: c.Lake.History, Now: now, Log: log}
	if at.DSN = c.Lake.Catalog; at.DSN == "" {
		at.Path = filepath.Join(dir, "ledger.db")
	}
	return schedules.OpenLedger(ctx, at)
}

// close releases everything in reverse order.
func (a *app) close() error {
	a.bars.done()
	var errs []error
	for _, closer := range slices.Backward(a.closers) {
		errs = append(errs, closer())
	}
	a.closers = nil
	return errors.Join(errs...)
}

// duckdb opens a DuckDB with the bounds of the config; it spills into the lake's
// folder.
func (a *app) duckdb(ctx context.Context, setup ...string) (*query.DB, error) {
	tmp := filepath.Join(a.lake.Dir(), "tmp")
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return nil, fmt.Errorf("make folder for spilling: %w", err)
	}
	bucket, err := a.readBucket(ctx)
	if err != nil {
		return nil, err
	}
	db, err := query.Open(ctx, query.Options{
		Memory: a.cfg.Engine.Memory, Threads: a.cfg.Engine.Threads, TempDir: tmp, Setup: append(bucket, setup...),
	})
	if err != nil {
		return nil, err
	}
	return db, nil
}

// place names the lake for people: its folder, and what lies elsewhere.
func (a *app) place() string {
	if a.cfg.Lake.Catalog == "" && a.cfg.Lake.S3 == nil {
		return a.lake.Dir()
	}
	return a.lake.Warehouse() + ", catalog in " + a.lake.Catalog()
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
