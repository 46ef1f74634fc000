// Package mastodon reads public timelines and those of hashtags from a server
// that speaks Mastodon's API (docs.joinmastodon.org/methods/timelines), page by
// page or as a stream. It reads without a token where the server lets everybody.
package mastodon

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	wire "github.com/feedlake/feedlake/ingest/wire/mastodon"
)

// Kind names the source in configurations.
const Kind = "mastodon"

// Config is the "with" block of the source.
type Config struct {
	api.Settings `yaml:",inline"`

	Server string   `yaml:"server"` // name of the server, such as mastodon.social, which ids are of; that of base_url when absent
	Mode   string   `yaml:"mode"`   // public: the timeline of all; tag: that of a hashtag; tag when a tag is given, else public
	Stream bool     `yaml:"stream"` // listen to the stream, after reading what was posted since; needs a user's token
	Tag    string   `yaml:"tag"`    // tag: without '#'
	Any    []string `yaml:"any"`    // tag: or one of these; about 4 at most
	All    []string `yaml:"all"`    // tag: and all of these
	None   []string `yaml:"none"`   // tag: and none of these

	Local     bool `yaml:"local"`      // only what was posted on the server itself
	Remote    bool `yaml:"remote"`     // only what came from others
	OnlyMedia bool `yaml:"only_media"` // only what has pictures, films or sound

	Since   time.Time     `yaml:"since"`   // where a new cursor begins; a day ago when absent
	Overlap time.Duration `yaml:"overlap"` // how late a post of another server may show up, below those already read: they are looked for again; 1h when absent, as servers that could not be reached deliver later; below 0: none
	Listen  time.Duration `yaml:"listen"`  // stream: how long one run listens; 1m when absent
	Flush   time.Duration `yaml:"flush"`   // stream: how long what was heard may wait to be landed; 10s when absent
}

// Keys are the secrets of a credential.
type Keys struct {
	AccessToken ingest.Secret `yaml:"access_token"` // a user's access token, of scope read
}

// Modes.
const (
	modePublic = "public"
	modeTag    = "tag"
)

// Register adds the source to r.
func Register(r ingest.Registry) { ingest.Add(r, Kind, Open) }

// Open checks the configuration and returns the source. Errors wrap
// feedlake.ErrConfig.
func Open(_ context.Context, env ingest.Env, c Config) (ingest.Source, error) {
	var keys Keys
	if env.Secrets != nil {
		if err := env.Secrets(&keys); err != nil {
			return nil, fmt.Errorf("read credential: %w", err)
		}
	}
	c, err := c.checked(keys)
	if err != nil {
		return nil, err
	}
	o, err := c.Options(env, "https://"+c.Server, api.Platform{Name: "Mastodon", Limit: limit, Fault: fault})
	if err != nil {
		return nil, err
	}
	if keys.AccessToken != "" {
		o.Sign = func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+keys.AccessToken.Reveal())
			return nil
		}
	}
	s := &source{env: env, cfg: c, client: api.New(o), signed: keys.AccessToken != ""}
	if !c.Stream || env.Window != (feedlake.Window{}) { // a stream knows nothing of the past
		return s, nil
	}
	return &stream{source: s, seen: map[string]sighting{}, o: o, flow: api.NewFlow(o, "streaming", api.Price{})}, nil
}

func (c Config) checked(keys Keys) (Config, error) {
	bad := func(hint, format string, args ...any) error {
		return feedlake.Hint(fmt.Errorf(format+": %w", append(args, feedlake.ErrConfig)...), "%s", hint)
	}
	if c.Mode == "" && c.Tag != "" {
		c.Mode = modeTag
	}
	c.Mode = cmp.Or(c.Mode, modePublic)
	c.Overlap, c.Listen = max(0, cmp.Or(c.Overlap, time.Hour)), cmp.Or(c.Listen, time.Minute)
	c.Flush = cmp.Or(c.Flush, ingest.DefaultFlush)
	if u, err := url.Parse(c.BaseURL); c.Server == "" && err == nil {
		c.Server = u.Host
	}
	if u, err := url.Parse("https://" + c.Server); c.Server == "" || err != nil || u.Host != c.Server {
		return c, bad("name it alone, such as mastodon.social", "server %q", c.Server)
	}
	switch {
	case c.Mode != modePublic && c.Mode != modeTag:
		return c, bad("public or tag", "mode %q", c.Mode)
	case c.Mode == modeTag && c.Tag == "":
		return c, bad("name a hashtag, without '#'", "mode tag without tag")
	case c.Mode == modePublic && (c.Tag != "" || len(c.Any)+len(c.All)+len(c.None) > 0):
		return c, bad("leave mode out, or say tag", "mode public with tags")
	case c.Flush < time.Second || c.Listen < 0:
		return c, bad("listen and flush are times, such as 5m and 10s", "flush %s, listen %s", c.Flush, c.Listen)
	case c.Local && c.Remote:
		return c, bad("one of the two, or none for both", "local and remote")
	case c.Stream && keys.AccessToken == "":
		return c, bad("streams want a user's token since Mastodon 4.2: give the source a credential", "stream without a token")
	case c.Stream && len(c.Any)+len(c.All)+len(c.None) > 0:
		return c, bad("a stream is of one tag", "stream with any, all or none")
	case c.Stream && c.Mode == modeTag && (c.Remote || c.OnlyMedia):
		return c, bad("a tag's stream is of all, or local", "stream of a tag with remote or only_media")
	}
	return c, nil
}

// path is that of the timeline.
func (c Config) path() string {
	if c.Mode == modeTag {
		return "api/v1/timelines/tag/" + url.PathEscape(c.Tag)
	}
	return "api/v1/timelines/public"
}

// question asks the timeline for a page.
func (c Config) question(posts int) url.Values {
	q := url.Values{"limit": {strconv.Itoa(posts)}}
	for name, set := range map[string]bool{"local": c.Local, "remote": c.Remote, "only_media": c.OnlyMedia} {
		if set {
			q.Set(name, "true")
		}
	}
	for name, tags := range map[string][]string{"any[]": c.Any, "all[]": c.All, "none[]": c.None} {
		if len(tags) > 0 {
			q[name] = tags
		}
	}
	return q
}

// asked is what posts were found by.
func (c Config) asked() string {
	if c.Mode == modeTag {
		return "#" + c.Tag
	}
	return ""
}

// late is the least id of posts that may still come, below one that was read.
func (c Config) late(id string) string {
	at, ok := wire.TimeOf(id)
	if !ok || c.Overlap == 0 {
		return id
	}
	return wire.IDAt(at.Add(-c.Overlap))
}
