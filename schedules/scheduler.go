package schedules

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/feedlake/feedlake"
)

// Scheduler runs plans when they are due, each window once, and what was missed
// while nothing ran. Several schedulers may share one ledger.
type Scheduler struct {
	Runner *Runner
	Plans  []Plan
	Rand   *rand.Rand // spreads the starts of plans with Jitter; nil means no jitter
}

const (
	busyWait = 15 * time.Second // between two looks at a window that another run holds, and after an error of the ledger
	longest  = time.Minute      // between two looks at the clock, which may have been set or have slept
)

// Run serves the plans until ctx ends, and returns when the runs under way have
// been stopped and recorded; the windows they had begun run again next time. An
// error says that a plan is not usable.
func (s *Scheduler) Run(ctx context.Context) error {
	names := map[string]bool{}
	for i := range s.Plans {
		if err := s.Plans[i].Check(); err != nil {
			return err
		}
		if names[s.Plans[i].Name] {
			return fmt.Errorf("check plan %q: there are two of this name: %w", s.Plans[i].Name, feedlake.ErrConfig)
		}
		names[s.Plans[i].Name] = true
	}
	var all sync.WaitGroup
	var luck sync.Mutex
	for i := range s.Plans {
		p := &server{Plan: s.Plans[i], runner: s.Runner, log: s.Runner.Ledger.log.With("plan", s.Plans[i].Name)}
		if s.Rand != nil && p.Jitter > 0 {
			p.jitter = func() time.Duration {
				luck.Lock() // a rand.Rand is for one goroutine
				defer luck.Unlock()
				return time.Duration(s.Rand.Int64N(int64(p.Jitter)))
			}
		}
		all.Go(func() { p.serve(ctx) })
	}
	all.Wait()
	return nil
}

// server serves one plan.
type server struct {
	Plan
	runner *Runner
	log    *slog.Logger
	jitter func() time.Duration // nil means none
	waits  bool                 // for a run of something else, and has said so
}

// serve runs the plan's windows until ctx ends. Nobody waits for its errors, so
// that it logs them, and tries again.
func (s *server) serve(ctx context.Context) {
	for ctx.Err() == nil {
		again, err := s.step(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "serve plan", "err", err)
			again = s.runner.Ledger.now().Add(busyWait)
		}
		s.until(ctx, again)
	}
}

// until waits for an instant of the ledger's clock, or the end of ctx.
func (s *server) until(ctx context.Context, at time.Time) {
	for wait := at.Sub(s.runner.Ledger.now()); wait > 0; wait = at.Sub(s.runner.Ledger.now()) {
		if feedlake.Sleep(ctx, min(wait, longest)) != nil {
			return
		}
	}
}

// step runs the next window, or says when to look again; at once is the zero
// time.
func (s *server) step(ctx context.Context) (again time.Time, err error) {
	l := s.runner.Ledger
	entered, skipped, decided, err := l.enqueue(ctx, &s.Plan)
	if err != nil {
		return time.Time{}, err
	}
	if entered+skipped > 0 {
		s.log.InfoContext(ctx, "windows due", "windows", entered, "skipped", skipped)
	}
	run, again, ok, err := l.next(ctx, &s.Plan)
	if err != nil {
		return time.Time{}, err
	}
	if ok {
		return s.one(ctx, run)
	}
	if due := s.Cron.Next(decided); !due.IsZero() && (again.IsZero() || due.Before(again)) {
		again = due
	}
	if again.IsZero() {
		again = l.now().Add(longest)
	}
	return again, nil
}

// one runs a window, and says when to look again.
func (s *server) one(ctx context.Context, run Run) (again time.Time, err error) {
	l := s.runner.Ledger
	if s.jitter != nil && run.Try <= 1 {
		if err := feedlake.Sleep(ctx, s.jitter()); err != nil {
			return time.Time{}, err
		}
	}
	began := l.now()
	ended, err := s.runner.Run(ctx, run, s.Jobs)
	switch {
	case ended.ID != "":
		s.waits = false
		level := slog.LevelInfo
		if err != nil {
			level = slog.LevelError
		}
		s.log.Log(ctx, level, "run ended", "run", ended.ID, "window", run.Window, "try", ended.Try, "state", ended.State,
			"took", l.now().Sub(began), "err", err)
		return time.Time{}, nil
	case errors.Is(err, feedlake.ErrBusy):
		if !s.waits {
			s.log.InfoContext(ctx, "wait for another run", "window", run.Window, "err", err)
		}
		s.waits = true
		return l.now().Add(busyWait), nil
	case errors.Is(err, feedlake.ErrConflict): // another scheduler was faster
		return time.Time{}, nil
	}
	return time.Time{}, err
}
