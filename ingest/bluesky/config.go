// Package bluesky reads Bluesky: what a search finds, what accounts post, or
// everything, as Jetstream streams it.
package bluesky

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
)

// Kind names the source in configurations.
const Kind = "bluesky"

// Config is the "with" block of the source.
type Config struct {
	api.Settings `yaml:",inline"`

	Mode    string        `yaml:"mode"`    // search (default), author or jetstream
	Since   time.Time     `yaml:"since"`   // where a new cursor begins; a day ago when absent
	Overlap time.Duration `yaml:"overlap"` // how late a post may show up; 10m when absent

	Query  string   `yaml:"query"`  // search: words, in Lucene's syntax; needed
	Lang   string   `yaml:"lang"`   // search: posts in a language, such as en
	Author string   `yaml:"author"` // search: posts of an account, by handle or DID
	Tags   []string `yaml:"tags"`   // search: posts with all these hashtags, without '#'

	Actors []string `yaml:"actors"` // author: the accounts, by handle or DID
	Filter string   `yaml:"filter"` // author: posts_with_replies (default), posts_no_replies, posts_with_media, posts_and_author_threads or posts_with_video

	Version     int           `yaml:"version"`     // jetstream: 1 (/subscribe, default) or 2 (network.bsky.jetstream.subscribeEvents)
	Collections []string      `yaml:"collections"` // jetstream: kinds of record; app.bsky.feed.post and app.bsky.feed.repost when absent
	DIDs        []string      `yaml:"dids"`        // jetstream: the accounts; all when absent
	MaxTime     time.Duration `yaml:"max_time"`    // jetstream: ends a run that has not caught up; 30m when absent
	Idle        time.Duration `yaml:"idle"`        // jetstream: silence after which a stream counts as read; 30s when absent
}

// Secrets are the keys of a credential. An app password is made in the settings
// of the account.
type Secrets struct {
	Identifier  string        `yaml:"identifier"`   // handle or e-mail address
	AppPassword ingest.Secret `yaml:"app_password"` // never the account's own
}

// Modes.
const (
	modeSearch    = "search"
	modeAuthor    = "author"
	modeJetstream = "jetstream"
)

// Addresses of the services.
const (
	serviceURL   = "https://bsky.social"
	publicURL    = "https://public.api.bsky.app"
	jetstreamURL = "https://jetstream2.us-east.bsky.network"
)

// Register adds the source to r. All sources that r opens share their sessions:
// a server makes 300 a day for an account.
func Register(r ingest.Registry) {
	all := &sessions{}
	ingest.Add(r, Kind, func(ctx context.Context, env ingest.Env, c Config) (ingest.Source, error) {
		return open(ctx, env, c, all)
	})
}

// Open checks the configuration and returns the source, with a session of its
// own. Errors wrap feedlake.ErrConfig.
func Open(ctx context.Context, env ingest.Env, c Config) (ingest.Source, error) {
	return open(ctx, env, c, &sessions{})
}

func open(_ context.Context, env ingest.Env, c Config, all *sessions) (ingest.Source, error) {
	c.Mode = cmp.Or(c.Mode, modeSearch)
	c.Overlap = cmp.Or(c.Overlap, 10*time.Minute)
	switch c.Mode {
	case modeSearch:
		return openSearch(env, c, all)
	case modeAuthor:
		return openAuthor(env, c)
	case modeJetstream:
		return openStream(env, c)
	}
	return nil, feedlake.Hint(fmt.Errorf("mode %q: %w", c.Mode, feedlake.ErrConfig), "search, author or jetstream")
}

func openSearch(env ingest.Env, c Config, all *sessions) (ingest.Source, error) {
	if c.Query == "" {
		return nil, feedlake.Hint(fmt.Errorf("query is missing: %w", feedlake.ErrConfig), "searchPosts wants words")
	}
	var keys Secrets
	if env.Secrets != nil {
		if err := env.Secrets(&keys); err != nil {
			return nil, fmt.Errorf("credential: %w", err)
		}
	}
	if keys.Identifier == "" || keys.AppPassword == "" {
		return nil, feedlake.Hint(fmt.Errorf("no identifier and app_password: %w", feedlake.ErrConfig), "Bluesky lets nobody search without an account: make an app password in its settings")
	}
	o, err := c.Options(env, serviceURL, platform())
	if err != nil {
		return nil, err
	}
	s := all.of(o, keys)
	o.Sign = s.sign
	return &search{env: env, cfg: c, sleep: o.Sleep, client: &client{api: api.New(o), session: s}}, nil
}

func openAuthor(env ingest.Env, c Config) (ingest.Source, error) {
	if len(c.Actors) == 0 {
		return nil, feedlake.Hint(fmt.Errorf("actors are missing: %w", feedlake.ErrConfig), "list handles or DIDs")
	}
	c.Filter = cmp.Or(c.Filter, "posts_with_replies")
	o, err := c.Options(env, publicURL, platform())
	if err != nil {
		return nil, err
	}
	return &feeds{env: env, cfg: c, client: &client{api: api.New(o)}}, nil
}

// first is where a new cursor begins.
func (c Config) first(env ingest.Env) time.Time {
	switch {
	case !env.Window.Start.IsZero():
		return env.Window.Start
	case !c.Since.IsZero():
		return c.Since
	}
	return env.Now().Add(-24 * time.Hour).Truncate(time.Second)
}
