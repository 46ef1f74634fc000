package schedules

import (
	"context"
	"sync"
)

// report collects what a job says about its work.
type report struct {
	run    Run
	mu     sync.Mutex
	counts Counts
}

type reportKey struct{}

// Report adds c's numbers to those of the job that runs under ctx, and replaces
// its detail when c has one. They are stored with the step, whatever the job
// returns, and those of several tries add up. Outside a Runner it does nothing.
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
	return r.counts
}
