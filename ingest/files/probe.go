package files

import (
	"context"
	"errors"
	"fmt"

	"github.com/feedlake/feedlake/ingest"
)

// Probe lists the files, and compares the mapping with some of their records.
func (s *source) Probe(ctx context.Context) []ingest.Finding {
	all, err := s.store.list(ctx)
	size := int64(0)
	for _, o := range all {
		size += o.size
	}
	found := []ingest.Finding{ingest.Found("files", fmt.Sprintf("%d, of %d bytes", len(all), size), err, "look at the path")}
	if err != nil || s.cfg.Shape != "" {
		return found
	}
	warning := ""
	if all, err = s.expand(ctx, all, false); err == nil {
		warning, err = s.judge(ctx, all, true)
	}
	err = errors.Join(err, s.archives.release())
	f := ingest.Found("mapping", warning, err, "")
	f.Err = err
	return append(found, f)
}
