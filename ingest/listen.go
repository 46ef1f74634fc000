package ingest

import (
	"context"
	"time"
)

// outlast returns a context that ends a while after ctx: in it a batch is landed
// whole.
func (r *run) outlast(ctx context.Context) (context.Context, context.CancelFunc) {
	landing, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		last := time.AfterFunc(r.Grace, end)
		context.AfterFunc(landing, func() { last.Stop() })
	})
	return landing, func() { stop(); end() }
}

// ticks tells when a batch is to be landed whatever is in it; never, for a source
// that can be asked again. A page has taken half of the time.
func (r *run) ticks() (tick <-chan time.Time, stop func()) {
	if l, ok := r.Source.(Listener); ok && l.Flush() > 0 {
		return r.Ticker(l.Flush() / 2)
	}
	return nil, func() {}
}

func ticker(d time.Duration) (tick <-chan time.Time, stop func()) {
	t := time.NewTicker(d)
	return t.C, t.Stop
}
