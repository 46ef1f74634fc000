package tensorflow

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	tf "github.com/galeone/tensorflow/tensorflow/go"

	"github.com/feedlake/feedlake/training"
)

// posts makes texts of the length of tweets.
func posts(n int) []training.Example {
	r := rand.New(rand.NewPCG(1, 1))
	words := strings.Fields("the a to and of in is it you that was for on are with as they be at this have from or had by hot word but what some we can out other were all there when up use your how said each she great awful lovely sad @someone #monday http://t.co/abc :) !!! not never")
	out := make([]training.Example, n)
	for i := range out {
		var b strings.Builder
		for range 12 + r.IntN(12) {
			b.WriteString(words[r.IntN(len(words))])
			if r.IntN(4) == 0 {
				b.WriteString(string(rune('a'+r.IntN(26))) + string(rune('a'+r.IntN(26))))
			}
			b.WriteByte(' ')
		}
		out[i] = training.Example{Text: b.String(), Label: i % classes}
	}
	return out
}

// BenchmarkScore is the way from texts to probabilities; features/op tells the
// share that goes into making features, before the library runs.
func BenchmarkScore(b *testing.B) {
	dir := b.TempDir()
	examples := posts(16 * scoreBatch)
	if _, err := (Sentiment{}).Train(b.Context(), examples[:3000], nil, 1, dir, nil); err != nil {
		b.Fatal(err)
	}
	s, err := (Sentiment{}).Load(b.Context(), dir)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	in := make([]string, len(examples))
	for i, x := range examples {
		in[i] = x.Text
	}
	z, err := newFeaturiser(DefaultFeatures())
	if err != nil {
		b.Fatal(err)
	}
	var making time.Duration
	for b.Loop() {
		if _, err := s.Score(b.Context(), in); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		began := time.Now()
		for _, t := range in[:scoreBatch] {
			z.features(t)
		}
		making += time.Since(began)
		b.StartTimer()
	}
	perText := b.Elapsed().Seconds() / float64(b.N*len(in))
	b.ReportMetric(1/perText, "texts/s")
	b.ReportMetric(making.Seconds()/float64(b.N*scoreBatch)/perText, "features/op")
}

// BenchmarkTrain is one epoch; forward/op is the time of the forward pass alone
// over the same batches, as a share: what the gradient and the optimiser cost.
func BenchmarkTrain(b *testing.B) {
	o := defaults()
	z, err := newFeaturiser(o.Features)
	if err != nil {
		b.Fatal(err)
	}
	docs, err := z.documents(b.Context(), posts(8000))
	if err != nil {
		b.Fatal(err)
	}
	t, err := newTrainer(o.shape, o.Rate, 1)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = t.close() }()
	f := fitting{settings: o, trainer: t, weight: [classes]float32{1, 1, 1}, fit: docs, rng: rand.New(rand.NewPCG(1, 1)), progress: func(int64, int64) {}}
	var forward time.Duration
	for b.Loop() {
		if err := f.epoch(context.Background(), 0, 1); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		began := time.Now()
		var bt batch
		for start := 0; start+o.Batch <= len(docs); start += o.Batch {
			bt.reset()
			for _, d := range docs[start : start+o.Batch] {
				bt.addDropped(d.textIDs, o.Drop, f.rng)
			}
			if _, err := t.run(bt.feeds(t.in), []tf.Output{t.raw}); err != nil {
				b.Fatal(err)
			}
		}
		forward += time.Since(began)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.N*len(docs))/b.Elapsed().Seconds(), "examples/s")
	b.ReportMetric(forward.Seconds()/b.Elapsed().Seconds(), "forward/op")
}

func BenchmarkExpect(b *testing.B) {
	dir := b.TempDir()
	r := rand.New(rand.NewPCG(1, 1))
	hours := make([]training.TagHour, 4*expectBatch)
	for i := range hours {
		n := int64(r.IntN(5))
		hours[i] = training.TagHour{Posts: n, Posts24h: 24 * n, Posts7d: 168 * n, Posts28d: 672 * n, SameHour7d: 7 * n, HoursSinceLast: 1, HoursKnown: 672, HourOfWeek: i % 168}
	}
	if _, _, err := (Counts{}).Train(b.Context(), hours, 1, dir, nil); err != nil {
		b.Fatal(err)
	}
	m, err := (Counts{}).Load(b.Context(), dir)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	for b.Loop() {
		if _, err := m.Expect(b.Context(), hours); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(hours))/b.Elapsed().Seconds(), "hours/s")
}
