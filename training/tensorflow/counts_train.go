package tensorflow

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	tf "github.com/galeone/tensorflow/tensorflow/go"
	"github.com/galeone/tensorflow/tensorflow/go/op"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/training"
)

// How a count model is fitted: Adam (Kingma and Ba 2015) in two passes of a
// fixed number of steps, so that the time does not grow with the lake.
const (
	countBatch   = 1024
	countSteps   = 600    // a pass
	countRate    = 0.01   // falls linearly to a tenth
	countRows    = 500000 // of more hours than this, some are left out
	countHeld    = 5      // the last fifth of the hours measures the fit
	countStrange = 1e-4   // hours less probable than this do not teach the second pass
	countDecay   = 1e-3   // weight decay (Loshchilov and Hutter 2019) of everything but the constants
)

// countTrainer is a count model with its optimiser in a session.
type countTrainer struct {
	*session
	x, y, rate, step tf.Output
	loss, mean, p    tf.Output
	chance           tf.Output // the p-value without extra spread
	train            *tf.Operation
	saver            saver
}

func newCountTrainer(start *countStart) (*countTrainer, error) {
	b := newBuilder()
	t := &countTrainer{
		x: b.input("x", tf.Double, -1, countFeatures), y: b.input("y", tf.Double, -1),
		rate: b.input("rate", tf.Double), step: b.input("step", tf.Double),
	}
	w := b.countWeights(start)
	d := b.countNetwork(w, t.x)
	t.loss = op.Neg(b.sub("loss"), op.Mean(b.sub("mean_likelihood"), b.logLikelihood(d, t.y), b.number([]int32{0})))
	t.mean, t.p, t.chance = op.Exp(b.sub("mean"), d.logMean), b.tail(d, t.y), b.poissonTail(d, t.y)
	var xs []tf.Output
	for _, v := range w.trained() {
		xs = append(xs, v.read)
	}
	grads := op.Gradients(b.sub("gradients"), []tf.Output{t.loss}, xs)
	if b.scope.Err() == nil {
		t.train = b.adam(w, grads, t.rate, t.step)
	}
	t.saver = b.saver()
	var err error
	if t.session, err = b.finish(); err != nil {
		return nil, err
	}
	return t, t.initialise(b.vars)
}

// adam adds one update of the trained variables; step counts from 1.
func (b *builder) adam(w countWeights, grads []tf.Output, rate, step tf.Output) *tf.Operation {
	beta1, beta2, eps := b.number(float64(0.9)), b.number(float64(0.999)), b.number(1e-8)
	power1, power2 := op.Pow(b.sub("power1"), beta1, step), op.Pow(b.sub("power2"), beta2, step)
	var updates []*tf.Operation
	for i, v := range w.trained() {
		slot := func(name string) tf.Output {
			return b.variable(v.name+name, tf.Double, v.shape, true, b.fill(v.shape, float64(0))).handle
		}
		g := grads[i]
		if v == w.w1 || v == w.w2 || v == w.k {
			g = op.Add(b.sub("decayed"), g, op.Mul(b.sub("decay"), v.read, b.number(float64(countDecay))))
		}
		updates = append(updates, op.ResourceApplyAdam(b.sub("update_"+v.name), v.handle, slot("_m"), slot("_v"), power1, power2, rate, beta1, beta2, eps, g))
	}
	return op.NoOp(b.sub("train").WithControlDependencies(updates...))
}

