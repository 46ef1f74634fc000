package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
)

// Transport is what requests to a bucket go through. A server that does not
// answer a request, or stops in the middle of an answer, for as long as silence
// is an error of the request or of the reading, which says Silent. 0: a minute.
func Transport(secure bool, silence time.Duration) (http.RoundTripper, error) {
	t, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, err
	}
	if silence <= 0 {
		silence = stallAfter
	}
	t.ResponseHeaderTimeout = silence
	return impatient{t, silence}, nil
}

// Silent reports whether an error is of a server that took the connection and
// then said nothing.
func Silent(err error) bool { return errors.Is(err, errStalled) }

// impatient gives up answers that stand still.
type impatient struct {
	base    http.RoundTripper
	silence time.Duration
}

// RoundTrip passes the request on.
func (i impatient) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	resp, err := i.base.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel(nil)
		if r.Context().Err() == nil && errors.Is(err, context.DeadlineExceeded) { // as the transport's own bounds say it
			err = fmt.Errorf("%w for %s: %s", errStalled, i.silence, err.Error())
		}
		return nil, err
	}
	b := &answer{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, silence: i.silence}
	b.timer = time.AfterFunc(i.silence, b.giveUp)
	b.timer.Stop()
	resp.Body = b
	return resp, nil
}

// answer is the body of one. Its timer runs only while somebody reads.
type answer struct {
	io.ReadCloser
	ctx     context.Context //nolint:containedctx // of the request that the body belongs to
	cancel  context.CancelCauseFunc
	silence time.Duration
	timer   *time.Timer
}

func (b *answer) giveUp() { b.cancel(fmt.Errorf("%w for %s", errStalled, b.silence)) }

// Read reads on, or fails when nothing comes.
func (b *answer) Read(p []byte) (int, error) {
	b.timer.Reset(b.silence)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if cause := context.Cause(b.ctx); err != nil && errors.Is(cause, errStalled) {
		err = cause
	}
	return n, err
}

// Close ends the request.
func (b *answer) Close() error {
	b.timer.Stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
