// Package x reads X by version 2 of its API: searches of the last seven days or
// of everything, timelines of users, posts by their ids, the filtered stream, and
// compliance jobs, which tell what is gone (docs.x.com/x-api).
//
// X asks a price for every post. All calls are counted at that price, so that the
// budget of the credential holds.
package x

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
)

// Kind names the source in configurations.
const Kind = "x"

// Config is the "with" block of the source.
type Config struct {
	api.Settings `yaml:",inline"`

	Mode       string        `yaml:"mode"`       // recent (default; the last 7 days), all (the archive), users, lookup, stream or compliance
	Query      string        `yaml:"query"`      // recent, all: what to search for, in X's own words: cats lang:en -is:retweet
	Users      []string      `yaml:"users"`      // users: ids or names (@name) of those whose timelines are read; the newest 3,200 posts of each can be had
	IDs        []string      `yaml:"ids"`        // lookup, compliance: ids of posts
	IDsFile    string        `yaml:"ids_file"`   // lookup, compliance: a file with an id a line, in place of ids
	Of         string        `yaml:"of"`         // compliance: the source whose posts they are; without ids all that the lake holds of it
	Subject    string        `yaml:"subject"`    // compliance: posts (default), or users when the ids are those of authors
	Rules      []Rule        `yaml:"rules"`      // stream: what it gives; rules of the app that are not listed are deleted
	Vocabulary string        `yaml:"vocabulary"` // how fields are called: tweet (default) or post
	Since      time.Time     `yaml:"since"`      // recent, all, users: where a new cursor begins; a day ago when absent
	Overlap    time.Duration `yaml:"overlap"`    // recent, all, users: how late a post may show up; 1m when absent. X asks no price for a post read again on the same UTC day
	PageSize   int           `yaml:"page_size"`  // posts a request; the most that X allows when absent
	Listen     time.Duration `yaml:"listen"`     // stream: how long a run listens; 5m when absent
	Flush      time.Duration `yaml:"flush"`      // stream: how long what was heard may wait to be landed; 10s when absent
	Backfill   int           `yaml:"backfill"`   // stream: minutes, up to 5, that a new connection makes up for; only some accounts may
	Every      time.Duration `yaml:"every"`      // compliance: time from the end of a job to the next one; 24h when absent
}

// Rule is a rule of the filtered stream.
type Rule struct {
	Value string `yaml:"value" json:"value"`       // what to give, in the words of a search
	Tag   string `yaml:"tag" json:"tag,omitempty"` // comes with every post that the rule gives, in its payload
}

// keys are the credential's.
type keys struct {
	BearerToken ingest.Secret `yaml:"bearer_token"` // of the app, or the access token of a user (OAuth 2)
}

// Modes.
const (
	modeRecent     = "recent"
	modeAll        = "all"
	modeUsers      = "users"
	modeLookup     = "lookup"
	modeStream     = "stream"
	modeCompliance = "compliance"
)

// Subjects of compliance jobs.
const (
	subjectPosts = "posts"
	subjectUsers = "users"
)

// address is where the API is.
const address = "https://api.x.com/2"

// mode is what differs between the modes.
type mode struct {
	most, least int // posts a request
	every       time.Duration
}

func modes() map[string]mode {
	return map[string]mode{
		modeRecent: {100, 10, 0}, modeAll: {500, 10, time.Second}, modeUsers: {100, 5, 0}, modeLookup: {100, 1, 0}, modeStream: {100, 1, 0}, modeCompliance: {100, 1, 0},
	}
}

// Register adds the source to r.
func Register(r ingest.Registry) { ingest.Add(r, Kind, Open) }

// Open checks the configuration and returns the source. Errors wrap
// feedlake.ErrConfig.
func Open(_ context.Context, env ingest.Env, c Config) (ingest.Source, error) {
	c.Mode = cmp.Or(c.Mode, modeRecent)
	m, ok := modes()[c.Mode]
	if !ok {
		return nil, feedlake.Hint(fmt.Errorf("mode %q: %w", c.Mode, feedlake.ErrConfig), "recent, all, users, lookup, stream or compliance")
	}
	c.Overlap, c.PageSize = cmp.Or(c.Overlap, time.Minute), cmp.Or(c.PageSize, m.most)
	c.Flush = cmp.Or(c.Flush, ingest.DefaultFlush)
	c.Subject = cmp.Or(c.Subject, subjectPosts)
	c.Vocabulary, c.Listen, c.Every = cmp.Or(c.Vocabulary, "tweet"), cmp.Or(c.Listen, 5*time.Minute), cmp.Or(c.Every, 24*time.Hour)
	if err := c.check(env, m); err != nil {
		return nil, err
	}
	o, err := c.options(env, m)
	if err != nil {
		return nil, err
	}
	a := &asker{env: env, cfg: c, client: api.New(o), o: o}
	switch c.Mode {
	case modeLookup:
		ids, err := c.ids(env)
		return &lookup{asker: a, ids: ids}, err
	case modeStream:
		return &stream{asker: a, stall: stall, flow: api.NewFlow(o, "stream", api.Price{Post: pricePost})}, nil
	case modeCompliance:
		return newCompliance(a)
	case modeUsers:
		return &listing{asker: a, feeds: timelines(c)}, nil
	}
	return &search{listing{asker: a, feeds: []feed{{key: "search", path: "tweets/search/" + c.Mode, query: c.Query}}}}, nil
}

