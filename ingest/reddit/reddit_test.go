package reddit_test

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/reddit"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

const agent = "linux:org.example.feedlake:v1.0 (by /u/someone)"

func only(ids []string, keep func(string) bool) []string {
	var out []string
	for _, id := range ids {
		if keep(id) {
			out = append(out, id)
		}
	}
	return out
}

func start(posts int64, reads func(id string) bool) func([]serve.Fault, func() time.Time) (sourcetest.Server, error) {
	return func(faults []serve.Fault, now func() time.Time) (sourcetest.Server, error) {
		s, err := serve.New("reddit", serve.Options{Seed: 7, Posts: posts, Days: 5, Faults: faults, Now: now})
		return sourcetest.Part{Server: s, Reads: reads}, err
	}
}

func isPost(id string) bool    { return strings.HasPrefix(id, "t3_") }
func isComment(id string) bool { return strings.HasPrefix(id, "t1_") }

func keys(k reddit.Keys) ingest.Decoder {
	return func(v any) error {
		*v.(*reddit.Keys) = k //nolint:errcheck // what the source asks for
		return nil
	}
}

func app() ingest.Decoder {
	return keys(reddit.Keys{ClientID: "simulated-id", ClientSecret: "simulated-secret"})
}

func script() ingest.Decoder {
	return keys(reddit.Keys{ClientID: "simulated-id", ClientSecret: "simulated-secret", Username: "simulated-user", Password: "simulated-password"})
}

func open(t *testing.T, env ingest.Env, url string, c reddit.Config) ingest.Source {
	t.Helper()
	if env.Secrets == nil {
		env.Secrets = app()
	}
	c.Settings = api.Settings{BaseURL: url}
	c.UserAgent = agent
	src, err := reddit.Open(t.Context(), env, c)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func since() time.Time { return time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC) }

var subs = []string{"simnews", "simmusic", "simtech"}

// modes are configurations that read all of a simulated Reddit, or all of a kind.
func modes() map[string]struct {
	config reddit.Config
	posts  int64
	reads  func(string) bool
} {
	return map[string]struct {
		config reddit.Config
		posts  int64
		reads  func(string) bool
	}{
		"new":      {reddit.Config{Subreddits: subs, Since: since()}, 1500, isPost},
		"all":      {reddit.Config{Subreddits: []string{"all"}, Since: since()}, 900, isPost},
		"comments": {reddit.Config{Mode: "comments", Subreddits: subs, Since: since()}, 3000, isComment},
		"search":   {reddit.Config{Mode: "search", Subreddits: subs[:1], Query: "subreddit:simnews", Since: since()}, 1500, nil},
		"top":      {reddit.Config{Mode: "top", Subreddits: subs, Periods: []string{"day", "week"}}, 900, isPost},
	}
}

// TestConnector holds every mode to the contract; TestWholeConnector with each
// fault alone.
func TestConnector(t *testing.T) { connector(t, sourcetest.Connector[serve.Fault]) }

func TestWholeConnector(t *testing.T) { connector(t, sourcetest.ConnectorFaults[serve.Fault]) }

func connector(t *testing.T, hold sourcetest.Contract[serve.Fault]) {
	t.Helper()
	for name, m := range modes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if m.reads == nil {
				m.reads = inNews(t, m.posts)
			}
			hold(t, serve.Passing(), start(m.posts, m.reads), func(t *testing.T, env ingest.Env, url string) ingest.Source {
				return open(t, env, url, m.config)
			})
		})
	}
}

// inNews knows the submissions of one subreddit.
func inNews(t *testing.T, posts int64) func(string) bool {
	t.Helper()
	known := map[string]bool{}
	for i, id := range newSite(t, posts).All() {
		known[id] = isPost(id) && i%3 == 0
	}
	return func(id string) bool { return known[id] }
}

// trees are submissions that have comments and are not deleted by any fault, and
// what belongs to them: read with a listing of comments, which names them.
func trees(t *testing.T, posts int64) (submissions []string, reads func(string) bool) {
	t.Helper()
	s := newSite(t, posts)
	stays := map[string]bool{}
	for i, id := range s.All() {
		stays[id] = i%97 != 13
	}
	for _, id := range s.All() {
		stays[id] = stays[id] && slices.Contains(s.Live(), id)
	}
	comments, _, _ := sourcetest.Drain(t, open(t, s.env(t), s.url, reddit.Config{Mode: "comments", Subreddits: subs, Since: since()}), "")
	known := map[string]bool{}
	for _, p := range comments {
		root := gjson.Get(p.Payload, "link_id").String()
		if stays[root] {
			known[p.ID], known[root] = true, true
		}
	}
	for _, id := range s.All() {
		if isPost(id) && known[id] {
			submissions = append(submissions, id)
		}
	}
	return submissions, func(id string) bool { return known[id] }
}

func TestConnectorTree(t *testing.T) {
	t.Parallel()
	connectorTree(t, sourcetest.Connector[serve.Fault])
}

func TestWholeConnectorTree(t *testing.T) {
	t.Parallel()
	connectorTree(t, sourcetest.ConnectorFaults[serve.Fault])
}

func connectorTree(t *testing.T, hold sourcetest.Contract[serve.Fault]) {
	t.Helper()
	const posts = 240
	submissions, reads := trees(t, posts)
	c := reddit.Config{Mode: "tree", Submissions: submissions}
	hold(t, serve.Passing(), start(posts, reads), func(t *testing.T, env ingest.Env, url string) ingest.Source { return open(t, env, url, c) })
	t.Run("contract", func(t *testing.T) { contract(t, posts, c) })
}

// TestContract holds the modes to the contract of sources.
func TestContract(t *testing.T) {
	for name, m := range modes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			contract(t, 700, m.config)
		})
	}
}

// contract runs the contract. The source's clock stands still; the server's moves
// with the waits for its limit.
func contract(t *testing.T, posts int64, c reddit.Config) {
	clock := sourcetest.NewClock()
	still := clock.Now()
	s, err := serve.New("reddit", serve.Options{Seed: 7, Posts: posts, Days: 5, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	sourcetest.Run(t, func(t *testing.T) ingest.Source {
		env := clock.Env(t, "source")
		env.Now = func() time.Time { return still }
		return open(t, env, server.URL, c)
	})
}
