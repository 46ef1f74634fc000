package spark

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/transforms/spark/internal/connect"
)

// reattaches bounds how often a broken stream is taken up again without a new
// answer in between; waits double from 100 ms, about 6 s in all.
const reattaches = 6

// errSilent ends a stream on which nothing comes any more.
var errSilent = status.Error(codes.Unavailable, "the server does not answer any more")

// operation is one execution on the server. It is reattachable: when the
// connection breaks, the job runs on, and the answers are taken up after the
// last one that came.
type operation struct {
	*session
	id   string
	last string // id of the last response
	done bool   // the server said that this was all
	each func(*connect.ExecutePlanResponse) error
}

// execute runs a plan and hands every answer to each. When ctx ends, the job is
// stopped on the server before execute returns.
func (s *session) execute(ctx context.Context, p *connect.Plan, each func(*connect.ExecutePlanResponse) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o := &operation{session: s, id: uuid.NewString(), each: each}
	// The stream outlives ctx: its end tells that the job has stopped.
	streaming, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ended := make(chan struct{})
	stopped := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		defer close(stopped)
		o.stop(streaming, ended)
		cancel()
	})
	err := o.follow(streaming, p)
	close(ended)
	if !unwatch() {
		<-stopped
	}
	o.releaseOperation(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// stop interrupts the operation until its stream has ended. An operation that
// has not reached the server yet is not known there: so it asks again.
func (o *operation) stop(ctx context.Context, ended <-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		known, err := o.interrupt(ctx, o.id)
		o.log.DebugContext(ctx, "spark operation interrupted", "operation", o.id, "known", known, "err", err)
		select {
		case <-ended:
			return
		case <-ctx.Done():
			o.log.WarnContext(ctx, "spark did not confirm that a job stopped", "address", o.remote.addr, "operation", o.id)
			return
		case <-tick.C:
		}
	}
}

// follow reads the operation's answers to their end, across broken streams.
func (o *operation) follow(ctx context.Context, p *connect.Plan) error {
	open := o.start(p)
	for try := 0; ; try++ {
		before := o.last
		err := o.read(ctx, open)
		if o.last != before {
			try = 0
		}
		open = o.reattach
		switch {
		case o.done:
			return nil
		case err == nil, errorClass(err) == "INVALID_CURSOR.DISCONNECTED", isUnavailable(err) && try < reattaches:
		case errorClass(err) == unknownOperation && o.last == "" && try < reattaches:
			// It never came to the server, which keeps the answers of one that did
			// for minutes and takes no second one of the same id.
			if ok, aerr := o.alive(ctx); aerr != nil || !ok {
				return o.lost(ctx, err)
			}
			open = o.start(p)
		case isGone(err), errorClass(err) == unknownOperation:
			return o.lost(ctx, err)
		default:
			return o.answer(ctx, err)
		}
		if err != nil {
			o.log.DebugContext(ctx, "spark stream broke", "operation", o.id, "try", try, "err", err)
			if err := feedlake.Sleep(ctx, 100*time.Millisecond<<try); err != nil {
				return err
			}
		}
	}
}

const unknownOperation = "INVALID_HANDLE.OPERATION_NOT_FOUND"

// opener opens a stream of answers.
type opener func(context.Context) (grpc.ServerStreamingClient[connect.ExecutePlanResponse], error)

// start opens the stream of a plan that begins.
func (o *operation) start(p *connect.Plan) opener {
	return func(ctx context.Context) (grpc.ServerStreamingClient[connect.ExecutePlanResponse], error) {
		return o.rpc.ExecutePlan(ctx, &connect.ExecutePlanRequest{
			SessionId: o.session.id, UserContext: o.user(), ClientType: new(clientType), OperationId: new(o.id), Plan: p,
			RequestOptions: []*connect.ExecutePlanRequest_RequestOption{{ReattachOptions: &connect.ReattachOptions{Reattachable: true}}},
		})
	}
}

