package hackernews

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

// Probe asks one question: there is no key to try.
func (s *search) Probe(ctx context.Context) []ingest.Finding {
	a, err := s.ask(ctx, s.env.Now().Add(-24*time.Hour), time.Time{}, 1)
	return finding("search", fmt.Sprintf("HN Search answers; %d hits within a day", a.NbHits), err)
}

// Probe asks for the newest item: there is no key to try.
func (s *items) Probe(ctx context.Context) []ingest.Finding {
	newest, err := s.maxItem(ctx)
	if err == nil {
		_, err = s.item(ctx, newest, 0)
	}
	return finding("items", fmt.Sprintf("Firebase answers; the newest item is %d", newest), err)
}

func finding(what, says string, err error) []ingest.Finding {
	if err == nil {
		return []ingest.Finding{{What: what, OK: true, Says: says}}
	}
	f := ingest.Finding{What: what, Says: err.Error(), Hint: "no key is needed: look at base_url, and at the way to the network"}
	if hint, ok := errors.AsType[*feedlake.HintError](err); ok {
		f.Hint = hint.Hint
	}
	return []ingest.Finding{f}
}
