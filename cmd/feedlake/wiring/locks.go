package wiring

import (
	"context"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/schedules"
)

// Locks of a lake, see docs/adr/0021. schedules.LockAll excludes them all.
const (
	LockBuild  = "build"  // tables that SQL models build
	LockCare   = "care"   // files and snapshots: compact, expire, orphans, restore
	LockRecord = "record" // the history of runs in the lake
)

// LockIngest is the lock of what a source lands.
func LockIngest(source string) string { return "ingest/" + source }

// LockScore is the lock of what a model says.
func LockScore(model string) string { return "score/" + model }

// LockPublish is the lock of a place to publish to.
func LockPublish(place string) string { return "publish/" + place }

func lockTrain(model string) string { return "train/" + model }

// TrainLocks are those of the models' versions.
func TrainLocks() []string { return []string{lockTrain(ModelSentiment), lockTrain(ModelTrends)} }

func (a *App) sourceLocks() []string {
	names := make([]string, len(a.Config.Sources))
	for i, s := range a.Config.Sources {
		names[i] = LockIngest(s.Name)
	}
	return names
}

func (a *App) placeLocks() []string {
	names := make([]string, len(a.Config.Publish))
	for i, p := range a.Config.Publish {
		names[i] = LockPublish(p.Name)
	}
	return names
}

// Hold does work under locks, and waits for others to release them.
func (a *App) Hold(ctx context.Context, work string, locks []string, do func(context.Context) error) error {
	return a.hold(ctx, schedules.Claim{Locks: locks, Work: work, Wait: a.Wait}, do)
}

func (a *App) hold(ctx context.Context, c schedules.Claim, do func(context.Context) error) error {
	held, release, err := a.Ledger.Claim(ctx, c)
	if err != nil {
		return err
	}
	defer release()
	return do(held)
}

// holdSource does work on a source, over a window of its past or all of it.
func (a *App) holdSource(ctx context.Context, source string, w feedlake.Window, do func(context.Context) error) error {
	return a.hold(ctx, schedules.Claim{Locks: []string{LockIngest(source)}, Window: w, Work: schedules.RunOf(ctx).Job, Wait: a.Wait}, do)
}

// holdPlace does work on a place to publish to.
func (a *App) holdPlace(ctx context.Context, place string, do func(context.Context) error) error {
	return a.Hold(ctx, schedules.RunOf(ctx).Job, []string{LockPublish(place)}, do)
}

// recordWait bounds how long the record of a run waits: the next run makes up for
// one that is left out.
const recordWait = time.Minute

// holdRecord does work on the history of runs in the lake, and on what is published
// of it.
func (a *App) holdRecord(ctx context.Context, do func(context.Context) error) error {
	wait := recordWait
	if a.Wait != 0 {
		wait = min(wait, a.Wait)
	}
	return a.hold(ctx, schedules.Claim{Locks: append(a.placeLocks(), LockRecord), Work: "record", Wait: wait}, do)
}
