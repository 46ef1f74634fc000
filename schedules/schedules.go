// Package schedules runs jobs in order, on time and once per window, and keeps
// the history of it. Ledger is the history and the lock, Runner runs the jobs
// of one run, Scheduler starts runs when they are due.
package schedules

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
)

// State is where a run or a step stands.
type State string

// The states of a run and of a step; States lists them. A step is never Pending
// or Abandoned unless its run is.
const (
	Pending   State = "pending"   // due, not begun
	Running   State = "running"   // under way in a process that is alive
	Done      State = "done"      // nothing is missing
	Partial   State = "partial"   // feedlake.ErrPartial: what could be done is done
	Rejected  State = "rejected"  // feedlake.ErrRejected: a check or a gate said no
	Failed    State = "failed"    // any other error
	Cancelled State = "cancelled" // stopped from outside, or not begun because a job before it failed
	Abandoned State = "abandoned" // its process died without a word
)

// States lists every state, the graver ones later: a run ends in the gravest
// state of its steps.
func States() []State {
	return []State{Pending, Running, Done, Partial, Rejected, Cancelled, Failed, Abandoned}
}

// StateOf says which state an error of a job means; nil means Done. An error
// that is both rejected and partial is rejected.
func StateOf(err error) State {
	switch {
	case err == nil:
		return Done
	case errors.Is(err, context.Canceled):
		return Cancelled
	case errors.Is(err, feedlake.ErrRejected):
		return Rejected
	case errors.Is(err, feedlake.ErrPartial):
		return Partial
	}
	return Failed
}

// Ended reports whether s is final.
func (s State) Ended() bool { return s != Pending && s != Running }

// passes reports whether jobs that come after one in state s may run: what is
// missing of a partial or rejected step is held back by the step itself.
func (s State) passes() bool { return s == Done || s == Partial || s == Rejected }

// worse orders states as States does.
func (s State) worse(than State) bool {
	return slices.Index(States(), s) > slices.Index(States(), than)
}

// Run is one try to run a job, or a chain of jobs, over one window.
type Run struct {
	ID      string          // unique in the ledger; Begin makes one when it is empty
	Job     string          // the plan or the command, such as "nightly"
	Lock    string          // two runs with one Lock and overlapping windows exclude each other; Unlocked excludes nobody
	Window  feedlake.Window // what the run covers
	Due     time.Time       // when the plan wanted it; zero for a run started by hand
	Try     int             // 1 for the first try of a window
	State   State           //
	Started time.Time       // zero while Pending
	Ended   time.Time       // zero until the state is final
	Holder  Holder          // the process that runs it, or ran it
	Err     string          // why it ended as it did; empty when Done
}

// Unlocked is the Lock of a run that others may overlap: its jobs claim what they
// need.
const Unlocked = "-"

// Step is one job of a run.
type Step struct {
	Run     string // Run.ID
	Job     string
	Kind    string // Job.Kind
	Try     int    // how often it was begun; 0 when a job before it failed
	State   State
	Started time.Time // of the first try; zero when it never began
	Ended   time.Time
	Counts
	Err string
}

// Counts is what a job says about its work; see Report.
type Counts struct {
	RowsIn, RowsOut, Rejects int64
	Detail                   string // for people, such as "3 of 38 partitions"
}

// Job is a step of the pipeline. Run must give the same result whenever it is
// called again for a window: tries and crashes repeat it.
type Job struct {
	Name    string
	Kind    string        // what it does, for who counts its rows, whatever its name; "" means Name
	After   []string      // jobs that must have ended without failing
	Follows []string      // jobs that must have ended, whatever came of them: it works with what is there
	Locks   []string      // held while it runs, see Ledger.Claim; a Runner that holds them all asks for none
	Shard   Shard         // the part of the work that it does; the step is complete when all have, see Ledger.Incomplete
	Part    bool          // it does a part that is no shard, such as some of the sources: no shard is done by it
	Timeout time.Duration // of one try; 0 means none
	Tries   int           // below 1 means 1; only errors that Retryable accepts are tried again
	Run     func(context.Context, feedlake.Window) error
}

// Retryable reports whether another try of a job may help: it asked for one
// with feedlake.RetryError, lost a commit race, does not know the outcome of a
// commit (the next try reads the lake anew), or ran out of its time.
func Retryable(err error) bool {
	if errors.Is(err, feedlake.ErrRejected) || errors.Is(err, feedlake.ErrConfig) || errors.Is(err, context.Canceled) {
		return false
	}
	if _, ok := errors.AsType[*feedlake.RetryError](err); ok {
		return true
	}
	return errors.Is(err, feedlake.ErrConflict) || errors.Is(err, feedlake.ErrUnknown) || errors.Is(err, context.DeadlineExceeded)
}
