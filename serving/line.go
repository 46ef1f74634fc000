package serving

import (
	"context"
	"sync"
)

// line does work side by side, and hands out what comes of it in the order in
// which it was begun: what is made does not depend on who was faster.
type line[T any] struct {
	ctx    context.Context //nolint:containedctx // of the work, ended by the first that fails
	cancel context.CancelCauseFunc
	begun  chan chan outcome[T]
	ended  chan struct{}
	err    error // of the first that failed; read after ended
}

type outcome[T any] struct {
	v   T
	err error
}

// newLine starts a line of at most atOnce pieces of work. done takes what they
// make, one after the other, in one goroutine; drop takes what is made after
// something failed.
func newLine[T any](ctx context.Context, atOnce int, done func(T) error, drop func(T)) *line[T] {
	l := &line[T]{begun: make(chan chan outcome[T], max(atOnce, 1)-1), ended: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	go l.deliver(done, drop)
	return l
}

// add begins a piece of work, when there is room for it. It fails when the line
// has ended.
func (l *line[T]) add(work func(ctx context.Context) (T, error)) error {
	at := make(chan outcome[T], 1)
	select {
	case l.begun <- at:
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	}
	go func() {
		v, err := work(l.ctx)
		at <- outcome[T]{v, err}
	}()
	return nil
}

func (l *line[T]) deliver(done func(T) error, drop func(T)) {
	defer close(l.ended)
	for at := range l.begun {
		got := <-at
		if got.err == nil && l.err != nil {
			drop(got.v)
			continue
		}
		if got.err == nil {
			got.err = done(got.v)
		}
		if got.err != nil && l.err == nil {
			l.err = got.err
			l.cancel(got.err)
		}
	}
}

// wait ends the line: nothing is added any more. It returns the error of the first
// piece of work that failed, in the order of the line, when all have ended.
func (l *line[T]) wait() error {
	close(l.begun)
	<-l.ended
	l.cancel(nil)
	return l.err
}

// each does work for every item of a list on a line.
func each[I, T any](ctx context.Context, atOnce int, list []I, work func(context.Context, I) (T, error), done func(T) error, drop func(T)) error {
	l := newLine(ctx, atOnce, done, drop)
	var err error
	for _, item := range list {
		if err = l.add(func(ctx context.Context) (T, error) { return work(ctx, item) }); err != nil {
			break
		}
	}
	if first := l.wait(); first != nil {
		return first
	}
	return err
}

// openOnce makes open safe for several at once: each version is opened once.
func openOnce[M any](open func(context.Context, int) (M, error)) func(context.Context, int) (M, error) {
	var mu sync.Mutex
	opened := map[int]M{}
	return func(ctx context.Context, version int) (M, error) {
		mu.Lock()
		defer mu.Unlock()
		if m, ok := opened[version]; ok {
			return m, nil
		}
		m, err := open(ctx, version)
		if err == nil {
			opened[version] = m
		}
		return m, err
	}
}

// landing is how many files are on their way to the disk or the bucket beside the
// work that goes on: they wait more than they compute.
const landing = 8
