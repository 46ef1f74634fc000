package tensorflow_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	tg "github.com/galeone/tfgo"
	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/training"
	"github.com/feedlake/feedlake/training/tensorflow"
)

// opinions makes labelled texts whose feeling lies in one made-up word among
// others, so that no lexicon helps.
func opinions(n int, seed uint64) []training.Example {
	r := rand.New(rand.NewPCG(seed, 2))
	signs := [3][]string{{"glorp", "blivet", "murk"}, {"plinth", "tabor", "quoin"}, {"zelk", "frabjous", "sunny"}}
	out := make([]training.Example, n)
	for i := range out {
		label := r.IntN(3)
		words := []any{r.IntN(500), r.IntN(500), signs[label][r.IntN(3)], r.IntN(500), r.IntN(500)}
		out[i] = training.Example{Label: label, Text: fmt.Sprintf("a%x b%x %s c%x d%x", words...)}
	}
	return out
}

// trained trains on a small set and loads the result.
func trained(tb testing.TB, dir string, seed int64) training.Scorer {
	tb.Helper()
	if _, err := (tensorflow.Sentiment{}).Train(tb.Context(), opinions(1500, 1), opinions(300, 2), seed, dir, nil); err != nil {
		tb.Fatal(err)
	}
	return loadSentiment(tb, dir)
}

func loadSentiment(tb testing.TB, dir string) training.Scorer {
	tb.Helper()
	s, err := tensorflow.Sentiment{}.Load(tb.Context(), dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func texts(examples []training.Example) []string {
	out := make([]string, len(examples))
	for i, x := range examples {
		out[i] = x.Text
	}
	return out
}

func TestSentimentLearns(t *testing.T) {
	s := trained(t, t.TempDir(), 1)
	e, err := training.Judge(t.Context(), s, opinions(600, 3))
	if err != nil {
		t.Fatal(err)
	}
	if e.MacroRecall < 0.95 || e.ECE > 0.1 {
		t.Errorf("macro-recall %.3f, calibration error %.3f on texts that one word decides", e.MacroRecall, e.ECE)
	}
}

// TestSentimentIsTheSameEveryTime trains twice with one seed and once with
// another, and scores in batches of several lengths and in a second load.
func TestSentimentIsTheSameEveryTime(t *testing.T) {
	a, b, other := t.TempDir(), t.TempDir(), t.TempDir()
	one, two := trained(t, a, 7), trained(t, b, 7)
	trained(t, other, 8)
	if !bytes.Equal(variables(t, a), variables(t, b)) {
		t.Error("two trainings with one seed gave other variables")
	}
	if bytes.Equal(variables(t, a), variables(t, other)) {
		t.Error("the seed makes no difference")
	}
	in := texts(opinions(2500, 4))
	want, err := one.Score(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) <= 1e-6 })
	for name, s := range map[string]training.Scorer{"same model": one, "second load": loadSentiment(t, a), "second training": two} {
		for _, size := range []int{2500, 1024, 7} {
			var got []training.Prediction
			for start := 0; start < len(in); start += size {
				part, err := s.Score(t.Context(), in[start:min(start+size, len(in))])
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, part...)
			}
			if size == len(in) && !cmp.Equal(want, got) {
				t.Errorf("%s: other bits", name)
			}
			if !cmp.Equal(want, got, near) { // the matrix kernel may round by the batch's length
				t.Errorf("%s in batches of %d: other scores", name, size)
			}
		}
	}
}

func TestSentimentScoresAnything(t *testing.T) {
	s := trained(t, t.TempDir(), 1)
	odd := []string{"", " \n\t", "\xff\xfe", "zelk", string(make([]byte, 1<<20)), "\u200d", "🙂", "\x00zelk\x00"}
	got, err := s.Score(t.Context(), odd)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range got {
		sum := 0.0
		for _, v := range p.P {
			if !(v >= 0 && v <= 1) {
				t.Errorf("%.20q: %v", odd[i], p.P)
			}
			sum += v
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("%.20q: probabilities sum to %v", odd[i], sum)
		}
	}
	for _, i := range []int{0, 1, 2, 4, 5} {
		if got[i].P != [3]float64{0.33, 0.34, 0.33} {
			t.Errorf("a text without a token must be neutral without confidence: %.20q, %v", odd[i], got[i])
		}
	}
	if got[3].Label() != 2 || got[7] != got[3] {
		t.Errorf("%v, %v", got[3], got[7])
	}
	if none, err := s.Score(t.Context(), nil); err != nil || len(none) != 0 {
		t.Errorf("no texts: %v, %v", none, err)
	}
}

