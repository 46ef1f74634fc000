// Package reddit reads Reddit by its API (www.reddit.com/dev/api): the new posts
// or comments of subreddits, searches, top lists, and the comments of single
// submissions.
//
// A listing of Reddit ends after about 1000 items. What lies behind that wall is
// looked for in other listings of the same time, the top and controversial ones,
// or other orders of a search: they hold a part of it. The log says what may be
// missing.
package reddit

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
)

// Kind names the source in configurations.
const Kind = "reddit"

// Config is the "with" block of the source.
type Config struct {
	api.Settings `yaml:",inline"`

	Mode        string        `yaml:"mode"`        // new (default), comments, search, top or tree
	Subreddits  []string      `yaml:"subreddits"`  // names, such as golang; search: all of Reddit when absent
	Query       string        `yaml:"query"`       // search: words in Reddit's own syntax
	Submissions []string      `yaml:"submissions"` // tree: ids of submissions, such as t3_1jpihf, whose comments are read
	Periods     []string      `yaml:"periods"`     // top: lists of the last hour, day, week, month, year or of all; day when absent
	Since       time.Time     `yaml:"since"`       // new, comments, search: where a new cursor begins; a day ago when absent
	Overlap     time.Duration `yaml:"overlap"`     // new, comments, search: how late a post may show up, as moderators let it through; 1h when absent
	StayInside  bool          `yaml:"stay_inside"` // do not go round the wall of 1000 items
	UserAgent   string        `yaml:"user_agent"`  // <platform>:<app id>:<version> (by /u/<user>), as Reddit demands
	TokenURL    string        `yaml:"token_url"`   // where tokens are given; below base_url when that is set, else www.reddit.com
}

// Keys are what the credential holds. With a name and a password the app is a
// script of that user, else it acts by itself.
type Keys struct {
	ClientID     string        `yaml:"client_id"`
	ClientSecret ingest.Secret `yaml:"client_secret"`
	Username     string        `yaml:"username"`
	Password     ingest.Secret `yaml:"password"`
}

// Addresses of the API and of what gives tokens for it.
const (
	apiURL   = "https://oauth.reddit.com"
	loginURL = "https://www.reddit.com"
)

// Modes.
const (
	modeNew      = "new"
	modeComments = "comments"
	modeSearch   = "search"
	modeTop      = "top"
	modeTree     = "tree"
)

// periods are the values of t, shortest first; 0 is all.
var periods = [...]struct {
	name   string
	length time.Duration
}{
	{"hour", time.Hour}, {"day", 24 * time.Hour}, {"week", 7 * 24 * time.Hour}, {"month", 30 * 24 * time.Hour}, {"year", 365 * 24 * time.Hour}, {"all", 0},
}

// Register adds the source to r. All sources that r opens share their tokens.
func Register(r ingest.Registry) {
	all := &logins{}
	ingest.Add(r, Kind, func(_ context.Context, env ingest.Env, c Config) (ingest.Source, error) { return open(env, c, all) })
}

// Open checks the configuration and the keys, without asking Reddit, and returns
// the source, with a token of its own. Errors wrap feedlake.ErrConfig.
func Open(_ context.Context, env ingest.Env, c Config) (ingest.Source, error) {
	return open(env, c, &logins{})
}

func open(env ingest.Env, c Config, all *logins) (ingest.Source, error) {
	c.Mode = cmp.Or(c.Mode, modeNew)
	c.Overlap = cmp.Or(c.Overlap, time.Hour)
	if len(c.Periods) == 0 {
		c.Periods = []string{"day"}
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	var keys Keys
	if env.Secrets != nil {
		if err := env.Secrets(&keys); err != nil {
			return nil, fmt.Errorf("read keys of credential %s: %w", env.Credential, err)
		}
	}
	if keys.ClientID == "" || keys.ClientSecret == "" || (keys.Username == "") != (keys.Password == "") {
		return nil, feedlake.Hint(fmt.Errorf("credential %q: no keys for Reddit: %w", env.Credential, feedlake.ErrConfig),
			"a credential with client_id and client_secret, for a script also username and password; new keys need Reddit's approval since November 2025")
	}
	client, login, err := connect(env, c, keys, all)
	if err != nil {
		return nil, err
	}
	return &source{env: env, cfg: c, client: client, login: login, feeds: c.feeds()}, nil
}

var (
	userAgent  = regexp.MustCompile(`^[^\s:]+:[^\s:]+:[^\s:]+ \(by /?u/[\w-]+\)$`)
	subreddit  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_]{1,20}$|^u_[\w-]+$`)
	submission = regexp.MustCompile(`^(t3_)?[0-9a-z]{1,13}$`)
)

func (c Config) check() error {
	bad := func(hint, format string, args ...any) error {
		return feedlake.Hint(fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), feedlake.ErrConfig), "%s", hint)
	}
	if !userAgent.MatchString(c.UserAgent) {
		return bad("such as linux:org.example.feeds:v1.0 (by /u/yourname): Reddit turns others away", "user_agent %q", c.UserAgent)
	}
	for _, name := range c.Subreddits {
		if !subreddit.MatchString(name) {
			return bad("the name alone, such as golang", "subreddit %q", name)
		}
	}
	for _, id := range c.Submissions {
		if !submission.MatchString(id) {
			return bad("the id alone, such as t3_1jpihf", "submission %q", id)
		}
	}
	for _, name := range c.Periods {
		if period(name) < 0 {
			return bad("some of hour, day, week, month, year and all", "period %q", name)
		}
	}
	switch c.Mode {
	case modeNew, modeComments, modeTop:
		if len(c.Subreddits) == 0 {
			return bad("name some, or all", "mode %s without subreddits", c.Mode)
		}
	case modeSearch:
		if c.Query == "" {
			return bad("say what to look for", "mode search without query")
		}
	case modeTree:
		if len(c.Submissions) == 0 {
			return bad("name their ids", "mode tree without submissions")
		}
	default:
		return bad("new, comments, search, top or tree", "mode %q", c.Mode)
	}
	return nil
}

// period is the place of a value of t among periods; -1: there is none.
func period(name string) int {
	for i, p := range periods {
		if p.name == name {
			return i
		}
	}
	return -1
}

// feed is one thing to read.
type feed struct {
	key  string // its name in cursors, and Post.Query
	path string // of its listing
	sub  string // path of the subreddit
	root string // tree: the submission, without prefix
}

// feeds are what the configuration wants read, each once.
func (c Config) feeds() []feed {
	var out []feed
	add := func(f feed) {
		if !slices.ContainsFunc(out, func(g feed) bool { return g.key == f.key }) {
			out = append(out, f)
		}
	}
	if c.Mode == modeTree {
		for _, id := range c.Submissions {
			id = strings.TrimPrefix(id, "t3_")
			add(feed{key: "comments/" + id, path: "comments/" + id, root: id})
		}
		return out
	}
	subs := c.Subreddits
	if len(subs) == 0 {
		subs = []string{"all"}
	}
	for _, name := range subs {
		sub := "r/" + strings.ToLower(name)
		f := feed{key: sub + "/" + c.Mode, path: sub + "/" + c.Mode, sub: sub}
		if c.Mode == modeSearch {
			f.key += "?q=" + c.Query
		}
		add(f)
	}
	return out
}
