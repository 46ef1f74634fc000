package schedules

import (
	gocmp "cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
)

// diary notes what jobs did, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

// job is one that notes its name and returns what errs says, in turn, then nil.
func (d *diary) job(name string, after []string, errs ...error) Job {
	return Job{Name: name, After: after, Run: func(context.Context, feedlake.Window) error {
		d.note("%s", name)
		if len(errs) == 0 {
			return nil
		}
		err := errs[0]
		errs = errs[1:]
		return err
	}}
}

// ends says how the steps of a run ended, as "ingest done".
func ends(t *testing.T, l *Ledger, run string) []string {
	t.Helper()
	steps, err := l.Steps(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]string, len(steps))
	for i, s := range steps {
		all[i] = s.Job + " " + string(s.State)
		if s.Ended.IsZero() {
			t.Errorf("step %s has no end", s.Job)
		}
	}
	return all
}

func TestRunnerStates(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		boom := errors.New("boom")
		partial := fmt.Errorf("2 rejects: %w", feedlake.ErrPartial)
		rejected := fmt.Errorf("gate: %w", feedlake.ErrRejected)
		for name, c := range map[string]struct {
			errs  map[string]error
			state State
			is    error
			steps []string
		}{
			"done":     {nil, Done, nil, []string{"ingest done", "features done", "train done", "score done", "trends done"}},
			"partial":  {map[string]error{"ingest": partial}, Partial, feedlake.ErrPartial, []string{"ingest partial", "features done", "train done", "score done", "trends done"}},
			"rejected": {map[string]error{"train": rejected, "ingest": partial}, Rejected, feedlake.ErrRejected, []string{"ingest partial", "features done", "train rejected", "score done", "trends done"}},
			"failed":   {map[string]error{"train": boom, "features": rejected}, Failed, boom, []string{"ingest done", "features rejected", "train failed", "score cancelled", "trends done"}},
			"first":    {map[string]error{"ingest": boom}, Failed, boom, []string{"ingest failed", "features cancelled", "train cancelled", "score cancelled", "trends cancelled"}},
			"not ours": {map[string]error{"score": context.Canceled}, Failed, context.Canceled, []string{"ingest done", "features done", "train done", "score failed", "trends done"}},
		} {
			t.Run(name, func(t *testing.T) {
				l := openTest(t, place(t))
				var d diary
				jobs := []Job{
					d.job("ingest", nil, c.errs["ingest"]),
					d.job("features", []string{"ingest"}, c.errs["features"]),
					d.job("train", []string{"features"}, c.errs["train"]),
					d.job("score", []string{"features", "train"}, c.errs["score"]),
					d.job("trends", []string{"features"}, c.errs["trends"]),
				}
				run, err := (&Runner{Ledger: l}).Run(t.Context(), Run{Job: "all", Window: day(5)}, jobs)
				if run.State != c.state || !errors.Is(err, c.is) {
					t.Errorf("run %s, %v; want %s, %v", run.State, err, c.state, c.is)
				}
				if c.state == Failed && errors.Is(err, feedlake.ErrRejected) {
					t.Errorf("a failed run's error says rejected: %v", err)
				}
				if diff := cmp.Diff(c.steps, ends(t, l, run.ID)); diff != "" {
					t.Error(diff)
				}
				kept, err := l.Run(t.Context(), run.ID)
				if err != nil || kept.State != c.state || (kept.Err == "") != (c.state == Done) {
					t.Errorf("kept: %+v, %v", kept, err)
				}
			})
		}
	})
}

