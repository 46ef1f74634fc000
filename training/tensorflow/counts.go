package tensorflow

import (
	"context"
	"fmt"
	"math"
	"slices"

	tf "github.com/galeone/tensorflow/tensorflow/go"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/training"
)

// Counts trains and loads count models of hashtags; it is a
// training.CountTrainer. Its zero value is ready.
//
// The model is a negative binomial regression with log link (Hilbe 2011): the
// mean and the dispersion of an hour's posts follow from the tag's past. It is
// fitted on hours with and without posts, so its mean is a true expectation.
// A p-value, though, is the probability of so many posts given that there is at
// least one: features.hashtag_hourly has rows only for such hours, and without
// the condition every single post of a rare tag would look like a surprise.
type Counts struct{}

// countVersion changes with anything that gives an hour other features.
const countVersion = 1

// countShape is kept with a model version.
type countShape struct {
	Version  int `json:"version"`
	Features int `json:"features"`
	Hidden   int `json:"hidden"`
}

// countFeatures is how many numbers describe an hour.
const countFeatures = 16

// hourFeatures describes an hour by its tag's past: rates a source-hour over
// three windows and for the hour of day, as logarithms with a little added so
// that silence is finite, and the season that all tags share in two harmonics a
// day and two a week. The more a tag's own week says about its hours, the less
// the shared season counts: a tag that never sleeps must not trend each night.
func hourFeatures(h training.TagHour) [countFeatures]float64 {
	known := float64(max(h.HoursKnown, 0))
	day := rate(h.Posts24h, min(known, 24))
	week := rate(h.Posts7d, min(known, 168))
	month := rate(h.Posts28d, min(known, 672))
	same := rate(h.SameHour7d, math.Ceil(min(known, 168)/24))
	since, fresh := math.Log1p(float64(max(h.HoursSinceLast, 0))), 0.0
	if h.Posts28d <= 0 {
		since, fresh = math.Log1p(672), 1
	}
	f := [countFeatures]float64{day, week, month, same, since, fresh, math.Log1p(known), day - month}
	shared := 1 / (1 + float64(max(h.Posts7d, 0))/24)
	for i := range 2 {
		hour := 2 * math.Pi * float64(i+1) * float64(h.HourOfWeek%24) / 24
		of := 2 * math.Pi * float64(i+1) * float64(h.HourOfWeek) / 168
		f[8+4*i], f[9+4*i], f[10+4*i], f[11+4*i] = shared*math.Sin(hour), shared*math.Cos(hour), shared*math.Sin(of), shared*math.Cos(of)
	}
	return f
}

// rate is the logarithm of posts an hour, shrunk towards a twentieth of a post
// with the force of one hour.
func rate(posts int64, hours float64) float64 {
	return math.Log((float64(max(posts, 0)) + 0.05) / (hours + 1))
}

// startWeights are the linear weights before training: a tag goes on as it did.
func startWeights() [countFeatures]float64 {
	return [countFeatures]float64{0: 0.35, 1: 0.25, 2: 0.2, 3: 0.2}
}

// hourMatrix is hours as a row-major matrix and their counts.
func hourMatrix(hours []training.TagHour) (x, y []float64) {
	x, y = make([]float64, 0, len(hours)*countFeatures), make([]float64, 0, len(hours))
	for _, h := range hours {
		f := hourFeatures(h)
		x, y = append(x, f[:]...), append(y, float64(max(h.Posts, 0)))
	}
	return x, y
}

// countModel is a loaded version.
type countModel struct{ *loaded }

// Ports of the count signature: features [n, 16] and observed counts [n] as
// float64; the mean [n] and the p-value [n].
const (
	portX        = "x"
	portObserved = "observed"
	portMean     = "mean"
	portPValue   = "p_value"
)

// Load opens a model that Train wrote. Errors: feedlake.ErrNotFound when dir
// holds no finished model, feedlake.ErrConfig when this program cannot use it.
func (Counts) Load(ctx context.Context, dir string) (training.CountModel, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var s countShape
	l, err := load(dir, &s, portX, portObserved, portMean, portPValue)
	if err != nil {
		return nil, err
	}
	if s.Version != countVersion || s.Features != countFeatures {
		_ = l.close()
		return nil, feedlake.Hint(fmt.Errorf("load model %s: features of version %d, this program makes version %d: %w", dir, s.Version, countVersion, feedlake.ErrConfig),
			"train the model anew with this program, or use the program that trained it")
	}
	return &countModel{l}, nil
}

// expectBatch is how many hours go through the graph at once.
const expectBatch = 8192

// Expect gives one expectation an hour, in order. An hour with one post or none
// has the p-value 1, so it is not asked for: that is nearly every hour of a day.
func (m *countModel) Expect(ctx context.Context, hours []training.TagHour) ([]training.Expectation, error) {
	out := make([]training.Expectation, len(hours))
	var sure, open []int
	for i, h := range hours {
		if h.Posts <= 1 {
			sure = append(sure, i)
		} else {
			open = append(open, i)
		}
	}
	for part := range slices.Chunk(sure, expectBatch) {
		if err := m.expect(ctx, hours, part, out, m.ports[portMean]); err != nil {
			return nil, fmt.Errorf("expect counts: %w", err)
		}
	}
	for part := range slices.Chunk(open, expectBatch) {
		if err := m.expect(ctx, hours, part, out, m.ports[portMean], m.ports[portPValue]); err != nil {
			return nil, fmt.Errorf("expect counts: %w", err)
		}
	}
	return out, nil
}

// expect fills the expectations of the hours at some places. ports are the mean
// and, unless it is 1, the p-value.
func (m *countModel) expect(ctx context.Context, hours []training.TagHour, at []int, out []training.Expectation, ports ...tf.Output) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	part := make([]training.TagHour, len(at))
	for i, place := range at {
		part[i] = hours[place]
	}
	x, y := hourMatrix(part)
	got, err := m.run([]feed{
		{to: m.ports[portX], value: x, shape: []int64{int64(len(part)), countFeatures}},
		{to: m.ports[portObserved], value: y},
	}, ports)
	if err != nil {
		return err
	}
	mean := numbers[float64](got[0])
	for i, place := range at {
		out[place] = training.Expectation{Mean: mean[i], PValue: 1}
	}
	if len(ports) > 1 {
		p := numbers[float64](got[1])
		for i, place := range at {
			out[place].PValue = p[i]
		}
	}
	return nil
}

// Close ends the session.
func (m *countModel) Close() error { return m.close() }
