package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

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

	simulated int // labelled texts that the demo takes from the simulator; 0: none
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
	a := &app{o: o, cfg: c, log: log, bars: newProgress(o, log)}
	l, err := lake.Open(ctx, lake.Config{Dir: c.path(c.Lake.Dir), Now: o.env.now, Log: log})
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
	led, err := schedules.OpenLedger(ctx, schedules.LedgerConfig{Path: filepath.Join(l.Dir(), "ledger.db"), Now: o.env.now, Log: log})
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	a.ledger = led
	a.closers = append(a.closers, led.Close)
	return a, nil
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
	db, err := query.Open(ctx, query.Options{
		Memory: a.cfg.Engine.Memory, Threads: a.cfg.Engine.Threads, TempDir: tmp, Setup: setup,
	})
	if err != nil {
		return nil, err
	}
	return db, nil
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