// TestRunnerFollows wants a job that follows others to begin when they have
// ended, whatever came of them, and not in a run that was cancelled.
func TestRunnerFollows(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		labels error
		stop   bool
		state  State
		steps  []string
	}{
		"done":      {nil, false, Done, []string{"labels done", "train done", "marts done", "publish done"}},
		"failed":    {boom, false, Failed, []string{"labels failed", "train cancelled", "marts done", "publish done"}},
		"cancelled": {boom, true, Cancelled, []string{"labels cancelled", "train cancelled", "marts cancelled", "publish cancelled"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := openTest(t, inFile(t))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var d diary
			follows := func(name string, others ...string) Job {
				j := d.job(name, nil)
				j.Kind, j.Follows = "table", others
				return j
			}
			run, _ := (&Runner{Ledger: l, Parallel: 4}).Run(ctx, Run{Job: "all"}, []Job{
				follows("publish", "marts"),
				follows("marts", "labels", "train"),
				d.job("train", []string{"labels"}),
				{Name: "labels", Run: func(context.Context, feedlake.Window) error {
					if c.stop {
						cancel()
					}
					return c.labels
				}},
			})
			if diff := cmp.Diff(c.steps, ends(t, l, run.ID)); diff != "" || run.State != c.state {
				t.Errorf("run %s, want %s: %s", run.State, c.state, diff)
			}
			steps, err := l.Steps(t.Context(), run.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range steps {
				if want := map[string]string{"marts": "table", "publish": "table"}[s.Job]; s.Kind != gocmp.Or(want, s.Job) {
					t.Errorf("step %s is of kind %q", s.Job, s.Kind)
				}
			}
		})
	}
}

func TestRunnerRetries(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		again := &feedlake.RetryError{Err: errors.New("429"), After: 10 * time.Second}
		lost := fmt.Errorf("commit: %w", feedlake.ErrConflict)
		for name, c := range map[string]struct {
			errs  []error
			tries int
			state State
			want  int
			took  time.Duration
		}{
			"first try":       {nil, 3, Done, 1, 0},
			"asked to wait":   {[]error{again, again}, 3, Done, 3, 20 * time.Second},
			"lost races":      {[]error{lost, lost}, 3, Done, 3, 3 * time.Second},
			"unknown outcome": {[]error{feedlake.ErrUnknown}, 2, Done, 2, time.Second},
			"too often":       {[]error{lost, lost, lost}, 3, Failed, 3, 3 * time.Second},
			"no tries set":    {[]error{lost}, 0, Failed, 1, 0},
			"not retryable":   {[]error{errors.New("boom")}, 3, Failed, 1, 0},
			"rejected":        {[]error{fmt.Errorf("%w: %w", feedlake.ErrRejected, again)}, 3, Rejected, 1, 0},
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := openTest(t, place(t))
					var d diary
					job := d.job("ingest", nil, c.errs...)
					job.Tries = c.tries
					run, _ := (&Runner{Ledger: l}).Run(t.Context(), Run{Job: "all"}, []Job{job})
					if run.State != c.state || len(d.lines) != c.want || run.Ended.Sub(run.Started) != c.took {
						t.Errorf("%s after %d tries and %s, want %s, %d, %s", run.State, len(d.lines), run.Ended.Sub(run.Started), c.state, c.want, c.took)
					}
					steps, err := l.Steps(t.Context(), run.ID)
					if err != nil || len(steps) != 1 || steps[0].Try != c.want {
						t.Errorf("steps %+v, %v", steps, err)
					}
				})
			})
		}
	})
}

func TestRunnerTimeout(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		synctest.Test(t, func(t *testing.T) {
			l := openTest(t, place(t))
			tries := 0
			job := Job{Name: "slow", Timeout: time.Minute, Tries: 2, Run: func(ctx context.Context, _ feedlake.Window) error {
				tries++
				<-ctx.Done()
				return errors.New("interrupted") // as a database says it
			}}
			run, err := (&Runner{Ledger: l}).Run(t.Context(), Run{Job: "all"}, []Job{job})
			if run.State != Failed || tries != 2 || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1m0s") {
				t.Errorf("%s after %d tries: %v", run.State, tries, err)
			}
			if took := run.Ended.Sub(run.Started); took != 2*time.Minute+time.Second {
				t.Errorf("took %s", took)
			}
		})
	})
}

