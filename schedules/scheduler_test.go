package schedules

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
)

// serve runs a scheduler in the background and returns how to stop it.
func serve(t *testing.T, s *Scheduler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// noting is a job that notes the clock and its window, as "15:04 02T15-02T16".
func (d *diary) noting(took time.Duration, errs ...error) Job {
	return Job{Name: "note", Run: func(ctx context.Context, w feedlake.Window) error {
		d.note("%s %s-%s", time.Now().UTC().Format("15:04"), w.Start.Format("02T15:04"), w.End.Format("02T15:04"))
		if err := feedlake.Sleep(ctx, took); err != nil {
			return err
		}
		if len(errs) == 0 {
			return nil
		}
		err := errs[0]
		errs = errs[1:]
		return err
	}}
}

// In a synctest bubble the clock begins at midnight UTC of 2000-01-01.

func TestSchedulerOnTime(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		synctest.Test(t, func(t *testing.T) {
			l := openTest(t, place(t))
			var d diary
			stop := serve(t, &Scheduler{Runner: &Runner{Ledger: l}, Plans: []Plan{{
				Name: "hourly", Cron: cronOf(t, "7 * * * *"), Jobs: []Job{d.noting(time.Minute)},
			}}})
			time.Sleep(3 * time.Hour)
			stop()
			if diff := cmp.Diff([]string{"00:07 01T00:00-01T00:07", "01:07 01T00:07-01T01:07", "02:07 01T01:07-01T02:07"}, d.lines); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]State{Done, Done, Done}, states(t, l, "hourly")); diff != "" {
				t.Error(diff)
			}
		})
	})
}

func TestSchedulerCatchesUp(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		for policy, want := range map[CatchUp][]string{
			CatchUpAll:    {"01:00 01T00:00-01T01:00", "05:30 01T01:00-01T02:00", "05:30 01T02:00-01T03:00", "05:30 01T03:00-01T04:00", "05:30 01T04:00-01T05:00", "06:00 01T05:00-01T06:00"},
			CatchUpLatest: {"01:00 01T00:00-01T01:00", "05:30 01T04:00-01T05:00", "06:00 01T05:00-01T06:00"},
			CatchUpNone:   {"01:00 01T00:00-01T01:00", "06:00 01T05:00-01T06:00"},
		} {
			t.Run(string(policy), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					home := place(t)
					var d diary
					for _, up := range []time.Duration{90 * time.Minute, 45 * time.Minute} {
						l := openTest(t, home)
						stop := serve(t, &Scheduler{Runner: &Runner{Ledger: l}, Plans: []Plan{{
							Name: "hourly", Cron: cronOf(t, "@hourly"), CatchUp: policy, Jobs: []Job{d.noting(time.Second)},
						}}})
						time.Sleep(up)
						stop()
						time.Sleep(4 * time.Hour)
					}
					if diff := cmp.Diff(want, d.lines); diff != "" {
						t.Error(diff)
					}
				})
			})
		}
	})
}

func TestSchedulerTakesUpWhatWasStopped(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		synctest.Test(t, func(t *testing.T) {
			home := place(t)
			var d diary
			for range 2 {
				l := openTest(t, home)
				stop := serve(t, &Scheduler{Runner: &Runner{Ledger: l}, Plans: []Plan{{
					Name: "daily", Cron: cronOf(t, "@daily"), CatchUp: CatchUpNone, Jobs: []Job{d.noting(time.Hour)},
				}}})
				time.Sleep(24*time.Hour + 30*time.Minute) // the first time, the run is half done
				stop()
			}
			if diff := cmp.Diff([]string{"00:00 01T00:00-02T00:00", "00:30 01T00:00-02T00:00", "00:00 02T00:00-03T00:00"}, d.lines); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]State{Cancelled, Done, Done}, states(t, openTest(t, home), "daily")); diff != "" {
				t.Error(diff)
			}
		})
	})
}

