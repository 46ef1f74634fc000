// Package training fits models from lake snapshots, judges them on examples
// that they have not seen, and keeps their versions.
package training

import (
	"context"
)

// Labels of sentiment, in the order of every probability vector.
var sentimentLabels = [...]string{"negative", "neutral", "positive"}

// SentimentLabels lists the labels in the order of Prediction.P.
func SentimentLabels() []string { return append([]string(nil), sentimentLabels[:]...) }

// Example is one labelled text.
type Example struct {
	Text  string
	Label int    // index into SentimentLabels
	Lang  string // "" when unknown
}

// Prediction is what a sentiment model says of one text: calibrated
// probabilities of negative, neutral and positive, which sum to 1. Empty marks a
// text without a word, a tag, an emoticon or an emoji: there is nothing to judge.
type Prediction struct {
	P     [3]float64
	Empty bool
}

// Label is the index of the likeliest label.
func (p Prediction) Label() int {
	best := 0
	for i, v := range p.P {
		if v > p.P[best] {
			best = i
		}
	}
	return best
}

// Scorer predicts the sentiment of texts, one Prediction per text, in order. It
// is safe for concurrent use.
type Scorer interface {
	Score(ctx context.Context, texts []string) ([]Prediction, error)
	Close() error
}

// Progress hears how far fitting has come: done of total steps.
type Progress func(done, total int64)

// SentimentTrainer fits sentiment models.
type SentimentTrainer interface {
	// Train fits a model on fit, using held only to stop early and to calibrate,
	// and writes it into dir as a SavedModel (saved_model.pb last, by rename). It
	// is deterministic for one seed. parameters describe the model for its card.
	Train(ctx context.Context, fit, held []Example, seed int64, dir string, progress Progress) (parameters map[string]string, err error)
	// Load opens a model that Train wrote.
	Load(ctx context.Context, dir string) (Scorer, error)
}

// TagHour is one hour of one hashtag: the features and the count of a row of
// features.hashtag_hourly. Hours without posts have Posts 0.
type TagHour struct {
	Posts          int64 // observed in this hour
	Posts24h       int64 // in the 24 hours before, without this one
	Posts7d        int64
	Posts28d       int64
	SameHour7d     int64 // in the same hour of day over the 7 days before
	HoursSinceLast int64 // 0: not seen within the look-back
	HoursKnown     int64 // hours of the source's history that the look-back covers, at most 672
	HourOfWeek     int   // 0 is Monday 00:00 UTC
}

// Expectation is what a count model says of one hour.
type Expectation struct {
	Mean   float64 // expected posts
	PValue float64 // probability of at least as many posts as were observed
}

// CountModel expects counts, one Expectation per hour, in order. It is safe for
// concurrent use.
type CountModel interface {
	Expect(ctx context.Context, hours []TagHour) ([]Expectation, error)
	Close() error
}

// CountTrainer fits count models.
type CountTrainer interface {
	// Train fits a model on hours (with the hours without posts among them), and
	// writes it into dir as a SavedModel. It is deterministic for one seed.
	// parameters describe the model, metrics its fit on the last part of hours.
	Train(ctx context.Context, hours []TagHour, seed int64, dir string, progress Progress) (parameters map[string]string, metrics map[string]float64, err error)
	// Load opens a model that Train wrote.
	Load(ctx context.Context, dir string) (CountModel, error)
}
