package tensorflow

import (
	tf "github.com/galeone/tensorflow/tensorflow/go"
	"github.com/galeone/tensorflow/tensorflow/go/op"
)

// countHidden is the width of the count network's hidden layer.
const countHidden = 16

// Bounds of the logarithms of mean and dispersion: wide enough for any real
// hour, narrow enough that no input can overflow.
const (
	logMeanLow, logMeanHigh = -12, 12
	logSizeLow, logSizeHigh = -5, 7
)

// countWeights are the variables of a count model. The first three stay as the
// training hours gave them.
type countWeights struct {
	center, spread, most *variable // of the features, and the largest standardised value seen
	w, b                 *variable // linear part of the log mean
	w1, b1, w2           *variable // hidden part of the log mean
	k, kb                *variable // linear part of the log size
}

func (w countWeights) trained() []*variable {
	return []*variable{w.w, w.b, w.w1, w.b1, w.w2, w.k, w.kb}
}

// countStart holds initial values; nil leaves everything zero for a checkpoint
// to fill.
type countStart struct {
	center, spread, w []float64
	most, b           float64
	seed              int64
}

func (b *builder) countWeights(start *countStart) countWeights {
	zero := func(name string, dims ...int64) *variable {
		return b.variable(name, tf.Double, dims, false, b.fill(dims, float64(0)))
	}
	if start == nil {
		return countWeights{
			center: zero("center", countFeatures), spread: zero("spread", countFeatures), most: b.variable("most", tf.Double, []int64{}, false, b.fill([]int64{}, float64(0))),
			w: zero("w", countFeatures, 1), b: zero("b", 1), w1: zero("w1", countFeatures, countHidden), b1: zero("b1", countHidden),
			w2: zero("w2", countHidden, 1), k: zero("k", countFeatures, 1), kb: zero("kb", 1),
		}
	}
	given := func(name string, v []float64, dims ...int64) *variable {
		dims32 := make([]int32, len(dims))
		for i, d := range dims {
			dims32[i] = int32(d) //nolint:gosec // small
		}
		return b.variable(name, tf.Double, dims, false, op.Reshape(b.sub("given"), b.number(v), b.number(dims32)))
	}
	w1 := []int64{countFeatures, countHidden}
	random := op.Cast(b.sub("cast"), b.uniform(w1, glorot(w1[0], w1[1]), start.seed, 1), tf.Double)
	return countWeights{
		center: given("center", start.center, countFeatures), spread: given("spread", start.spread, countFeatures),
		most: b.variable("most", tf.Double, []int64{}, false, b.number(start.most)),
		w:    given("w", start.w, countFeatures, 1), b: given("b", []float64{start.b}, 1),
		w1: b.variable("w1", tf.Double, w1, false, random), b1: zero("b1", countHidden),
		w2: zero("w2", countHidden, 1), k: zero("k", countFeatures, 1), kb: zero("kb", 1),
	}
}

// negativeBinomial is the distribution of each hour's count, by the logarithms
// of its mean μ and size k: the variance is μ + μ²/k.
type negativeBinomial struct {
	logMean, logSize, size tf.Output // [n]
	odds                   tf.Output // log μ - log k
	zero                   tf.Output // -log P(0) / k = log(1 + μ/k)
}

