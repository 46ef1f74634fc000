package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake/cmd/feedlake/wiring"
	"github.com/feedlake/feedlake/schedules"
)

func newRunCommand(o *options) *cobra.Command {
	var r runRequest
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the whole path: ingest, features, train, score, trends, marts, publish",
		Long: `Run the whole path once: read what is new in every source, build what that
changes, train models where labels are new, score, and publish. A second run adds
nothing and says so. After Ctrl-C, or a crash, the next run goes on.

With --step, run one step alone (feedlake jobs lists them). --from and --to let the step
ingest read a time in the past. --shard does a part of a step, so that several
processes or machines share it: the step is complete when all have ended well, and a
run of the whole step does what is missing.`,
		Example: "  feedlake run --config feedlake.yaml\n  feedlake run --config examples/archives.yaml --lake /data/lake\n  feedlake run --step score --shard 0/4",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := r.work()
			if err != nil {
				return err
			}
			return o.withApp(cmd.Context(), func(ctx context.Context, a *app) error { return a.steps(ctx, r, w) })
		},
	}
	f := c.Flags()
	f.BoolVar(&r.full, "full", false, "build every table anew, not only what changed")
	f.StringVar(&r.step, "step", "", "run this step alone")
	f.StringVar(&r.from, "from", "", "first day, or instant (UTC), of a window of the step")
	f.StringVar(&r.to, "to", "", "end of the window, not part of it")
	f.StringVar(&r.shard, "shard", "", "do the I-th of N parts of the step, as I/N from 0/N on")
	o.engineFlag(c)
	return c
}

// single runs one piece of work as a run of its own, under its locks.
func (o *options) single(ctx context.Context, name string, locks []string, do func(context.Context, *app) error) error {
	return o.withApp(ctx, func(ctx context.Context, a *app) error {
		return a.run(ctx, name, []schedules.Job{wiring.Job(name, locks, func(ctx context.Context) error { return do(ctx, a) })})
	})
}

func newIngestCommand(o *options) *cobra.Command {
	again := false
	c := &cobra.Command{
		Use: "ingest [SOURCE…]", Short: "Read what is new in the named sources, or in all",
		Long: `Read what is new in the named sources, or in all. With --again, read all records of
the named sources of files once more, as after a mapping was corrected: they land
as new versions, which count instead of the earlier ones.`,
		Example: "  feedlake ingest\n  feedlake ingest --again tweets",
		RunE: func(cmd *cobra.Command, args []string) error {
			if again && len(args) == 0 {
				return usage("--again: name the sources to read again")
			}
			begun := map[string]bool{} // by source: a second try goes on with what the first began
			return o.single(cmd.Context(), wiring.StepIngest, nil, func(ctx context.Context, a *app) error {
				if again {
					if err := a.Again(ctx, args, begun); err != nil {
						return err
					}
				}
				if len(args) == 0 {
					return a.Ingest(ctx, nil)
				}
				return a.Ingest(ctx, args)
			})
		},
	}
	c.Flags().BoolVar(&again, "again", false, "read all records of the named sources once more, from the beginning")
	return c
}

func newTransformCommand(o *options) *cobra.Command {
	full := false
	c := &cobra.Command{
		Use: "transform [TABLE…]", Short: "Build the named tables, or all, from what changed",
		Example: "  feedlake transform\n  feedlake transform features.posts marts.volume --full",
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.single(cmd.Context(), wiring.KindTransform, []string{wiring.LockBuild, wiring.LockRecord}, func(ctx context.Context, a *app) error {
				if len(args) == 0 {
					return a.Transform(ctx, wiring.Everything, full)
				}
				return a.Transform(ctx, wiring.Selection{Only: args}, full)
			})
		},
	}
	c.Flags().BoolVar(&full, "full", false, "build every partition anew")
	o.engineFlag(c)
	return c
}

func newTrainCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "train [sentiment|trends]", Short: "Train a new version of the models and put it in use if it passes the gate",
		Args: cobra.MaximumNArgs(1), ValidArgs: []string{wiring.ModelSentiment, wiring.ModelTrends},
		RunE: func(cmd *cobra.Command, args []string) error {
			which := wiring.TrainAll
			if len(args) == 1 {
				if args[0] != wiring.ModelSentiment && args[0] != wiring.ModelTrends {
					return usage("model %q: sentiment or trends", args[0])
				}
				which = wiring.TrainChoice{Force: args}
			}
			return o.single(cmd.Context(), wiring.StepTrain, wiring.TrainLocks(), func(ctx context.Context, a *app) error { return a.Train(ctx, which) })
		},
	}
}

func newScoreCommand(o *options) *cobra.Command {
	stdin := false
	c := &cobra.Command{
		Use: "score", Short: "Score the posts that the models in use have not scored yet",
		Long: `Score the sentiment of every post that the version in use has not scored yet, and
the trends of every hour that changed. With --stdin, score one text a line and
print label, p_negative, p_neutral and p_positive, separated by tabs.`,
		Example: `  feedlake score
  echo "what a lovely day" | feedlake score --stdin`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if stdin {
				return o.withApp(cmd.Context(), scoreLines)
			}
			return o.withApp(cmd.Context(), func(ctx context.Context, a *app) error {
				score, err := a.Step(wiring.StepScore)
				if err != nil {
					return err
				}
				trends, err := a.Step(wiring.StepTrends)
				if err != nil {
					return err
				}
				return a.run(ctx, wiring.StepScore, a.Jobs(wiring.Work{}, score, trends))
			})
		},
	}
	c.Flags().BoolVar(&stdin, "stdin", false, "score the lines of standard input")
	return c
}

func newPublishCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "publish", Short: "Bring the marts to the configured places", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.single(cmd.Context(), wiring.StepPublish, nil, func(ctx context.Context, a *app) error { return a.Publish(ctx) })
		},
	}
}
