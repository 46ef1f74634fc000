package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/wiring"
	"github.com/feedlake/feedlake/schedules"
)

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

// run executes jobs as one run of the ledger, each under its own locks, records the
// run in the lake and prints the report.
func (a *app) run(ctx context.Context, name string, jobs []schedules.Job) error {
	r := schedules.Runner{Ledger: a.Ledger, Wait: a.Wait, OnStep: a.onStep(ctx), OnEnd: a.onEnd}
	run, err := r.Run(ctx, schedules.Run{Job: name, Lock: schedules.Unlocked}, jobs)
	a.bars.done()
	if run.ID == "" {
		return err
	}
	a.Log.InfoContext(ctx, "run ended", "run", run.ID, "job", run.Job, "state", string(run.State), "took", run.Ended.Sub(run.Started))
	return errors.Join(ended(run, err), a.report(context.WithoutCancel(ctx), run))
}

// onEnd brings an ended run into the lake, and looks after the lake. A failure there
// is logged and does not change how the run ended. The next run makes up for it,
// because the ledger keeps the history.
func (a *app) onEnd(ctx context.Context, run schedules.Run) {
	a.bars.done()
	if err := a.Record(ctx); err != nil && ctx.Err() == nil {
		a.Log.ErrorContext(ctx, "run not recorded in the lake", "run", run.ID, "err", err)
	}
	a.Tend(ctx, run.ID)
}

// onStep shows on a terminal which step runs.
func (a *app) onStep(ctx context.Context) func(schedules.Run, schedules.Step) {
	marked := ""
	return func(r schedules.Run, s schedules.Step) {
		if marked != r.ID {
			marked = r.ID
			if err := a.Lake.MarkRun(ctx, r.ID); err != nil { // lake care then waits for the run's end
				a.Log.WarnContext(ctx, "run not marked in the lake", "run", r.ID, "err", err)
			}
		}
		if s.State.Ended() {
			a.bars.done()
			a.Log.InfoContext(ctx, "step ended", "run", r.ID, "step", s.Job, "state", string(s.State),
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
	steps, err := a.Ledger.Steps(ctx, run.ID)
	if err != nil {
		return err
	}
	rep := runReport{RunID: run.ID, Job: run.Job, State: string(run.State), Seconds: run.Ended.Sub(run.Started).Seconds()}
	for _, s := range steps {
		sr := stepReport{
			Step: s.Job, State: string(s.State), Seconds: stepTook(s).Seconds(),
			RowsIn: s.RowsIn, RowsOut: s.RowsOut, Rejects: s.Rejects, Detail: s.Detail, Error: s.Err,
		}
		if wiring.Lands(s.Kind) {
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
		rows[i] = []string{s.Step, s.State, fmt.Sprintf("%.1f", s.Seconds), feedlake.Count(s.RowsOut), feedlake.Count(s.Rejects), s.Detail}
	}
	printTable(w, []string{"step", "state", "s", "rows", "rejects", "detail"}, rows)
	if !rep.Changed && run.State == schedules.Done {
		printLine(w, "nothing new: no post, no row and no partition was added or changed")
	}
	return nil
}
