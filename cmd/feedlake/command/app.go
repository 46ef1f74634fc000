package command

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/feedlake/feedlake/cmd/feedlake/config"
	"github.com/feedlake/feedlake/cmd/feedlake/wiring"
	"github.com/feedlake/feedlake/schedules"
)

// app is an open lake with the stages, and the person in front of it.
type app struct {
	*wiring.App
	o    *options
	bars *progress
}

// open reads the config and opens the lake and the ledger.
func (o *options) open(ctx context.Context) (*app, error) {
	c, err := o.load()
	if err != nil {
		return nil, err
	}
	log, err := o.logger(c)
	if err != nil {
		return nil, err
	}
	return o.openWith(ctx, c, wiring.Options{Log: log})
}

// openWith opens a lake for a config that is not a file's.
func (o *options) openWith(ctx context.Context, c config.Config, w wiring.Options) (*app, error) {
	bars := newProgress(o, w.Log)
	s := o.stages(w.Log)
	s.Simulated, s.Progress, s.Intercept = w.Simulated, bars.update, o.env.intercept
	a, err := wiring.Open(ctx, c, s)
	if err != nil {
		return nil, err
	}
	return &app{App: a, o: o, bars: bars}, nil
}

// stages are what the stages get of this process.
func (o *options) stages(log *slog.Logger) wiring.Options {
	return wiring.Options{Now: o.env.now, Log: log, Version: o.env.version, Wait: o.patience(), OnWait: o.onWait}
}

// patience is the wait for locks, as --wait says it.
func (o *options) patience() time.Duration {
	if o.wait <= 0 {
		return -1
	}
	return o.wait
}

// onWait says for whom work waits.
func (o *options) onWait(_ schedules.Claim, before schedules.Holding) {
	if !o.quiet && !o.json {
		printLine(o.env.stderr, "waits: "+before.String())
	}
}

// close gives the lake back.
func (a *app) close() error {
	a.bars.done()
	return a.Close()
}

// withApp opens the app, does the work and closes it.
func (o *options) withApp(ctx context.Context, do func(context.Context, *app) error) (err error) {
	a, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	return do(ctx, a)
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
