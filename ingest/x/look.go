package x

import (
	"context"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

// Look asks for posts by their ids. What X does not give is gone, or hidden.
func (a *asker) Look(_ context.Context, _ feedlake.Window, ids []string) (ingest.Source, error) {
	by := *a
	by.cfg.PageSize = modes()[modeLookup].most
	return &lookup{asker: &by, ids: ids}, nil
}

var _ ingest.Looker = (*search)(nil)
