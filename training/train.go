package training

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// Names of the models.
const (
	ModelSentiment = "sentiment"
	ModelTrends    = "trends"
)

// Options says how to train.
type Options struct {
	Lake        *lake.Lake
	DB          *query.DB
	Registry    *Registry
	Barred      []feedlake.Prohibition // sources that no model may learn from
	Seed        int64
	RunID       string
	CodeVersion string
	Now         func() time.Time
	Log         *slog.Logger
	Progress    Progress // nil: nobody listens
}

func (o Options) progress() Progress {
	if o.Progress == nil {
		return func(int64, int64) {}
	}
	return o.Progress
}

// TrainSentiment fits a new version of the sentiment model on ml.labels, judges
// it on the held-out part, stores it with its report, and puts it in use when
// the gate lets it. A version that the gate refuses is stored too; the error
// then wraps feedlake.ErrRejected.
func TrainSentiment(ctx context.Context, o Options, t SentimentTrainer, gate Gate) (Card, error) {
	d, err := ReadDataset(ctx, o.Lake, o.DB, o.Barred)
	if err != nil {
		return Card{}, fmt.Errorf("train %s: %w", ModelSentiment, err)
	}
	card := Card{
		Model: ModelSentiment, RunID: o.RunID, Data: map[string]int64{"ml.labels": d.Snapshot}, Datasets: d.Datasets,
		Examples: len(d.Fit), Held: len(d.Held), Labels: d.Counts, Seed: o.Seed, CodeVersion: o.CodeVersion,
		LeftOut: d.Rules,
	}
	var dir string
	if card.Version, dir, err = o.Registry.Reserve(ctx, ModelSentiment); err != nil {
		return card, err
	}
	began := o.Now()
	if card.Parameters, err = t.Train(ctx, d.Fit, d.Held, o.Seed, dir, o.progress()); err != nil {
		return card, fmt.Errorf("train %s: %w", ModelSentiment, err)
	}
	card.TrainSeconds = o.Now().Sub(began).Seconds()
	card.Evaluation, err = judgeDir(ctx, t, dir, d.Held)
	if err != nil {
		return card, fmt.Errorf("train %s: %w", ModelSentiment, err)
	}
	current, err := o.champion(ctx, t, d.Held)
	if err != nil {
		return card, fmt.Errorf("train %s: %w", ModelSentiment, err)
	}
	return o.admit(ctx, card, gate(current, *card.Evaluation))
}

// champion judges the version in use on the same held-out examples; nil when
// none is in use.
func (o Options) champion(ctx context.Context, t SentimentTrainer, held []Example) (*Evaluation, error) {
	c, err := o.Registry.Champion(ModelSentiment)
	if errors.Is(err, feedlake.ErrNotFound) {
		return nil, nil //nolint:nilnil // no version is in use: nothing to compare with
	}
	if err != nil {
		return nil, err
	}
	return judgeDir(ctx, t, o.Registry.Dir(ModelSentiment, c.Version), held)
}

func judgeDir(ctx context.Context, t SentimentTrainer, dir string, held []Example) (_ *Evaluation, err error) {
	s, err := t.Load(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	e, err := Judge(ctx, s, held)
	return &e, err
}

// admit stores a version with the gate's verdict, and puts it in use unless the
// gate refused it.
func (o Options) admit(ctx context.Context, card Card, verdict error) (Card, error) {
	card.CreatedAt, card.GateVerdict = o.Now().UTC(), "passed"
	if verdict != nil {
		card.GateVerdict = verdict.Error()
	}
	if err := o.Registry.Add(ctx, card); err != nil {
		return card, err
	}
	o.Log.InfoContext(ctx, "model trained", "model", card.Model, "version", card.Version, "verdict", card.GateVerdict, "rows", card.Examples)
	if verdict != nil {
		return card, feedlake.Hint(fmt.Errorf("train %s version %d: %w", card.Model, card.Version, verdict),
			"the version in use stays; feedlake model show %s %d tells more, feedlake model promote puts it in use all the same", card.Model, card.Version)
	}
	return card, o.Registry.Promote(ctx, card.Model, card.Version, o.RunID, "passed the gate")
}

// TrainTrends fits a new version of the count model on features.hashtag_hourly,
// stores it and puts it in use. A lake without hashtags is feedlake.ErrNotFound; one
// with those of barred sources only is feedlake.ErrForbidden.
func TrainTrends(ctx context.Context, o Options, t CountTrainer) (Card, error) {
	hours, leftOut, snapshot, err := readHours(ctx, o.Lake, o.DB, o.Barred)
	if err != nil {
		return Card{}, fmt.Errorf("train %s: %w", ModelTrends, err)
	}
	card := Card{
		Model: ModelTrends, RunID: o.RunID, Data: map[string]int64{"features.hashtag_hourly": snapshot},
		Examples: len(hours), Seed: o.Seed, CodeVersion: o.CodeVersion, LeftOut: leftOut,
	}
	var dir string
	if card.Version, dir, err = o.Registry.Reserve(ctx, ModelTrends); err != nil {
		return card, err
	}
	began := o.Now()
	if card.Parameters, card.Metrics, err = t.Train(ctx, hours, o.Seed, dir, o.progress()); err != nil {
		return card, fmt.Errorf("train %s: %w", ModelTrends, err)
	}
	card.TrainSeconds = o.Now().Sub(began).Seconds()
	return o.admit(ctx, card, nil)
}