func TestSchedulerTriesAgain(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		synctest.Test(t, func(t *testing.T) {
			l := openTest(t, place(t))
			boom := errors.New("boom")
			var d diary
			stop := serve(t, &Scheduler{Runner: &Runner{Ledger: l}, Plans: []Plan{{
				Name: "hourly", Cron: cronOf(t, "@hourly"), Tries: 3, Retry: 40 * time.Minute,
				Jobs: []Job{d.noting(time.Second, boom, nil, boom, nil, boom, boom)},
			}}})
			time.Sleep(4*time.Hour + 30*time.Minute)
			stop()
			// 01:00 fails, again at 01:40 and works; 02:00 fails, again at 02:40 and works; 03:00 fails, 03:40 fails, 04:00 works.
			want := []string{
				"01:00 01T00:00-01T01:00", "01:40 01T00:00-01T01:00",
				"02:00 01T01:00-01T02:00", "02:40 01T01:00-01T02:00",
				"03:00 01T02:00-01T03:00", "03:40 01T02:00-01T03:00", "04:00 01T03:00-01T04:00",
			}
			if diff := cmp.Diff(want, d.lines); diff != "" {
				t.Error(diff)
			}
			runs, err := l.Runs(t.Context(), Filter{Job: "hourly", Limit: 2})
			if err != nil || runs[1].Try != 2 || runs[1].State != Failed {
				t.Errorf("runs %+v, %v", runs, err)
			}
		})
	})
}

func TestSchedulerGivesUp(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		synctest.Test(t, func(t *testing.T) {
			l := openTest(t, place(t))
			boom := errors.New("boom")
			var d diary
			stop := serve(t, &Scheduler{Runner: &Runner{Ledger: l}, Plans: []Plan{{
				Name: "daily", Cron: cronOf(t, "@daily"), Tries: 2, Retry: time.Minute, Jobs: []Job{d.noting(0, boom, boom, boom, boom)},
			}}})
			time.Sleep(47 * time.Hour)
			stop()
			if diff := cmp.Diff([]State{Failed, Failed}, states(t, l, "daily")); diff != "" {
				t.Error(diff)
			}
		})
	})
}

func TestSchedulerNeverOverlaps(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		synctest.Test(t, func(t *testing.T) {
			home := place(t)
			var d diary
			plan := func() []Plan {
				return []Plan{{Name: "hourly", Cron: cronOf(t, "@hourly"), Jobs: []Job{d.noting(10 * time.Minute)}}}
			}
			// Two schedulers share the ledger, and a person starts a run of everything in between.
			one, two := openTest(t, home), openTest(t, home)
			stopOne := serve(t, &Scheduler{Runner: &Runner{Ledger: one}, Plans: plan()})
			stopTwo := serve(t, &Scheduler{Runner: &Runner{Ledger: two}, Plans: plan()})
			time.Sleep(2*time.Hour + 55*time.Minute)
			person := openTest(t, home)
			_, run := begin(t, person, Run{Job: "by hand"})
			time.Sleep(20 * time.Minute)
			if _, err := one.Finish(t.Context(), run.ID, Done, nil); !errors.Is(err, feedlake.ErrConflict) {
				t.Errorf("finished another's run: %v", err)
			}
			if _, err := person.Finish(t.Context(), run.ID, Done, nil); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Hour)
			stopOne()
			stopTwo()
			want := []string{"01:00 01T00:00-01T01:00", "02:00 01T01:00-01T02:00", "03:15 01T02:00-01T03:00", "04:00 01T03:00-01T04:00"}
			if diff := cmp.Diff(want, d.lines); diff != "" {
				t.Error(diff)
			}
		})
	})
}

func TestSchedulersRunAPlanOneWindowAtATime(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		synctest.Test(t, func(t *testing.T) {
			home := place(t)
			var now, most, runs atomic.Int64
			plan := Plan{Name: "hourly", Cron: cronOf(t, "@hourly"), Retry: 100 * time.Minute, Jobs: []Job{{Name: "slow", Run: func(ctx context.Context, _ feedlake.Window) error {
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
				if runs.Add(1) == 1 {
					return errors.New("boom") // due again while the second window runs
				}
				return feedlake.Sleep(ctx, 90*time.Minute)
			}}}}
			var stops []func()
			for range 2 {
				stops = append(stops, serve(t, &Scheduler{Runner: &Runner{Ledger: openTest(t, home)}, Plans: []Plan{plan}}))
			}
			time.Sleep(7*time.Hour + 50*time.Minute)
			for _, stop := range stops {
				stop()
			}
			if most.Load() != 1 || runs.Load() != 5 {
				t.Errorf("%d runs, %d at once; want 5, 1", runs.Load(), most.Load())
			}
		})
	})
}

