// Package api asks the HTTP APIs of the platforms, for the connectors: at the
// pace that their answers allow, within the budget of the credential, and with
// one reading of what an error means. No secret gets into an error or a log.
package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

// Options say whom a Client asks, and as whom.
type Options struct {
	Base       *url.URL // the paths of calls are below it
	HTTP       *http.Client
	Platform   Platform
	Credential string // who asks; all jobs of one credential share its pace and budget
	Meter      ingest.Meter
	// Sign adds the credential to a request; nil where none is needed.
	Sign func(ctx context.Context, r *http.Request) error
	// Renew makes a new token after an answer 401; nil where there is none to make.
	Renew     func(ctx context.Context) error
	UserAgent string
	MaxWait   time.Duration                              // longest wait for a limit, before the run ends in part
	Every     time.Duration                              // shortest time between two calls; 0: none
	Sleep     func(context.Context, time.Duration) error // waits for a limit
	Now       func() time.Time
	Log       *slog.Logger
}

// Platform is how one API speaks of limits and errors.
type Platform struct {
	Name string // for people: "Reddit"
	// Limit reads the state of a rate limit from an answer's headers; nil, or
	// false, when they tell none.
	Limit func(h http.Header, now time.Time) (ingest.Limit, bool)
	// Fault reads an answer that is an error of the platform's own, whatever its
	// status; nil means that the status says it all. See Answer.Fault.
	Fault func(a Answer, now time.Time) error
}

// Call is one request.
type Call struct {
	Endpoint string // its name for pace, budget and messages, such as "search/recent"
	Method   string // GET when empty
	Path     string // below Options.Base
	Query    url.Values
	Form     url.Values // body of a POST
	JSON     []byte     // body of a POST, instead of Form
	Header   http.Header
	Posts    int64 // most posts that the answer may hold; so many are reserved of the budget
	Price    Price // of the call

	reserved time.Time // when the meter counted it
}

// Price is what a call costs, in millionths of a dollar.
type Price struct{ Request, Post int64 }

func (p Price) of(requests, posts int64) int64 { return requests*p.Request + posts*p.Post }

// Answer is a whole answer of the API.
type Answer struct {
	Call   Call
	Status int
	Header http.Header
	Body   []byte

	client *Client
	spoken []string // secrets of the request, which the answer may repeat
}

// maxBody bounds an answer.
const maxBody = 64 << 20

// Client asks one API with one credential. It is safe for concurrent use.
type Client struct {
	o Options

	mu   sync.Mutex
	next time.Time            // when Every allows another call
	held map[string]time.Time // until when the platform wants to be left alone, by endpoint
}

// New returns a client. Options must be complete but for what may be nil.
func New(o Options) *Client { return &Client{o: o, held: map[string]time.Time{}} }

// Do asks, waits where the pace of the credential wants it, and returns an
// answer of status 200 to 299. The caller must Settle it when the call has
// posts. Errors say whether another try may help (feedlake.RetryError), whether
// the run may go on later (feedlake.ErrPartial) or a person is needed
// (feedlake.ErrConfig).
func (c *Client) Do(ctx context.Context, call Call) (Answer, error) {
	a, err := c.try(ctx, call)
	if err == nil && a.Status == http.StatusUnauthorized && c.o.Renew != nil {
		if err = c.giveBack(ctx, a.Call); err == nil {
			err = c.o.Renew(ctx)
		}
		if err == nil {
			a, err = c.try(ctx, call)
		}
	}
	if err == nil {
		if err = c.fault(a); err != nil {
			err = errors.Join(c.hold(call, err), c.giveBack(ctx, a.Call))
		}
	}
	if err != nil {
		return Answer{}, fmt.Errorf("ask %s for %s: %w", c.o.Platform.Name, call.Endpoint, err)
	}
	return a, nil
}

// try asks once. After an error nothing but the request stays counted.
func (c *Client) try(ctx context.Context, call Call) (Answer, error) {
	var err error
	if call.reserved, err = c.admit(ctx, call); err != nil {
		return Answer{}, err
	}
	a, err := c.send(ctx, call)
	if err != nil {
		err = errors.Join(err, c.giveBack(ctx, call))
	}
	return a, err
}

// giveBack takes back what was reserved for posts that did not come.
func (c *Client) giveBack(ctx context.Context, call Call) error {
	return c.settle(context.WithoutCancel(ctx), call, 0)
}

// Settle says how many posts an answer held, of those reserved for it.
func (a Answer) Settle(ctx context.Context, posts int64) error {
	return a.client.settle(ctx, a.Call, posts)
}

func (c *Client) settle(ctx context.Context, call Call, posts int64) error {
	if call.Posts == posts {
		return nil
	}
	back := ingest.Use{Posts: posts - call.Posts, Micros: call.Price.of(0, posts-call.Posts)}
	if err := c.o.Meter.Settle(ctx, call.reserved, c.o.Credential, back); err != nil {
		return fmt.Errorf("count what %s used: %w", c.o.Credential, err)
	}
	return nil
}

