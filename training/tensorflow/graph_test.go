package tensorflow

import (
	"math"
	"testing"

	tf "github.com/galeone/tensorflow/tensorflow/go"
	"github.com/galeone/tensorflow/tensorflow/go/op"
)

// TestNegativeBinomial holds likelihood and tail against sums of the
// probabilities Γ(y+k)/(Γ(k) y!) · (k/(k+μ))^k · (μ/(k+μ))^y.
func TestNegativeBinomial(t *testing.T) {
	b := newBuilder()
	mean, size, y := b.input("mean", tf.Double, -1), b.input("size", tf.Double, -1), b.input("y", tf.Double, -1)
	d := negativeBinomial{size: size, logMean: op.Log(b.sub("lm"), mean), logSize: op.Log(b.sub("ls"), size)}
	d.odds = op.Sub(b.sub("o"), d.logMean, d.logSize)
	d.zero = op.Log1p(b.sub("z"), op.Exp(b.sub("e"), d.odds))
	like, tail := b.logLikelihood(d, y), b.tail(d, y)
	s, err := b.finish()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	gamma := func(v float64) float64 { g, _ := math.Lgamma(v); return g }
	for _, mu := range []float64{1e-4, 0.05, 1, 7, 400} {
		for _, k := range []float64{0.01, 0.7, 5, 1000} {
			logP := func(y float64) float64 {
				return gamma(y+k) - gamma(k) - gamma(y+1) + k*math.Log(k/(k+mu)) + y*math.Log(mu/(k+mu))
			}
			for _, n := range []float64{0, 1, 2, 5, 30, 500} {
				got, err := s.run([]feed{{to: mean, value: []float64{mu}}, {to: size, value: []float64{k}}, {to: y, value: []float64{n}}}, []tf.Output{like, tail})
				if err != nil {
					t.Fatal(err)
				}
				if l, want := numbers[float64](got[0])[0], logP(n)+gamma(n+1); math.Abs(l-want) > 1e-8*max(1, math.Abs(want)) {
					t.Errorf("μ %v, k %v, y %v: log likelihood %v, want %v", mu, k, n, l, want)
				}
				want := 1.0
				if n > 1 {
					want = 0
					p := math.Exp(logP(n)) // each probability from the one before: millions of logarithms would take long
					for v := n; v < n+3e6 && p > 0; v++ {
						if want += p; p < want*1e-17 {
							break
						}
						p *= (v + k) / (v + 1) * mu / (k + mu)
					}
					want /= -math.Expm1(logP(0))
				}
				// The library's continued fraction stops at about 1e-4 where k is tiny and y huge.
				if p := numbers[float64](got[1])[0]; math.Abs(p-want) > 2e-4*want+1e-290 {
					t.Errorf("μ %v, k %v: P(X >= %v | X >= 1) = %v, want %v", mu, k, n, p, want)
				}
			}
		}
	}
}

// TestCalibration bends logits that are too sure and lean to one class.
func TestCalibration(t *testing.T) {
	var docs []document
	var logits [][classes]float64
	for i := range 3000 {
		label := i % classes
		docs = append(docs, document{label: label})
		l := [classes]float64{1: 2} // leans to neutral
		if i%10 < 6 {               // right six times in ten
			l[label] += 8
		} else {
			l[(label+1+i/3%2)%classes] += 8
		}
		logits = append(logits, l)
	}
	before, c := balancedLoss(docs, logits, identity()), fitCalibration(docs, logits)
	after := balancedLoss(docs, logits, c)
	if after > before/2 || c.scale > 0.3 || c.bias[1] > c.bias[0]-0.1 {
		t.Errorf("loss %v to %v by %+v", before, after, c)
	}
	if few := fitCalibration(docs[:3], logits[:3]); math.Abs(few.scale-1) > 0.5 {
		t.Errorf("three documents bent the probabilities: %+v", few)
	}
}

func TestGraphErrorsAreShort(t *testing.T) {
	b := newBuilder()
	x := b.input("x", tf.Float, -1)
	op.MatMul(b.sub("m"), x, x)
	if _, err := b.finish(); err == nil || len(err.Error()) > 300 {
		t.Errorf("a graph that cannot be: %v", err)
	}
	b = newBuilder()
	x = b.input("x", tf.Float, -1)
	y := op.Neg(b.sub("y"), x)
	s, err := b.finish()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.run([]feed{{to: x, value: []float32{1, 2, 3}, shape: []int64{2}}}, []tf.Output{y}); err == nil {
		t.Error("three numbers were fed as two")
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.run([]feed{{to: x, value: []float32{1}}}, []tf.Output{y}); err == nil {
		t.Error("a closed session ran")
	}
}
