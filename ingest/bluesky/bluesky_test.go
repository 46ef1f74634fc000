package bluesky_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/bluesky"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// since is before everything that the simulator holds.
var since = time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)

// server simulates Bluesky.
func server(faults []serve.Fault, now func() time.Time) (sourcetest.Server, error) {
	return serve.New("bluesky", serve.Options{Seed: 7, Posts: 600, Days: 3, Faults: faults, Now: now})
}

// keys decodes the credential of a test.
func keys(password ingest.Secret) ingest.Decoder {
	return func(v any) error {
		to, ok := v.(*bluesky.Secrets)
		if !ok {
			return fmt.Errorf("keys for %T", v)
		}
		*to = bluesky.Secrets{Identifier: "someone.bsky.social", AppPassword: password}
		return nil
	}
}

// actors are the accounts of the simulator.
func actors(t *testing.T) []string {
	s, err := server(nil, sourcetest.NewClock().Now)
	if err != nil {
		t.Fatal(err)
	}
	return accounts(s.All())
}

// accounts are those that wrote some posts.
func accounts(ids []string) []string {
	dids := map[string]bool{}
	for _, id := range ids {
		did, _, _ := strings.Cut(strings.TrimPrefix(id, "at://"), "/")
		dids[did] = true
	}
	return slices.Sorted(maps.Keys(dids))
}

// configs are one of each mode.
func configs(t *testing.T) map[string]bluesky.Config {
	return map[string]bluesky.Config{
		"search":       {Query: "*", Since: since},
		"author":       {Mode: "author", Actors: actors(t), Since: since},
		"jetstream v1": {Mode: "jetstream", Since: since},
		"jetstream v2": {Mode: "jetstream", Version: 2, Since: since},
	}
}

func open(t *testing.T, env ingest.Env, c bluesky.Config, url string) ingest.Source {
	t.Helper()
	c.Settings = api.Settings{BaseURL: url}
	if env.Secrets == nil {
		env.Secrets = keys("app-password")
	}
	src, err := bluesky.Open(t.Context(), env, c)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// TestConnector holds every mode to the contract; TestWholeConnector with each
// fault alone.
func TestConnector(t *testing.T) { connector(t, sourcetest.Connector[serve.Fault]) }

func TestWholeConnector(t *testing.T) { connector(t, sourcetest.ConnectorFaults[serve.Fault]) }

func connector(t *testing.T, hold sourcetest.Contract[serve.Fault]) {
	t.Helper()
	for name, c := range configs(t) {
		t.Run(name, func(t *testing.T) {
			hold(t, serve.Passing(), server, func(t *testing.T, env ingest.Env, url string) ingest.Source {
				if c.Mode == "jetstream" { // a run begins later than the one before it
					if err := env.Sleep(context.Background(), 2*time.Second); err != nil {
						t.Fatal(err)
					}
				}
				return open(t, env, c, url)
			})
		})
	}
}

func TestContract(t *testing.T) {
	for name, c := range configs(t) {
		t.Run(name, func(t *testing.T) {
			if c.Mode == "author" {
				c.Actors = c.Actors[:5]
			}
			clock := sourcetest.NewClock()
			url := serving(t, nil, clock.Now)
			sourcetest.Run(t, func(t *testing.T) ingest.Source { return open(t, clock.Env(t, "source"), c, url) })
		})
	}
}

func TestOpen(t *testing.T) {
	for name, c := range map[string]bluesky.Config{
		"no query":  {},
		"no actors": {Mode: "author"},
		"mode":      {Mode: "firehose"},
		"version":   {Mode: "jetstream", Version: 3},
		"address":   {Mode: "jetstream", Settings: api.Settings{BaseURL: "ftp://x"}},
		"keys":      {Query: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bluesky.Open(t.Context(), sourcetest.NewClock().Env(t, "source"), c)
			wants(t, err, feedlake.ErrConfig)
		})
	}
}