func TestSchedulerSeesTheClockJump(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		synctest.Test(t, func(t *testing.T) {
			var slept atomic.Int64 // a machine that sleeps stops its timers, not the clock
			l := openTest(t, place(t), func(c *LedgerConfig) {
				c.Now = func() time.Time { return time.Now().Add(time.Duration(slept.Load())) }
			})
			var d diary
			stop := serve(t, &Scheduler{Runner: &Runner{Ledger: l}, Plans: []Plan{{Name: "daily", Cron: cronOf(t, "@daily"), Jobs: []Job{d.noting(0)}}}})
			time.Sleep(10 * time.Minute)
			slept.Store(int64(24 * time.Hour))
			time.Sleep(2 * time.Minute)
			stop()
			if len(d.lines) != 1 {
				t.Errorf("ran %q within two minutes of waking up, want one window", d.lines)
			}
		})
	})
}

func TestSchedulerJitter(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		synctest.Test(t, func(t *testing.T) {
			l := openTest(t, place(t))
			var starts []time.Duration
			stop := serve(t, &Scheduler{Runner: &Runner{Ledger: l}, Rand: rand.New(rand.NewPCG(1, 2)), Plans: []Plan{{
				Name: "hourly", Cron: cronOf(t, "@hourly"), Jitter: 10 * time.Minute,
				Jobs: []Job{{Name: "a", Run: func(_ context.Context, w feedlake.Window) error {
					starts = append(starts, time.Since(w.End))
					return nil
				}}},
			}}})
			time.Sleep(20*time.Hour + 30*time.Minute)
			stop()
			if len(starts) != 20 {
				t.Fatalf("%d runs", len(starts))
			}
			seen := map[time.Duration]bool{}
			for _, late := range starts {
				seen[late] = true
				if late < 0 || late > 10*time.Minute {
					t.Errorf("started %s after it was due", late)
				}
			}
			if len(seen) < 15 {
				t.Errorf("only %d different starts in 20", len(seen))
			}
		})
	})
}

func TestSchedulerEvery(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		synctest.Test(t, func(t *testing.T) {
			l := openTest(t, place(t))
			var d diary
			stop := serve(t, &Scheduler{Runner: &Runner{Ledger: l}, Plans: []Plan{{
				Name: "often", Cron: cronOf(t, "@every 10m"), Jobs: []Job{d.noting(7 * time.Minute)},
			}}})
			time.Sleep(35 * time.Minute)
			stop()
			if diff := cmp.Diff([]string{"00:10 01T00:00-01T00:10", "00:20 01T00:10-01T00:20", "00:30 01T00:20-01T00:30"}, d.lines); diff != "" {
				t.Error(diff)
			}
		})
	})
}

func TestSchedulerOutlivesItsLedgersTroubles(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		synctest.Test(t, func(t *testing.T) {
			home := place(t)
			l, other := openTest(t, home), openTest(t, home)
			var d diary
			stop := serve(t, &Scheduler{Runner: &Runner{Ledger: l}, Plans: []Plan{{
				Name: "hourly", Cron: cronOf(t, "@hourly"), Jobs: []Job{d.noting(time.Second)},
			}}})
			time.Sleep(30 * time.Minute)
			for _, change := range []string{"alter table plans rename to gone", "alter table gone rename to plans"} {
				if err := alter(t.Context(), other, change); err != nil {
					t.Error(err)
				}
				time.Sleep(46 * time.Minute)
			}
			stop()
			if diff := cmp.Diff([]string{"01:16 01T00:00-01T01:00", "02:00 01T01:00-01T02:00"}, d.lines); diff != "" {
				t.Error(diff)
			}
		})
	})
}

func TestSchedulerRefusesBadPlans(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		var d diary
		plan := Plan{Name: "p", Cron: cronOf(t, "@daily"), Jobs: []Job{d.job("a", nil)}}
		for name, plans := range map[string][]Plan{"two of a name": {plan, plan}, "no jobs' names": {{Name: "p", Cron: plan.Cron, Jobs: []Job{{}}}}} {
			s := Scheduler{Runner: &Runner{Ledger: openTest(t, place(t))}, Plans: plans}
			if err := s.Run(t.Context()); !errors.Is(err, feedlake.ErrConfig) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
