package command

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/wiring"
	"github.com/feedlake/feedlake/schedules"
)

// jobsVersion is that of the document that `jobs --json` prints. It grows when a
// key goes or means something else.
const jobsVersion = 1

// jobsReport is what `feedlake jobs --json` prints; docs/operations.md describes it.
type jobsReport struct {
	Version int         `json:"version"`
	Config  string      `json:"config"` // "" when no file was read
	Jobs    []jobReport `json:"jobs"`   // in an order in which they can run
}

type jobReport struct {
	Name     string   `json:"name"`
	Needs    []string `json:"needs"`
	Reads    []string `json:"reads"`
	Writes   []string `json:"writes"`
	Locks    []string `json:"locks"`
	Together bool     `json:"locks_together"` // all are held at once; otherwise one after the other
	Shards   string   `json:"shards"`         // source, partition, or "" for a step that cannot be cut
	Window   string   `json:"window"`         // past, or "" for a step that takes none
	Command  []string `json:"command"`
}

func newJobsCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "jobs", Short: "List the steps of a run: what each needs, reads, writes, locks, and the command that runs it", Args: cobra.NoArgs,
		Long: `List the steps of a run with this config: the steps that each follows, the tables that
it reads and writes, its locks, whether it can be cut into shards or takes a window,
and the command line that runs it alone. With --json, for schedulers.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.withApp(cmd.Context(), func(_ context.Context, a *app) error { return a.jobs() })
		},
	}
}

func (a *app) jobs() error {
	steps, err := a.Steps()
	if err != nil {
		return err
	}
	rep := jobsReport{Version: jobsVersion, Config: a.Config.File, Jobs: []jobReport{}}
	var rows [][]string
	for _, s := range steps {
		command := []string{"feedlake", "run", "--step", s.Name}
		if a.Config.File != "" {
			command = append(command, "--config", a.Config.File)
		}
		if a.Config.File == "" || a.o.lake != "" {
			command = append(command, "--lake", a.Lake.Dir())
		}
		rep.Jobs = append(rep.Jobs, jobReport{
			Name: s.Name, Needs: some(s.Needs), Reads: some(s.Reads), Writes: some(s.Writes), Locks: some(s.Locks), Together: !s.Each,
			Shards: s.Shards, Window: s.Window, Command: command,
		})
		rows = append(rows, []string{s.Name, strings.Join(s.Needs, ", "), strings.Join(s.Writes, ", "), strings.Join(s.Locks, ", "), s.Shards})
	}
	if a.o.json {
		return printJSON(a.o.env.stdout, rep)
	}
	printTable(a.o.env.stdout, []string{"step", "needs", "writes", "locks", "shards by"}, rows)
	return nil
}

// some is a list that JSON shows as one, also where it is empty.
func some(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// runRequest is what a person asks `feedlake run` for.
type runRequest struct {
	full                  bool
	step, from, to, shard string
}

// work reads the flags of one step.
func (r runRequest) work() (w wiring.Work, err error) {
	w.Full = r.full
	if r.step == "" && (r.from != "" || r.to != "" || r.shard != "") {
		return w, usage("--from, --to and --shard are for one step: name it with --step")
	}
	if (r.from == "") != (r.to == "") {
		return w, usage("--from and --to come together")
	}
	if r.from != "" {
		if w.Window, err = parseWindow(r.from, r.to); err != nil {
			return w, err
		}
	}
	if r.shard != "" {
		w.Shard, err = parseShard(r.shard)
	}
	return w, err
}

// maxShards bounds the number of shards of a step.
const maxShards = 10_000

// parseShard reads "0/4", the first of four.
func parseShard(text string) (schedules.Shard, error) {
	index, of, ok := strings.Cut(text, "/")
	i, ierr := strconv.Atoi(index)
	n, nerr := strconv.Atoi(of)
	if !ok || ierr != nil || nerr != nil || n < 1 || n > maxShards || i < 0 || i >= n {
		return schedules.Shard{}, feedlake.Hint(usage("--shard %q: I/N with I from 0 to N-1, and N from 1 to %d", text, maxShards), "four shards are 0/4, 1/4, 2/4 and 3/4")
	}
	return schedules.Shard{Index: i, Of: n}, nil
}

// steps runs the whole path, or one step of it.
func (a *app) steps(ctx context.Context, r runRequest, w wiring.Work) error {
	if r.step == "" {
		jobs, err := a.Pipeline(r.full)
		if err != nil {
			return err
		}
		return a.run(ctx, "run", jobs)
	}
	s, err := a.Step(r.step)
	if err != nil {
		return err
	}
	switch {
	case !w.Shard.Whole() && s.Shards == "":
		return feedlake.Hint(fmt.Errorf("step %s cannot be cut into shards: %w", s.Name, feedlake.ErrConfig), "feedlake jobs tells which can")
	case w.Window != (feedlake.Window{}) && s.Window == "":
		return feedlake.Hint(fmt.Errorf("step %s takes no window: %w", s.Name, feedlake.ErrConfig), "leave out --from and --to: it does what is new")
	case r.full && s.Name != wiring.StepFeatures && s.Name != wiring.StepMarts:
		return feedlake.Hint(fmt.Errorf("step %s has nothing to build anew: %w", s.Name, feedlake.ErrConfig), "--full is for features and marts")
	}
	return a.run(ctx, s.Name, a.Jobs(w, s))
}
