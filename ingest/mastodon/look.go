package mastodon

import (
	"context"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

// Look reads the timeline of a window.
func (s *source) Look(_ context.Context, w feedlake.Window, _ []string) (ingest.Source, error) {
	again := *s
	again.env.Window = w
	return &again, nil
}
