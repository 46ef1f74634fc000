package bluesky

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
)

func platform() api.Platform { return api.Platform{Name: "Bluesky", Limit: limit, Fault: fault} }

// limit reads ratelimit-remaining and ratelimit-reset: Unix seconds, by the
// server's clock, which the header Date tells.
func limit(h http.Header, now time.Time) (ingest.Limit, bool) {
	left, err := strconv.ParseInt(h.Get("RateLimit-Remaining"), 10, 64)
	reset, rerr := strconv.ParseInt(h.Get("RateLimit-Reset"), 10, 64)
	if err != nil || rerr != nil {
		return ingest.Limit{}, false
	}
	return ingest.Limit{Remaining: left, Reset: time.Unix(reset, 0).Add(-api.Ahead(h, now)).UTC()}, true
}

// errToken says that the session is at its end.
var errToken = errors.New("session expired")

// pageError is a fault of the server while it made this very answer.
type pageError struct{ err error }

func (e *pageError) Error() string { return e.err.Error() }

// fault reads an error of XRPC: {"error": name, "message": text}.
func fault(a api.Answer, _ time.Time) error {
	if a.Status < 300 {
		return nil
	}
	err := fmt.Errorf("answer %d: %s", a.Status, a.Excerpt())
	switch gjson.GetBytes(a.Body, "error").Str {
	case "ExpiredToken", "InvalidToken":
		return fmt.Errorf("%w: %w", err, errToken)
	case "AuthenticationRequired", "AuthFactorTokenRequired", "AccountTakedown":
		return feedlake.Hint(fmt.Errorf("%w: %w", err, feedlake.ErrConfig), "look at identifier and app_password")
	case "BadQueryString":
		return feedlake.Hint(fmt.Errorf("%w: %w", err, feedlake.ErrConfig), "look at the query")
	case "InvalidRequest", "BlockedActor", "BlockedByActor":
		return feedlake.Hint(fmt.Errorf("%w: %w", err, feedlake.ErrConfig), "look at query, author and actors")
	}
	if a.Status == http.StatusInternalServerError || a.Status == http.StatusBadGateway {
		return &feedlake.RetryError{Err: &pageError{err}}
	}
	return nil
}

// client asks, with a new token where the old one has expired.
type client struct {
	api     *api.Client
	session *session // nil: nobody is signed in
}

func (c *client) do(ctx context.Context, call api.Call) (api.Answer, error) {
	a, err := c.api.Do(ctx, call)
	if c.session == nil || !errors.Is(err, errToken) {
		return a, err
	}
	if err := c.session.renew(ctx); err != nil {
		return a, err
	}
	a, err = c.api.Do(ctx, call)
	if errors.Is(err, errToken) { // fresh, and expired again
		return a, feedlake.Hint(&feedlake.RetryError{Err: err}, "a session that was just opened counts as expired: look at base_url, and at the clock of the server")
	}
	return a, err
}
