// Package hackernews reads Hacker News without a key: by HN Search of Algolia,
// which finds stories and comments by words and kind, or item by item from
// Firebase, which knows every one.
package hackernews

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
)

// Kind names the source in configurations.
const Kind = "hackernews"

// Config is the "with" block of the source.
type Config struct {
	api.Settings `yaml:",inline"`

	Mode     string        `yaml:"mode"`      // search (default) or items
	Query    string        `yaml:"query"`     // search: words; "" means everything
	Tags     []string      `yaml:"tags"`      // search: any of story, comment, poll, ask_hn, show_hn, author_NAME, story_ID; story and comment when absent
	Since    time.Time     `yaml:"since"`     // where a new cursor begins; a day ago when absent
	FromItem int64         `yaml:"from_item"` // items: where a new cursor begins, and the lowest that a backfill looks at; about an hour ago, and 1, when absent
	Overlap  time.Duration `yaml:"overlap"`   // search: how late an item may show up; 1h when absent
}

// Addresses of the two APIs.
const (
	searchURL = "https://hn.algolia.com/api/v1"
	itemsURL  = "https://hacker-news.firebaseio.com/v0"
)

// Modes.
const (
	modeSearch = "search"
	modeItems  = "items"
)

// Register adds the source to r.
func Register(r ingest.Registry) { ingest.Add(r, Kind, Open) }

// Open checks the configuration and returns the source. Errors wrap
// feedlake.ErrConfig.
func Open(_ context.Context, env ingest.Env, c Config) (ingest.Source, error) {
	c.Mode = cmp.Or(c.Mode, modeSearch)
	if err := c.check(); err != nil {
		return nil, err
	}
	c.Overlap = cmp.Or(c.Overlap, time.Hour)
	if len(c.Tags) == 0 {
		c.Tags = []string{"story", "comment"}
	}
	address := searchURL
	if c.Mode == modeItems {
		address = itemsURL
	}
	o, err := c.Options(env, address, api.Platform{Name: "Hacker News"})
	if err != nil {
		return nil, err
	}
	if c.Mode == modeItems {
		o.Every = itemsPace
		return &items{env: env, cfg: c, client: api.New(o)}, nil
	}
	o.Every = searchPace
	return &search{env: env, cfg: c, client: api.New(o)}, nil
}

// check says what is wrong with the configuration.
func (c *Config) check() error {
	bad := func(what, hint string) error {
		return feedlake.Hint(fmt.Errorf("%s: %w", what, feedlake.ErrConfig), "%s", hint)
	}
	switch {
	case c.Mode != modeSearch && c.Mode != modeItems:
		return bad(fmt.Sprintf("mode %q", c.Mode), "search or items")
	case c.Mode == modeItems && c.Query != "":
		return bad("query in mode items", "items are read one and all: leave query out, or use mode search")
	case c.Mode == modeItems && len(c.Tags) > 0:
		return bad("tags in mode items", "items are read one and all: leave tags out, or use mode search")
	case c.FromItem < 0:
		return bad(fmt.Sprintf("from_item %d", c.FromItem), "items are numbered from 1 on")
	case c.Overlap < 0:
		return bad(fmt.Sprintf("overlap %s", c.Overlap), "such as 1h")
	}
	for _, tag := range c.Tags {
		if tag == "" || strings.ContainsAny(tag, "(), ") {
			return bad(fmt.Sprintf("tags: %q", tag), "any of story, comment, poll, ask_hn, show_hn, author_NAME, story_ID")
		}
	}
	return nil
}

// Shortest times between two requests: HN Search takes 10,000 an hour from one
// address; Firebase sets no limit.
const (
	searchPace = 400 * time.Millisecond
	itemsPace  = 20 * time.Millisecond
)
