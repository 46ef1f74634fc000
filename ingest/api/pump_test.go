package api_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/feedlake/feedlake/ingest/api"
)

// closer counts how often it was closed.
type closer struct{ closed int }

func (c *closer) Close() error {
	c.closed++
	return nil
}

// TestPump hears what comes, waits no longer than it is told, and ends with what
// ended the stream.
func TestPump(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, fault := range []error{nil, io.ErrUnexpectedEOF} {
		more := make(chan struct{})
		var body closer
		p := api.NewPump(&body, func(yield func(int, error) bool) {
			if !yield(1, nil) {
				return
			}
			<-more
			if fault != nil {
				yield(0, fault)
			}
		})
		if n, err := p.Next(t.Context(), nil); n != 1 || err != nil {
			t.Errorf("first: %d, %v", n, err)
		}
		tick := make(chan time.Time, 1)
		tick <- time.Time{}
		if _, err := p.Next(t.Context(), tick); !errors.Is(err, api.ErrQuiet) {
			t.Errorf("nothing comes: %v", err)
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if _, err := p.Next(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("ended: %v", err)
		}
		close(more)
		want := fault
		if want == nil {
			want = io.EOF
		}
		for range 2 {
			if _, err := p.Next(t.Context(), nil); !errors.Is(err, want) {
				t.Errorf("at the end: %v, want %v", err, want)
			}
		}
		if p.Close(); body.closed != 1 {
			t.Errorf("closed %d times", body.closed)
		}
	}
}

// TestPumpClosed ends while nobody takes what comes.
func TestPumpClosed(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	p := api.NewPump(&closer{}, func(yield func(int, error) bool) {
		for yield(1, nil) {
		}
	})
	p.Close()
}
