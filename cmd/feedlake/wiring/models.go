package wiring

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/config"
	"github.com/feedlake/feedlake/ingest/simulate"
	"github.com/feedlake/feedlake/schedules"
	"github.com/feedlake/feedlake/training"
	"github.com/feedlake/feedlake/training/tensorflow"
)

// Names of the models, as people write them.
const (
	ModelSentiment = training.ModelSentiment
	ModelTrends    = training.ModelTrends
)

// TrainChoice says which models to train whether or not it is due.
type TrainChoice struct{ Force []string }

// Which models a run trains, and which a person who names none.
var (
	TrainDue = TrainChoice{}
	TrainAll = TrainChoice{Force: []string{ModelSentiment, ModelTrends}}
)

// models remembers in which run this machine last brought home what the bucket
// has of the registry.
type models struct {
	mu     sync.Mutex
	pulled bool
	run    string // "" outside of runs
}

// Registry brings the models from the bucket, where the lake has one, with the
// first call of a run: most commands need none, and a schedule lives long while
// others promote and roll back.
func (a *App) Registry(ctx context.Context) (*training.Registry, error) {
	a.models.mu.Lock()
	defer a.models.mu.Unlock()
	r, run := training.NewRegistry(a.Lake, a.Now), schedules.RunOf(ctx).ID
	if a.models.pulled && a.models.run == run {
		return r, nil
	}
	if err := r.Pull(ctx); err != nil {
		return nil, err
	}
	a.models.pulled, a.models.run = true, run
	return r, nil
}

// Labels imports the sets of labelled texts that the config names. A set whose
// content was imported before adds nothing; one that cannot be read does not keep
// the others out.
func (a *App) Labels(ctx context.Context) error {
	type set struct {
		name string
		read func() (training.LabelResult, error)
	}
	var sets []set
	for _, l := range a.Config.Labels {
		sets = append(sets, set{l.Dataset, func() (training.LabelResult, error) { return a.ImportFile(ctx, a.Config.Path(l.File), l) }})
	}
	if a.Simulated > 0 {
		sets = append(sets, set{"simulated", func() (training.LabelResult, error) { return a.importSimulated(ctx, a.Simulated) }})
	}
	var details []string
	var failed []error
	for _, s := range sets {
		res, err := s.read()
		switch {
		case err == nil:
			details = append(details, LabelDetail(res))
		case ctx.Err() != nil:
			return err
		default:
			failed = append(failed, fmt.Errorf("import labels %s: %w", s.name, err))
			details = append(details, s.name+": stopped")
		}
	}
	if len(sets) == 0 {
		details = append(details, "no labels are configured")
	}
	schedules.Report(ctx, schedules.Counts{Detail: strings.Join(details, "; ")})
	return inPart(len(sets), "set of labels", failed)
}

// LabelDetail says for people what became of a set of labels.
func LabelDetail(r training.LabelResult) string {
	switch {
	case r.Known:
		return r.Dataset + ": nothing new"
	case len(r.Bad) > 0:
		return fmt.Sprintf("%s: %s, %d could not be read, the first in line %d: %s", r.Dataset, feedlake.Plural(int64(r.Added), "label"), len(r.Bad), r.Bad[0].Line, r.Bad[0].Reason)
	}
	return r.Dataset + ": " + feedlake.Plural(int64(r.Added), "label")
}

// ImportFile brings a file of labelled texts into ml.labels.
func (a *App) ImportFile(ctx context.Context, path string, l config.Labels) (training.LabelResult, error) {
	format, err := training.FormatOf(path)
	if err != nil {
		return training.LabelResult{}, err
	}
	cols := training.LabelColumns{Label: l.Label, Text: l.Text, ID: l.ID, Lang: l.Lang}
	res, err := training.ImportLabels(ctx, training.LabelImport{
		Lake: a.Lake, Dataset: l.Dataset, RunID: schedules.RunOf(ctx).ID, Now: a.Now,
		Read: func(good func(training.Labelled) error, bad func(training.BadLabel)) error {
			f, err := os.Open(path)
			if err != nil {
				return feedlake.Hint(fmt.Errorf("%w: %w", err, feedlake.ErrConfig), "a relative path starts from the config's folder")
			}
			return errors.Join(training.ReadLabels(f, path, format, cols, good, bad), f.Close())
		},
	})
	schedules.Report(ctx, schedules.Counts{RowsIn: int64(res.Added + len(res.Bad)), RowsOut: int64(res.Added), Rejects: int64(len(res.Bad))})
	return res, err
}

// importSimulated brings n labelled texts of the simulator into ml.labels, drawn
// apart from the posts that it makes.
func (a *App) importSimulated(ctx context.Context, n int) (training.LabelResult, error) {
	index := map[string]int{}
	for i, l := range training.SentimentLabels() {
		index[l] = i
	}
	res, err := training.ImportLabels(ctx, training.LabelImport{
		Lake: a.Lake, Dataset: "simulated", Labeller: "simulator", RunID: schedules.RunOf(ctx).ID, Now: a.Now,
		Read: func(good func(training.Labelled) error, _ func(training.BadLabel)) error {
			i := 0
			for l := range (simulate.Config{Seed: 1}).Labelled(n) {
				i++
				if err := good(training.Labelled{ID: fmt.Sprint(i), Text: l.Text, Label: index[l.Label], Lang: l.Lang}); err != nil {
					return err
				}
			}
			return nil
		},
	})
	schedules.Report(ctx, schedules.Counts{RowsIn: int64(res.Added), RowsOut: int64(res.Added)})
	return res, err
}

