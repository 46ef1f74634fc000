package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/feedlake/feedlake/ingest"
)

// Flow counts the posts of a stream, which come without a question, against the
// credential's budget. They are reserved in blocks before they are read, so that
// the budget holds to the last post, whoever else uses the credential. One
// goroutine at a time uses a Flow.
type Flow struct {
	o        Options
	endpoint string
	price    int64 // of a post, in millionths of a dollar

	held, came int64
	reserved   time.Time // when the last block was, of which the rest is left
}

// block is how many posts are reserved at a time, while the budget has so many.
const block = 100

// NewFlow returns a flow that has counted nothing. Options are those of the
// client that opens the stream.
func NewFlow(o Options, endpoint string, p Price) *Flow {
	return &Flow{o: o, endpoint: endpoint, price: p.Post}
}

// Admit makes sure that another post may come. Its error is that of
// ingest.Meter.Reserve: the budget has no room for one.
func (f *Flow) Admit(ctx context.Context) error {
	if f.came < f.held {
		return nil
	}
	for n := int64(block); ; n /= 10 {
		at := f.o.Now()
		_, err := f.o.Meter.Reserve(ctx, at, f.o.Credential, f.endpoint, ingest.Use{Posts: n, Micros: n * f.price})
		if _, full := errors.AsType[*ingest.BudgetError](err); full && n > 1 {
			continue
		}
		if err == nil {
			f.held, f.reserved = f.held+n, at
		}
		return err
	}
}

// Came says that so many posts were read.
func (f *Flow) Came(posts int64) { f.came += posts }

// Settle gives back what was reserved and did not come. It is to be called when
// nobody listens, also after an error.
func (f *Flow) Settle(ctx context.Context) error {
	n := f.came - f.held
	if n == 0 {
		return nil
	}
	f.held = f.came
	if err := f.o.Meter.Settle(context.WithoutCancel(ctx), f.reserved, f.o.Credential, ingest.Use{Posts: n, Micros: n * f.price}); err != nil {
		return fmt.Errorf("count what %s used: %w", f.o.Credential, err)
	}
	return nil
}
