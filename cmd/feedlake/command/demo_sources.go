package command

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/feedlake/feedlake/ingest/simulate/serve"
)

// Simulated networks of the demo: always the same posts, so that a second demo
// adds nothing.
const (
	networksSeed  = 7 // of the first; each talks of something else
	networksDays  = 14
	networksPosts = 30_000 // of all six
)

// networksEnd is the end of the last simulated day.
func networksEnd() time.Time { return time.Date(2026, 1, 26, 0, 0, 0, 0, time.UTC) }

// networksFaults strike while the demo reads.
func networksFaults() []serve.Fault { return []serve.Fault{serve.Expire} }

// networksSettings are the variables of the config: what to ask for, everything
// where that can be said, and as whom. Simulators take every key.
func networksSettings() map[string]string {
	return map[string]string{
		"SINCE":         networksEnd().AddDate(0, 0, -networksDays).Format(time.RFC3339),
		"BLUESKY_QUERY": "*", "BLUESKY_IDENTIFIER": "demo.example", "BLUESKY_APP_PASSWORD": "simulated",
		"INSTAGRAM_ACCESS_TOKEN": "simulated", "INSTAGRAM_USER_ID": serve.InstagramUser, "INSTAGRAM_HASHTAG": serve.InstagramTag, "INSTAGRAM_MODE": "top",
		"MASTODON_ACCESS_TOKEN": "simulated", "MASTODON_SERVER": "social.example",
		"REDDIT_CLIENT_ID": "simulated", "REDDIT_CLIENT_SECRET": "simulated", "REDDIT_USER": "demo", "REDDIT_SUBREDDIT": "all",
		"X_BEARER_TOKEN": "simulated", "X_MODE": "all", "X_QUERY": "-is:nullcast",
	}
}

// demoSources starts a simulator for every network and runs the whole path over
// all of them, with the config that asks the real ones.
func (o *options) demoSources(ctx context.Context, posts int) (err error) {
	names := serve.Platforms()
	set := networksSettings()
	for i, name := range names {
		s, err := serve.New(name, serve.Options{
			Seed: networksSeed + uint64(i), Posts: int64(max(1, posts/len(names))), Days: networksDays, End: networksEnd(), Faults: networksFaults(), Now: o.env.now,
		})
		if err != nil {
			return err
		}
		url, stop, err := listen(ctx, s)
		if err != nil {
			return fmt.Errorf("simulate %s: %w", name, err)
		}
		defer func() { err = errors.Join(err, stop()) }()
		set[strings.ToUpper(name)+"_URL"] = url
	}
	set["REDDIT_TOKEN_URL"] = set["REDDIT_URL"]
	return o.demo(ctx, demoAt{config: sourcesConfig + demoSourcesMore, dir: "sources-lake", getenv: func(name string) (string, bool) {
		v, ok := set[name]
		return v, ok
	}})
}

// demoSourcesMore is what the demo adds to the config of the networks.
const demoSourcesMore = `
models:
  sentiment: {gate: {macro_recall: 0.60}}
`

// listen serves on a free port of this machine until stop.
func listen(ctx context.Context, h http.Handler) (url string, stop func() error, err error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	return "http://" + l.Addr().String(), func() error {
		err := server.Close()
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}
