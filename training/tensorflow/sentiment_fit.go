package tensorflow

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	tf "github.com/galeone/tensorflow/tensorflow/go"
)

// fitting is one training run.
type fitting struct {
	settings
	*trainer
	fit, held []document
	weight    [classes]float32
	rng       *rand.Rand
	best      string // checkpoint of the epoch with the lowest held-out loss
	progress  func(done, total int64)
}

// epochsUnheld is the number of epochs without a held-out part.
const epochsUnheld = 3

// run trains until the held-out loss rises, leaves the variables of the best
// epoch in the session, and returns that epoch's number and loss.
func (f *fitting) run(ctx context.Context) (int, float64, error) {
	epochs := f.Epochs
	if len(f.held) == 0 {
		epochs = epochsUnheld
	}
	total := int64(epochs * len(f.fit))
	bestEpoch, bestLoss := 0, math.Inf(1)
	for e := 1; e <= epochs; e++ {
		if err := f.epoch(ctx, int64(e-1), total); err != nil {
			return 0, 0, err
		}
		if len(f.held) == 0 {
			bestEpoch, bestLoss = e, 0
			continue
		}
		logits, err := f.logitsOf(f.held)
		if err != nil {
			return 0, 0, err
		}
		loss := balancedLoss(f.held, logits, identity())
		if math.IsNaN(loss) {
			return 0, 0, fmt.Errorf("epoch %d: the loss is not a number", e)
		}
		if loss < bestLoss {
			bestEpoch, bestLoss = e, loss
			if err := f.at(f.saver, f.saver.save, f.best); err != nil {
				return 0, 0, err
			}
		} else if e-bestEpoch >= f.Patience {
			break
		}
	}
	f.progress(total, total)
	if len(f.held) == 0 {
		return bestEpoch, bestLoss, nil
	}
	return bestEpoch, bestLoss, f.at(f.saver, f.saver.restore, f.best)
}

// epoch shows every example once, in an order that the seed gives.
func (f *fitting) epoch(ctx context.Context, done, total int64) error {
	n := len(f.fit)
	f.rng.Shuffle(n, func(i, j int) { f.fit[i], f.fit[j] = f.fit[j], f.fit[i] })
	var b batch
	for start := 0; start < n; start += f.Batch {
		docs := f.fit[start:min(start+f.Batch, n)]
		b.reset()
		for _, d := range docs {
			b.addDropped(d.textIDs, f.Drop, f.rng)
		}
		b.target(docs, f.weight)
		feeds := append(b.feeds(f.in),
			feed{to: f.targets, value: b.targets, shape: []int64{int64(len(docs)), classes}},
			feed{to: f.trainer.weight, value: b.weights})
		if _, err := f.session.run(feeds, nil, f.step); err != nil {
			return err
		}
		if start/f.Batch%64 == 0 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			f.progress(done*int64(n)+int64(start), total)
		}
	}
	return nil
}

// scoreBatch is how many texts go through the network at once.
const scoreBatch = 1024

// logitsOf runs the network over documents, without calibration.
func (f *fitting) logitsOf(docs []document) ([][classes]float64, error) {
	out := make([][classes]float64, 0, len(docs))
	var b batch
	for start := 0; start < len(docs); start += scoreBatch {
		part := docs[start:min(start+scoreBatch, len(docs))]
		b.reset()
		for _, d := range part {
			b.add(d.textIDs)
		}
		got, err := f.session.run(b.feeds(f.in), []tf.Output{f.raw})
		if err != nil {
			return nil, err
		}
		v := numbers[float32](got[0])
		for i := range part {
			out = append(out, [classes]float64{float64(v[i*classes]), float64(v[i*classes+1]), float64(v[i*classes+2])})
		}
	}
	return out, nil
}

// batch is the flat form in which texts enter the graph.
type batch struct {
	ids, segs        []int32
	n                int32
	targets, weights []float32
}

func (b *batch) reset() {
	b.ids, b.segs, b.n, b.targets, b.weights = b.ids[:0], b.segs[:0], 0, b.targets[:0], b.weights[:0]
}

func (b *batch) add(t textIDs) { b.addDropped(t, 0, nil) }

// addDropped adds a text without a random share of its features.
func (b *batch) addDropped(t textIDs, drop float64, rng *rand.Rand) {
	for group, ids := range [...][]int32{t.words, t.chars} {
		segment := 2*b.n + int32(group)
		for _, id := range ids {
			if drop > 0 && rng.Float64() < drop {
				continue
			}
			b.ids, b.segs = append(b.ids, id), append(b.segs, segment)
		}
	}
	b.n++
}

func (b *batch) target(docs []document, weight [classes]float32) {
	for _, d := range docs {
		var row [classes]float32
		row[d.label] = 1
		b.targets, b.weights = append(b.targets, row[:]...), append(b.weights, weight[d.label])
	}
}

func (b *batch) feeds(in bagInputs) []feed {
	return []feed{{to: in.ids, value: b.ids}, {to: in.segs, value: b.segs}, {to: in.n, value: b.n}}
}
