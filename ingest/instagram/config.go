// Package instagram reads Instagram by the Graph API: the newest or the most
// popular media with some hashtags, or what an account of one's own posted, with
// its insights. It needs a professional account that is linked to a Facebook
// page, and for hashtags the feature Instagram Public Content Access.
//
// An account may ask for 30 hashtags in 7 days. The source asks which ones those
// were before it asks for a new one, takes new ones in the order of the
// configuration, and ends in part with the date when the next one fits.
package instagram

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
)

// Kind names the source in configurations.
const Kind = "instagram"

// Config is the "with" block of the source.
type Config struct {
	api.Settings `yaml:",inline"`

	Mode     string        `yaml:"mode"`      // recent (default) or top: media with hashtags; account: media of user_id itself
	UserID   string        `yaml:"user_id"`   // number of the professional account that asks; not its name
	Hashtags []string      `yaml:"hashtags"`  // recent, top: names, the most important one first; a leading # is left out
	Fields   []string      `yaml:"fields"`    // of media; those that the mode allows when absent. id, permalink and timestamp come always
	Insights []string      `yaml:"insights"`  // account: metrics to ask for, such as views and reach, with one request a post; none when absent
	Since    time.Time     `yaml:"since"`     // where a new cursor begins; absent: everything there is, which is about a day in mode recent
	Overlap  time.Duration `yaml:"overlap"`   // recent, account: how late a post may show up; 1h when absent
	TopPages int           `yaml:"top_pages"` // top: pages of 50 to read of each hashtag; 10 when absent
}

// Keys are the keys of a credential.
type Keys struct {
	AccessToken ingest.Secret `yaml:"access_token"` // of a user, long-lived (60 days)
	AppSecret   ingest.Secret `yaml:"app_secret"`   // only for apps that require it as proof
}

// usual is the API's address.
const usual = "https://graph.facebook.com/v25.0"

// Modes.
const (
	modeRecent  = "recent"
	modeTop     = "top"
	modeAccount = "account"
)

// reach is how far back recent_media goes.
const reach = 24 * time.Hour

// Register adds the source to r.
func Register(r ingest.Registry) { ingest.Add(r, Kind, Open) }

// Open checks the configuration and returns the source. Errors wrap
// feedlake.ErrConfig.
func Open(_ context.Context, env ingest.Env, c Config) (ingest.Source, error) {
	c = c.withDefaults()
	if err := c.validate(env); err != nil {
		return nil, err
	}
	var keys Keys
	if env.Secrets != nil {
		if err := env.Secrets(&keys); err != nil {
			return nil, err
		}
	}
	if keys.AccessToken == "" {
		return nil, feedlake.Hint(fmt.Errorf("no access_token: %w", feedlake.ErrConfig), "make a long-lived user token and put it into the source's credential")
	}
	s := &source{env: env, cfg: c, keys: keys}
	o, err := c.Options(env, usual, api.Platform{Name: "Instagram", Limit: limit, Fault: faults{keys.AccessToken, c.MaxWait, env.Credential}.read})
	if err != nil {
		return nil, err
	}
	o.Sign = keys.sign
	s.client = api.New(o)
	return s, nil
}

func (c Config) withDefaults() Config {
	c.Mode = cmp.Or(c.Mode, modeRecent)
	c.Overlap = cmp.Or(c.Overlap, time.Hour)
	c.TopPages = cmp.Or(c.TopPages, 10)
	c.MaxWait = cmp.Or(c.MaxWait, api.DefaultMaxWait)
	names := make([]string, 0, len(c.Hashtags))
	for _, h := range c.Hashtags {
		names = append(names, strings.ToLower(strings.TrimPrefix(h, "#")))
	}
	c.Hashtags = names
	if len(c.Fields) == 0 {
		c.Fields = []string{"caption", "media_type", "media_url", "like_count", "comments_count", "children"}
		if c.Mode == modeAccount {
			c.Fields = append(c.Fields, "ig_id", "shortcode", "media_product_type", "thumbnail_url", "is_comment_enabled", "owner", "username")
		}
	}
	for _, f := range [...]string{"timestamp", "permalink", "id"} {
		if !slices.Contains(c.Fields, f) {
			c.Fields = append([]string{f}, c.Fields...)
		}
	}
	return c
}

func (c Config) validate(env ingest.Env) error {
	wrong := func(what, hint string) error {
		return feedlake.Hint(fmt.Errorf("%s: %w", what, feedlake.ErrConfig), "%s", hint)
	}
	w := env.Window
	switch {
	case c.Mode != modeRecent && c.Mode != modeTop && c.Mode != modeAccount:
		return wrong(fmt.Sprintf("mode %q", c.Mode), "recent, top or account")
	case c.UserID == "" || strings.Trim(c.UserID, "0123456789") != "":
		return wrong(fmt.Sprintf("user_id %q", c.UserID), "the number of the professional account, such as 17841405309211844")
	case c.Mode != modeAccount && len(c.Hashtags) == 0:
		return wrong("no hashtags", "name some, or read an account with mode: account")
	case c.Mode == modeAccount && len(c.Hashtags) > 0:
		return wrong("hashtags in mode account", "use mode recent or top for hashtags")
	case c.Mode != modeAccount && len(c.Insights) > 0:
		return wrong("insights in mode "+c.Mode, "only an account's own media have insights")
	case c.Mode != modeAccount && slices.Contains(c.Fields, "username"):
		return wrong("field username in mode "+c.Mode, "the platform tells no author of media that a hashtag finds")
	case c.Mode == modeTop && w != feedlake.Window{}:
		return wrong("a backfill of mode top", "the most popular media have no order of time")
	case c.Mode == modeRecent && w != feedlake.Window{} && w.Start.Before(env.Now().Add(-reach)):
		return wrong(fmt.Sprintf("a backfill from %s on", w.Start.UTC().Format(time.RFC3339)), "hashtags reach back about 24 hours; what is older cannot be had")
	}
	for _, h := range c.Hashtags {
		if h == "" || strings.ContainsAny(h, "# \t\n") {
			return wrong(fmt.Sprintf("hashtag %q", h), "one word without blanks")
		}
	}
	return unique(c.Hashtags)
}

func unique(names []string) error {
	for i, n := range names {
		if slices.Contains(names[:i], n) {
			return fmt.Errorf("hashtag %s stands there twice: %w", n, feedlake.ErrConfig)
		}
	}
	return nil
}

// base is what every question for media has.
func (c Config) base() url.Values {
	q := url.Values{"fields": {strings.Join(c.Fields, ",")}, "limit": {"50"}}
	if c.Mode != modeAccount {
		q.Set("user_id", c.UserID)
	}
	return q
}