func TestRunnerCancel(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		l := openTest(t, place(t))
		stop := errors.New("interrupt signal received")
		ctx, cancel := context.WithCancelCause(t.Context())
		var d diary
		jobs := []Job{
			d.job("ingest", nil),
			{Name: "features", After: []string{"ingest"}, Tries: 5, Run: func(ctx context.Context, _ feedlake.Window) error {
				cancel(stop)
				<-ctx.Done()
				return errors.New("interrupted")
			}},
			d.job("trends", []string{"ingest"}),
		}
		run, err := (&Runner{Ledger: l}).Run(ctx, Run{Job: "all"}, jobs)
		if run.State != Cancelled || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), stop.Error()) {
			t.Errorf("%s: %v", run.State, err)
		}
		if diff := cmp.Diff([]string{"ingest done", "features cancelled", "trends cancelled"}, ends(t, l, run.ID)); diff != "" {
			t.Error(diff)
		}
		begin(t, l, Run{Job: "next"}) // the window is free
	})
}

func TestRunnerStopsWhenTheClaimIsLost(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		l := openTest(t, place(t))
		var d diary
		jobs := []Job{
			{Name: "ingest", Run: func(ctx context.Context, _ feedlake.Window) error {
				if err := alter(t.Context(), l, "delete from sessions"); err != nil {
					return err
				}
				if err := l.renew(ctx); err == nil {
					return errors.New("the session lives on")
				}
				<-ctx.Done()
				return ctx.Err()
			}},
			d.job("features", []string{"ingest"}),
		}
		run, err := (&Runner{Ledger: l}).Run(t.Context(), Run{Job: "all"}, jobs)
		if run.State != Failed || !errors.Is(err, feedlake.ErrBusy) || errors.Is(err, context.Canceled) || len(d.lines) > 0 {
			t.Errorf("%s, then %q: %v", run.State, d.lines, err)
		}
	})
}

// TestRunnerSaysWhatTheLedgerSays wants a run that was taken for dead to end as
// its history says.
func TestRunnerSaysWhatTheLedgerSays(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		l := openTest(t, place(t))
		run, err := (&Runner{Ledger: l}).Run(t.Context(), Run{Job: "all"}, []Job{{Name: "ingest", Run: func(ctx context.Context, _ feedlake.Window) error {
			return l.tx(ctx, func(q querier) error { return l.bury(ctx, q, l.sessionID(), l.now(), "taken for dead") })
		}}})
		kept, kerr := l.Run(t.Context(), run.ID)
		if run.State != Abandoned || kept != run || kerr != nil || !errors.Is(err, feedlake.ErrConflict) {
			t.Errorf("%+v, %v; kept %+v, %v", run, err, kept, kerr)
		}
	})
}

func TestRunnerPanic(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		l := openTest(t, place(t))
		job := Job{Name: "train", Run: func(context.Context, feedlake.Window) error { panic("shape mismatch") }}
		run, err := (&Runner{Ledger: l}).Run(t.Context(), Run{Job: "all"}, []Job{job})
		if run.State != Failed || err == nil || !strings.Contains(err.Error(), "shape mismatch") || !strings.Contains(err.Error(), "runner_test.go") {
			t.Errorf("%s: %v", run.State, err)
		}
	})
}

