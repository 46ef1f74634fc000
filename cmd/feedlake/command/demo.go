package command

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake/cmd/feedlake/config"
	"github.com/feedlake/feedlake/cmd/feedlake/wiring"
)

// demoConfig is the path over made-up posts: no key, no service.
const demoConfig = `
sources:
  - name: simulated
    kind: simulate
    with: {seed: 7, posts: %d, start: 2026-01-05T00:00:00Z, days: 21}
models:
  sentiment: {gate: {macro_recall: 0.60}}
publish:
  - {name: export, kind: export, dir: publish}
`

// demoLabels is how many of the simulator's labelled texts the demo learns from.
const demoLabels = 6000

func newDemoCommand(o *options) *cobra.Command {
	posts, sources := 150_000, false
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run the whole path on simulated posts and serve the dashboard",
		Long: `Run the whole path on simulated posts (seeded, so always the same): land them,
build features, train and score models, find trends, build marts. On a terminal it
ends by serving the dashboard until Ctrl-C; without one it ends after the summary.
A second demo over the same lake adds nothing and is quick.

With --sources the posts come from six networks, which are simulated down to their
paging, tokens, limits and terms, with the config of examples/sources.yaml.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if sources {
				if !cmd.Flags().Changed("posts") {
					posts = networksPosts // platforms have their pace
				}
				return o.demoSources(cmd.Context(), posts)
			}
			return o.demo(cmd.Context(), demoAt{config: fmt.Sprintf(demoConfig, posts), dir: "demo-lake", getenv: o.env.getenv})
		},
	}
	c.Flags().BoolVar(&sources, "sources", false, "read the posts from six simulated networks, as from the real ones")
	c.Flags().IntVar(&posts, "posts", posts, fmt.Sprintf("how many posts the simulator makes; with --sources %d", networksPosts))
	return c
}

// demoAt is what a demo runs.
type demoAt struct {
	config string
	dir    string // of the lake, unless --lake names one
	getenv func(string) (string, bool)
}

func (o *options) demo(ctx context.Context, at demoAt) (err error) {
	if o.lake == "" {
		o.lake = at.dir
	}
	dir, err := filepath.Abs(o.lake)
	if err != nil {
		return fmt.Errorf("resolve --lake: %w", err)
	}
	c, err := config.Parse("demo", dir, []byte(at.config), at.getenv)
	if err != nil {
		return err
	}
	c.File, c.Lake.Dir = "", "."
	if o.level != "" {
		c.Log.Level = o.level
	}
	log, err := o.logger(c)
	if err != nil {
		return err
	}
	a, err := o.openWith(ctx, c, wiring.Options{Log: log, Simulated: demoLabels})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	began := o.env.now()
	jobs, err := a.Pipeline(false)
	if err != nil {
		return err
	}
	if err := a.run(ctx, "demo", jobs); err != nil {
		return err
	}
	if o.json {
		return nil
	}
	if err := a.demoSummary(ctx, o.env.now().Sub(began)); err != nil {
		return err
	}
	if !o.env.stdinTTY || !o.env.stdoutTTY {
		return nil
	}
	return a.serve(ctx)
}

// demoSummary says what there is now, where, and what to try next.
func (a *app) demoSummary(ctx context.Context, took time.Duration) error {
	w := a.o.env.stdout
	if err := lakeList(ctx, a); err != nil {
		return err
	}
	lake := a.Lake.Dir()
	printf(w, `
The lake is %s (%.1f s): Iceberg tables in warehouse/, models in models/,
Parquet files and a DuckDB database of the marts in publish/.

Try next:
  bin/feedlake serve --lake %[1]s
  bin/feedlake sql --lake %[1]s "select hashtag, day, posts, expected, score from marts.trending_hashtags where trending order by score desc limit 10"
  bin/feedlake sql --lake %[1]s "select source, net_sentiment, day from marts.daily_sentiment order by day desc limit 10"
  echo "what a lovely day" | bin/feedlake score --stdin --lake %[1]s
  bin/feedlake lake log features.posts --lake %[1]s
  bin/feedlake init && bin/feedlake run --config feedlake.yaml
`, lake, took.Seconds())
	return nil
}
