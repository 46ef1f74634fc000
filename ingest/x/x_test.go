package x_test

import (
	"context"
	"maps"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
	"github.com/feedlake/feedlake/ingest/x"
)

// server simulates X, as timelines show it.
func server(faults []serve.Fault, now func() time.Time) (sourcetest.Server, error) {
	return serve.New("x", serve.Options{Seed: 7, Posts: 700, Days: 5, Faults: faults, Now: now})
}

// searched is the part of it that a search finds: no reposts.
func searched(faults []serve.Fault, now func() time.Time) (sourcetest.Server, error) {
	s, err := serve.New("x", serve.Options{Seed: 7, Posts: 700, Days: 5, Faults: faults, Now: now})
	if err != nil {
		return nil, err
	}
	return sourcetest.Part{Server: s, Reads: func(id string) bool { return s.Kind(id) != feedlake.KindRepost }}, nil
}

// secrets fills the source's keys by their yaml tags.
func secrets(token string) ingest.Decoder {
	return func(v any) error { return yaml.Unmarshal([]byte("bearer_token: "+token), v) }
}

func open(t *testing.T, env ingest.Env, url string, c x.Config) ingest.Source {
	t.Helper()
	if env.Secrets == nil {
		env.Secrets = secrets(serve.XToken)
	}
	c.Settings = api.Settings{BaseURL: url + "/2"}
	src, err := x.Open(t.Context(), env, c)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// since lies before everything that the simulator holds.
var since = time.Date(2026, 2, 25, 0, 0, 0, 0, time.UTC)

const everything = "-is:nullcast"

// whole are the configurations that read all of the simulator.
func whole() map[string]x.Config {
	return map[string]x.Config{
		"recent":            {Query: everything, Since: since, PageSize: 30},
		"recent, post":      {Query: everything, Since: since, Vocabulary: "post", PageSize: 60},
		"all":               {Mode: "all", Query: everything, Since: since, PageSize: 100},
		"recent, week open": {Query: everything, Since: since.AddDate(0, 0, -30)},
	}
}

// TestConnector holds every mode to the contract; TestWholeConnector with each
// fault alone.
func TestConnector(t *testing.T) { connector(t, sourcetest.Connector[serve.Fault]) }

func TestWholeConnector(t *testing.T) { connector(t, sourcetest.ConnectorFaults[serve.Fault]) }

func connector(t *testing.T, hold sourcetest.Contract[serve.Fault]) {
	t.Helper()
	for name, c := range whole() {
		if name == "recent, week open" { // asks as the first does but for its start
			continue
		}
		t.Run(name, func(t *testing.T) {
			hold(t, serve.Passing(), searched, func(t *testing.T, env ingest.Env, url string) ingest.Source {
				return open(t, env, url, c)
			})
		})
	}
}

// TestConnectorUsers reads the timelines of some users; TestWholeConnectorUsers with
// each fault alone.
func TestConnectorUsers(t *testing.T) { connectorUsers(t, sourcetest.Connector[serve.Fault]) }

func TestWholeConnectorUsers(t *testing.T) {
	connectorUsers(t, sourcetest.ConnectorFaults[serve.Fault])
}

func connectorUsers(t *testing.T, hold sourcetest.Contract[serve.Fault]) {
	t.Helper()
	clock := sourcetest.NewClock()
	s, err := server(nil, clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	hs := httptest.NewServer(s)
	defer hs.Close()
	posts, _, _ := sourcetest.Drain(t, open(t, clock.Env(t, "x"), hs.URL, x.Config{Query: everything, Since: since}), "")
	users := map[string]bool{}
	for i, p := range posts[:12] {
		if user := [...]string{p.AuthorID, "@" + p.AuthorName}[i%2]; !users[p.AuthorID] && !users["@"+p.AuthorName] { // some by name
			users[user] = true
		}
	}
	c := x.Config{Mode: "users", Users: slices.Sorted(maps.Keys(users)), Since: since, PageSize: 5}
	from := func(t *testing.T, env ingest.Env, url string) ingest.Source { return open(t, env, url, c) }
	hold(t, serve.Passing(), sourcetest.ReadBy(t, server, from, serve.Vanish), from)
}

func TestContract(t *testing.T) {
	for name, c := range whole() {
		t.Run(name, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T) ingest.Source {
				clock := sourcetest.NewClock()
				s, err := serve.New("x", serve.Options{Seed: 3, Posts: 400, Days: 5, Now: clock.Now})
				if err != nil {
					t.Fatal(err)
				}
				hs := httptest.NewServer(s)
				t.Cleanup(hs.Close)
				env := clock.Env(t, "x")
				env.Sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() } // the clock stands still
				return open(t, env, hs.URL, c)
			})
		})
	}
}