// Train trains the models that are due, or those that are asked for, and
// finishes promotions that were cut off. A version that the gate refuses leaves
// the version in use where it is.
func (a *App) Train(ctx context.Context, which TrainChoice) error {
	reg, err := a.Registry(ctx)
	if err != nil {
		return err
	}
	var details []string
	var errs []error
	for _, m := range a.trainable(reg) {
		forced := slices.Contains(which.Force, m.name)
		if len(which.Force) > 0 && !forced {
			continue
		}
		card, why, err := m.renew(ctx, forced)
		switch {
		case ctx.Err() != nil:
			return err
		case why != "":
			details = append(details, m.name+": "+why)
			continue
		case err != nil && !errors.Is(err, feedlake.ErrRejected): // the others, and scoring with what is in use, go on
			errs = append(errs, fmt.Errorf("%w: %w", feedlake.ErrPartial, err))
			details = append(details, m.name+": failed")
			continue
		}
		errs = append(errs, err)
		schedules.Report(ctx, schedules.Counts{RowsIn: int64(card.Examples + card.Held), RowsOut: 1})
		details = append(details, trainDetail(card))
	}
	schedules.Report(ctx, schedules.Counts{Detail: strings.Join(details, "; ")})
	return errors.Join(append(errs, reg.Sync(ctx, schedules.RunOf(ctx).ID))...)
}

// trainable is a model that can be trained.
type trainable struct {
	name   string
	due    func(context.Context) (training.Due, error)
	train  func(context.Context) (training.Card, error)
	finish func(ctx context.Context, version int) (training.Card, error)
}

func (a *App) trainable(reg *training.Registry) []trainable {
	s, t := a.Config.Models.Sentiment, a.Config.Models.Trends
	gate := training.NewGate(s.Gate.MacroRecall, s.Gate.Drop)
	sentiment := func(ctx context.Context, do func(training.Options) (training.Card, error)) (training.Card, error) {
		return withOptions(ctx, a, s.Seed, ModelSentiment, do)
	}
	trends := func(ctx context.Context, do func(training.Options) (training.Card, error)) (training.Card, error) {
		return withOptions(ctx, a, t.Seed, ModelTrends, do)
	}
	return []trainable{
		{
			ModelSentiment, func(ctx context.Context) (training.Due, error) { return reg.SentimentDue(ctx, tensorflow.Sentiment{}) },
			func(ctx context.Context) (training.Card, error) {
				return sentiment(ctx, func(o training.Options) (training.Card, error) {
					return training.TrainSentiment(ctx, o, tensorflow.Sentiment{}, gate)
				})
			},
			func(ctx context.Context, v int) (training.Card, error) {
				return sentiment(ctx, func(o training.Options) (training.Card, error) {
					return training.FinishSentiment(ctx, o, tensorflow.Sentiment{}, gate, v)
				})
			},
		},
		{
			ModelTrends, func(ctx context.Context) (training.Due, error) { return reg.TrendsDue(ctx, t.Every) },
			func(ctx context.Context) (training.Card, error) {
				return trends(ctx, func(o training.Options) (training.Card, error) {
					return training.TrainTrends(ctx, o, tensorflow.Counts{})
				})
			},
			func(ctx context.Context, v int) (training.Card, error) {
				return trends(ctx, func(o training.Options) (training.Card, error) { return training.FinishTrends(ctx, o, v) })
			},
		},
	}
}

// renew does what is due for the model; why says that nothing was done, and for
// what reason. What nobody asked for and cannot be learnt from is such a reason.
func (m trainable) renew(ctx context.Context, forced bool) (card training.Card, why string, err error) {
	due, err := m.due(ctx)
	switch {
	case err != nil:
		return card, "", err
	case due.Finish > 0:
		if card, err = m.finish(ctx, due.Finish); !forced || err != nil {
			return card, "", err
		}
	case !due.Train && !forced:
		return card, due.Why, nil
	}
	card, err = m.train(ctx)
	unlearnable := errors.Is(err, feedlake.ErrForbidden) || errors.Is(err, feedlake.ErrRejected) && card.Version == 0
	if unlearnable && !forced && ctx.Err() == nil {
		return card, err.Error(), nil
	}
	return card, "", err
}

func trainDetail(c training.Card) string {
	s := fmt.Sprintf("%s version %d", c.Model, c.Version)
	if c.Evaluation != nil {
		s += fmt.Sprintf(", macro-recall %.3f on %d held-out texts", c.Evaluation.MacroRecall, c.Evaluation.N)
	}
	if c.GateVerdict != "passed" {
		s += ", refused by the gate"
	}
	if len(c.LeftOut) > 0 {
		s += ", left out " + strings.Join(c.LeftOut, "; ")
	}
	return s
}

func withOptions(ctx context.Context, a *App, seed int64, model string, do func(training.Options) (training.Card, error)) (card training.Card, err error) {
	reg, err := a.Registry(ctx)
	if err != nil {
		return card, err
	}
	db, err := a.DuckDB(ctx)
	if err != nil {
		return card, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return do(training.Options{
		Lake: a.Lake, DB: db, Registry: reg, Barred: a.Config.Untrainable(), Language: a.Config.Models.Sentiment.Language, Seed: seed, RunID: schedules.RunOf(ctx).ID, CodeVersion: a.Version,
		Now: a.Now, Log: a.Log,
		Progress: func(done, total int64) { a.Progress(ctx, StepTrain, done, total, "steps", model) },
	})
}
