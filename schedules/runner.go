package schedules

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/feedlake/feedlake"
)

// Runner runs the jobs of one run, each after those it names, and records
// every step in the ledger.
type Runner struct {
	Ledger   *Ledger
	Parallel int                              // jobs at once; below 1 means 1
	Locks    []string                         // held from the first job to the last; none: each job claims its own
	Wait     time.Duration                    // for locks, see Claim.Wait
	Backoff  func(try int) time.Duration      // the wait after a failed try (1 is the first); nil means Backoff
	OnStep   func(run Run, step Step)         // called as a step begins and ends, by one goroutine at a time; nil means nobody listens
	OnEnd    func(ctx context.Context, r Run) // called when a run has ended and its window is free; ctx is that of the call to Run
}

// finishing bounds the last words to the ledger after a run was cancelled.
const finishing = 15 * time.Second

// Backoff is the wait after a failed try: 1 s, doubled by every further try up
// to a minute.
func Backoff(try int) time.Duration {
	return min(time.Second<<min(max(try, 1)-1, 10), time.Minute)
}

// CheckJobs reports, wrapping feedlake.ErrConfig, jobs without a name or a
// function, with one name twice, after a job that does not exist, or in a ring.
func CheckJobs(jobs []Job) error {
	after := map[string][]string{} // what each waits for
	for _, j := range jobs {
		if _, twice := after[j.Name]; twice || j.Name == "" || j.Run == nil {
			return fmt.Errorf("check job %q: it needs a name of its own and a function: %w", j.Name, feedlake.ErrConfig)
		}
		after[j.Name] = j.waits()
	}
	for _, j := range jobs {
		for _, name := range j.waits() {
			if _, ok := after[name]; !ok {
				return fmt.Errorf("check job %q: it comes after %q, which does not exist: %w", j.Name, name, feedlake.ErrConfig)
			}
		}
	}
	for len(after) > 0 { // take away what waits for nothing, until nothing is left
		before := len(after)
		for name, needs := range after {
			if !slices.ContainsFunc(needs, func(n string) bool { _, waits := after[n]; return waits }) {
				delete(after, name)
			}
		}
		if len(after) == before {
			names := make([]string, 0, before)
			for name := range after {
				names = append(names, name)
			}
			slices.Sort(names)
			return fmt.Errorf("check jobs %s: they wait for each other: %w", strings.Join(names, ", "), feedlake.ErrConfig)
		}
	}
	return nil
}

// waits lists the jobs that must have ended before j begins.
func (j Job) waits() []string { return slices.Concat(j.After, j.Follows) }

// Run begins run in the ledger, runs jobs over its window and finishes it. Jobs
// after one that failed or was cancelled are not begun and recorded as
// cancelled; jobs after a partial or rejected one run, and so do those that only
// follow it. The run's state is the
// worst of its steps, and the error joins those of the steps in that state; a
// run cancelled from outside returns ctx's cause too. When the run could not
// begin, the Run returned is the zero Run.
func (r *Runner) Run(ctx context.Context, run Run, jobs []Job) (Run, error) {
	if err := CheckJobs(jobs); err != nil {
		return Run{}, err
	}
	held, run, err := r.Ledger.Begin(ctx, run)
	if err != nil {
		return Run{}, err
	}
	f := &flow{Runner: r, run: run, ended: map[string]State{}}
	state, cause := f.locked(held, jobs)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishing)
	defer cancel()
	ended, err := r.Ledger.Finish(last, run.ID, state, cause)
	if err != nil {
		run.State, run.Err = Failed, err.Error()
		if kept, lerr := r.Ledger.Run(last, run.ID); lerr == nil && kept.State.Ended() {
			run = kept // somebody else has ended it: who asks the ledger hears the same
		}
		return run, errors.Join(cause, err)
	}
	if r.OnEnd != nil {
		r.OnEnd(ctx, ended)
	}
	return ended, cause
}

// flow is one run under way.
type flow struct {
	*Runner
	run   Run
	mu    sync.Mutex // guards ended, steps and the calls of OnStep
	ended map[string]State
	steps []outcome
}

// outcome is how a step ended; err is nil for one that was not begun.
type outcome struct {
	state State
	err   error
}

// locked runs jobs under the locks of the whole run.
func (f *flow) locked(ctx context.Context, jobs []Job) (State, error) {
	ctx = context.WithValue(ctx, reportKey{}, &report{run: f.run})
	held, release, err := f.Ledger.Claim(ctx, Claim{Locks: f.Locks, Window: f.run.Window, Work: f.run.Job, Wait: f.Wait})
	if err != nil {
		return StateIn(ctx, err), err
	}
	defer release()
	return f.all(held, jobs)
}

// all runs jobs and returns the worst state and its causes. A job starts when
// those before it have ended and a slot is free, in the order given.
func (f *flow) all(ctx context.Context, jobs []Job) (State, error) {
	waiting := slices.Clone(jobs)
	done := make(chan struct{})
	for busy := 0; len(waiting) > 0 || busy > 0; {
		ready := -1
		if busy < max(f.Parallel, 1) {
			ready = slices.IndexFunc(waiting, f.ready)
		}
		if ready < 0 {
			<-done
			busy--
			continue
		}
		job := waiting[ready]
		waiting = slices.Delete(waiting, ready, ready+1)
		busy++
		go func() {
			f.one(ctx, job)
			done <- struct{}{}
		}()
	}
	return f.sum(ctx)
}

