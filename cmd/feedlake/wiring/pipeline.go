package wiring

import (
	"context"
	"errors"
	"fmt"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/schedules"
)

// LockName keeps two runs over one lake apart, whatever they are called.
const LockName = "lake"

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

// Job makes a job of one step, which begins when the steps that it follows have
// ended, whatever came of them: a step works with what the tables hold.
func Job(name string, run func(context.Context) error, follows ...string) schedules.Job {
	return schedules.Job{
		Name: name, Kind: name, Follows: follows, Tries: 3,
		Run: func(ctx context.Context, _ feedlake.Window) error { return run(ctx) },
	}
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

// Pipeline lists the jobs of a whole run. A step that failed has left its tables
// as they were, so that those behind it go on with what is there: a source that
// is down, or a file of labels that is missing, keeps nobody from the numbers of
// the others.
func (a *App) Pipeline(full bool) []schedules.Job {
	return []schedules.Job{
		Job(StepIngest, func(ctx context.Context) error { return a.Ingest(ctx, nil) }),
		Job(StepRetain, a.Retain, StepIngest),
		Job(StepFeatures, func(ctx context.Context) error { return a.Transform(ctx, Features, full) }, StepRetain),
		Job(StepLabels, a.Labels),
		Job(StepTrain, func(ctx context.Context) error { return a.Train(ctx, TrainDue) }, StepLabels, StepFeatures),
		Job(StepScore, a.Score, StepTrain),
		Job(StepTrends, a.Trends, StepTrain),
		Job(StepMarts, func(ctx context.Context) error { return a.Transform(ctx, Marts, full) }, StepFeatures, StepScore, StepTrends),
		Job(StepPublish, a.Publish, StepMarts),
	}
}
