package tensorflow

import (
	tf "github.com/galeone/tensorflow/tensorflow/go"
	"github.com/galeone/tensorflow/tensorflow/go/op"
)

// trainer is a sentiment network with its optimiser in a session.
type trainer struct {
	*session
	shape   shape
	in      bagInputs
	targets tf.Output // [n, classes], rows sum to 1
	weight  tf.Output // [n]
	w       weights
	raw     tf.Output // logits before calibration
	loss    tf.Output // weighted mean
	step    *tf.Operation
	saver   saver
}

// newTrainer builds the graph and initialises its variables by the seed.
//
// The loss is the weighted sum over a batch of the cross entropy. Its gradient
// with respect to the logits is the second output of the loss operation; from
// there op.Gradients goes back to the pooled sums, and the sparse step to the
// table's rows is SparseSegmentSqrtNGrad by hand, since the library has no C++
// gradient for it. The optimiser is Adagrad (Duchi, Hazan and Singer 2011),
// sparse for the table: only the rows of a batch are touched.
func newTrainer(h shape, rate float32, seed int64) (*trainer, error) {
	b := newBuilder()
	t := &trainer{shape: h, in: b.bag(), targets: b.input("targets", tf.Float, -1, classes), weight: b.input("weights", tf.Float, -1)}
	t.w = b.sentimentWeights(h, seed)
	uids, index := op.Unique(b.sub("unique"), t.in.ids)
	rows := op.ResourceGather(b.sub("rows"), t.w.table.handle, uids, tf.Float)
	pooled := op.SparseSegmentSqrtNWithNumSegments(b.sub("pooled"), rows, index, t.in.segs, b.segments(t.in.n))
	t.raw = b.logits(h, t.w, pooled)

	each, back := op.SoftmaxCrossEntropyWithLogits(b.sub("entropy"), t.raw, t.targets)
	first := b.number([]int32{0})
	t.loss = op.Div(b.sub("loss"),
		op.Sum(b.sub("loss_sum"), op.Mul(b.sub("loss_weighted"), each, t.weight), first),
		op.Sum(b.sub("weight_sum"), t.weight, first))
	dlogits := op.Mul(b.sub("dlogits"), back, op.ExpandDims(b.sub("weight_column"), t.weight, b.number(int32(1))))

	dense := []*variable{t.w.b, t.w.w1, t.w.b1, t.w.w2}
	xs := []tf.Output{pooled}
	for _, v := range dense {
		xs = append(xs, v.read)
	}
	grads := op.Gradients(b.sub("gradients"), []tf.Output{t.raw}, xs, dlogits)
	if b.scope.Err() == nil {
		t.step = b.adagrad(t.w.table, dense, grads, uids, index, t.in.segs, rate)
	}
	t.saver = b.saver()
	var err error
	if t.session, err = b.finish(); err != nil {
		return nil, err
	}
	return t, t.initialise(b.vars)
}

// adagrad adds the update of the table's rows uids and of the dense variables.
func (b *builder) adagrad(table *variable, dense []*variable, grads []tf.Output, uids, index, segs tf.Output, rate float32) *tf.Operation {
	lr, eps := b.number(rate), b.number(float32(1e-7))
	slot := func(v *variable) *variable {
		return b.variable(v.name+"_squares", tf.Float, v.shape, true, b.fill(v.shape, float32(0.1)))
	}
	count := op.Reshape(b.sub("unique_count"), op.Shape(b.sub("unique_shape"), uids), b.number([]int32{}))
	drows := op.SparseSegmentSqrtNGrad(b.sub("drows"), grads[0], index, segs, count)
	updates := []*tf.Operation{op.ResourceSparseApplyAdagradV2(b.sub("update_table"), table.handle, slot(table).handle, lr, eps, drows, uids)}
	for i, v := range dense {
		g := grads[i+1]
		r := op.Mul(b.sub("dense_rate"), lr, b.number(float32(denseRate)))
		updates = append(updates, op.ResourceApplyAdagradV2(b.sub("update_"+v.name), v.handle, slot(v).handle, r, eps, g))
	}
	return op.NoOp(b.sub("step").WithControlDependencies(updates...))
}

// denseRate is the learning rate of the small layers as a share of the table's:
// every example moves them, but only some move a row.
const denseRate = 0.3
