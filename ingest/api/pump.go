package api

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"time"
)

// ErrQuiet says that a Pump's listener has waited long enough.
var ErrQuiet = errors.New("nothing came")

// Pump reads a stream in the background, so that who listens can hand out what
// came while the connection stands. It reads one item ahead. One goroutine at a
// time calls its methods.
type Pump[T any] struct {
	items chan T
	fault error // why there is no more; to be read once items is closed
	quit  chan struct{}
	body  io.Closer
	group sync.WaitGroup
}

// NewPump reads items, which come from body, until the first error.
func NewPump[T any](body io.Closer, items iter.Seq2[T, error]) *Pump[T] {
	p := &Pump[T]{items: make(chan T), quit: make(chan struct{}), body: body}
	p.group.Go(func() {
		defer close(p.items)
		p.fault = io.EOF
		for item, err := range items {
			if err != nil {
				p.fault = err
				return
			}
			select {
			case p.items <- item:
			case <-p.quit:
				return
			}
		}
	})
	return p
}

// Next waits for the next item: until ctx ends, with its error; until tick, with
// ErrQuiet; or until the stream ends, with what ended it.
func (p *Pump[T]) Next(ctx context.Context, tick <-chan time.Time) (item T, err error) {
	if err := ctx.Err(); err != nil {
		return item, err
	}
	select {
	case item, ok := <-p.items:
		if !ok {
			return item, p.fault
		}
		return item, nil
	case <-ctx.Done():
		return item, ctx.Err()
	case <-tick:
		return item, ErrQuiet
	}
}

// Close ends the connection and the reading.
func (p *Pump[T]) Close() {
	close(p.quit)
	_ = p.body.Close() // what is not read yet is not wanted
	p.group.Wait()
}
