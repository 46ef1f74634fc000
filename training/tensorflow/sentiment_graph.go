package tensorflow

import (
	"math"

	tf "github.com/galeone/tensorflow/tensorflow/go"
	"github.com/galeone/tensorflow/tensorflow/go/op"
)

// classes are negative, neutral, positive, in this order everywhere.
const classes = 3

// shape says how large the sentiment network is. One table row holds the
// linear weights of a feature (classes columns) and its embedding (Dim).
//
//	ids ─ gather ─ sum/√n per text and group ─┬─ linear columns ────────────┐
//	                                          └─ embedding ─ ReLU hidden ─ W2 ┴─ + b = logits
//
// It is the "wide and deep" network of Cheng et al. 2016 over a bag of features
// (Joulin et al. 2016, fastText). Word and character features are summed apart,
// so that the many character n-grams do not drown the words.
type shape struct {
	Features   Features `json:"features"`
	Dim        int      `json:"dim"`
	Hidden     int      `json:"hidden"`
	CharWeight float32  `json:"char_weight"` // of the character sum beside the word sum
	DeepWeight float32  `json:"deep_weight"` // of the embedding columns; acts as their learning rate
}

func (h shape) columns() int64 { return int64(classes + h.Dim) }

// weights are the variables that a model version consists of.
type weights struct {
	table, w1, b1, w2, b *variable
	scale, bias          *variable // calibration of the logits
}

// bagInputs are the features of n texts: flat ids, and the segment of each id.
// Segment 2i holds the words of text i, 2i+1 its characters.
type bagInputs struct{ ids, segs, n tf.Output }

func (b *builder) bag() bagInputs {
	return bagInputs{ids: b.input("ids", tf.Int32, -1), segs: b.input("segs", tf.Int32, -1), n: b.input("n", tf.Int32)}
}

// sentimentWeights adds the variables, initialised by the seed.
func (b *builder) sentimentWeights(h shape, seed int64) weights {
	dim, hidden := int64(h.Dim), int64(h.Hidden)
	table := []int64{1 << h.Features.Bits, h.columns()}
	// Linear columns start at zero, the embedding does not: it would have no gradient.
	mask := make([]float32, h.columns())
	for i := classes; i < len(mask); i++ {
		mask[i] = 1
	}
	start := op.Mul(b.sub("start"), b.uniform(table, 0.1/h.DeepWeight, seed, 1), b.number(mask))
	return weights{
		table: b.variable("table", tf.Float, table, false, start),
		w1:    b.variable("w1", tf.Float, []int64{dim, hidden}, false, b.uniform([]int64{dim, hidden}, glorot(dim, hidden), seed, 2)),
		b1:    b.variable("b1", tf.Float, []int64{hidden}, false, b.fill([]int64{hidden}, float32(0))),
		w2:    b.variable("w2", tf.Float, []int64{hidden, classes}, false, b.uniform([]int64{hidden, classes}, glorot(hidden, classes), seed, 3)),
		b:     b.variable("b", tf.Float, []int64{classes}, false, b.fill([]int64{classes}, float32(0))),
		scale: b.variable("scale", tf.Float, []int64{}, false, b.fill([]int64{}, float32(1))),
		bias:  b.variable("bias", tf.Float, []int64{classes}, false, b.fill([]int64{classes}, float32(0))),
	}
}

// logits adds the network above the pooled sums [2n, columns] and returns its
// raw logits [n, classes].
func (b *builder) logits(h shape, w weights, pooled tf.Output) tf.Output {
	groups := make([]float32, 2*h.columns())
	for c := range int(h.columns()) {
		column := float32(1)
		if c >= classes {
			column = h.DeepWeight
		}
		groups[c], groups[int(h.columns())+c] = column, column*h.CharWeight
	}
	three := op.Reshape(b.sub("texts"), pooled, b.number([]int32{-1, 2, int32(h.columns())}))            //nolint:gosec // small
	factor := op.Reshape(b.sub("factor"), b.number(groups), b.number([]int32{1, 2, int32(h.columns())})) //nolint:gosec // small
	x := op.Sum(b.sub("bag"), op.Mul(b.sub("weighted"), three, factor), b.number([]int32{1}))
	linear := op.Slice(b.sub("linear"), x, b.number([]int32{0, 0}), b.number([]int32{-1, classes}))
	embedded := op.Slice(b.sub("embedded"), x, b.number([]int32{0, classes}), b.number([]int32{-1, int32(h.Dim)})) //nolint:gosec // small
	hidden := op.Relu(b.sub("relu"), op.BiasAdd(b.sub("hidden"), op.MatMul(b.sub("times_w1"), embedded, w.w1.read), w.b1.read))
	deep := op.MatMul(b.sub("times_w2"), hidden, w.w2.read)
	return op.BiasAdd(b.sub("logits"), op.Add(b.sub("wide_deep"), linear, deep), w.b.read)
}

// segments is the number of segments of n texts.
func (b *builder) segments(n tf.Output) tf.Output {
	return op.Mul(b.sub("segments"), n, b.number(int32(2)))
}

// probabilities adds the calibrated softmax: softmax(logits*scale + bias).
func (b *builder) probabilities(w weights, logits tf.Output) tf.Output {
	scaled := op.Mul(b.sub("scaled"), logits, w.scale.read)
	return op.Softmax(b.sub("probs"), op.BiasAdd(b.sub("calibrated"), scaled, w.bias.read))
}

// glorot bounds the uniform initial values of a dense layer (Glorot and Bengio 2010).
func glorot(in, out int64) float32 { return float32(math.Sqrt(6 / float64(in+out))) }
