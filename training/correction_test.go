package training_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/feedlake/feedlake/training"
)

// guess is a made-up classifier that knows something: what it says of a text of
// a class leans towards the class, more towards neutral than it should.
func guess(r *rand.Rand, class int) training.Prediction {
	var p [3]float64
	sum := 0.0
	for j := range p {
		z := r.NormFloat64()
		if j == class {
			z += 1.3
		}
		if j == 1 {
			z += 0.4
		}
		p[j] = math.Exp(z)
		sum += p[j]
	}
	for j := range p {
		p[j] /= sum
	}
	return training.Prediction{P: p}
}

func heldOut(t *testing.T, r *rand.Rand, of [3]int) *training.Correction {
	t.Helper()
	var truth []int
	var pred []training.Prediction
	for class, n := range of {
		for range n {
			truth, pred = append(truth, class), append(pred, guess(r, class))
		}
	}
	e, err := training.Evaluate(truth, pred)
	if err != nil {
		t.Fatal(err)
	}
	return e.Correction
}

// TestSharesHoldTheTruth judges samples of known shares: on average the
// corrected shares are right, whatever the held-out texts' own shares are, and
// the intervals hold the truth as often as they say.
func TestSharesHoldTheTruth(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	const n, rounds = 400, 200
	for _, mix := range [][3]float64{{0.1, 0.8, 0.1}, {0.6, 0.3, 0.1}, {1. / 3, 1. / 3, 1. / 3}, {0, 0.05, 0.95}} {
		var mean, label [3]float64
		var covered [3]int
		for range rounds {
			c := heldOut(t, r, [3]int{150, 450, 380})
			var sums, truth [3]float64
			for range n {
				class, u := 0, r.Float64()
				for u >= mix[class] && class < 2 {
					u -= mix[class]
					class++
				}
				p := guess(r, class)
				truth[class] += 1. / n
				label[p.Label()] += 1. / n / rounds
				for j, v := range p.P {
					sums[j] += v
				}
			}
			total := 0.0
			for k, s := range c.Shares(n, sums) {
				mean[k] += (s.Value - truth[k]) / rounds
				total += s.Value
				if s.Low <= truth[k] && truth[k] <= s.High {
					covered[k]++
				}
			}
			if math.Abs(total-1) > 1e-9 {
				t.Fatalf("shares sum to %v", total)
			}
		}
		for k := range mean {
			if math.Abs(mean[k]) > 0.015 || covered[k] < 9*rounds/10 {
				t.Errorf("%.2f: class %d is %+.3f off on average (labels alone %+.3f), held %d of %d times",
					mix, k, mean[k], label[k]-mix[k], covered[k], rounds)
			}
		}
	}
}

// TestCorrectionAtItsEnds looks at what cannot be corrected, and at a perfect
// classifier, which need not be.
func TestCorrectionAtItsEnds(t *testing.T) {
	say := func(labels, said []int, p float64) *training.Correction {
		t.Helper()
		var pred []training.Prediction
		for _, s := range said {
			pred = append(pred, sure(s, p))
		}
		e, err := training.Evaluate(labels, pred)
		if err != nil {
			t.Fatal(err)
		}
		return e.Correction
	}
	if c := say([]int{0, 1}, []int{0, 1}, 0.9); c != nil {
		t.Errorf("a class without a text: %+v", c)
	}
	if c := say([]int{0, 1, 2}, []int{1, 1, 1}, 0.9); c != nil {
		t.Errorf("one answer to everything: %+v", c)
	}
	c := say([]int{0, 1, 2}, []int{0, 1, 2}, 1)
	got := c.Shares(10, [3]float64{1, 2, 7})
	for k, want := range []float64{0.1, 0.2, 0.7} {
		if math.Abs(got[k].Value-want) > 1e-12 || got[k].High-got[k].Low > 1e-9 {
			t.Errorf("class %d of a perfect classifier: %+v, want %v", k, got[k], want)
		}
	}
	// What no mixture gives is the nearest mixture.
	for sums, want := range map[[3]float64][3]float64{{-2, 6, 6}: {0, 0.5, 0.5}, {-2, -1, 13}: {0, 0, 1}, {-4, 1, 13}: {0, 0, 1}} {
		for k, s := range c.Shares(10, sums) {
			if math.Abs(s.Value-want[k]) > 1e-12 {
				t.Errorf("%v: class %d is %v, want %v", sums, k, s.Value, want[k])
			}
		}
	}
}
