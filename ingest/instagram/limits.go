package instagram

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
)

// usage is what the headers X-App-Usage and X-Business-Use-Case-Usage say
// (developers.facebook.com/docs/graph-api/overview/rate-limiting): the share of
// the limit that is used up, in per cent, and how long the platform thinks that
// it will refuse. They appear only after some use.
type usage struct {
	percent float64
	regain  time.Duration
}

// full is the share from which on the platform is taken to refuse; it counts
// with a delay.
const full = 90

func readUsage(h http.Header) (u usage, told bool) {
	one := func(v gjson.Result) {
		told = true
		for _, k := range [...]string{"call_count", "total_cputime", "total_time"} {
			u.percent = max(u.percent, v.Get(k).Num)
		}
		minutes := min(v.Get("estimated_time_to_regain_access").Num, 7*24*60)
		u.regain = max(u.regain, time.Duration(minutes*float64(time.Minute)))
	}
	if v := gjson.Parse(h.Get("X-App-Usage")); v.IsObject() {
		one(v)
	}
	if v := gjson.Parse(h.Get("X-Business-Use-Case-Usage")); v.IsObject() {
		v.ForEach(func(_, cases gjson.Result) bool {
			for _, c := range cases.Array() {
				one(c)
			}
			return true
		})
	}
	return u, told
}

func (u usage) throttled() bool { return u.percent >= full || u.regain > 0 }

// Pace by per cent: from easy on fewer and fewer calls a minute, from full on
// none for a while, since the use of a rolling hour sinks slowly.
const (
	easy = 75
	rest = 5 * time.Minute
)

// limit reads the state of the limit. The platform tells per cent, not calls:
// what is left below full is taken as so many calls a minute.
func limit(h http.Header, now time.Time) (ingest.Limit, bool) {
	u, told := readUsage(h)
	switch {
	case !told || u.percent < easy && u.regain == 0:
		return ingest.Limit{}, false
	case u.regain > 0:
		return ingest.Limit{Reset: now.Add(u.regain)}, true
	case u.percent >= full:
		return ingest.Limit{Reset: now.Add(rest)}, true
	}
	return ingest.Limit{Remaining: int64(math.Ceil(full - u.percent)), Reset: now.Truncate(time.Minute).Add(time.Minute)}, true
}

// Errors that the source itself knows what to do about.
var (
	errMissing = errors.New("the object does not exist or may not be seen") // or the platform refuses: see source.ask
	errHashtag = errors.New("the hashtag does not exist or may not be asked for")
	errQuota   = errors.New("30 hashtags were asked for within 7 days")
	errUnfit   = errors.New("the media has no insights")
)

// faults reads errors of the Graph API
// (developers.facebook.com/docs/graph-api/guides/error-handling): whatever the
// status, {"error": {"code": …, "error_subcode": …}}.
type faults struct {
	token      ingest.Secret
	maxWait    time.Duration
	credential string
}

func (f faults) read(a api.Answer, now time.Time) error {
	e := gjson.GetBytes(a.Body, "error")
	if !e.IsObject() && a.Status < 300 {
		return nil
	}
	u, _ := readUsage(a.Header)
	code, sub := e.Get("code").Int(), e.Get("error_subcode").Int()
	said := func(kind error) error {
		return fmt.Errorf("answer %d, code %d/%d: %s: %w", a.Status, code, sub, hide(f.token, short(e.Get("message").Str)), kind)
	}
	switch {
	case code == 4, code == 17, code == 32, code == 613, code == 80002:
		return f.throttled(said(errors.New("rate limit")), u, now)
	case (code == 100 && sub == 33) && u.throttled():
		return f.throttled(said(errors.New("rate limit, to judge by the usage")), u, now)
	case code == 100 && sub == 33:
		return said(errMissing)
	case code == 190:
		return feedlake.Hint(said(feedlake.ErrConfig), "the access token is expired or was withdrawn: long-lived ones last 60 days; make a new one, and look at it with feedlake check")
	case code == 18:
		return said(errQuota)
	case code == 24, sub == 2207024:
		return said(errHashtag)
	case sub == 2108006, code == 10 && strings.Contains(e.Get("message").Str, "Not enough viewers"):
		return said(errUnfit)
	case code == 3, code == 10, code >= 200 && code < 300:
		return feedlake.Hint(said(feedlake.ErrConfig), "hashtags need App Review for Instagram Public Content Access and the permission instagram_basic, insights need instagram_manage_insights")
	case code == 1, code == 2, e.Get("is_transient").Bool():
		return &feedlake.RetryError{Err: said(errors.New("a fault of the platform")), After: api.RetryAfter(a.Header, now)}
	}
	a.Body = []byte(hide(f.token, string(a.Body)))
	if a.Status < 300 {
		a.Status = http.StatusBadRequest
	}
	return a.Fault(now, f.credential)
}

// throttled asks for another try after the time that the platform tells, or ends
// the run in part when that is too long.
func (f faults) throttled(err error, u usage, now time.Time) error {
	wait := u.regain
	if wait == 0 {
		wait = time.Minute
	}
	if wait > f.maxWait {
		return fmt.Errorf("%w: %w", err, &ingest.LimitError{Endpoint: endpoint, Until: now.Add(wait)})
	}
	return &feedlake.RetryError{Err: fmt.Errorf("%w: %w", err, feedlake.ErrPartial), After: wait}
}

// hide takes the token out of what a message shows: the platform repeats a
// malformed one, and its links to next pages hold it.
func hide(token ingest.Secret, s string) string {
	t := token.Reveal()
	if t == "" {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, t, "***"), url.QueryEscape(t), "***")
}

func short(s string) string {
	const most = 300
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}

// sign adds the token to a request, in a header so that no address holds it.
func (k Keys) sign(_ context.Context, r *http.Request) error {
	r.Header.Set("Authorization", "Bearer "+k.AccessToken.Reveal())
	if k.AppSecret != "" {
		mac := hmac.New(sha256.New, []byte(k.AppSecret.Reveal()))
		_, _ = mac.Write([]byte(k.AccessToken.Reveal())) // a hash takes everything
		q := r.URL.Query()
		q.Set("appsecret_proof", hex.EncodeToString(mac.Sum(nil)))
		r.URL.RawQuery = q.Encode()
	}
	return nil
}
