package training

import (
	"context"
	"fmt"
	"math"

	"github.com/feedlake/feedlake"
)

// Evaluation measures predictions against labels. A class that does not occur
// among the labels is left out of MacroRecall; one that occurs neither there
// nor among the predictions is left out of MacroF1. Without examples every
// measure is 0.
type Evaluation struct {
	N           int            `json:"n"`
	Accuracy    float64        `json:"accuracy"`
	MacroRecall float64        `json:"macro_recall"` // mean recall of the classes: AvgRec of SemEval-2017 task 4 (Rosenthal et al. 2017)
	MacroF1     float64        `json:"macro_f1"`     // mean of the classes' F1
	Classes     []ClassMetrics `json:"classes"`
	Confusion   [][]int        `json:"confusion"`            // [label][prediction], in the order of SentimentLabels
	Correction  *Correction    `json:"correction,omitempty"` // nil where the examples do not tell one
	LogLoss     float64        `json:"log_loss"`             // mean of -ln p(label), p at least 1e-12
	Brier       float64        `json:"brier"`                // mean over texts of Σ(p-y)² over the classes (Brier 1950): 0 to 2
	ECE         float64        `json:"ece"`                  // expected calibration error of the chosen class in 15 equal bins (Guo et al. 2017)
}

// ClassMetrics measures one class; a quotient 0/0 is 0.
type ClassMetrics struct {
	Label     string  `json:"label"`
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`      // 2PR/(P+R)
	Support   int     `json:"support"` // labels of the class
}

// Evaluate measures predictions against the labels truth, which are indexes
// into SentimentLabels. Both must have one length, or the error wraps
// feedlake.ErrRejected.
func Evaluate(truth []int, pred []Prediction) (Evaluation, error) {
	const classes = len(sentimentLabels)
	e := Evaluation{N: len(truth), Confusion: make([][]int, classes)}
	if len(truth) != len(pred) {
		return e, fmt.Errorf("evaluate %d labels against %d predictions: %w", len(truth), len(pred), feedlake.ErrRejected)
	}
	for c := range e.Confusion {
		e.Confusion[c] = make([]int, classes)
	}
	var bins calibration
	var given contributions
	for i, y := range truth {
		if y < 0 || y >= classes {
			return e, fmt.Errorf("evaluate: label %d of %d: %w", y, classes, feedlake.ErrRejected)
		}
		p, said := pred[i].P, pred[i].Label()
		e.Confusion[y][said]++
		given.add(y, p)
		e.LogLoss -= math.Log(max(p[y], 1e-12))
		for c, v := range p {
			if c == y {
				v--
			}
			e.Brier += v * v
		}
		bins.add(p[said], said == y)
	}
	if e.N > 0 {
		n := float64(e.N)
		e.LogLoss, e.Brier, e.ECE = e.LogLoss/n, e.Brier/n, bins.gap()/n
	}
	e.summarise()
	e.Correction = given.correction()
	return e, nil
}

// summarise derives what follows from the confusion matrix.
func (e *Evaluation) summarise() {
	right, recalls, f1s := 0, mean{}, mean{}
	for c, label := range sentimentLabels {
		hit, support, said := e.Confusion[c][c], 0, 0
		for k := range e.Confusion {
			support += e.Confusion[c][k]
			said += e.Confusion[k][c]
		}
		m := ClassMetrics{Label: label, Support: support, Precision: ratio(hit, said), Recall: ratio(hit, support), F1: ratio(2*hit, support+said)}
		e.Classes = append(e.Classes, m)
		right += hit
		if support > 0 {
			recalls.add(m.Recall)
		}
		if support+said > 0 {
			f1s.add(m.F1)
		}
	}
	e.Accuracy, e.MacroRecall, e.MacroF1 = ratio(right, e.N), recalls.value(), f1s.value()
}

func ratio(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

type mean struct {
	sum float64
	n   int
}

func (m *mean) add(v float64) { m.sum, m.n = m.sum+v, m.n+1 }

func (m *mean) value() float64 {
	if m.n == 0 {
		return 0
	}
	return m.sum / float64(m.n)
}

// calibration gathers confidence against correctness in equal bins.
type calibration struct{ confidence, right [15]float64 }

func (c *calibration) add(p float64, right bool) {
	b := max(0, min(int(p*float64(len(c.right))), len(c.right)-1))
	c.confidence[b] += p
	if right {
		c.right[b]++
	}
}

// gap is the sum over the bins of how far confidence and correctness differ.
func (c *calibration) gap() float64 {
	var sum float64
	for b := range c.right {
		sum += math.Abs(c.confidence[b] - c.right[b])
	}
	return sum
}

// Judge scores examples and measures the answers.
func Judge(ctx context.Context, s Scorer, examples []Example) (Evaluation, error) {
	const batch = 4096
	truth := make([]int, 0, len(examples))
	pred := make([]Prediction, 0, len(examples))
	for start := 0; start < len(examples); start += batch {
		part := examples[start:min(start+batch, len(examples))]
		texts := make([]string, len(part))
		for i, x := range part {
			texts[i], truth = x.Text, append(truth, x.Label)
		}
		got, err := s.Score(ctx, texts)
		if err != nil {
			return Evaluation{}, fmt.Errorf("judge: %w", err)
		}
		pred = append(pred, got...)
	}
	return Evaluate(truth, pred)
}
