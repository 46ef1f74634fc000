package training_test

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/training"
)

func sure(label int, p float64) training.Prediction {
	rest := (1 - p) / 2
	out := training.Prediction{P: [3]float64{rest, rest, rest}}
	out.P[label] = p
	return out
}

// TestEvaluate checks every measure against a table worked out by hand:
//
//	true\predicted  neg neu pos
//	negative          2   1   0
//	neutral           0   1   1
//	positive          1   0   2
func TestEvaluate(t *testing.T) {
	truth := []int{0, 0, 0, 1, 1, 2, 2, 2}
	said := []int{0, 0, 1, 1, 2, 0, 2, 2}
	var pred []training.Prediction
	for _, s := range said {
		pred = append(pred, sure(s, 0.8))
	}
	e, err := training.Evaluate(truth, pred)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([][]int{{2, 1, 0}, {0, 1, 1}, {1, 0, 2}}, e.Confusion); d != "" {
		t.Error(d)
	}
	for name, c := range map[string][2]float64{
		"accuracy":           {e.Accuracy, 5.0 / 8},
		"macro-recall":       {e.MacroRecall, (2.0/3 + 1.0/2 + 2.0/3) / 3},
		"macro-F1":           {e.MacroF1, (2.0/3 + 1.0/2 + 2.0/3) / 3},
		"negative precision": {e.Classes[0].Precision, 2.0 / 3},
		"neutral precision":  {e.Classes[1].Precision, 1.0 / 2},
		"positive F1":        {e.Classes[2].F1, 2.0 / 3},
		// right: (0.2² + 2·0.1²) = 0.06; wrong: 0.8² + 0.9² + 0.1² = 1.46
		"Brier": {e.Brier, (5*0.06 + 3*1.46) / 8},
		"ECE":   {e.ECE, 0.8 - 5.0/8},
	} {
		if math.Abs(c[0]-c[1]) > 1e-12 {
			t.Errorf("%s: %v, want %v", name, c[0], c[1])
		}
	}
}

func TestEvaluateEdges(t *testing.T) {
	e, err := training.Evaluate(nil, nil)
	if err != nil || e.N != 0 || e.MacroRecall != 0 || math.IsNaN(e.Brier) {
		t.Errorf("nothing: %+v, %v", e, err)
	}
	e, err = training.Evaluate([]int{2, 2}, []training.Prediction{sure(2, 1), sure(2, 1)})
	if err != nil || e.MacroRecall != 1 || e.ECE != 0 {
		t.Errorf("classes that do not occur must not count: %+v, %v", e, err)
	}
	if _, err := training.Evaluate([]int{1}, nil); err == nil {
		t.Error("labels without predictions were evaluated")
	}
}

func TestGate(t *testing.T) {
	gate := training.NewGate(0.6, 0.02)
	ev := func(r float64) training.Evaluation { return training.Evaluation{N: 100, MacroRecall: r} }
	old := ev(0.70)
	for _, c := range []struct {
		name    string
		current *training.Evaluation
		next    training.Evaluation
		ok      bool
	}{
		{"first, good enough", nil, ev(0.6), true},
		{"first, too weak", nil, ev(0.599), false},
		{"a little worse than the one in use", &old, ev(0.681), true},
		{"much worse than the one in use", &old, ev(0.679), false},
		{"nothing held out", nil, training.Evaluation{MacroRecall: 1}, false},
	} {
		err := gate(c.current, c.next)
		if (err == nil) != c.ok || (err != nil && !errors.Is(err, feedlake.ErrRejected)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
