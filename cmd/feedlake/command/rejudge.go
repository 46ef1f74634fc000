package command

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake/cmd/feedlake/wiring"
	"github.com/feedlake/feedlake/schedules"
	"github.com/feedlake/feedlake/serving"
)

func newModelRejudgeCommand(o *options) *cobra.Command {
	var from, to string
	c := &cobra.Command{
		Use:   "rejudge MODEL",
		Short: "Let the version in use judge days again that another has judged",
		Long: `A day keeps the version of a model that judged it first: what was shown for it stays
when a new version comes into use. rejudge lets the version in use judge days again,
and computes and publishes the marts of those days anew.`,
		Example: "  feedlake model rejudge sentiment --from 2026-01-01 --to 2026-02-01\n  feedlake model rejudge trends",
		Args:    cobra.ExactArgs(1), ValidArgs: []string{wiring.ModelSentiment, wiring.ModelTrends},
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] != wiring.ModelSentiment && args[0] != wiring.ModelTrends {
				return usage("model %q: %s or %s", args[0], wiring.ModelSentiment, wiring.ModelTrends)
			}
			days, err := daysOf(from, to)
			if err != nil {
				return err
			}
			return o.withApp(cmd.Context(), func(ctx context.Context, a *app) error { return a.rejudge(ctx, args[0], days) })
		},
	}
	c.Flags().StringVar(&from, "from", "", "first day (UTC; default: the first there is)")
	c.Flags().StringVar(&to, "to", "", "the day after the last (UTC; default: all there are)")
	return c
}

// daysOf reads a range of days; to is not in it.
func daysOf(from, to string) (d serving.Days, err error) {
	var first, end time.Time
	if from != "" {
		if first, err = time.Parse(time.DateOnly, from); err != nil {
			return d, usage("--from %q: a day, such as 2026-01-31", from)
		}
		d.First = first.Format(time.DateOnly)
	}
	if to != "" {
		if end, err = time.Parse(time.DateOnly, to); err != nil {
			return d, usage("--to %q: a day, such as 2026-01-31", to)
		}
		d.Last = end.AddDate(0, 0, -1).Format(time.DateOnly)
	}
	if from != "" && to != "" && !first.Before(end) {
		return d, usage("--from %s is not before --to %s", from, to)
	}
	return d, nil
}

// rejudge judges days again, and brings the marts of those days up to date.
func (a *app) rejudge(ctx context.Context, model string, days serving.Days) error {
	step, judge := wiring.StepScore, a.ScoreDays
	if model == wiring.ModelTrends {
		step, judge = wiring.StepTrends, a.TrendDays
	}
	lock := wiring.LockScore(model)
	return a.run(ctx, "rejudge", []schedules.Job{
		wiring.Job(step, []string{lock}, func(ctx context.Context) error { return judge(ctx, &days) }),
		wiring.Job(wiring.StepMarts, []string{wiring.LockBuild}, func(ctx context.Context) error { return a.Transform(ctx, wiring.Marts, false) }, step),
		wiring.Job(wiring.StepPublish, nil, a.Publish, wiring.StepMarts),
	})
}