func TestRunnerReports(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		l := openTest(t, place(t))
		var told []State
		r := Runner{Ledger: l, OnStep: func(_ Run, s Step) { told = append(told, s.State) }}
		var end Run
		r.OnEnd = func(ctx context.Context, r Run) {
			end = r
			_, next := begin(t, l, Run{Job: "next"}) // the window is free
			if _, err := l.Finish(ctx, next.ID, Done, nil); err != nil {
				t.Error(err)
			}
		}
		r.Backoff = func(int) time.Duration { return 0 }
		var inside Run
		tries := 0
		run, err := r.Run(t.Context(), Run{Job: "all", Window: day(5)}, []Job{{Name: "ingest", Tries: 5, Run: func(ctx context.Context, w feedlake.Window) error {
			inside = RunOf(ctx)
			Report(ctx, Counts{RowsIn: 10, RowsOut: 8, Rejects: 2})
			Report(ctx, Counts{RowsIn: 5, RowsOut: 5, Detail: []string{w.Start.Format(time.DateOnly), "", "stopped", "stopped"}[tries]})
			if tries++; tries < 4 {
				return feedlake.ErrConflict
			}
			return nil
		}}})
		if err != nil || inside.ID != run.ID || inside.Window != day(5) {
			t.Errorf("inside %+v, run %+v, %v", inside, run, err)
		}
		steps, err := l.Steps(t.Context(), run.ID)
		if want := (Counts{60, 52, 8, "2016-10-05; tried again: stopped"}); err != nil || len(steps) != 1 || steps[0].Counts != want {
			t.Errorf("steps %+v, %v", steps, err)
		}
		if diff := cmp.Diff([]State{Running, Running, Running, Running, Done}, told); diff != "" {
			t.Error(diff)
		}
		if end != run {
			t.Errorf("told of the end of %+v, want %+v", end, run)
		}
		Report(t.Context(), Counts{RowsIn: 1}) // outside a run: nobody listens
		if RunOf(t.Context()) != (Run{}) {
			t.Error("a run out of nowhere")
		}
	})
}

func TestRunnerParallel(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		l := openTest(t, place(t))
		var d diary
		var meet sync.WaitGroup
		meet.Add(2)
		together := func(name string) Job { // returns only when both run
			return Job{Name: name, Run: func(context.Context, feedlake.Window) error {
				meet.Done()
				meet.Wait()
				d.note("%s", name)
				return nil
			}}
		}
		jobs := []Job{d.job("last", []string{"a", "b"}), together("a"), together("b"), d.job("c", nil)}
		run, err := (&Runner{Ledger: l, Parallel: 2}).Run(t.Context(), Run{Job: "all"}, jobs)
		if err != nil || run.State != Done {
			t.Errorf("%s: %v", run.State, err)
		}
		last := slices.Index(d.lines, "last")
		if len(d.lines) != 4 || last < slices.Index(d.lines, "a") || last < slices.Index(d.lines, "b") {
			t.Errorf("order %q", d.lines)
		}
	})
}

func TestRunnerBusyAndUnusable(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		l := openTest(t, place(t))
		r := &Runner{Ledger: l}
		var d diary
		_, held := begin(t, l, Run{Job: "other"})
		if run, err := r.Run(t.Context(), Run{Job: "all"}, []Job{d.job("a", nil)}); !errors.Is(err, feedlake.ErrBusy) || run != (Run{}) {
			t.Errorf("%+v, %v", run, err)
		}
		if _, err := l.Finish(t.Context(), held.ID, Done, nil); err != nil {
			t.Fatal(err)
		}
		for name, jobs := range map[string][]Job{
			"no name":         {d.job("", nil)},
			"no function":     {{Name: "a"}},
			"twice":           {d.job("a", nil), d.job("a", nil)},
			"unknown":         {d.job("a", []string{"b"})},
			"itself":          {d.job("a", []string{"a"})},
			"follows itself":  {{Name: "a", Follows: []string{"a"}, Run: d.job("a", nil).Run}},
			"follows unknown": {{Name: "a", Follows: []string{"b"}, Run: d.job("a", nil).Run}},
			"ring":            {d.job("a", []string{"c"}), d.job("b", []string{"a"}), d.job("c", []string{"b"}), d.job("d", nil)},
		} {
			run, err := r.Run(t.Context(), Run{Job: name}, jobs)
			if !errors.Is(err, feedlake.ErrConfig) || run != (Run{}) {
				t.Errorf("%s: %+v, %v", name, run, err)
			}
		}
		if len(d.lines) > 0 {
			t.Errorf("ran %q", d.lines)
		}
	})
}

func TestBackoff(t *testing.T) {
	var got []time.Duration
	for _, try := range []int{-1, 1, 2, 3, 6, 7, 100} {
		got = append(got, Backoff(try))
	}
	s := time.Second
	if diff := cmp.Diff([]time.Duration{s, s, 2 * s, 4 * s, 32 * s, 60 * s, 60 * s}, got); diff != "" {
		t.Error(diff)
	}
}