// space keeps calls apart by Options.Every.
func (c *Client) space(ctx context.Context) error {
	if c.o.Every == 0 {
		return nil
	}
	c.mu.Lock()
	now := c.o.Now()
	at := c.next
	if at.Before(now) {
		at = now
	}
	c.next = at.Add(c.o.Every)
	c.mu.Unlock()
	if wait := at.Sub(now); wait > 0 {
		return c.o.Sleep(ctx, wait)
	}
	return nil
}

// hold keeps in mind how long an answer wants its endpoint left alone: who asks
// next may not have met that error.
func (c *Client) hold(call Call, err error) error {
	var until time.Time
	if again, ok := errors.AsType[*feedlake.RetryError](err); ok && again.After > 0 {
		until = c.o.Now().Add(again.After)
	}
	if limit, ok := errors.AsType[*ingest.LimitError](err); ok {
		until = limit.Until
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[call.Endpoint].Before(until) {
		c.held[call.Endpoint] = until
	}
	return err
}

// rest waits until a held endpoint may be asked again.
func (c *Client) rest(ctx context.Context, call Call) error {
	c.mu.Lock()
	until := c.held[call.Endpoint]
	c.mu.Unlock()
	switch wait := until.Sub(c.o.Now()); {
	case wait <= 0:
		return nil
	case wait > c.o.MaxWait:
		return &ingest.LimitError{Endpoint: call.Endpoint, Until: until}
	default:
		c.o.Log.InfoContext(ctx, "waiting as the platform asked", "credential", c.o.Credential, "endpoint", call.Endpoint, "until", until)
		return c.o.Sleep(ctx, wait)
	}
}

// admit reserves the call and waits until its pace allows it. It returns when it
// was reserved.
func (c *Client) admit(ctx context.Context, call Call) (at time.Time, err error) {
	if err := c.rest(ctx, call); err != nil {
		return at, err
	}
	if err := c.space(ctx); err != nil {
		return at, err
	}
	use := ingest.Use{Requests: 1, Posts: call.Posts, Micros: call.Price.of(1, call.Posts)}
	for {
		at = c.o.Now()
		until, err := c.o.Meter.Reserve(ctx, at, c.o.Credential, call.Endpoint, use)
		if err != nil {
			return at, err
		}
		wait := until.Sub(c.o.Now())
		if until.IsZero() || wait <= 0 {
			return at, nil
		}
		if wait > c.o.MaxWait {
			return at, &ingest.LimitError{Endpoint: call.Endpoint, Until: until}
		}
		c.o.Log.InfoContext(ctx, "waiting for a rate limit", "credential", c.o.Credential, "endpoint", call.Endpoint, "until", until)
		if err := c.o.Sleep(ctx, wait); err != nil {
			return at, err
		}
	}
}

func (c *Client) send(ctx context.Context, call Call) (Answer, error) {
	r, err := c.request(ctx, call)
	if err != nil {
		return Answer{}, err
	}
	res, err := c.o.HTTP.Do(r)
	if err != nil {
		return Answer{}, c.unreachable(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	a := Answer{Call: call, Status: res.StatusCode, Header: res.Header, Body: body, client: c, spoken: spoken(r, call)}
	if lerr := c.learn(ctx, a); lerr != nil {
		return a, lerr
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return a, ctx.Err()
	case err != nil:
		return a, &feedlake.RetryError{Err: fmt.Errorf("answer cut off after %d bytes: %w", len(body), err)}
	case len(body) > maxBody:
		return a, fmt.Errorf("answer longer than %d bytes: %w", maxBody, feedlake.ErrRejected)
	}
	return a, nil
}

func (c *Client) request(ctx context.Context, call Call) (*http.Request, error) {
	u := c.o.Base.JoinPath(call.Path)
	u.RawQuery = call.Query.Encode()
	method, body := call.Method, io.Reader(nil)
	if method == "" {
		method = http.MethodGet
	}
	if call.Form != nil {
		body = strings.NewReader(call.Form.Encode())
	} else if call.JSON != nil {
		body = bytes.NewReader(call.JSON)
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", cleaned(err))
	}
	maps.Copy(r.Header, call.Header)
	if call.Form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else if call.JSON != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.o.UserAgent != "" {
		r.Header.Set("User-Agent", c.o.UserAgent)
	}
	if c.o.Sign != nil {
		if err := c.o.Sign(ctx, r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// learn tells the meter what the headers say of the limit.
func (c *Client) learn(ctx context.Context, a Answer) error {
	if c.o.Platform.Limit == nil {
		return nil
	}
	l, ok := c.o.Platform.Limit(a.Header, c.o.Now())
	if !ok {
		return nil
	}
	return c.o.Meter.Limited(ctx, c.o.Credential, a.Call.Endpoint, l)
}

// unreachable reads an error of the connection, without the address in it: that
// may hold a token.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &feedlake.RetryError{Err: fmt.Errorf("reach %s: %w", c.o.Base.Host, cleaned(err))}
}

// cleaned takes the address of a request out of an error.
func cleaned(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return ue.Err
	}
	return err
}
