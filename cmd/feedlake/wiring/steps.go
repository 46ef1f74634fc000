package wiring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/schedules"
	"github.com/feedlake/feedlake/transforms"
)

// Steps of a run, in the data's order.
const (
	StepIngest   = "ingest"
	StepRetain   = "retain"
	StepFeatures = "features"
	StepLabels   = "labels"
	StepTrain    = "train"
	StepScore    = "score"
	StepTrends   = "trends"
	StepMarts    = "marts"
	StepPublish  = "publish"
)

// Kinds of steps that are no step of a whole run; the kind of the others is
// their name. marts.pipeline_runs counts by kind.
const (
	KindBackfill  = "backfill"
	KindTransform = "transform"
)

// Lands reports whether steps of a kind land posts.
func Lands(kind string) bool { return kind == StepIngest || kind == KindBackfill }

// How the work of a step is cut into shards.
const (
	ShardSource    = "source"    // by source, in the order of the config
	ShardPartition = "partition" // by the hash of the partition's name
)

// WindowPast is the kind of window of a step that reads a time in the past when it
// is given one.
const WindowPast = "past"

// Step is a part of a run, as data. Runs, schedules and other programs (feedlake
// jobs) all read this table.
type Step struct {
	Name   string
	Needs  []string // steps that it follows: it works with what they have left
	Reads  []string // tables
	Writes []string // tables
	Locks  []string // see Each
	Each   bool     // its locks are claimed one by one by the sources or places that it works on; otherwise all are held while it runs
	Shards string   // how its work can be cut: one of the Shard constants; "": not at all
	Window string   // what --from and --to mean to it: WindowPast; "": nothing

	run func(*App, context.Context, Work) error
}

// Work says which part of a step is asked for. The zero Work is all that is new.
type Work struct {
	Full    bool            // build every table anew
	Sources []string        // of the config; nil: all
	Window  feedlake.Window // a time in the past; zero: what is new
	Shard   schedules.Shard // zero: the whole
}

// Steps lists the steps of a whole run for this configuration. A step that failed
// has left its tables as they were, so that those behind it go on with what is
// there: a source that is down, or a file of labels that is missing, keeps nobody
// from the numbers of the others.
func (a *App) Steps() ([]Step, error) {
	g, err := LoadModels()
	if err != nil {
		return nil, err
	}
	posts, rejects, labels, scores, trends := lake.RawPosts().Name, lake.RawRejects().Name, lake.Labels().Name, lake.SentimentScores().Name, lake.Trends().Name
	champions, confusion, erased := lake.Champions().Name, lake.Confusion().Name, lake.Erased().Name
	sources, places := a.sourceLocks(), a.placeLocks()
	featureTables, martTables := Features.names(g), Marts.names(g)
	return []Step{
		{
			Name: StepIngest, Reads: []string{posts, erased}, Writes: []string{posts, rejects},
			Locks: sources, Each: true, Shards: ShardSource, Window: WindowPast, run: (*App).ingestStep,
		},
		{
			Name: StepRetain, Needs: []string{StepIngest}, Reads: []string{posts}, Writes: []string{posts, rejects, scores},
			Locks: sources, Each: true, run: func(a *App, ctx context.Context, _ Work) error { return a.Retain(ctx) },
		},
		{
			Name: StepFeatures, Needs: []string{StepRetain}, Reads: inputsOf(g, featureTables), Writes: append([]string{lake.Scattered().Name}, featureTables...),
			Locks: []string{LockBuild}, run: func(a *App, ctx context.Context, w Work) error { return a.Transform(ctx, Features, w.Full) },
		},
		{
			Name: StepLabels, Reads: []string{erased}, Writes: []string{labels},
			Locks: []string{lockTrain(ModelSentiment)}, run: func(a *App, ctx context.Context, _ Work) error { return a.Labels(ctx) },
		},
		{
			Name: StepTrain, Needs: []string{StepLabels, StepFeatures}, Reads: []string{labels, "features.hashtag_hourly"}, Writes: []string{champions, confusion},
			Locks: TrainLocks(), run: func(a *App, ctx context.Context, _ Work) error { return a.Train(ctx, TrainDue) },
		},
		{
			Name: StepScore, Needs: []string{StepTrain}, Reads: []string{"features.posts", scores}, Writes: []string{scores, champions, confusion},
			Locks: []string{LockScore(ModelSentiment)}, Shards: ShardPartition,
			run: func(a *App, ctx context.Context, w Work) error { return a.score(ctx, w.Shard, nil) },
		},
		{
			Name: StepTrends, Needs: []string{StepTrain}, Reads: []string{"features.hashtag_hourly", trends}, Writes: []string{trends, champions, confusion},
			Locks: []string{LockScore(ModelTrends)}, run: func(a *App, ctx context.Context, _ Work) error { return a.Trends(ctx) },
		},
		{
			Name: StepMarts, Needs: []string{StepFeatures, StepScore, StepTrends}, Reads: inputsOf(g, martTables), Writes: martTables,
			Locks: []string{LockBuild}, run: func(a *App, ctx context.Context, w Work) error { return a.Transform(ctx, Marts, w.Full) },
		},
		{
			Name: StepPublish, Needs: []string{StepMarts}, Reads: a.published(martTables), Writes: []string{},
			Locks: places, Each: true, run: func(a *App, ctx context.Context, _ Work) error { return a.Publish(ctx) },
		},
	}, nil
}

