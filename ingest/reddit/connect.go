package reddit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/rounds"
)

// connect makes the clients of the API and of what gives tokens for it.
func connect(env ingest.Env, c Config, keys Keys, all *logins) (*api.Client, *login, error) {
	o, err := c.Options(env, apiURL, api.Platform{Name: "Reddit", Limit: limit, Fault: fault})
	if err != nil {
		return nil, nil, err
	}
	o.UserAgent = c.UserAgent
	follow := *o.HTTP
	follow.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // Reddit sends those who ask for a subreddit that is not there to a search
	o.HTTP = &follow
	to := o
	to.Platform.Fault = loginFault
	if c.TokenURL != "" || c.BaseURL == "" {
		if to.Base, err = (api.Settings{BaseURL: c.TokenURL}).Base(loginURL); err != nil {
			return nil, nil, fmt.Errorf("token_url: %w", err)
		}
	}
	to.Sign = func(_ context.Context, r *http.Request) error {
		r.SetBasicAuth(keys.ClientID, keys.ClientSecret.Reveal())
		return nil
	}
	l := all.of(to, keys)
	o.Sign, o.Renew = l.sign, l.renew
	return api.New(o), l, nil
}

// limit reads the headers: calls left, with decimals, and seconds until there are
// more.
func limit(h http.Header, now time.Time) (ingest.Limit, bool) {
	left, err := strconv.ParseFloat(h.Get("X-Ratelimit-Remaining"), 64)
	if err != nil || math.IsNaN(left) || math.Abs(left) > 1e9 {
		return ingest.Limit{}, false
	}
	wait, ok := reset(h)
	return ingest.Limit{Remaining: int64(max(0, left)), Reset: now.Add(wait)}, ok
}

func reset(h http.Header) (time.Duration, bool) {
	s, err := strconv.ParseFloat(h.Get("X-Ratelimit-Reset"), 64)
	if err != nil || !(s >= 0 && s < 1e6) {
		return 0, false
	}
	return time.Duration(s * float64(time.Second)), true
}

// fault reads an error of the API's own.
func fault(a api.Answer, now time.Time) error {
	var said struct {
		Reason string `json:"reason"`
	}
	_ = json.Unmarshal(a.Body, &said) // an error page may be HTML
	what := a.Call.Path
	switch {
	case a.Status >= 300 && a.Status < 400 && strings.Contains(a.Header.Get("Location"), "/subreddits/search"):
		return feedlake.Hint(fmt.Errorf("%s: there is no such subreddit: %w", what, feedlake.ErrNotFound), "look at its spelling")
	case a.Status >= 300 && a.Status < 400:
		return fmt.Errorf("%s: sent elsewhere with status %d: %w", what, a.Status, feedlake.ErrRejected)
	case a.Status == http.StatusForbidden && said.Reason != "":
		err := fmt.Errorf("%s: the subreddit is %s: %w", what, said.Reason, feedlake.ErrConfig)
		return rounds.OfFeed(feedlake.Hint(err, "take it out of subreddits, or let the account of the credential in"))
	case a.Status == http.StatusNotFound && said.Reason != "":
		return feedlake.Hint(fmt.Errorf("%s: the subreddit is %s: %w", what, said.Reason, feedlake.ErrNotFound), "take it out of subreddits")
	case a.Status == http.StatusNotFound:
		return feedlake.Hint(fmt.Errorf("%s: not found: %w", what, feedlake.ErrNotFound), "look at its spelling; it may be gone")
	case a.Status == http.StatusTooManyRequests:
		wait, _ := reset(a.Header)
		return &feedlake.RetryError{Err: errors.New("answer 429: too many requests"), After: max(wait, api.RetryAfter(a.Header, now))}
	}
	return nil
}

// loginFault reads the errors of what gives tokens: some come with status 200.
func loginFault(a api.Answer, now time.Time) error {
	var said struct {
		Error any `json:"error"`
	}
	_ = json.Unmarshal(a.Body, &said) // an error page may be HTML
	code, _ := said.Error.(string)
	switch {
	case a.Status == http.StatusUnauthorized:
		return feedlake.Hint(fmt.Errorf("client_id or client_secret are refused: %w", feedlake.ErrConfig), "keys of before November 2025 may be revoked: look at reddit.com/prefs/apps")
	case a.Status < 300 && code != "":
		return feedlake.Hint(fmt.Errorf("no token is given: %.60q: %w", code, feedlake.ErrConfig), "invalid_grant: username or password are wrong, or the user has a second factor")
	case a.Status == http.StatusTooManyRequests:
		return fault(a, now)
	}
	return nil
}

// logins are those of a program, by who gives tokens and keys.
type logins struct {
	mu  sync.Mutex
	all map[[3]string]*login
}

func (l *logins) of(o api.Options, keys Keys) *login {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := [3]string{o.Base.String(), keys.ClientID + "\x00" + keys.Username, keys.ClientSecret.Reveal() + "\x00" + keys.Password.Reveal()}
	if l.all == nil {
		l.all = map[[3]string]*login{}
	}
	if l.all[at] == nil {
		l.all[at] = &login{client: api.New(o), keys: keys, now: o.Now}
	}
	return l.all[at]
}

// login gets tokens (RFC 6749, 4.3 and 4.4) and keeps the last one until it
// expires.
type login struct {
	client *api.Client
	keys   Keys
	now    func() time.Time

	mu    sync.Mutex
	token ingest.Secret
	until time.Time
}

// early is how long before its end a token is given up.
const early = time.Minute

func (l *login) sign(ctx context.Context, r *http.Request) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.token == "" || !l.now().Before(l.until) {
		if err := l.get(ctx); err != nil {
			return err
		}
	}
	r.Header.Set("Authorization", "Bearer "+l.token.Reveal())
	return nil
}

// renew gets another token.
func (l *login) renew(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.get(ctx)
}

func (l *login) get(ctx context.Context) error {
	l.token = ""
	form := url.Values{"grant_type": {"client_credentials"}}
	if l.keys.Username != "" {
		form = url.Values{"grant_type": {"password"}, "username": {l.keys.Username}, "password": {l.keys.Password.Reveal()}}
	}
	a, err := l.client.Do(ctx, api.Call{Endpoint: "access_token", Method: http.MethodPost, Path: "api/v1/access_token", Form: form})
	if err != nil {
		return err
	}
	var got struct {
		Token   ingest.Secret `json:"access_token"`
		Seconds int64         `json:"expires_in"`
	}
	if err := json.Unmarshal(a.Body, &got); err != nil || got.Token == "" {
		return &feedlake.RetryError{Err: errors.New("read token: no token in the answer")} // which may hold one, so nothing more is said
	}
	l.token, l.until = got.Token, l.now().Add(time.Duration(got.Seconds)*time.Second-early)
	return nil
}
