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
	Language    string                 // base language (BCP 47) of labels that do not tell theirs
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
// then wraps feedlake.ErrRejected. So does that of labels that lack a class, and
// then no version is made.
func TrainSentiment(ctx context.Context, o Options, t SentimentTrainer, gate Gate) (Card, error) {
	d, err := ReadDataset(ctx, o.Lake, o.DB, o.Barred)
	if err == nil {
		err = d.learnable()
	}
	if err != nil {
		return Card{}, fmt.Errorf("train %s: %w", ModelSentiment, err)
	}
	card := Card{
		Model: ModelSentiment, RunID: o.RunID, Data: map[string]int64{labelsTable: d.Snapshot}, Datasets: d.Datasets,
		Examples: len(d.Fit), Held: len(d.Held), Labels: d.Counts, Seed: o.Seed, CodeVersion: o.CodeVersion,
		LeftOut: d.Rules, Languages: d.languages(o.Language),
	}
	return o.fit(ctx, card, func(card *Card, dir string) (verdict, err error) {
		if card.Parameters, err = t.Train(ctx, d.Fit, d.Held, o.Seed, dir, o.progress()); err != nil {
			return nil, err
		}
		return o.judge(ctx, card, t, d.Held, gate)
	})
}

// judge measures a version on held-out examples and asks the gate.
func (o Options) judge(ctx context.Context, card *Card, t SentimentTrainer, held []Example, gate Gate) (verdict, err error) {
	if card.Evaluation, err = judgeDir(ctx, t, o.Registry.Dir(card.Model, card.Version), held); err != nil {
		return nil, err
	}
	current, err := o.champion(ctx, t, held)
	if err != nil {
		return nil, err
	}
	return gate(current, *card.Evaluation), nil
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
	e, err := judgeDir(ctx, t, o.Registry.Dir(ModelSentiment, c.Version), held)
	if errors.Is(err, feedlake.ErrConfig) { // of another program: its own report has to do
		return c.Evaluation, nil
	}
	return e, err
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

// fit reserves a version, lets do write the model into its folder and complete
// its card, and stores it. A folder that gets no card is removed.
func (o Options) fit(ctx context.Context, card Card, do func(card *Card, dir string) (verdict, err error)) (Card, error) {
	var dir string
	var err error
	if card.Version, dir, err = o.Registry.Reserve(ctx, card.Model); err != nil {
		return card, err
	}
	began := o.Now()
	verdict, err := do(&card, dir)
	if err != nil {
		return card, fmt.Errorf("train %s: %w", card.Model, errors.Join(err, o.Registry.drop(card.Model, card.Version)))
	}
	card.TrainSeconds = o.Now().Sub(began).Seconds()
	card.CreatedAt, card.GateVerdict = o.Now().UTC(), passed
	if verdict != nil {
		card.GateVerdict = verdict.Error()
	}
	if err := o.Registry.Add(ctx, card); err != nil {
		return card, err
	}
	o.Log.InfoContext(ctx, "model trained", "model", card.Model, "version", card.Version, "verdict", card.GateVerdict, "rows", card.Examples)
	return card, o.decide(ctx, card, verdict)
}

// decide puts a stored version in use unless the gate refused it.
func (o Options) decide(ctx context.Context, card Card, verdict error) error {
	if verdict != nil {
		return feedlake.Hint(fmt.Errorf("train %s version %d: %w", card.Model, card.Version, verdict),
			"the version in use stays; feedlake model show %s %d tells more, feedlake model promote puts it in use all the same", card.Model, card.Version)
	}
	return o.Registry.Promote(ctx, card.Model, card.Version, o.RunID, "passed the gate")
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
		Model: ModelTrends, RunID: o.RunID, Data: map[string]int64{hoursTable: snapshot},
		Examples: len(hours), Seed: o.Seed, CodeVersion: o.CodeVersion, LeftOut: leftOut,
	}
	return o.fit(ctx, card, func(card *Card, dir string) (verdict, err error) {
		card.Parameters, card.Metrics, err = t.Train(ctx, hours, o.Seed, dir, o.progress())
		return nil, err
	})
}
