package bluesky

import (
	"context"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

// Look searches for the posts of a window.
func (s *search) Look(_ context.Context, w feedlake.Window, _ []string) (ingest.Source, error) {
	again := *s
	again.env.Window, again.failing, again.fails = w, "", 0
	return &again, nil
}

// Look goes through the feeds down to the beginning of a window.
func (s *feeds) Look(_ context.Context, w feedlake.Window, _ []string) (ingest.Source, error) {
	return &feeds{env: in(s.env, w), cfg: s.cfg, client: s.client}, nil
}

func in(env ingest.Env, w feedlake.Window) ingest.Env {
	env.Window = w
	return env
}
