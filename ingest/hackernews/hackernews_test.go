package hackernews_test

import (
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/hackernews"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// server simulates Hacker News.
func server(faults []serve.Fault, now func() time.Time) (sourcetest.Server, error) {
	return serve.New("hackernews", serve.Options{Seed: 7, Posts: 1500, Days: 5, Faults: faults, Now: now})
}

// configs are one of each mode.
func configs() []hackernews.Config {
	return []hackernews.Config{
		{Settings: api.Settings{BaseURL: "/api/v1"}, Mode: "search", Since: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)},
		{Settings: api.Settings{BaseURL: "/v0"}, Mode: "items", FromItem: 1},
	}
}

func open(t *testing.T, env ingest.Env, url string, c hackernews.Config) ingest.Source {
	t.Helper()
	c.BaseURL = url + c.BaseURL
	src, err := hackernews.Open(t.Context(), env, c)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestConnector(t *testing.T) {
	for _, c := range configs() {
		t.Run(c.Mode, func(t *testing.T) {
			from := func(t *testing.T, env ingest.Env, url string) ingest.Source { return open(t, env, url, c) }
			sourcetest.Connector(t, serve.Passing(), server, from)
			sourcetest.ConnectorFaults(t, serve.Passing(), server, from)
		})
	}
}