// countNetwork adds the log mean (linear + hidden layer) and the log size
// (linear) over standardised features.
func (b *builder) countNetwork(w countWeights, x tf.Output) negativeBinomial {
	z := op.Div(b.sub("standard"), op.Sub(b.sub("centered"), x, w.center.read), w.spread.read)
	// Beyond what was seen the linear weights go on, the hidden layer does not.
	near := op.ClipByValue(b.sub("near"), z, op.Neg(b.sub("least"), w.most.read), w.most.read)
	hidden := op.Tanh(b.sub("tanh"), op.BiasAdd(b.sub("hidden"), op.MatMul(b.sub("times_w1"), near, w.w1.read), w.b1.read))
	mean := op.BiasAdd(b.sub("mean_sum"), op.Add(b.sub("mean_parts"), op.MatMul(b.sub("times_w"), z, w.w.read), op.MatMul(b.sub("times_w2"), hidden, w.w2.read)), w.b.read)
	size := op.BiasAdd(b.sub("size_sum"), op.MatMul(b.sub("times_k"), near, w.k.read), w.kb.read)
	flat := func(v tf.Output, low, high float64) tf.Output {
		v = op.Reshape(b.sub("flat"), v, b.number([]int32{-1}))
		return op.Maximum(b.sub("floor"), op.Minimum(b.sub("ceiling"), v, b.number(high)), b.number(low))
	}
	d := negativeBinomial{logMean: flat(mean, logMeanLow, logMeanHigh), logSize: flat(size, logSizeLow, logSizeHigh)}
	d.size = op.Exp(b.sub("size"), d.logSize)
	d.odds = op.Sub(b.sub("odds"), d.logMean, d.logSize)
	d.zero = op.Log1p(b.sub("zero"), op.Exp(b.sub("odds_ratio"), d.odds)) // odds are bounded: no overflow
	return d
}

// logLikelihood adds ln P(y) without the term that y alone decides:
//
//	lnΓ(y+k) - lnΓ(k) + y·(ln μ - ln k) - (y+k)·ln(1 + μ/k)
func (b *builder) logLikelihood(d negativeBinomial, y tf.Output) tf.Output {
	sum := op.Add(b.sub("y_plus_k"), y, d.size)
	gammas := op.Sub(b.sub("gammas"), op.Lgamma(b.sub("gamma_sum"), sum), op.Lgamma(b.sub("gamma_k"), d.size))
	return op.Sub(b.sub("log_likelihood"), op.Add(b.sub("with_odds"), gammas, op.Mul(b.sub("y_odds"), y, d.odds)), op.Mul(b.sub("y_k_zero"), sum, d.zero))
}

// tail adds P(X >= y | X >= 1), 1 where y <= 1. P(X >= y) is the regularised
// incomplete beta function I_{μ/(μ+k)}(y, k) (Johnson, Kemp and Kotz 2005, 5.31).
func (b *builder) tail(d negativeBinomial, y tf.Output) tf.Output {
	one := b.number(float64(1))
	reach := op.Betainc(b.sub("reach"), op.Maximum(b.sub("y_at_least_1"), y, one), d.size, op.Sigmoid(b.sub("chance"), d.odds))
	some := op.Neg(b.sub("some"), op.Expm1(b.sub("expm1"), op.Neg(b.sub("log_p0"), op.Mul(b.sub("k_zero"), d.size, d.zero))))
	p := op.Minimum(b.sub("at_most_1"), op.Div(b.sub("given_some"), reach, some), one)
	return op.Select(b.sub("p_value"), op.LessEqual(b.sub("y_small"), y, one), op.OnesLike(b.sub("ones"), y), p)
}

// poissonTail adds P(X >= y | X >= 1) as if the counts had no more spread than
// chance alone gives them, 1 where y <= 1. P(X >= y) of a Poisson variable is
// the regularised lower incomplete gamma function P(y, μ) (Johnson, Kemp and
// Kotz 2005, 4.9).
func (b *builder) poissonTail(d negativeBinomial, y tf.Output) tf.Output {
	one := b.number(float64(1))
	mean := op.Exp(b.sub("poisson_mean"), d.logMean)
	reach := op.Igamma(b.sub("poisson_reach"), op.Maximum(b.sub("poisson_y"), y, one), mean)
	some := op.Neg(b.sub("poisson_some"), op.Expm1(b.sub("poisson_expm1"), op.Neg(b.sub("poisson_log_p0"), mean)))
	p := op.Minimum(b.sub("poisson_at_most_1"), op.Div(b.sub("poisson_given_some"), reach, some), one)
	return op.Select(b.sub("poisson_p"), op.LessEqual(b.sub("poisson_small"), y, one), op.OnesLike(b.sub("poisson_ones"), y), p)
}