func TestSentimentConcurrently(t *testing.T) {
	s := trained(t, t.TempDir(), 1)
	in := texts(opinions(1500, 5))
	want, err := s.Score(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 3 {
				got, err := s.Score(t.Context(), in)
				if err != nil || !cmp.Equal(want, got) {
					t.Errorf("concurrent scores differ: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

// TestSentimentIsTheTextsOwn wants a text's prediction to be the same to the bit,
// whatever is asked beside it: alone, in another order, or in a batch of its own.
func TestSentimentIsTheTextsOwn(t *testing.T) {
	s := trained(t, t.TempDir(), 1)
	in := texts(opinions(1025, 5))
	want, err := s.Score(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 2, 3, 7, 100, 1023} {
		for from := 0; from < len(in); from += size {
			to := min(from+size, len(in))
			got, err := s.Score(t.Context(), in[from:to])
			if err != nil || !cmp.Equal(want[from:to], got) {
				t.Fatalf("%d texts from %d on: %v\n%s", to-from, from, err, cmp.Diff(want[from:to], got))
			}
		}
	}
}

// TestSavedModelForOthers reads what we write with tfgo and a bare feed, as a
// user of another TensorFlow would.
func TestSavedModelForOthers(t *testing.T) {
	dir := t.TempDir()
	trained(t, dir, 1)
	m := tg.LoadModel(dir, []string{"serve"}, nil)
	if got := m.Op("probs/Softmax", 0).Shape().String(); got != "[?, 3]" {
		t.Errorf("probabilities of shape %s", got)
	}
}

func TestSentimentErrors(t *testing.T) {
	ctx := t.Context()
	two := opinions(90, 1)
	for i := range two {
		two[i].Label %= 2
	}
	wrong := append(opinions(90, 1), training.Example{Text: "x", Label: 3})
	for name, fit := range map[string][]training.Example{"none": nil, "no positive": two, "label 3": wrong} {
		if _, err := (tensorflow.Sentiment{}).Train(ctx, fit, nil, 1, t.TempDir(), nil); !errors.Is(err, feedlake.ErrRejected) {
			t.Errorf("examples: %s: %v", name, err)
		}
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	dir := t.TempDir()
	if _, err := (tensorflow.Sentiment{}).Train(gone, opinions(900, 1), nil, 1, dir, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := (tensorflow.Sentiment{}).Load(ctx, dir); !errors.Is(err, feedlake.ErrNotFound) {
		t.Errorf("a training that was broken off left a model: %v", err)
	}
	s := trained(t, dir, 1)
	if _, err := s.Score(gone, []string{"x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := (tensorflow.Counts{}).Load(ctx, dir); !errors.Is(err, feedlake.ErrConfig) {
		t.Errorf("a sentiment model as a count model: %v", err)
	}
	extra := filepath.Join(dir, "assets.extra", "feedlake.json")
	for name, note := range map[string]string{"broken": "{", "another version": `{"features":{"version":99}}`, "another table": `{"features":{"version":1,"bits":19,"word_max":2,"char_min":2,"char_max":4,"max_per_text":9}}`} {
		if err := os.WriteFile(extra, []byte(note), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := (tensorflow.Sentiment{}).Load(ctx, dir); !errors.Is(err, feedlake.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSentimentWithoutHeldPart trains all the same, and tells how far it is.
func TestSentimentWithoutHeldPart(t *testing.T) {
	var last, total int64
	dir := t.TempDir()
	_, err := tensorflow.Sentiment{}.Train(t.Context(), opinions(600, 1), nil, 1, dir, func(done, all int64) {
		if done < last || done > all {
			t.Errorf("progress %d of %d after %d", done, all, last)
		}
		last, total = done, all
	})
	if err != nil {
		t.Fatal(err)
	}
	if last != total || total == 0 {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	if e, err := training.Judge(t.Context(), loadSentiment(t, dir), opinions(300, 2)); err != nil || e.MacroRecall < 0.9 {
		t.Errorf("macro-recall %.3f, %v", e.MacroRecall, err)
	}
}

// TestTextsThatSayNothing wants links, mentions, numbers and marks alone marked as
// empty, and every word, tag, emoticon and emoji not.
func TestTextsThatSayNothing(t *testing.T) {
	t.Parallel()
	s := trained(t, t.TempDir(), 1)
	for text, want := range map[string]bool{
		"": true, " \n": true, "?": true, "…": true, "https://t.co/abc": true, "@someone @other": true, "42 !!": true, "@a http://x.org/y .": true,
		"ok": false, "RT": false, "#tag": false, ":)": false, "😀": false, "1️⃣": false, "素晴らしい": false, "@a yes": false,
	} {
		got, err := s.Score(t.Context(), []string{text})
		if err != nil {
			t.Fatal(err)
		}
		if got[0].Empty != want {
			t.Errorf("%q: empty is %v", text, got[0].Empty)
		}
	}
}