// inputsOf lists the tables that models read and do not build, sorted.
func inputsOf(g *transforms.Graph, tables []string) []string {
	var out []string
	for _, m := range g.Models() {
		if !slices.Contains(tables, m.Name) {
			continue
		}
		for _, in := range m.Inputs {
			if !slices.Contains(tables, in.Table) {
				out = append(out, in.Table)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// published lists the tables that some place gets, sorted.
func (a *App) published(marts []string) []string {
	var out []string
	for _, p := range a.Config.Publish {
		if len(p.Tables) == 0 {
			out = append(out, append([]string{"marts.pipeline_runs"}, marts...)...)
		}
		out = append(out, p.Tables...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Step finds a step by its name.
func (a *App) Step(name string) (Step, error) {
	steps, err := a.Steps()
	if err != nil {
		return Step{}, err
	}
	i := slices.IndexFunc(steps, func(s Step) bool { return s.Name == name })
	if i < 0 {
		names := make([]string, len(steps))
		for i, s := range steps {
			names[i] = s.Name
		}
		return Step{}, feedlake.Hint(fmt.Errorf("step %q: %w", name, feedlake.ErrConfig), "the steps are: %s", strings.Join(names, ", "))
	}
	return steps[i], nil
}

// Jobs makes jobs of steps: each follows those of them that it needs.
func (a *App) Jobs(w Work, steps ...Step) []schedules.Job {
	jobs := make([]schedules.Job, len(steps))
	for i, s := range steps {
		jobs[i] = schedules.Job{
			Name: s.Name, Kind: s.Name, Tries: 3, Shard: w.Shard, Part: w.Sources != nil || w.Window != (feedlake.Window{}),
			Run: func(ctx context.Context, _ feedlake.Window) error {
				missing := a.needs(ctx, s)
				return errors.Join(s.run(a, ctx, w), missing)
			},
		}
		if !w.Shard.Whole() {
			jobs[i].Name += " " + w.Shard.String()
		}
		if !s.Each {
			jobs[i].Locks = s.Locks
		}
		for _, other := range steps {
			if slices.Contains(s.Needs, other.Name) {
				jobs[i].Follows = append(jobs[i].Follows, other.Name)
			}
		}
	}
	return jobs
}

// Pipeline lists the jobs of a whole run.
func (a *App) Pipeline(full bool) ([]schedules.Job, error) {
	steps, err := a.Steps()
	if err != nil {
		return nil, err
	}
	return a.Jobs(Work{Full: full}, steps...), nil
}

// Job makes a job of work that is no step of a whole run, under locks of its own.
func Job(name string, locks []string, run func(context.Context) error, follows ...string) schedules.Job {
	return schedules.Job{
		Name: name, Kind: name, Follows: follows, Locks: locks, Tries: 3,
		Run: func(ctx context.Context, _ feedlake.Window) error { return run(ctx) },
	}
}

// needs is feedlake.ErrPartial when shards of a step that s needs are missing: what
// s has made lacks theirs.
func (a *App) needs(ctx context.Context, s Step) error {
	missing, err := a.Ledger.Incomplete(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range missing {
		if slices.Contains(s.Needs, m.Step) {
			errs = append(errs, m.Error())
		}
	}
	return errors.Join(errs...)
}

// inPart is the error of a step that failed for some of n things: those that did
// not fail make it feedlake.ErrPartial.
func inPart(n int, what string, failed []error) error {
	err := errors.Join(failed...)
	if len(failed) > 0 && len(failed) < n {
		return fmt.Errorf("%s of %d %w: %w", feedlake.Plural(int64(len(failed)), what), n, feedlake.ErrPartial, err)
	}
	return err
}
