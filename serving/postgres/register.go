package postgres

import (
	"fmt"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/serving"
)

// Kind names the publisher in configurations.
const Kind = "postgres"

// Config is the publisher's part of the configuration.
type Config struct {
	DSN    string `yaml:"dsn"`    // see Options; needed
	Schema string `yaml:"schema"` // see Options
}

// Register adds the publisher.
func Register(r serving.Registry) { serving.Add(r, Kind, open) }

func open(env serving.Env, c Config) (serving.Publisher, error) {
	if c.DSN == "" {
		return nil, feedlake.Hint(fmt.Errorf("no dsn: %w", feedlake.ErrConfig), "dsn: ${FEEDLAKE_DSN}")
	}
	return New(Options{DSN: c.DSN, Schema: c.Schema, Log: env.Log})
}
