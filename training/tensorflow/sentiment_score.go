package tensorflow

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	tf "github.com/galeone/tensorflow/tensorflow/go"
	"github.com/galeone/tensorflow/tensorflow/go/op"
	"golang.org/x/sync/errgroup"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/training"
)

// Ports of the sentiment signature: the features of n texts, flat (see
// bagInputs), and the probabilities [n, 3].
const (
	portIDs   = "ids"
	portSegs  = "segs"
	portN     = "n"
	portProbs = "probs"
)

// export writes the trained network as a graph of its own, without optimiser
// and gathers: it reads the whole table in place.
func (t *trainer) export(dir string) error {
	b := newBuilder()
	in := b.bag()
	w := b.servingWeights(t.shape)
	pooled := op.SparseSegmentSqrtNWithNumSegments(b.sub("pooled"), w.table.read, in.ids, in.segs, b.segments(in.n))
	probs := b.probabilities(w, b.logits(t.shape, w, pooled))
	s := b.saver()
	inputs := []port{{portIDs, in.ids, []int64{-1}}, {portSegs, in.segs, []int64{-1}}, {portN, in.n, nil}}
	return b.export(dir, s, inputs, []port{{portProbs, probs, []int64{-1, classes}}}, t.shape, func(prefix string) error {
		return t.at(t.saver, t.saver.save, prefix)
	})
}

// servingWeights adds the variables with empty initial values: the checkpoint
// fills them.
func (b *builder) servingWeights(h shape) weights {
	zero := func(name string, dims ...int64) *variable {
		return b.variable(name, tf.Float, dims, false, b.fill(dims, float32(0)))
	}
	dim, hidden := int64(h.Dim), int64(h.Hidden)
	return weights{
		table: zero("table", 1<<h.Features.Bits, h.columns()),
		w1:    zero("w1", dim, hidden), b1: zero("b1", hidden),
		w2: zero("w2", hidden, classes), b: zero("b", classes),
		scale: b.variable("scale", tf.Float, []int64{}, false, b.fill([]int64{}, float32(0))),
		bias:  zero("bias", classes),
	}
}

// sentimentModel is a loaded version.
type sentimentModel struct {
	*loaded
	z       *featuriser
	in      bagInputs
	probs   tf.Output
	batches sync.Pool // of *batch
}

// Load opens a model that Train wrote. Errors: feedlake.ErrNotFound when dir
// holds no finished model, feedlake.ErrConfig when this program cannot use it.
func (Sentiment) Load(ctx context.Context, dir string) (training.Scorer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var h shape
	l, err := load(dir, &h, portIDs, portSegs, portN, portProbs)
	if err != nil {
		return nil, err
	}
	m := &sentimentModel{loaded: l, in: bagInputs{l.ports[portIDs], l.ports[portSegs], l.ports[portN]}, probs: l.ports[portProbs]}
	m.batches.New = func() any { return new(batch) }
	if m.z, err = newFeaturiser(h.Features); err == nil {
		err = m.checkTable(h)
	}
	if err != nil {
		_ = l.close()
		return nil, fmt.Errorf("load model %s: %w", dir, err)
	}
	return m, nil
}

// checkTable makes sure that no id can lie outside the table.
func (m *sentimentModel) checkTable(h shape) error {
	o, ok := output(m.graph, "table/ReadVariableOp:0")
	if !ok {
		return fmt.Errorf("graph has no table: %w", feedlake.ErrConfig)
	}
	if rows, err := o.Shape().ToSlice(); err != nil || len(rows) != 2 || rows[0] != 1<<h.Features.Bits {
		return fmt.Errorf("table of shape %v for features of %d bits: %w", o.Shape(), h.Features.Bits, feedlake.ErrConfig)
	}
	return nil
}

// Score gives one prediction a text, in order. Batches of 1,024 texts run on as
// many goroutines as there are processors. A text without a letter, number or
// mark has no features; it is neutral with next to no confidence. It is empty, as
// are those of links, mentions, numbers and marks alone.
func (m *sentimentModel) Score(ctx context.Context, texts []string) ([]training.Prediction, error) {
	out := make([]training.Prediction, len(texts))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for start := 0; start < len(texts); start += scoreBatch {
		end := min(start+scoreBatch, len(texts))
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return m.scoreBatch(texts[start:end], out[start:end])
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("score texts: %w", err)
	}
	return out, nil
}

func (m *sentimentModel) scoreBatch(texts []string, out []training.Prediction) error {
	b, ok := m.batches.Get().(*batch)
	if !ok {
		b = new(batch)
	}
	defer m.batches.Put(b)
	b.reset()
	blank := make([]bool, len(texts))
	for i, s := range texts {
		t := m.z.features(s)
		out[i] = training.Prediction{P: [classes]float64{0.33, 0.34, 0.33}, Empty: !t.content}
		blank[i] = t.empty()
		b.add(t)
	}
	got, err := m.run(b.feeds(m.in), []tf.Output{m.probs})
	if err != nil {
		return err
	}
	p := numbers[float32](got[0])
	if len(p) != classes*len(texts) {
		return fmt.Errorf("%d probabilities for %d texts: %w", len(p), len(texts), feedlake.ErrConfig)
	}
	for i := range out {
		if !blank[i] {
			out[i].P = normalise(p[classes*i : classes*i+classes])
		}
	}
	return nil
}

// normalise makes the float32 softmax sum to 1 in float64.
func normalise(p []float32) (out [classes]float64) {
	sum := float64(p[0]) + float64(p[1]) + float64(p[2])
	for c, v := range p {
		out[c] = float64(v) / sum
	}
	return out
}

// Close ends the session.
func (m *sentimentModel) Close() error { return m.close() }
