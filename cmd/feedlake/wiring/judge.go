package wiring

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/schedules"
	"github.com/feedlake/feedlake/serving"
	"github.com/feedlake/feedlake/training"
	"github.com/feedlake/feedlake/training/tensorflow"
)

// SentimentScorer lets serving use the model that training keeps.
type SentimentScorer struct {
	training.Scorer
	labels []string
}

// Score labels texts.
func (s SentimentScorer) Score(ctx context.Context, texts []string) ([]serving.Sentiment, error) {
	got, err := s.Scorer.Score(ctx, texts)
	out := make([]serving.Sentiment, len(got))
	for i, p := range got {
		out[i] = serving.Sentiment{Label: s.labels[p.Label()], P: p.P, Empty: p.Empty}
	}
	return out, err
}

// loadSentiment opens a sentiment version.
func loadSentiment(ctx context.Context, reg *training.Registry, version int) (SentimentScorer, error) {
	s, err := (tensorflow.Sentiment{}).Load(ctx, reg.Dir(ModelSentiment, version))
	return SentimentScorer{s, training.SentimentLabels()}, err
}

// SentimentInUse opens the sentiment version in use.
func (a *App) SentimentInUse(ctx context.Context) (SentimentScorer, error) {
	reg, err := a.Registry(ctx)
	if err != nil {
		return SentimentScorer{}, err
	}
	card, err := reg.Champion(ModelSentiment)
	if err != nil {
		return SentimentScorer{}, feedlake.Hint(err, "train one: feedlake label import FILE --dataset NAME, then feedlake train sentiment")
	}
	return loadSentiment(ctx, reg, card.Version)
}

// judging is the version of a model in use, and what earlier ones that a step
// opened need at its end.
type judging struct {
	reg    *training.Registry
	inUse  training.Card
	opened []func() error
}

// judges reads which version of a model is in use; nil when none is. ml.champions
// and ml.confusion are up to date afterwards, since marts read what scores name.
func (a *App) judges(ctx context.Context, model string) (*judging, error) {
	reg, err := a.Registry(ctx)
	if err != nil {
		return nil, err
	}
	if err := reg.Sync(ctx, schedules.RunOf(ctx).ID); err != nil {
		return nil, err
	}
	card, err := reg.Champion(model)
	if errors.Is(err, feedlake.ErrNotFound) {
		return nil, nil //nolint:nilnil // no version is in use
	}
	return &judging{reg: reg, inUse: card}, err
}

// judge opens what judges posts with a model, or says none where no version is in
// use, and closes it after do.
func (a *App) judge(ctx context.Context, model, none string, do func(*judging, *query.DB) error) (err error) {
	j, err := a.judges(ctx, model)
	if err != nil {
		return err
	}
	if j == nil {
		schedules.Report(ctx, schedules.Counts{Detail: none})
		return nil
	}
	defer func() { err = errors.Join(err, j.close()) }()
	db, err := a.DuckDB(ctx, "SET threads = 1") // sessions side by side, each on a thread of its own
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return do(j, db)
}

