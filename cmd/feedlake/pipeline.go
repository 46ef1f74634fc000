package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/schedules"
)

// lockName keeps two runs over one lake apart, whatever they are called.
const lockName = "lake"

// Steps of a run, in the data's order.
const (
	stepIngest   = "ingest"
	stepRetain   = "retain"
	stepFeatures = "features"
	stepLabels   = "labels"
	stepTrain    = "train"
	stepScore    = "score"
	stepTrends   = "trends"
	stepMarts    = "marts"
	stepPublish  = "publish"
)

// Kinds of steps that are no step of a whole run; the kind of the others is
// their name. marts.pipeline_runs counts by kind.
const (
	kindBackfill  = "backfill"
	kindTransform = "transform"
)

// lands reports whether steps of a kind land posts.
func lands(kind string) bool { return kind == stepIngest || kind == kindBackfill }

// job makes a job of one step, which begins when the steps that it follows have
// ended, whatever came of them: a step works with what the tables hold.
func job(name string, run func(context.Context) error, follows ...string) schedules.Job {
	return schedules.Job{
		Name: name, Kind: name, Follows: follows, Tries: 3,
		Run: func(ctx context.Context, _ feedlake.Window) error { return run(ctx) },
	}
}

// runReport is what a run says at its end; --json prints it.
type runReport struct {
	RunID   string       `json:"run_id"`
	Job     string       `json:"job"`
	State   string       `json:"state"`
	Seconds float64      `json:"seconds"`
	Posts   int64        `json:"posts"`
	Rejects int64        `json:"rejects"`
	Changed bool         `json:"changed"` // whether anything but the history was written
	Steps   []stepReport `json:"steps"`
}

type stepReport struct {
	Step    string  `json:"step"`
	State   string  `json:"state"`
	Seconds float64 `json:"seconds"`
	RowsIn  int64   `json:"rows_in"`
	RowsOut int64   `json:"rows_out"`
	Rejects int64   `json:"rejects,omitempty"`
	Detail  string  `json:"detail,omitempty"`
	Error   string  `json:"error,omitempty"`
}

// inPart is the error of a step that failed for some of n things: those that did
// not fail make it feedlake.ErrPartial.
func inPart(n int, what string, failed []error) error {
	err := errors.Join(failed...)
	if len(failed) > 0 && len(failed) < n {
		return fmt.Errorf("%s of %d %w: %w", plural(int64(len(failed)), what), n, feedlake.ErrPartial, err)
	}
	return err
}

// pipeline lists the jobs of a whole run. A step that failed has left its tables
// as they were, so that those behind it go on with what is there: a source that
// is down, or a file of labels that is missing, keeps nobody from the numbers of
// the others.
func (a *app) pipeline(full bool) []schedules.Job {
	return []schedules.Job{
		job(stepIngest, func(ctx context.Context) error { return a.ingest(ctx, nil) }),
		job(stepRetain, a.retain, stepIngest),
		job(stepFeatures, func(ctx context.Context) error { return a.transform(ctx, features, full) }, stepRetain),
		job(stepLabels, a.labels),
		job(stepTrain, func(ctx context.Context) error { return a.train(ctx, trainDue) }, stepLabels, stepFeatures),
		job(stepScore, a.score, stepTrain),
		job(stepTrends, a.trends, stepTrain),
		job(stepMarts, func(ctx context.Context) error { return a.transform(ctx, marts, full) }, stepFeatures, stepScore, stepTrends),
		job(stepPublish, a.publish, stepMarts),
	}
}

// run executes jobs as one run of the ledger under the lake's lock, records the
// run in the lake and prints the report.
func (a *app) run(ctx context.Context, name string, jobs []schedules.Job) error {
	r := schedules.Runner{Ledger: a.ledger, OnStep: a.onStep(ctx), OnEnd: a.onEnd}
	run, err := r.Run(ctx, schedules.Run{Job: name, Lock: lockName}, jobs)
	a.bars.done()
	if run.ID == "" {
		return err
	}
	a.log.InfoContext(ctx, "run ended", "run", run.ID, "job", run.Job, "state", string(run.State), "took", run.Ended.Sub(run.Started))
	return errors.Join(ended(run, err), a.report(context.WithoutCancel(ctx), run))
}

