package files

import (
	"context"
	"fmt"

	"github.com/feedlake/feedlake/ingest"
)

// Probe lists the files, without reading them.
func (s *source) Probe(ctx context.Context) []ingest.Finding {
	all, err := s.store.list(ctx)
	size := int64(0)
	for _, o := range all {
		size += o.size
	}
	return []ingest.Finding{ingest.Found("files", fmt.Sprintf("%d, of %d bytes", len(all), size), err, "look at the path")}
}
