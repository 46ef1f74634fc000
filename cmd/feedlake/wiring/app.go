// Package wiring opens the lake and the stages as the configuration says, and
// lists the steps that make up a run. It names every implementation.
package wiring

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/feedlake/feedlake/cmd/feedlake/config"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/schedules"
	"github.com/feedlake/feedlake/serving"
)

// App is an open lake with what works on it: the stages, wired as the
// configuration says.
type App struct {
	Config config.Config
	Lake   *lake.Lake
	Ledger *schedules.Ledger
	Options

	kinds      ingest.Registry     // of sources; what they open shares sessions
	places     serving.Registry    // of publishers
	publishers []serving.Publisher // of the configuration, in its order
	models     *models             // see Registry
	closers    []func() error
	parallel   int // how much is done side by side
}

// Options are what an App gets from its program.
type Options struct {
	Now       func() time.Time
	Log       *slog.Logger
	Version   string                                   // of the program, for cards of models
	OnWait    func(schedules.Claim, schedules.Holding) // hears when work waits for a lock, and for whom; nil: nobody
	Progress  Progress                                 // of long work, for people
	Wait      time.Duration                            // for locks that others hold; 0: until the work is cancelled, below 0: not at all
	Simulated int                                      // labelled texts that are taken from the simulator, as the demo does; 0: none
	Intercept lake.Interceptor                         // sees the lake's storage operations; nil: nobody does
}

// Progress hears how far a step has come: done of total units (total 0: unknown);
// place says what is being worked on.
type Progress func(ctx context.Context, step string, done, total int64, unit, place string)

// Open opens the lake and the ledger of a configuration. The fixed tables exist
// afterwards.
func Open(ctx context.Context, c config.Config, o Options) (*App, error) {
	a := &App{Config: c, Options: o, kinds: sources(), places: publishers(), models: &models{}}
	a.shareOut(machine())
	if err := a.openPublishers(); err != nil {
		return nil, err
	}
	at, err := c.LakeAt()
	if err != nil {
		return nil, err
	}
	at.Now, at.Log, at.Intercept = o.Now, o.Log, o.Intercept
	l, err := lake.Open(ctx, at)
	if err != nil {
		return nil, err
	}
	a.Lake = l
	a.closers = append(a.closers, l.Close)
	for _, s := range lake.Fixed() {
		if err := l.Ensure(ctx, s); err != nil {
			return nil, errors.Join(err, a.Close())
		}
	}
	if err := a.repartition(ctx); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	led, err := OpenLedger(ctx, &c, l.Dir(), o)
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	a.Ledger = led
	a.closers = append(a.closers, led.Close)
	return a, nil
}

// OpenLedger opens the history of runs: in the catalog's database where that is
// PostgreSQL, in a file of the lake's folder otherwise.
func OpenLedger(ctx context.Context, c *config.Config, dir string, o Options) (*schedules.Ledger, error) {
	at := schedules.LedgerConfig{Schema: c.Lake.History, Now: o.Now, Log: o.Log, OnWait: o.OnWait}
	if at.DSN = c.Lake.Catalog; at.DSN == "" {
		at.Path = filepath.Join(dir, "ledger.db")
	}
	return schedules.OpenLedger(ctx, at)
}

// Close releases everything in reverse order.
func (a *App) Close() error {
	var errs []error
	for _, closer := range slices.Backward(a.closers) {
		errs = append(errs, closer())
	}
	a.closers = nil
	return errors.Join(errs...)
}

// DuckDB opens a DuckDB with the bounds of the config; it spills into the lake's
// folder.
func (a *App) DuckDB(ctx context.Context, setup ...string) (*query.DB, error) {
	tmp := filepath.Join(a.Lake.Dir(), "tmp")
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return nil, fmt.Errorf("make folder for spilling: %w", err)
	}
	// Two instances in one folder would overwrite each other's files. DuckDB makes
	// the folder when it spills, and removes it.
	spill := filepath.Join(tmp, "spill-"+rand.Text())
	bucket, err := a.readBucket(ctx)
	if err != nil {
		return nil, err
	}
	db, err := query.Open(ctx, query.Options{
		Memory: a.Config.Engine.Memory, Threads: a.threads(), TempDir: spill, Setup: append(bucket, setup...),
	})
	if err != nil {
		return nil, err
	}
	return db, nil
}

// threads is how many threads one query may take.
func (a *App) threads() int { return cmp.Or(a.Config.Engine.Threads, a.parallel) }

// Place names the lake for people: its folder, and what lies elsewhere.
func (a *App) Place() string {
	if a.Config.Lake.Catalog == "" && a.Config.Lake.S3 == nil {
		return a.Lake.Dir()
	}
	return a.Lake.Warehouse() + ", catalog in " + a.Lake.Catalog()
}

// open opens a DuckDB for who asks with no settings of its own.
func (a *App) open(ctx context.Context) (*query.DB, error) { return a.DuckDB(ctx) }
