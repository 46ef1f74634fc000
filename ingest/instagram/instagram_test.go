package instagram_test

import (
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/instagram"
	"github.com/feedlake/feedlake/ingest/simulate/serve"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// secret is a decoder of the credential.
func secret(token string) ingest.Decoder {
	return func(v any) error {
		if k, ok := v.(*instagram.Keys); ok {
			k.AccessToken = ingest.Secret(token)
		}
		return nil
	}
}

// server simulates Instagram, with all its posts of the last 24 hours.
func server(faults []serve.Fault, now func() time.Time) (sourcetest.Server, error) {
	return serve.New("instagram", serve.Options{Seed: 7, Posts: 900, Days: 1, Faults: faults, Now: now})
}

func open(t *testing.T, env ingest.Env, url string, c instagram.Config) ingest.Source {
	t.Helper()
	env.Secrets = secret(serve.InstagramToken)
	c.BaseURL = url + "/v25.0"
	if c.UserID == "" {
		c.UserID = serve.InstagramUser
	}
	src, err := instagram.Open(t.Context(), env, c)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func configs() []instagram.Config {
	return []instagram.Config{
		{Settings: api.Settings{MaxWait: time.Hour}, Mode: "recent", Hashtags: []string{"#Coffee", serve.InstagramTag, "cats"}},
		{Settings: api.Settings{MaxWait: time.Hour}, Mode: "top", Hashtags: []string{serve.InstagramTag}, TopPages: 100},
		{Settings: api.Settings{MaxWait: time.Hour}, Mode: "account"},
	}
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