// check wants what the mode needs.
func (c Config) check(env ingest.Env, m mode) error {
	wrong := func(what, hint string) error {
		return feedlake.Hint(fmt.Errorf("%s: %w", what, feedlake.ErrConfig), "%s", hint)
	}
	searches := c.Mode == modeRecent || c.Mode == modeAll
	takesIDs := c.Mode == modeLookup || c.Mode == modeCompliance && c.Of == ""
	switch {
	case searches && strings.TrimSpace(c.Query) == "":
		return wrong("query is missing", "such as: cats lang:en -is:retweet")
	case c.Mode == modeUsers && len(c.Users) == 0:
		return wrong("users are missing", "give ids of users, or names such as @name")
	case takesIDs && (len(c.IDs) == 0) == (c.IDsFile == ""):
		return wrong("ids", "give either ids or ids_file; for compliance, of: SOURCE asks for all that the lake holds of it")
	case len(c.IDs) > 0 && c.IDsFile != "":
		return wrong("ids and ids_file", "give one of them")
	case c.Subject != subjectPosts && c.Subject != subjectUsers:
		return wrong(fmt.Sprintf("subject %q", c.Subject), "posts or users")
	case c.Mode == modeStream && len(c.Rules) == 0:
		return wrong("rules are missing", "the stream gives what its rules say: rules: [{value: cats lang:en}]")
	case c.Flush < time.Second:
		return wrong("flush "+c.Flush.String(), "a time, such as 10s")
	case c.Mode == modeStream && (c.Backfill < 0 || c.Backfill > 5):
		return wrong(fmt.Sprintf("backfill %d", c.Backfill), "0 to 5 minutes")
	case (c.Mode == modeStream || c.Mode == modeCompliance) && env.Window != (feedlake.Window{}):
		return wrong("mode "+c.Mode+" has no past to backfill", "backfill with mode recent or all")
	case c.Vocabulary != "tweet" && c.Vocabulary != "post":
		return wrong(fmt.Sprintf("vocabulary %q", c.Vocabulary), "tweet or post")
	case c.PageSize < m.least || c.PageSize > m.most:
		return wrong(fmt.Sprintf("page_size %d", c.PageSize), fmt.Sprintf("%d to %d in mode %s", m.least, m.most, c.Mode))
	case env.Secrets == nil:
		return wrong("no credential", "give the source a credential with a bearer_token")
	}
	for _, id := range c.IDs {
		if !isID(id) {
			return wrong(fmt.Sprintf("id %.30q", id), "ids are numbers")
		}
	}
	for _, user := range c.Users {
		if !isID(user) && !named.MatchString(user) {
			return wrong(fmt.Sprintf("user %.30q", user), "ids are numbers, names have up to 15 letters, digits and _")
		}
	}
	return nil
}

// options are those of a client that signs with the bearer token.
func (c Config) options(env ingest.Env, m mode) (api.Options, error) {
	var k keys
	if err := env.Secrets(&k); err != nil {
		return api.Options{}, err
	}
	if k.BearerToken == "" {
		return api.Options{}, feedlake.Hint(fmt.Errorf("bearer_token is missing: %w", feedlake.ErrConfig), "the developer console of X shows it, under keys and tokens of the app")
	}
	o, err := c.Options(env, address, api.Platform{Name: "X", Limit: limit, Fault: fault})
	if err != nil {
		return o, err
	}
	o.Every = m.every
	o.Sign = func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+k.BearerToken.Reveal())
		return nil
	}
	return o, nil
}

// ids are those that the configuration lists, or its file.
func (c Config) ids(env ingest.Env) ([]string, error) {
	if c.IDsFile == "" {
		return c.IDs, nil
	}
	path := c.IDsFile
	if !filepath.IsAbs(path) {
		path = filepath.Join(env.Base, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("ids_file: %w: %w", err, feedlake.ErrConfig)
	}
	defer func() { _ = f.Close() }()
	var ids []string
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		id := strings.Trim(lines.Text(), " \t\r\"\ufeff")
		switch {
		case id == "" || n == 1 && id == "id": // a table of one column has a head
		case !isID(id):
			return nil, fmt.Errorf("ids_file: line %d: %.30q is no id: %w", n, id, feedlake.ErrConfig)
		default:
			ids = append(ids, id)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("ids_file: %w", err)
	}
	return ids, nil
}
