package wiring

import (
	"context"
	"time"

	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/schedules"
)

// meter counts in the ledger what credentials use, for every process that works
// on the lake.
type meter struct {
	ledger  *schedules.Ledger
	budgets map[string]ingest.Budget
}

// Reserve implements ingest.Meter.
func (m meter) Reserve(ctx context.Context, at time.Time, credential, endpoint string, use ingest.Use) (time.Time, error) {
	return m.ledger.Spend(ctx, credential, endpoint, periods(at), schedules.Usage(use), func(used []schedules.Usage) error {
		return m.budgets[credential].Check(credential, ingest.Use(used[0]), ingest.Use(used[1]), use, at)
	})
}

// Settle implements ingest.Meter.
func (m meter) Settle(ctx context.Context, at time.Time, credential string, difference ingest.Use) error {
	return m.ledger.Settle(ctx, credential, periods(at), schedules.Usage(difference))
}

// Limited implements ingest.Meter.
func (m meter) Limited(ctx context.Context, credential, endpoint string, l ingest.Limit) error {
	return m.ledger.Limited(ctx, credential, endpoint, func(known schedules.Limit) schedules.Limit {
		return schedules.Limit(ingest.Limit(known).Merge(l))
	})
}

// periods are those of a budget, the day first.
func periods(t time.Time) []string { return []string{ingest.Day(t), ingest.Month(t)} }
