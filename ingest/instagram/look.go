package instagram

import (
	"context"
	"fmt"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

// Look asks for an account's media of a window. Hashtags tell nothing of a time.
func (s *source) Look(_ context.Context, w feedlake.Window, _ []string) (ingest.Source, error) {
	if s.cfg.Mode != modeAccount {
		return nil, feedlake.Hint(fmt.Errorf("look again in mode %s: %w", s.cfg.Mode, feedlake.ErrConfig),
			"Instagram tells media of hashtags of the last day only, and top lists are read whole each time: take look_again out")
	}
	env := s.env
	env.Window = w
	return &source{env: env, cfg: s.cfg, keys: s.keys, client: s.client}, nil
}
