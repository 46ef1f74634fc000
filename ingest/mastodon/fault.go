package mastodon

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
)

// limit reads X-RateLimit-Remaining and X-RateLimit-Reset. The reset is a time
// of the server's clock (ISO 8601), so that the wait until it is reckoned from
// the answer's Date.
func limit(h http.Header, now time.Time) (ingest.Limit, bool) {
	left, err := strconv.ParseInt(h.Get("X-Ratelimit-Remaining"), 10, 64)
	if err != nil {
		return ingest.Limit{}, false
	}
	reset, err := time.Parse(time.RFC3339, h.Get("X-Ratelimit-Reset"))
	if err != nil {
		return ingest.Limit{}, false
	}
	return ingest.Limit{Remaining: left, Reset: reset.Add(-api.Ahead(h, now))}, true
}

// fault reads what Mastodon says with 401, 403 and 422 on a timeline: that it is
// not for everybody. A 429 asks for a wait until the limit's reset.
func fault(a api.Answer, now time.Time) error {
	err := fmt.Errorf("answer %d: %s", a.Status, a.Excerpt())
	switch a.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity:
		return feedlake.Hint(fmt.Errorf("%w: %w", err, feedlake.ErrConfig), closedHint)
	case http.StatusTooManyRequests:
		wait := api.RetryAfter(a.Header, now)
		if l, ok := limit(a.Header, now); ok && wait == 0 {
			wait = max(0, l.Reset.Sub(now))
		}
		return &feedlake.RetryError{Err: err, After: wait}
	}
	return nil
}

// closedHint is what to do about a timeline that is closed.
const closedHint = "the server's timelines_access (Mastodon 4.5) may close this timeline: give the source a user's token of this server, or ask another server; a token that was refused must be made anew"