// sum returns the worst state of the steps and the errors of those in it.
func (f *flow) sum(ctx context.Context) (State, error) {
	worst := Done
	for _, s := range f.steps {
		if s.state.worse(worst) {
			worst = s.state
		}
	}
	var causes []error
	for _, s := range f.steps {
		if s.state == worst {
			causes = append(causes, s.err)
		}
	}
	cause := errors.Join(causes...)
	if why := context.Cause(ctx); worst == Cancelled && !errors.Is(cause, context.Canceled) {
		if !errors.Is(why, context.Canceled) {
			why = fmt.Errorf("%w: %w", ctx.Err(), why)
		}
		cause = errors.Join(cause, why)
	}
	return worst, cause
}

// ready reports whether every job before j has ended.
func (f *flow) ready(j Job) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !slices.ContainsFunc(j.waits(), func(name string) bool { return f.ended[name] == "" })
}

// one runs a job, or records why it is not run.
func (f *flow) one(ctx context.Context, j Job) {
	step := Step{Run: f.run.ID, Job: j.Name, Kind: cmp.Or(j.Kind, j.Name), State: Cancelled, Err: f.blocked(ctx, j)}
	var err error
	if step.Err == "" {
		step.State, step.Started = Running, f.Ledger.now().UTC()
		if err = f.tries(ctx, j, &step); err != nil {
			step.Err = err.Error()
		}
		step.State = StateIn(ctx, err)
	}
	step.Ended = f.Ledger.now().UTC()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishing)
	defer cancel()
	if e := f.record(last, step); e != nil {
		step.State, err = Failed, errors.Join(err, e)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended[j.Name] = step.State
	f.steps = append(f.steps, outcome{step.State, err})
}

// StateIn is StateOf for what ran under ctx: an error after ctx was cancelled
// means Cancelled, and being cancelled without ctx a failure.
func StateIn(ctx context.Context, err error) State {
	state := StateOf(err)
	switch {
	case state != Failed && state != Cancelled:
		return state
	case errors.Is(ctx.Err(), context.Canceled):
		return Cancelled
	}
	return Failed
}

// blocked says why j may not begin; "" when it may.
func (f *flow) blocked(ctx context.Context, j Job) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range j.After {
		if state := f.ended[name]; !state.passes() {
			return fmt.Sprintf("not run: %s %s", name, state)
		}
	}
	if ctx.Err() != nil {
		return fmt.Sprintf("not run: %v", context.Cause(ctx))
	}
	return ""
}

// tries runs a job until it does not ask for another try. The counts of its
// tries add up: what a failed try has landed stays landed.
func (f *flow) tries(ctx context.Context, j Job, step *Step) error {
	backoff := f.Backoff
	if backoff == nil {
		backoff = Backoff
	}
	said := &report{run: f.run}
	for ; ; said.again() {
		step.Try++
		if err := f.record(ctx, *step); err != nil {
			return err
		}
		err := f.try(context.WithValue(ctx, reportKey{}, said), j)
		step.Counts = said.get()
		if err == nil || step.Try >= j.Tries || !Retryable(err) || ctx.Err() != nil {
			return err
		}
		pause := backoff(step.Try)
		if retry, ok := errors.AsType[*feedlake.RetryError](err); ok {
			pause = max(pause, retry.After)
		}
		f.Ledger.log.WarnContext(ctx, "try job again", "run", f.run.ID, "job", j.Name, "try", step.Try, "wait", pause, "err", err)
		if feedlake.Sleep(ctx, pause) != nil {
			return err
		}
	}
}

// try runs a job once. A panic is an error: the run must not end as abandoned,
// and the other jobs have to end in order.
func (f *flow) try(ctx context.Context, j Job) (err error) {
	if j.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, j.Timeout, fmt.Errorf("not done after %s: %w", j.Timeout, context.DeadlineExceeded))
		defer cancel()
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		cause := context.Cause(ctx)
		if err != nil && (errors.Is(cause, context.DeadlineExceeded) || errors.Is(cause, errLost)) {
			if errors.Is(err, ctx.Err()) {
				err = cause // says more
			} else {
				err = fmt.Errorf("%w: %w", cause, err)
			}
		}
		if err != nil {
			err = fmt.Errorf("job %s: %w", j.Name, err)
		}
	}()
	held, release, err := f.Ledger.Claim(ctx, Claim{Locks: j.Locks, Window: f.run.Window, Shard: j.Shard, Work: f.run.Job, Wait: f.Wait})
	if err != nil {
		return err
	}
	defer release()
	if !j.Shard.Whole() {
		if err := f.Ledger.shardBegins(held, cmp.Or(j.Kind, j.Name), j.Shard, f.run.ID); err != nil {
			return err
		}
	}
	if err := j.Run(held, f.run.Window); err != nil || j.Part {
		return err
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishing) // what is done is done, also when it is stopped now
	defer cancel()
	return f.Ledger.shardDone(last, cmp.Or(j.Kind, j.Name), j.Shard, f.run.ID)
}

// record writes a step to the ledger and tells who listens.
func (f *flow) record(ctx context.Context, s Step) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.Ledger.Step(ctx, s); err != nil {
		return err
	}
	if f.OnStep != nil {
		f.OnStep(f.run, s)
	}
	return nil
}
