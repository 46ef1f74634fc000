package hackernews

import (
	"context"
	"fmt"
	"time"

	"github.com/feedlake/feedlake/ingest"
)

// Probe asks one question: there is no key to try.
func (s *search) Probe(ctx context.Context) []ingest.Finding {
	a, err := s.ask(ctx, s.env.Now().Add(-24*time.Hour), time.Time{}, 1)
	return []ingest.Finding{ingest.Found("search", fmt.Sprintf("HN Search answers; %d hits within a day", a.NbHits), err, keyless)}
}

// Probe asks for the newest item: there is no key to try.
func (s *items) Probe(ctx context.Context) []ingest.Finding {
	newest, err := s.maxItem(ctx)
	if err == nil {
		_, err = s.item(ctx, newest, 0)
	}
	return []ingest.Finding{ingest.Found("items", fmt.Sprintf("Firebase answers; the newest item is %d", newest), err, keyless)}
}

// keyless is the hint where no credential can be at fault.
const keyless = "no key is needed: look at base_url, and at the way to the network"
