package wiring

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/config"
	"github.com/feedlake/feedlake/ingest/withdraw"
	"github.com/feedlake/feedlake/lake/erasure"
	"github.com/feedlake/feedlake/schedules"
)

// Retain takes posts out of the lake that are older than their source keeps
// them, with their scores and rejects, and withdraws those whose account is gone;
// the tables that SQL builds follow. Older snapshots hold them until they expire. A
// source that fails does not stop the others.
func (a *App) Retain(ctx context.Context) error {
	var details []string
	var failed []error
	for _, s := range a.Config.Sources {
		var said []string
		err := a.holdSource(ctx, s.Name, feedlake.Window{}, func(ctx context.Context) (err error) {
			said, err = a.retainOne(ctx, s)
			return err
		})
		details = append(details, said...)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return err
		default:
			failed = append(failed, err)
			details = append(details, s.Name+": stopped")
		}
	}
	if len(details) == 0 {
		details = append(details, "nothing is older than its source keeps it, and no account is gone")
	}
	schedules.Report(ctx, schedules.Counts{Detail: strings.Join(details, "; ")})
	return inPart(len(a.Config.Sources), "source", failed)
}

// retainOne withdraws and forgets the posts of one source, and says of how many.
func (a *App) retainOne(ctx context.Context, s config.Source) (said []string, err error) {
	n, err := withdraw.Posts(ctx, withdraw.Options{
		Source: s.Name, RunID: schedules.RunOf(ctx).ID, Lake: a.Lake,
		Open: a.open,
	})
	schedules.Report(ctx, schedules.Counts{RowsIn: n, RowsOut: n})
	if n > 0 {
		said = append(said, fmt.Sprintf("%s: %s withdrawn, deleted by account or by number", s.Name, feedlake.Plural(n, "post")))
	}
	from := s.Horizon(a.Now())
	if err != nil || from.IsZero() {
		return said, err
	}
	days, rows, err := erasure.Retain(ctx, erasure.RetainOptions{Source: s.Name, From: from, RunID: schedules.RunOf(ctx).ID, Lake: a.Lake})
	schedules.Report(ctx, schedules.Counts{RowsIn: rows, RowsOut: rows})
	if err != nil {
		return said, fmt.Errorf("keep %s for %d days: %w", s.Name, s.Policy.RetainDays, err)
	}
	if rows > 0 {
		said = append(said, fmt.Sprintf("%s: %s of %s left, made before %s (policy.retain_days is %d)",
			s.Name, feedlake.Plural(rows, "row"), feedlake.Plural(int64(days), "day"), from.Format(time.DateOnly), s.Policy.RetainDays))
	}
	return said, nil
}
