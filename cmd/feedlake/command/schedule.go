package command

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/schedules"
)

func newScheduleCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "schedule",
		Short: "Run the whole path whenever cron says so, until Ctrl-C",
		Long: `Run the whole path at the times of the config's schedule, until Ctrl-C. Runs of one
plan never overlap, and those of others wait for each other where they must; times missed while nothing ran are caught up as catch_up says (all,
latest or none); a failed run is tried again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.withApp(cmd.Context(), func(ctx context.Context, a *app) error { return a.schedule(ctx) })
		},
	}
}

func (a *app) schedule(ctx context.Context) error {
	plans, err := a.plans()
	if err != nil {
		return err
	}
	for _, p := range plans {
		printf(a.o.env.stderr, "%s: next at %s UTC\n", p.Name, stamp(p.Cron.Next(a.Now())))
	}
	s := schedules.Scheduler{Runner: &schedules.Runner{Ledger: a.Ledger, Wait: a.Wait, OnStep: a.onStep(ctx), OnEnd: a.onEnd}, Plans: plans}
	return s.Run(ctx)
}

// plans turns the config's schedule into plans, by name.
func (a *app) plans() ([]schedules.Plan, error) {
	if len(a.Config.Schedule) == 0 {
		return nil, feedlake.Hint(fmt.Errorf("the config has no schedule: %w", feedlake.ErrConfig), `schedule: {nightly: {cron: "15 2 * * *"}}`)
	}
	jobs, err := a.Pipeline(false)
	if err != nil {
		return nil, err
	}
	var plans []schedules.Plan
	for _, name := range slices.Sorted(maps.Keys(a.Config.Schedule)) {
		s := a.Config.Schedule[name]
		zone := time.UTC
		if s.Zone != "" {
			var err error
			if zone, err = time.LoadLocation(s.Zone); err != nil {
				return nil, feedlake.Hint(fmt.Errorf("%s: schedule %s: zone %q: %w", a.Config.File, name, s.Zone, feedlake.ErrConfig), "an IANA name, such as Europe/Berlin")
			}
		}
		cron, err := schedules.ParseCron(s.Cron, zone)
		if err != nil {
			return nil, fmt.Errorf("%s: schedule %s: %w", a.Config.File, name, err)
		}
		plans = append(plans, schedules.Plan{
			Name: name, Cron: cron, Lock: schedules.Unlocked, CatchUp: schedules.CatchUp(s.CatchUp), Jobs: jobs,
		})
	}
	return plans, nil
}
