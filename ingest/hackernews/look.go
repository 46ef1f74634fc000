package hackernews

import (
	"context"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

// Look asks for the hits of a window.
func (s *search) Look(_ context.Context, w feedlake.Window, _ []string) (ingest.Source, error) {
	again := *s
	again.env.Window = w
	return &again, nil
}

// Look asks for the items of a window.
func (s *items) Look(_ context.Context, w feedlake.Window, _ []string) (ingest.Source, error) {
	again := *s
	again.env.Window, again.newest = w, 0
	return &again, nil
}