// Train fits a model on hours, oldest first, and writes it into dir. The last
// fifth only measures; the fit never sees it. The first pass finds the hours
// that nothing in their past explains, and the second leaves them out: bursts
// are what the model is to notice, so they must not teach it what is usual.
//
// Metrics: hours and held_hours; log_loss of the held hours under the model and
// start_log_loss under its starting point (a tag goes on as it did), both
// without a term that the counts alone decide; below_0_01, the share of held
// hours with posts whose p-value is at most 0.01: near 0.01 when the model
// knows its spread, above where real bursts are.
func (Counts) Train(ctx context.Context, hours []training.TagHour, seed int64, dir string, progress training.Progress) (_ map[string]string, _ map[string]float64, err error) {
	if len(hours) == 0 {
		return nil, nil, fmt.Errorf("train counts: no hours: %w", feedlake.ErrRejected)
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	rng := rand.New(rand.NewPCG(uint64(seed), 0xc0)) //nolint:gosec // any bits of the seed will do
	fit, held := splitHours(thin(hours, countRows, rng))
	x, y := hourMatrix(fit)
	t, err := newCountTrainer(startOf(x, seed))
	if err != nil {
		return nil, nil, fmt.Errorf("train counts: %w", err)
	}
	defer func() { err = errors.Join(err, t.close()) }()
	metrics := map[string]float64{"hours": float64(len(fit)), "held_hours": float64(len(held))}
	if err := t.measure(held, metrics, "start_log_loss"); err != nil {
		return nil, nil, fmt.Errorf("train counts: %w", err)
	}
	if err := t.pass(ctx, x, y, rng, 0, progress); err != nil {
		return nil, nil, fmt.Errorf("train counts: %w", err)
	}
	strange, err := t.strange(x, y)
	if err != nil {
		return nil, nil, fmt.Errorf("train counts: %w", err)
	}
	x, y = without(x, y, strange)
	if err := t.pass(ctx, x, y, rng, countSteps, progress); err != nil {
		return nil, nil, fmt.Errorf("train counts: %w", err)
	}
	if err := t.measure(held, metrics, "log_loss"); err != nil {
		return nil, nil, fmt.Errorf("train counts: %w", err)
	}
	if err := t.export(dir); err != nil {
		return nil, nil, fmt.Errorf("train counts: %w", err)
	}
	progress(2*countSteps, 2*countSteps)
	return map[string]string{
		"model":         "negative binomial, log link, dispersion by features",
		"features":      fmt.Sprintf("%d, version %d", countFeatures, countVersion),
		"hidden":        strconv.Itoa(countHidden),
		"steps":         fmt.Sprintf("2 × %d of %d hours", countSteps, countBatch),
		"strange_hours": strconv.Itoa(len(strange)),
	}, metrics, nil
}

// thin keeps n of the hours in their order, each with the same chance (Knuth
// 1997, algorithm S). Every k-th would be the same hashtags in every hour.
func thin(hours []training.TagHour, n int, rng *rand.Rand) []training.TagHour {
	if len(hours) <= n {
		return hours
	}
	out := make([]training.TagHour, 0, n)
	for i := range hours {
		if rng.IntN(len(hours)-i) < n-len(out) {
			out = append(out, hours[i])
		}
	}
	return out
}

func splitHours(hours []training.TagHour) (fit, held []training.TagHour) {
	cut := len(hours) - len(hours)/countHeld
	return hours[:cut], hours[cut:]
}

// startOf standardises the features and lets the untrained model say that a tag
// goes on as it did.
func startOf(x []float64, seed int64) *countStart {
	n := float64(len(x) / countFeatures)
	s := &countStart{center: make([]float64, countFeatures), spread: make([]float64, countFeatures), seed: seed}
	for i, v := range x {
		s.center[i%countFeatures] += v / n
	}
	for i, v := range x {
		d := v - s.center[i%countFeatures]
		s.spread[i%countFeatures] += d * d / n
	}
	for f, v := range s.spread {
		s.spread[f] = max(math.Sqrt(v), 0.1) // a constant feature says nothing
	}
	for i, v := range x {
		s.most = max(s.most, math.Abs(v-s.center[i%countFeatures])/s.spread[i%countFeatures])
	}
	for f, w := range startWeights() {
		s.w = append(s.w, w*s.spread[f])
		s.b += w * s.center[f]
	}
	return s
}

// pass runs countSteps steps over rows drawn in a seeded order.
func (t *countTrainer) pass(ctx context.Context, x, y []float64, rng *rand.Rand, before int, progress training.Progress) error {
	n := len(y)
	order := rng.Perm(n)
	bx, by := make([]float64, 0, countBatch*countFeatures), make([]float64, 0, countBatch)
	for step := range countSteps {
		if err := ctx.Err(); err != nil {
			return err
		}
		bx, by = bx[:0], by[:0]
		for i := range min(countBatch, n) {
			row := order[(step*countBatch+i)%n]
			bx, by = append(bx, x[row*countFeatures:(row+1)*countFeatures]...), append(by, y[row])
		}
		rate := countRate * (1 - 0.9*float64(step)/countSteps)
		feeds := append(t.feeds(bx, by), feed{to: t.rate, value: rate}, feed{to: t.step, value: float64(before + step + 1)})
		got, err := t.run(feeds, []tf.Output{t.loss}, t.train)
		if err != nil {
			return err
		}
		if loss := numbers[float64](got[0])[0]; math.IsNaN(loss) || math.IsInf(loss, 0) {
			return fmt.Errorf("step %d: the loss is not a number", before+step)
		}
		if step%20 == 0 {
			progress(int64(before+step), 2*countSteps)
		}
	}
	return nil
}

func (t *countTrainer) feeds(x, y []float64) []feed {
	return []feed{{to: t.x, value: x, shape: []int64{int64(len(y)), countFeatures}}, {to: t.y, value: y}}
}

// strange lists the rows whose counts chance alone hardly gives, ascending;
// never more than a two-hundredth of them. The spread that the first pass found
// is left aside on purpose: it was stretched by the very bursts that are looked
// for.
func (t *countTrainer) strange(x, y []float64) ([]int, error) {
	type row struct {
		i int
		p float64
	}
	var rows []row
	for start := 0; start < len(y); start += expectBatch {
		end := min(start+expectBatch, len(y))
		got, err := t.run(t.feeds(x[start*countFeatures:end*countFeatures], y[start:end]), []tf.Output{t.chance})
		if err != nil {
			return nil, err
		}
		for i, p := range numbers[float64](got[0]) {
			if p < countStrange {
				rows = append(rows, row{start + i, p})
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		switch {
		case a.p < b.p:
			return -1
		case a.p > b.p:
			return 1
		}
		return 0
	})
	var out []int
	for _, r := range rows[:min(len(rows), len(y)/200)] {
		out = append(out, r.i)
	}
	slices.Sort(out)
	return out, nil
}

// without copies the rows that are not in skip, which ascends.
func without(x, y []float64, skip []int) ([]float64, []float64) {
	outX, outY := make([]float64, 0, len(x)), make([]float64, 0, len(y))
	for i := range y {
		if len(skip) > 0 && skip[0] == i {
			skip = skip[1:]
			continue
		}
		outX, outY = append(outX, x[i*countFeatures:(i+1)*countFeatures]...), append(outY, y[i])
	}
	return outX, outY
}

// measure adds the held hours' loss under name, and the share of p-values at
// most 0.01 among hours with posts.
func (t *countTrainer) measure(held []training.TagHour, metrics map[string]float64, name string) error {
	var loss, active, low float64
	x, y := hourMatrix(held)
	for start := 0; start < len(y); start += expectBatch {
		end := min(start+expectBatch, len(y))
		got, err := t.run(t.feeds(x[start*countFeatures:end*countFeatures], y[start:end]), []tf.Output{t.loss, t.p})
		if err != nil {
			return err
		}
		loss += numbers[float64](got[0])[0] * float64(end-start)
		for i, p := range numbers[float64](got[1]) {
			if y[start+i] > 0 {
				active++
				if p <= 0.01 {
					low++
				}
			}
		}
	}
	if len(y) > 0 {
		metrics[name] = loss / float64(len(y))
	}
	if active > 0 {
		metrics["below_0_01"] = low / active
	}
	return nil
}

// export writes the fitted model as a graph of its own, without the optimiser.
func (t *countTrainer) export(dir string) error {
	b := newBuilder()
	x, y := b.input("x", tf.Double, -1, countFeatures), b.input("observed", tf.Double, -1)
	d := b.countNetwork(b.countWeights(nil), x)
	mean, p := op.Exp(b.sub("mean"), d.logMean), b.tail(d, y)
	s := b.saver()
	in := []port{{portX, x, []int64{-1, countFeatures}}, {portObserved, y, []int64{-1}}}
	out := []port{{portMean, mean, []int64{-1}}, {portPValue, p, []int64{-1}}}
	extra := countShape{Version: countVersion, Features: countFeatures, Hidden: countHidden}
	return b.export(dir, s, in, out, extra, func(prefix string) error { return t.at(t.saver, t.saver.save, prefix) })
}
