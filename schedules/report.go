package schedules

import (
	"context"
	"strings"
	"sync"
)

// report collects what a job says about its work.
type report struct {
	run    Run
	mu     sync.Mutex
	counts Counts
	before string // details of the tries before
}

type reportKey struct{}

// Report adds c's numbers to those of the job that runs under ctx, and replaces
// its detail when c has one. They are stored with the step, whatever the job
// returns; those of several tries add up, and their details stand one behind the
// other. Outside a Runner it does nothing.
func Report(ctx context.Context, c Counts) {
	r, ok := ctx.Value(reportKey{}).(*report)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.RowsIn += c.RowsIn
	r.counts.RowsOut += c.RowsOut
	r.counts.Rejects += c.Rejects
	if c.Detail != "" {
		r.counts.Detail = c.Detail
	}
}

// RunOf returns the run that ctx belongs to: its ID is the run_id of the rows a
// job writes. Outside a Runner it is the zero Run.
func RunOf(ctx context.Context) Run {
	if r, ok := ctx.Value(reportKey{}).(*report); ok {
		return r.run
	}
	return Run{}
}

func (r *report) get() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.counts
	c.Detail = r.detail()
	return c
}

// again begins another try.
func (r *report) again() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before, r.counts.Detail = r.detail(), ""
}

// detail tells what each try said, and once what several said.
func (r *report) detail() string {
	switch said := r.counts.Detail; {
	case r.before == "":
		return said
	case strings.HasSuffix(r.before, said): // also when it said nothing
		return r.before
	default:
		return r.before + "; tried again: " + said
	}
}
