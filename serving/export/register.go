package export

import (
	"fmt"
	"path/filepath"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/serving"
)

// Kind names the publisher in configurations.
const Kind = "export"

// Config is the publisher's part of the configuration.
type Config struct {
	Dir string `yaml:"dir"` // a relative path starts from the configuration's folder; needed
}

// Register adds the publisher.
func Register(r serving.Registry) { serving.Add(r, Kind, open) }

func open(env serving.Env, c Config) (serving.Publisher, error) {
	if c.Dir == "" {
		return nil, feedlake.Hint(fmt.Errorf("no dir: %w", feedlake.ErrConfig), "dir: publish")
	}
	if !filepath.IsAbs(c.Dir) {
		c.Dir = filepath.Join(env.Base, c.Dir)
	}
	return New(Options{Dir: c.Dir, Memory: env.Memory, Threads: env.Threads, Log: env.Log})
}

// Folder implements serving.Folder.
func (p *Publisher) Folder() string { return p.dir }
