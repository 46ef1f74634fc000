package tensorflow

import "math"

// calibration turns logits into probabilities: softmax(scale·logits + bias),
// the vector form of temperature scaling with one temperature (Guo et al. 2017).
type calibration struct {
	scale float64
	bias  [classes]float64
}

func identity() calibration { return calibration{scale: 1} }

func (c calibration) probabilities(logits [classes]float64) [classes]float64 {
	var p [classes]float64
	top := math.Inf(-1)
	for k, v := range logits {
		p[k] = v*c.scale + c.bias[k]
		top = max(top, p[k])
	}
	var sum float64
	for k := range p {
		p[k] = math.Exp(p[k] - top)
		sum += p[k]
	}
	for k := range p {
		p[k] /= sum
	}
	return p
}

// balancedWeights gives each document a weight such that each class that
// occurs weighs the same and all sum to 1.
func balancedWeights(docs []document) (weight [classes]float64) {
	var n [classes]float64
	present := 0.0
	for _, d := range docs {
		if n[d.label] == 0 {
			present++
		}
		n[d.label]++
	}
	for c := range n {
		if n[c] > 0 {
			weight[c] = 1 / (present * n[c])
		}
	}
	return weight
}

// balancedLoss is the mean of -ln p(label) over the classes' own means.
func balancedLoss(docs []document, logits [][classes]float64, c calibration) float64 {
	weight, loss := balancedWeights(docs), 0.0
	for i, d := range docs {
		loss -= weight[d.label] * math.Log(max(c.probabilities(logits[i])[d.label], 1e-12))
	}
	return loss
}

// calibrationPrior pulls towards no calibration with the force of so many
// documents, so that a handful cannot bend the probabilities.
const calibrationPrior = 30

// fitCalibration minimises balancedLoss by gradient descent over logits of unit
// size. The loss is convex in scale and bias, so a few hundred steps reach its
// end.
func fitCalibration(docs []document, logits [][classes]float64) calibration {
	weight := balancedWeights(docs)
	prior := calibrationPrior / float64(len(docs)+calibrationPrior)
	var squares float64
	for _, l := range logits {
		for _, v := range l {
			squares += v * v
		}
	}
	unit := math.Sqrt(squares/float64(classes*max(len(logits), 1))) + 1e-9
	c := identity()
	for range 400 {
		scale := prior * (c.scale - 1) * unit
		var bias [classes]float64
		for k := range bias {
			bias[k] = prior * c.bias[k]
		}
		for i, d := range docs {
			p := c.probabilities(logits[i])
			p[d.label]--
			for k, g := range p {
				g *= weight[d.label]
				bias[k] += g
				scale += g * logits[i][k] / unit
			}
		}
		c.scale = max(0.05, c.scale-0.5*scale/unit)
		for k := range bias {
			c.bias[k] -= bias[k]
		}
	}
	return c
}

// calibrate fits scale and bias on the held-out part and stores them in the
// session's variables. Without a held-out part nothing changes.
func (f *fitting) calibrate() (calibration, error) {
	if len(f.held) == 0 {
		return identity(), nil
	}
	logits, err := f.logitsOf(f.held)
	if err != nil {
		return calibration{}, err
	}
	c := fitCalibration(f.held, logits)
	bias := []float32{float32(c.bias[0]), float32(c.bias[1]), float32(c.bias[2])}
	_, err = f.session.run([]feed{{to: f.w.scale.initial, value: float32(c.scale)}, {to: f.w.bias.initial, value: bias}}, nil, f.w.scale.init, f.w.bias.init)
	return c, err
}
