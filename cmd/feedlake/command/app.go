package command

import (
	"context"
	"errors"
	"os"

	"github.com/feedlake/feedlake/cmd/feedlake/config"
	"github.com/feedlake/feedlake/cmd/feedlake/wiring"
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
	w.Now, w.Version, w.Progress, w.Intercept = o.env.now, o.env.version, bars.update, o.env.intercept
	a, err := wiring.Open(ctx, c, w)
	if err != nil {
		return nil, err
	}
	return &app{App: a, o: o, bars: bars}, nil
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