// reattach opens the stream of the answers after the last one.
func (o *operation) reattach(ctx context.Context) (grpc.ServerStreamingClient[connect.ExecutePlanResponse], error) {
	req := &connect.ReattachExecuteRequest{SessionId: o.session.id, UserContext: o.user(), ClientType: new(clientType), OperationId: o.id}
	if o.last != "" {
		req.LastResponseId = new(o.last)
	}
	return o.rpc.ReattachExecute(ctx, req)
}

// read takes the answers of one stream. It returns nil when the server ended
// the stream, which it does every two minutes, and sets done at the real end.
func (o *operation) read(ctx context.Context, open opener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stream, err := open(ctx)
	if err != nil {
		return err
	}
	heard := make(chan struct{}, 1)
	go o.watch(ctx, cancel, heard)
	for {
		resp, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && errors.Is(context.Cause(ctx), errSilent):
			return errSilent
		case err != nil:
			return err
		}
		select {
		case heard <- struct{}{}:
		default:
		}
		o.last = resp.GetResponseId()
		if resp.GetResultComplete() != nil {
			o.done = true
			return nil
		}
		if o.each != nil {
			if err := o.each(resp); err != nil {
				return err
			}
		}
	}
}

// watch ends a stream when the server is silent and does not answer another
// call either: a cut line gives no error by itself.
func (o *operation) watch(ctx context.Context, cancel context.CancelCauseFunc, heard <-chan struct{}) {
	timer := time.NewTimer(quietTime)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-heard:
		case <-timer.C:
			if _, err := o.alive(ctx); err != nil && ctx.Err() == nil {
				o.log.WarnContext(ctx, "spark is silent", "address", o.remote.addr, "err", err)
				cancel(errSilent)
				return
			}
		}
		timer.Reset(quietTime)
	}
}

// lost is the error of an operation that nobody knows any more.
func (o *operation) lost(ctx context.Context, err error) error {
	return feedlake.Hint(fmt.Errorf("spark at %s lost the job: %w", o.remote.addr, &lostError{o.answer(ctx, err).Error()}),
		"the server restarted or dropped the session; nothing was committed: run again")
}

// releaseOperation lets the server forget the operation's answers; they would
// go with the session anyway.
func (o *operation) releaseOperation(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_, err := o.rpc.ReleaseExecute(ctx, &connect.ReleaseExecuteRequest{
		SessionId: o.session.id, UserContext: o.user(), ClientType: new(clientType), OperationId: o.id,
		ReleaseAll: &connect.ReleaseExecuteRequest_ReleaseAll{},
	})
	if err != nil {
		o.log.DebugContext(ctx, "spark operation not released", "operation", o.id, "err", err)
	}
}

// exec runs a command for its effect.
func (s *session) exec(ctx context.Context, c *connect.Command) error {
	return s.execute(ctx, &connect.Plan{OpType: &connect.Plan_Command{Command: c}}, nil)
}

// statement runs a SQL statement for its effect.
func (s *session) statement(ctx context.Context, sql string) error {
	return s.exec(ctx, &connect.Command{CommandType: &connect.Command_SqlCommand{SqlCommand: &connect.SqlCommand{Input: text(sql)}}})
}

// rows runs a query and hands its rows to each, batch by batch. A batch is
// each's only until it returns.
func (s *session) rows(ctx context.Context, rel *connect.Relation, each func(arrow.RecordBatch) error) error {
	return s.execute(ctx, plan(rel), func(resp *connect.ExecutePlanResponse) error {
		if resp.GetArrowBatch() == nil {
			return nil
		}
		r, err := ipc.NewReader(bytes.NewReader(resp.GetArrowBatch().GetData()))
		if err != nil {
			return fmt.Errorf("read rows of spark: %w", err)
		}
		defer r.Release()
		for r.Next() {
			if err := each(r.RecordBatch()); err != nil {
				return err
			}
		}
		return r.Err()
	})
}
