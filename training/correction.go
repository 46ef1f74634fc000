package training

import "math"

// Correction turns what a classifier says of many texts into how many of them
// are of each class. It says of texts of one class, on average, the probabilities
// Rates; of a mixture, their mixture. To go back is to solve for the mixture, the
// adjusted count of Forman (2008) with probabilities instead of labels (Bella et
// al. 2010). Every index follows SentimentLabels.
type Correction struct {
	Texts   [3]int        `json:"texts"`   // held-out texts of each class
	Rates   [3][3]float64 `json:"rates"`   // [class][j]: mean probability of j over the texts of the class
	Weights [3][3]float64 `json:"weights"` // [class][j]: what a text's probability of j adds to the number of texts of the class
	Spread  [3][3]float64 `json:"spread"`  // [class][j]: variance of what a text of j adds to the class
}

// Other texts than the held-out ones are judged, from other days and about other
// things: the rates are taken to be known no better than driftTexts texts of a
// class tell them, however many were held out.
const driftTexts = 400

// fewTexts is added to the texts of every class where the variance is estimated:
// a handful of texts that seem all of one class may hold one of another.
const fewTexts = 0.5

// leastDeterminant bounds away rates that hardly differ between the classes.
const leastDeterminant = 1e-3

// Doubt is the variance of the mean over the class's texts, as a share of the
// variance of one text.
func (c *Correction) Doubt(class int) float64 { return 1/float64(c.Texts[class]) + 1.0/driftTexts }

// Share is an estimated share of a class, with the interval that holds it in 95
// of 100 cases.
type Share struct{ Value, Low, High float64 }

// Shares estimates the shares of the classes among n texts from the sums of
// their probabilities. marts.daily_sentiment computes the same in SQL.
func (c *Correction) Shares(n int, sums [3]float64) [3]Share {
	var count [3]float64
	below := 0.0
	for k := range count {
		for j, s := range sums {
			count[k] += c.Weights[k][j] * s
		}
		count[k] /= float64(n)
		below += min(count[k], 0)
	}
	var out [3]Share
	for k, v := range count { // the nearest point of the simplex
		if v < 0 {
			v = 0
		} else {
			v += below / 2
		}
		out[k].Value = max(0, min(v, 1))
	}
	for k := range out {
		variance := 0.0
		for j, v := range count {
			texts := max(v, 0) * float64(n)
			variance += (texts + fewTexts + texts*texts*c.Doubt(j)) * c.Spread[k][j]
		}
		half := 1.96 * math.Sqrt(variance) / float64(n)
		out[k].Low, out[k].High = max(0, out[k].Value-half), min(1, out[k].Value+half)
	}
	return out
}

// contributions gathers what a Correction follows from.
type contributions struct {
	texts   [3]int
	sums    [3][3]float64    // [class][j] of p_j
	squares [3][3][3]float64 // [class][i][j] of p_i·p_j
}

func (s *contributions) add(class int, p [3]float64) {
	s.texts[class]++
	for i, a := range p {
		s.sums[class][i] += a
		for j, b := range p {
			s.squares[class][i][j] += a * b
		}
	}
}

// correction solves for the weights; nil when a class has no text, or the
// classes are told apart too little.
func (s *contributions) correction() *Correction {
	c := &Correction{Texts: s.texts}
	for k, n := range s.texts {
		if n == 0 {
			return nil
		}
		for j := range c.Rates[k] {
			c.Rates[k][j] = s.sums[k][j] / float64(n)
		}
	}
	// The inverse of the transposed rates is their cofactors over the determinant.
	r := c.Rates
	cofactor := func(k, j int) float64 {
		a, b, x, y := (k+1)%3, (k+2)%3, (j+1)%3, (j+2)%3
		return r[a][x]*r[b][y] - r[a][y]*r[b][x]
	}
	det := r[0][0]*cofactor(0, 0) + r[0][1]*cofactor(0, 1) + r[0][2]*cofactor(0, 2)
	if math.Abs(det) < leastDeterminant {
		return nil
	}
	for k := range r {
		for j := range r[k] {
			c.Weights[k][j] = cofactor(k, j) / det
		}
	}
	for k := range r {
		for y, n := range s.texts {
			second, mean := 0.0, 0.0
			for i, a := range c.Weights[k] {
				mean += a * r[y][i]
				for j, b := range c.Weights[k] {
					second += a * b * s.squares[y][i][j] / float64(n)
				}
			}
			c.Spread[k][y] = max(0, second-mean*mean)
		}
	}
	return c
}
