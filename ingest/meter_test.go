package ingest_test

import (
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/metertest"
)

func TestMemoryMeter(t *testing.T) {
	metertest.Run(t, func(_ *testing.T, now func() time.Time, budgets map[string]ingest.Budget) ingest.Meter {
		return ingest.NewMemoryMeter(now, budgets)
	})
}
