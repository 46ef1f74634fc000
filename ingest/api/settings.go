package api

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

// Settings are what the configuration of every connector has.
type Settings struct {
	BaseURL string        `yaml:"base_url"` // of the API, or of a server that speaks like it
	MaxWait time.Duration `yaml:"max_wait"` // longest wait for a rate limit before the run ends in part; 16m when absent
}

// DefaultMaxWait is a little longer than the longest window of the platforms,
// 15 minutes.
const DefaultMaxWait = 16 * time.Minute

// timeout bounds a request when the program's client sets no bound of its own.
const timeout = time.Minute

// Base is the address that the settings name, or the platform's own.
func (s Settings) Base(usual string) (*url.URL, error) {
	u, err := url.Parse(cmp.Or(s.BaseURL, usual))
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, feedlake.Hint(fmt.Errorf("base_url: no address of a server: %w", feedlake.ErrConfig), "such as %s", usual)
	}
	return u, nil
}

// Options are those of a client of the platform at its usual address, as the
// settings and the source's environment want them. The caller adds what signs a
// request.
func (s Settings) Options(env ingest.Env, usual string, p Platform) (Options, error) {
	base, err := s.Base(usual)
	if err != nil {
		return Options{}, err
	}
	o := Options{
		Base: base, HTTP: env.HTTP, Platform: p, Credential: cmp.Or(env.Credential, p.Name+" at "+base.Host), Meter: env.Meter,
		MaxWait: cmp.Or(s.MaxWait, DefaultMaxWait), Sleep: env.Sleep, Now: env.Now, Log: env.Log,
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: timeout}
	}
	if o.Meter == nil {
		o.Meter = ingest.NewMemoryMeter(env.Now, nil)
	}
	if o.Sleep == nil {
		o.Sleep = feedlake.Sleep
	}
	return o, nil
}
