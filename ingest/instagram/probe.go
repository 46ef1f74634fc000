package instagram

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

// Probe looks at the token, the account, and what is left of the hashtags. It
// spends none of them.
func (s *source) Probe(ctx context.Context) []ingest.Finding {
	out := []ingest.Finding{s.probeToken(ctx), s.probeAccount(ctx)}
	if s.cfg.Mode != modeAccount {
		out = append(out, s.probeHashtags(ctx))
	}
	return out
}

// soon is when a token is so close to its end that a person should know.
const soon = 7 * 24 * time.Hour

func (s *source) probeToken(ctx context.Context) ingest.Finding {
	a, err := s.ask(ctx, "debug_token", url.Values{"input_token": {s.keys.AccessToken.Reveal()}}, 0)
	if err != nil {
		return ingest.Found("token", "", err, "make a long-lived user token")
	}
	d := gjson.GetBytes(a.Body, "data")
	var scopes []string
	for _, v := range d.Get("scopes").Array() {
		scopes = append(scopes, v.Str)
	}
	says, until := "does not expire", d.Get("expires_at").Int()
	left := time.Duration(0)
	if until > 0 {
		at := time.Unix(until, 0).UTC()
		left = at.Sub(s.env.Now())
		says = "good until " + at.Format(time.DateOnly)
	}
	f := ingest.Finding{What: "token", OK: d.Get("is_valid").Bool(), Says: says + "; permissions: " + strings.Join(scopes, ", ")}
	switch {
	case !f.OK:
		f.Says, f.Hint = "not valid", "make a new long-lived user token"
	case until > 0 && left < soon:
		f.Hint = "exchange it for a new one before it ends: a program cannot do that afterwards"
	case !strings.Contains(f.Says, "instagram_basic") && len(scopes) > 0:
		f.OK, f.Hint = false, "the token lacks the permission instagram_basic"
	}
	return f
}

func (s *source) probeAccount(ctx context.Context) ingest.Finding {
	name, media, err := s.account(ctx)
	return ingest.Found("account", fmt.Sprintf("%s, %d media", name, media), err, "user_id must be the professional account that is linked to a page of the token's user")
}

// account asks for the account's name and how many media it has.
func (s *source) account(ctx context.Context) (string, int64, error) {
	a, err := s.ask(ctx, s.cfg.UserID, url.Values{"fields": {"id,username,media_count"}}, 0)
	return gjson.GetBytes(a.Body, "username").Str, gjson.GetBytes(a.Body, "media_count").Int(), err
}

func (s *source) probeHashtags(ctx context.Context) ingest.Finding {
	q, err := s.searched(ctx)
	if err != nil {
		return ingest.Found("hashtags", "", err, "hashtags need App Review for Instagram Public Content Access")
	}
	f := ingest.Finding{What: "hashtags", OK: true, Says: fmt.Sprintf("%d of %d asked for in 7 days", len(q.used), perWeek)}
	if left := perWeek - len(q.used); left < len(s.cfg.Hashtags) {
		f.Hint = fmt.Sprintf("%d hashtags are configured and %d new ones fit at the moment; those asked for lately are free", len(s.cfg.Hashtags), max(0, left))
	}
	return f
}

// Estimate tells what reading all of an account costs: the platform tells how
// many media it has, though not those of a time. Of hashtags it tells nothing,
// and a look would spend them.
func (s *source) Estimate(ctx context.Context, w feedlake.Window) (ingest.Estimate, error) {
	if s.cfg.Mode == modeAccount {
		return s.estimateAccount(ctx, w)
	}
	q, err := s.searched(ctx)
	if err != nil {
		return ingest.Estimate{}, err
	}
	e := ingest.Estimate{Unknown: fmt.Sprintf("the platform does not tell how many media a hashtag has; it takes %d requests at least", 1+2*len(s.cfg.Hashtags))}
	if s.cfg.Mode == modeRecent {
		e.Note = "what is older than about 24 hours cannot be had"
	}
	if left := max(0, perWeek-len(q.used)); left < len(s.cfg.Hashtags) {
		e.Note = strings.TrimPrefix(e.Note+fmt.Sprintf("; %d hashtags are configured, %d new ones fit into the 30 of 7 days", len(s.cfg.Hashtags), left), "; ")
	}
	return e, nil
}

func (s *source) estimateAccount(ctx context.Context, w feedlake.Window) (ingest.Estimate, error) {
	_, n, err := s.account(ctx)
	if err != nil {
		return ingest.Estimate{}, err
	}
	e := ingest.Estimate{Requests: max(1, (n+most-1)/most), Posts: n, Exact: true}
	if len(s.cfg.Insights) > 0 {
		e.Requests += n
	}
	if w != (feedlake.Window{}) || !s.cfg.Since.IsZero() {
		return ingest.Estimate{Unknown: fmt.Sprintf("Instagram does not count the media of a time; all %d of the account take %d requests", n, e.Requests)}, nil
	}
	return e, nil
}
