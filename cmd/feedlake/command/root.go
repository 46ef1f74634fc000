package command

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/config"
)

// options are the flags that every command has.
type options struct {
	env    env
	config string
	lake   string
	json   bool
	level  string
	quiet  bool
	engine string
	wait   time.Duration

	parallel *int // nil: not said
}

func newRootCommand(e env) *cobra.Command {
	o := &options{env: e}
	root := &cobra.Command{
		Use:   "feedlake",
		Short: "Follow what is said about your topics across social networks",
		Long: `feedlake lands posts in a lake of Iceberg tables, builds features with SQL,
trains and scores models, publishes aggregates and serves a dashboard: every
post exactly once, every number traceable to its SQL, snapshot and model.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       e.version,
	}
	root.SetVersionTemplate("feedlake {{.Version}}\n")
	f := root.PersistentFlags()
	f.StringVarP(&o.config, "config", "c", "", "config file (default feedlake.yaml, where there is one)")
	f.StringVar(&o.lake, "lake", "", "where the lake lies, instead of lake.dir of the config")
	f.BoolVar(&o.json, "json", false, "print one JSON document on stdout, nothing else")
	f.StringVar(&o.level, "log-level", "", "debug, info, warn or error (default from the config)")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no progress")
	f.DurationVar(&o.wait, "wait", time.Hour, "how long to wait for what another run holds; 0: not at all")
	f.Var(parallelFlag{o}, "parallel", "how much to do side by side, instead of parallel of the config (default a piece of work for every core)")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%w", err) })
	root.AddCommand(
		newInitCommand(o), newDemoCommand(o), newRunCommand(o),
		newIngestCommand(o), newBackfillCommand(o), newTransformCommand(o), newTrainCommand(o), newScoreCommand(o), newPublishCommand(o),
		newServeCommand(o), newSQLCommand(o), newStatusCommand(o), newLakeCommand(o),
		newModelCommand(o), newLabelCommand(o), newEraseCommand(o), newScheduleCommand(o), newSimulateCommand(o), newCheckCommand(o), newJobsCommand(o), newVersionCommand(o),
	)
	tidy(root)
	return root
}

// tidy gives a command and those below it what all of them have: the exit codes
// in the help text, and usage errors that are marked as such.
func tidy(c *cobra.Command) {
	if c.Long == "" {
		c.Long = c.Short + "."
	}
	c.Long += "\n\n" + exitHelp
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage("%w", err)
			}
			return nil
		}
	}
	if c.HasSubCommands() && c.RunE == nil {
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("unknown command %q for %q", args[0], cmd.CommandPath())
			}
			return cmd.Help()
		}
	}
	for _, sub := range c.Commands() {
		tidy(sub)
	}
}

// load reads the config: the file that was named, feedlake.yaml where there is
// one, or the defaults. --lake and --log-level win over it.
func (o *options) load() (config.Config, error) {
	path := o.config
	if path == "" && fileExists("feedlake.yaml") {
		path = "feedlake.yaml"
	}
	c := config.Default()
	if path != "" {
		var err error
		if c, err = config.Load(path, o.env.getenv); err != nil {
			return c, err
		}
	}
	if o.lake != "" {
		abs, err := filepath.Abs(o.lake)
		if err != nil {
			return c, fmt.Errorf("resolve --lake: %w", err)
		}
		c.Lake.Dir = abs
	}
	if o.level != "" {
		c.Log.Level = o.level
	}
	if o.parallel != nil {
		c.Parallel = o.parallel
	}
	if o.engine != "" {
		c.Engine.Kind = o.engine
		return c, c.ValidateEngine(func(hint, format string, args ...any) error {
			return feedlake.Hint(fmt.Errorf("--engine %s: %s: %w", o.engine, fmt.Sprintf(format, args...), feedlake.ErrConfig), "%s", hint)
		})
	}
	return c, nil
}

// parallelFlag is --parallel: a number from 1, or not said.
type parallelFlag struct{ o *options }

func (parallelFlag) Type() string { return "int" }

func (f parallelFlag) String() string {
	if f.o == nil || f.o.parallel == nil {
		return ""
	}
	return strconv.Itoa(*f.o.parallel)
}

// Set reads the number.
func (f parallelFlag) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return feedlake.Hint(errors.New("no number from 1"), "such as --parallel 4; without it every core is used")
	}
	f.o.parallel = &n
	return nil
}

// engineFlag lets a command choose the engine for once.
func (o *options) engineFlag(c *cobra.Command) {
	c.Flags().StringVar(&o.engine, "engine", "", "duckdb, spark or auto, instead of engine.kind of the config")
}

// logger makes the logger that c asks for. On a terminal only warnings show
// beside the progress bars, unless more is asked for.
func (o *options) logger(c config.Config) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		return nil, feedlake.Hint(fmt.Errorf("log level %q: %w", c.Log.Level, feedlake.ErrConfig), "debug, info, warn or error")
	}
	if o.env.stderrTTY && o.level == "" && level == slog.LevelInfo {
		level = slog.LevelWarn
	}
	return newLogger(o.env.stderr, o.env.stderrTTY, level), nil
}

func newVersionCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if o.json {
				return printJSON(o.env.stdout, map[string]string{"version": o.env.version})
			}
			printLine(o.env.stdout, "feedlake "+strings.TrimPrefix(o.env.version, "v"))
			return nil
		},
	}
}
