package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Stream asks as Do does and returns the body of the answer while it comes, until
// the caller closes it: ctx and what bounds whole answers end with the headers.
func (c *Client) Stream(ctx context.Context, call Call) (io.ReadCloser, error) {
	body, err := c.stream(ctx, call)
	if err != nil {
		return nil, fmt.Errorf("ask %s for %s: %w", c.o.Platform.Name, call.Endpoint, err)
	}
	return body, nil
}

// lasting is a body that frees its request when it is closed.
type lasting struct {
	io.ReadCloser

	end context.CancelFunc
}

func (l lasting) Close() error {
	l.end() // first: a reader may wait for what comes
	return l.ReadCloser.Close()
}

func (c *Client) stream(ctx context.Context, call Call) (io.ReadCloser, error) {
	if _, err := c.admit(ctx, call); err != nil {
		return nil, err
	}
	open, end := context.WithCancel(context.WithoutCancel(ctx))
	r, err := c.request(open, call)
	if err != nil {
		end()
		return nil, err
	}
	stop, timer := context.AfterFunc(ctx, end), time.AfterFunc(timeout, end)
	endless := *c.o.HTTP
	endless.Timeout = 0
	res, err := endless.Do(r)
	stop()
	timer.Stop()
	if err != nil {
		end()
		return nil, c.unreachable(ctx, err)
	}
	a := Answer{Call: call, Status: res.StatusCode, Header: res.Header, client: c, spoken: spoken(r, call)}
	if err = c.learn(ctx, a); err == nil && a.Status == http.StatusOK {
		return lasting{res.Body, end}, nil
	}
	defer end()
	defer func() { _ = res.Body.Close() }()
	if err == nil {
		a.Body, err = io.ReadAll(io.LimitReader(res.Body, maxBody))
	}
	if err == nil {
		err = c.fault(a)
	}
	return nil, err
}