// onEnd brings an ended run into the lake, and looks after the lake. A failure there does not change how
// the run ended; it is told, and the next run makes up for it, because the ledger
// keeps the history.
func (a *app) onEnd(ctx context.Context, run schedules.Run) {
	a.bars.done()
	if err := a.record(ctx); err != nil && ctx.Err() == nil {
		a.log.ErrorContext(ctx, "run not recorded in the lake", "run", run.ID, "err", err)
	}
	a.tend(ctx, run.ID)
}

// onStep shows on a terminal which step runs.
func (a *app) onStep(ctx context.Context) func(schedules.Run, schedules.Step) {
	marked := ""
	return func(r schedules.Run, s schedules.Step) {
		if marked != r.ID {
			marked = r.ID
			if err := a.lake.MarkRun(ctx, r.ID); err != nil { // lake care then waits for the run's end
				a.log.WarnContext(ctx, "run not marked in the lake", "run", r.ID, "err", err)
			}
		}
		if s.State.Ended() {
			a.bars.done()
			a.log.InfoContext(ctx, "step ended", "run", r.ID, "step", s.Job, "state", string(s.State),
				"rows_in", s.RowsIn, "rows", s.RowsOut, "rejects", s.Rejects, "took", stepTook(s), "detail", s.Detail)
			if a.o.env.stderrTTY && !a.o.quiet && !a.o.json {
				printLine(a.o.env.stderr, stepLine(s))
			}
			return
		}
		a.bars.update(ctx, s.Job, 0, 0, "rows", "")
	}
}

// stepTook is how long a step ran; 0 for one that never began or never ended.
func stepTook(s schedules.Step) time.Duration {
	if s.Started.IsZero() || s.Ended.IsZero() {
		return 0
	}
	return s.Ended.Sub(s.Started)
}

// stepLine is one line about a step for people.
func stepLine(s schedules.Step) string {
	mark := "✓"
	switch s.State {
	case schedules.Done:
	case schedules.Partial, schedules.Rejected:
		mark = "!"
	default:
		mark = "✗"
	}
	line := fmt.Sprintf("%s %-9s %6.1f s  %s", mark, s.Job, stepTook(s).Seconds(), s.Detail)
	if s.State != schedules.Done {
		line += " (" + string(s.State) + ")"
	}
	return strings.TrimRight(line, " ")
}

// report prints what the run did.
func (a *app) report(ctx context.Context, run schedules.Run) error {
	steps, err := a.ledger.Steps(ctx, run.ID)
	if err != nil {
		return err
	}
	rep := runReport{RunID: run.ID, Job: run.Job, State: string(run.State), Seconds: run.Ended.Sub(run.Started).Seconds()}
	for _, s := range steps {
		sr := stepReport{
			Step: s.Job, State: string(s.State), Seconds: stepTook(s).Seconds(),
			RowsIn: s.RowsIn, RowsOut: s.RowsOut, Rejects: s.Rejects, Detail: s.Detail, Error: s.Err,
		}
		if lands(s.Kind) {
			rep.Posts, rep.Rejects = rep.Posts+s.RowsOut, rep.Rejects+s.Rejects
		}
		rep.Changed = rep.Changed || s.RowsOut > 0
		rep.Steps = append(rep.Steps, sr)
	}
	if a.o.json {
		return printJSON(a.o.env.stdout, rep)
	}
	w := a.o.env.stdout
	printf(w, "run %s: %s in %.1f s\n", rep.RunID, rep.State, rep.Seconds)
	rows := make([][]string, len(rep.Steps))
	for i, s := range rep.Steps {
		rows[i] = []string{s.Step, s.State, fmt.Sprintf("%.1f", s.Seconds), count(s.RowsOut), count(s.Rejects), s.Detail}
	}
	printTable(w, []string{"step", "state", "s", "rows", "rejects", "detail"}, rows)
	if !rep.Changed && run.State == schedules.Done {
		printLine(w, "nothing new: no post, no row and no partition was added or changed")
	}
	return nil
}
