package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

// fault reads an answer: first as the platform's own error, then by its status.
func (c *Client) fault(a Answer) error {
	now := c.o.Now()
	if c.o.Platform.Fault != nil {
		if err := c.o.Platform.Fault(a, now); err != nil {
			return c.patient(err, a, now)
		}
	}
	switch {
	case a.Status >= 200 && a.Status < 300:
		return nil
	case c.o.Sign == nil && (a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden): // there is no credential to look at
		return feedlake.Hint(fmt.Errorf("%w: %w", a.said(), feedlake.ErrConfig), "%s refuses this address: it may ask too much, or base_url is wrong", c.o.Platform.Name)
	}
	return c.patient(a.Fault(now, c.o.Credential), a, now)
}

// patient bounds what another try may wait for: what is longer than MaxWait ends
// the run in part. So does a 429, when the tries are used up.
func (c *Client) patient(err error, a Answer, now time.Time) error {
	var again *feedlake.RetryError
	switch {
	case !errors.As(err, &again):
		return err
	case again.After > c.o.MaxWait:
		return fmt.Errorf("%w: %w", again.Err, &ingest.LimitError{Endpoint: a.Call.Endpoint, Until: now.Add(again.After)})
	case a.Status == http.StatusTooManyRequests && !errors.Is(err, feedlake.ErrPartial):
		return &feedlake.RetryError{Err: fmt.Errorf("%w: %w", again.Err, feedlake.ErrPartial), After: again.After}
	}
	return err
}

// said is the answer as an error.
func (a Answer) said() error {
	return fmt.Errorf("answer %d %s: %s", a.Status, http.StatusText(a.Status), a.Excerpt())
}

// Fault is the error that the status of an answer means by itself:
// 401 and 403 want a person, 408, 425, 429 and 5xx another try, and every other
// one is a mistake of the call.
func (a Answer) Fault(now time.Time, credential string) error {
	err := a.said()
	switch {
	case a.Status == http.StatusUnauthorized:
		return feedlake.Hint(fmt.Errorf("%w: %w", err, feedlake.ErrConfig), "the credential %s was refused: its keys are wrong, expired or withdrawn; set new ones, and try them with feedlake check", credential)
	case a.Status == http.StatusForbidden:
		return feedlake.Hint(fmt.Errorf("%w: %w", err, feedlake.ErrConfig), "the credential %s may not do this: give it the permission at the platform, and try it with feedlake check", credential)
	case a.Status == http.StatusNotFound || a.Status == http.StatusGone:
		return feedlake.Hint(fmt.Errorf("%w: %w", err, feedlake.ErrNotFound), "look at base_url, and whether what is asked for is still there")
	case a.Status == http.StatusRequestTimeout, a.Status == http.StatusTooEarly, a.Status == http.StatusTooManyRequests, a.Status >= 500:
		return &feedlake.RetryError{Err: err, After: RetryAfter(a.Header, now)}
	}
	return fmt.Errorf("%w: %w", err, feedlake.ErrRejected)
}

// excerpt is as much of an answer as a message shows.
const excerpt = 300

// Excerpt is the beginning of the answer, on one line, for messages, without the
// secrets of the request, should the server repeat them.
func (a Answer) Excerpt() string {
	s := string(a.Body[:min(len(a.Body), 100*excerpt)])
	for _, secret := range a.spoken {
		s = strings.ReplaceAll(s, secret, "***")
	}
	s = strings.ToValidUTF8(s[:min(len(s), excerpt)], "\uFFFD")
	s = strings.Join(strings.Fields(s), " ")
	if s == "" {
		return "(empty)"
	}
	return s
}

// secretField matches the names of parameters whose values are secrets.
//
//nolint:gochecknoglobals // compiled once, never changed
var secretField = regexp.MustCompile(`(?i)(secret|password|token|bearer|assertion)`)

// minSpoken is the length below which a value tells nothing, and would tear
// holes into messages.
const minSpoken = 4

// spoken lists the secrets that a request holds, longest first, as they are and
// as addresses and JSON spell them.
func spoken(r *http.Request, call Call) []string {
	var out []string
	add := func(s string) {
		if len(s) < minSpoken {
			return
		}
		inJSON, _ := json.Marshal(s) // a string cannot fail
		out = append(out, s, url.QueryEscape(s), strings.Trim(string(inJSON), `"`))
	}
	if _, value, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
		add(value)
	}
	if _, password, ok := r.BasicAuth(); ok {
		add(password)
	}
	for _, fields := range []url.Values{r.URL.Query(), call.Form} {
		for name, values := range fields {
			for _, v := range values {
				if secretField.MatchString(name) {
					add(v)
				}
			}
		}
	}
	gjson.ParseBytes(call.JSON).ForEach(func(name, v gjson.Result) bool {
		if secretField.MatchString(name.Str) {
			add(v.Str)
		}
		return true
	})
	slices.SortFunc(out, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(out)
}

// Ahead is how far the server's clock, which the header Date tells, is ahead of
// ours; 0 when it tells none. A reset that is a time is one of its clock.
func Ahead(h http.Header, now time.Time) time.Duration {
	there, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	return there.Sub(now.UTC().Truncate(time.Second))
}

// RetryAfter is the wait that a header Retry-After asks for, in seconds or as a
// date (RFC 9110, 10.2.3); 0 without one.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.ParseFloat(v, 64); err == nil && s >= 0 && s < 1e9 {
		return time.Duration(s * float64(time.Second))
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