func (j *judging) close() error {
	var errs []error
	for _, c := range slices.Backward(j.opened) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// sentiment opens a version for serving.
func (j *judging) sentiment(unsaid string) func(context.Context, int) (serving.Judge, error) {
	return func(ctx context.Context, version int) (serving.Judge, error) {
		card, err := j.reg.Card(ModelSentiment, version)
		if err != nil {
			return serving.Judge{}, err
		}
		s, err := loadSentiment(ctx, j.reg, version)
		if err != nil {
			return serving.Judge{}, err
		}
		j.opened = append(j.opened, s.Close)
		if len(card.Languages) == 0 {
			card.Languages = []string{unsaid}
		}
		return serving.Judge{Scorer: s, Languages: card.Languages}, nil
	}
}

// Score fills ml.sentiment_scores.
func (a *App) Score(ctx context.Context) error { return a.score(ctx, schedules.Shard{}, nil) }

// ScoreDays fills ml.sentiment_scores; with again, the version in use judges
// those days anew.
func (a *App) ScoreDays(ctx context.Context, again *serving.Days) error {
	return a.score(ctx, schedules.Shard{}, again)
}

func (a *App) score(ctx context.Context, shard schedules.Shard, again *serving.Days) error {
	return a.judge(ctx, ModelSentiment, "no sentiment model is in use", func(j *judging, db *query.DB) error {
		res, err := serving.Score(ctx, serving.ScoreOptions{
			Lake: a.Lake, DB: db, Model: ModelSentiment, Version: j.inUse.Version, Open: j.sentiment(a.Config.Models.Sentiment.Language), Again: again, Shard: serving.Shard(shard),
			Parallel: a.parallel, RunID: schedules.RunOf(ctx).ID, Now: a.Now, Log: a.Log,
			Progress: func(done, total int64) { a.Progress(ctx, StepScore, done, total, "posts", "") },
		})
		schedules.Report(ctx, schedules.Counts{RowsIn: res.Posts, RowsOut: res.Scored, Detail: scoreDetail(j.inUse.Version, res)})
		return err
	})
}

func scoreDetail(version int, r serving.ScoreResult) string {
	if r.Scored+r.Language+r.Empty == 0 {
		return fmt.Sprintf("version %d: nothing new", version)
	}
	s := fmt.Sprintf("version %d: %s in %s", version, feedlake.Plural(r.Scored, "post"), feedlake.Plural(int64(r.Partitions), "partition"))
	if r.Language > 0 {
		s += fmt.Sprintf(", %s of languages that it was not judged on", feedlake.Count(r.Language))
	}
	if r.Empty > 0 {
		s += fmt.Sprintf(", %s without a word", feedlake.Count(r.Empty))
	}
	return s
}

// countModel lets serving use the model that training keeps.
type countModel struct{ training.CountModel }

// Expect asks the model.
func (m countModel) Expect(ctx context.Context, hours []serving.Hour) ([]serving.Expected, error) {
	in := make([]training.TagHour, len(hours))
	for i, h := range hours {
		in[i] = training.TagHour(h)
	}
	got, err := m.CountModel.Expect(ctx, in)
	out := make([]serving.Expected, len(got))
	for i, e := range got {
		out[i] = serving.Expected(e)
	}
	return out, err
}

// Describe describes hours as the model learnt them.
func (countModel) Describe(past []serving.HourPosts, active, at []int64) []serving.Hour {
	in := make([]training.HourPosts, len(past))
	for i, h := range past {
		in[i] = training.HourPosts(h)
	}
	got := training.Describe(in, active, at)
	out := make([]serving.Hour, len(got))
	for i, h := range got {
		out[i] = serving.Hour(h)
	}
	return out
}

// counts opens a version for serving.
func (j *judging) counts(ctx context.Context, version int) (serving.CountModel, error) {
	m, err := (tensorflow.Counts{}).Load(ctx, j.reg.Dir(ModelTrends, version))
	if err != nil {
		return nil, err
	}
	j.opened = append(j.opened, m.Close)
	return countModel{m}, nil
}

// Trends fills ml.trends.
func (a *App) Trends(ctx context.Context) error { return a.TrendDays(ctx, nil) }

// TrendDays fills ml.trends; with again, the version in use judges those days
// anew.
func (a *App) TrendDays(ctx context.Context, again *serving.Days) error {
	return a.judge(ctx, ModelTrends, "no count model is in use", func(j *judging, db *query.DB) error {
		res, err := serving.Trends(ctx, serving.TrendOptions{
			Lake: a.Lake, DB: db, Model: ModelTrends, Version: j.inUse.Version, Authors: a.Config.Models.Trends.Authors, Open: j.counts, Again: again,
			Parallel: a.parallel, RunID: schedules.RunOf(ctx).ID, Log: a.Log,
			Progress: func(done, total int64) { a.Progress(ctx, StepTrends, done, total, "partitions", "") },
		})
		detail := fmt.Sprintf("version %d: nothing new", j.inUse.Version)
		if res.Partitions > 0 {
			detail = fmt.Sprintf("version %d: %s, %s trending", j.inUse.Version, feedlake.Plural(res.Hours, "hour"), feedlake.Count(res.Trending))
		}
		schedules.Report(ctx, schedules.Counts{RowsIn: res.Hours, RowsOut: res.Hours, Detail: detail})
		return err
	})
}

// ModelInUse is the version of a model that scores.
type ModelInUse struct {
	Model       string  `json:"model"`
	Version     int     `json:"version"`
	MacroRecall float64 `json:"macro_recall,omitempty"`
}

// ModelsInUse lists the champions.
func (a *App) ModelsInUse(ctx context.Context) ([]ModelInUse, error) {
	reg, err := a.Registry(ctx)
	if err != nil {
		return nil, err
	}
	names, err := reg.Models()
	if err != nil {
		return nil, err
	}
	out := []ModelInUse{}
	for _, n := range names {
		c, err := reg.Champion(n)
		if errors.Is(err, feedlake.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		m := ModelInUse{Model: n, Version: c.Version}
		if c.Evaluation != nil {
			m.MacroRecall = c.Evaluation.MacroRecall
		}
		out = append(out, m)
	}
	return out, nil
}
