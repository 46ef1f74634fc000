package tensorflow

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/training"
)

// Sentiment trains and loads sentiment models; it is a training.SentimentTrainer.
// Its zero value is ready.
type Sentiment struct{}

// settings is everything beside data and seed that a sentiment model depends
// on. The values were chosen by cross-validation within
// data/sentiment/tweets/train.tsv (47 k tweets, three of five folds); see
// defaults.
type settings struct {
	shape
	Rate     float32 // learning rate of the table
	Drop     float64 // share of a text's features left out at each sight of it
	Batch    int     // examples of a step
	Epochs   int     // at most
	Patience int     // epochs without a better held-out loss before training ends
}

// defaults: with the lexicon macro-recall rose by a point over n-grams alone
// (0.673 to 0.684), with words and characters summed apart by half a point
// more. An embedding of 8 to 32 columns, more buckets, longer n-grams, label
// smoothing and naive-Bayes weights at the start made no difference that the
// folds could show.
func defaults() settings {
	return settings{
		shape: shape{Features: DefaultFeatures(), Dim: 16, Hidden: 32, CharWeight: 0.5, DeepWeight: 0.2},
		Rate:  0.15, Drop: 0.5, Batch: 32, Epochs: 8, Patience: 2,
	}
}

func (s settings) parameters() map[string]string {
	return map[string]string{
		"features":     fmt.Sprintf("words 1-%d, characters %d-%d, 2^%d buckets, version %d", s.Features.WordMax, s.Features.CharMin, s.Features.CharMax, s.Features.Bits, s.Features.Version),
		"network":      fmt.Sprintf("linear + %d-column embedding, %d hidden", s.Dim, s.Hidden),
		"rate":         strconv.FormatFloat(float64(s.Rate), 'g', 4, 32),
		"feature_drop": strconv.FormatFloat(s.Drop, 'g', 4, 64),
		"batch":        strconv.Itoa(s.Batch),
	}
}

// document is an example as the network sees it.
type document struct {
	textIDs
	label int
}

// Train fits a model on fit and writes it into dir. held decides when to stop
// and calibrates the probabilities; it may be empty, and then training runs a
// fixed three epochs. The classes weigh the same, whatever their number, since
// macro-recall is what versions are judged by: probabilities are to be read as
// if the three classes were equally common.
//
// The same arguments give byte-identical variables with one version of the
// library on one kind of processor. Errors: feedlake.ErrRejected when fit lacks
// a class.
func (Sentiment) Train(ctx context.Context, fit, held []training.Example, seed int64, dir string, progress training.Progress) (map[string]string, error) {
	return trainSentiment(ctx, defaults(), fit, held, seed, dir, progress)
}

func trainSentiment(ctx context.Context, o settings, fit, held []training.Example, seed int64, dir string, progress training.Progress) (_ map[string]string, err error) {
	weight, err := classWeights(fit)
	if err != nil {
		return nil, fmt.Errorf("train sentiment: %w", err)
	}
	z, err := newFeaturiser(o.Features)
	if err != nil {
		return nil, fmt.Errorf("train sentiment: %w", err)
	}
	t, err := newTrainer(o.shape, o.Rate, seed)
	if err != nil {
		return nil, fmt.Errorf("train sentiment: %w", err)
	}
	defer func() { err = errors.Join(err, t.close()) }()
	work, err := os.MkdirTemp("", "feedlake-train-*")
	if err != nil {
		return nil, fmt.Errorf("train sentiment: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()

	if progress == nil {
		progress = func(int64, int64) {}
	}
	f := fitting{
		settings: o, trainer: t, weight: weight, best: filepath.Join(work, "best"), progress: progress,
		rng: rand.New(rand.NewPCG(uint64(seed), 0x5eed)), //nolint:gosec // any bits of the seed will do
	}
	if f.fit, err = z.documents(ctx, fit); err != nil {
		return nil, fmt.Errorf("train sentiment: %w", err)
	}
	if f.held, err = z.documents(ctx, held); err != nil {
		return nil, fmt.Errorf("train sentiment: %w", err)
	}
	epochs, loss, err := f.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("train sentiment: %w", err)
	}
	cal, err := f.calibrate()
	if err != nil {
		return nil, fmt.Errorf("train sentiment: %w", err)
	}
	if err := t.export(dir); err != nil {
		return nil, fmt.Errorf("train sentiment: %w", err)
	}
	p := o.parameters()
	p["epochs"] = strconv.Itoa(epochs)
	p["held_loss"] = strconv.FormatFloat(loss, 'f', 4, 64)
	p["calibration"] = fmt.Sprintf("scale %.3f, bias %.3f", cal.scale, cal.bias)
	return p, nil
}

// classWeights makes every class weigh the same in the loss, at a mean of 1.
func classWeights(fit []training.Example) ([classes]float32, error) {
	var n [classes]int
	for _, x := range fit {
		if x.Label < 0 || x.Label >= classes {
			return [classes]float32{}, fmt.Errorf("label %d: %w", x.Label, feedlake.ErrRejected)
		}
		n[x.Label]++
	}
	var w [classes]float32
	for c, k := range n {
		if k == 0 {
			return w, feedlake.Hint(fmt.Errorf("no example is %s: %w", training.SentimentLabels()[c], feedlake.ErrRejected),
				"import labels of all three kinds: feedlake label import FILE --dataset NAME")
		}
		w[c] = float32(len(fit)) / float32(classes*k)
	}
	return w, nil
}

// documents makes features of examples, in order.
func (z *featuriser) documents(ctx context.Context, examples []training.Example) ([]document, error) {
	out := make([]document, len(examples))
	for i, x := range examples {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		out[i] = document{z.features(x.Text), x.Label}
	}
	return out, nil
}
