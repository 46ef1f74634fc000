package tensorflow_test

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/training"
	"github.com/feedlake/feedlake/training/tensorflow"
)

// tagHours gives the hours of one hashtag with their past, hours without posts
// included, the source being known since known0 hours before the first.
func tagHours(posts []int64, known0 int) []training.TagHour {
	out := make([]training.TagHour, len(posts))
	for i, n := range posts {
		h := training.TagHour{Posts: n, HoursKnown: int64(min(672, known0+i)), HourOfWeek: i % 168}
		for back := 1; back <= min(i, 672); back++ {
			p := posts[i-back]
			if back <= 24 {
				h.Posts24h += p
			}
			if back <= 168 {
				h.Posts7d += p
				if back%24 == 0 {
					h.SameHour7d += p
				}
			}
			h.Posts28d += p
			if p > 0 && h.HoursSinceLast == 0 {
				h.HoursSinceLast = int64(back)
			}
		}
		out[i] = h
	}
	return out
}

// poisson draws from a Poisson distribution (Knuth 1969).
func poisson(r *rand.Rand, mean float64) int64 {
	n, p, floor := int64(0), 1.0, math.Exp(-mean)
	for {
		if p *= r.Float64(); p <= floor {
			return n
		}
		n++
	}
}

// world is eight weeks of 60 hashtags from steady to rare, with days and
// nights, oldest hour first.
func world(seed uint64) []training.TagHour {
	r := rand.New(rand.NewPCG(seed, 1))
	const weeks = 4 * 168
	var tags [][]training.TagHour
	for tag := range 60 {
		level := 20 * math.Pow(0.9, float64(tag))
		posts := make([]int64, weeks)
		for i := range posts {
			posts[i] = poisson(r, level*(1+0.7*math.Sin(2*math.Pi*float64(i%24)/24)))
		}
		tags = append(tags, tagHours(posts, 0))
	}
	var out []training.TagHour
	for i := range weeks {
		for _, t := range tags {
			out = append(out, t[i])
		}
	}
	return out
}

func trainCounts(t *testing.T, hours []training.TagHour, dir string) (training.CountModel, map[string]float64) {
	t.Helper()
	_, metrics, err := tensorflow.Counts{}.Train(t.Context(), hours, 1, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := tensorflow.Counts{}.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m, metrics
}

func TestCountsTellBurstsFromTheUsual(t *testing.T) {
	dir := t.TempDir()
	m, metrics := trainCounts(t, world(1), dir)
	t.Logf("metrics %v", metrics)
	if metrics["log_loss"] >= metrics["start_log_loss"] {
		t.Errorf("training did not help: %v", metrics)
	}
	if v := metrics["below_0_01"]; v > 0.02 {
		t.Errorf("%.4f of the usual hours have a p-value of at most 0.01", v)
	}
	steady := make([]int64, 400)
	for i := range steady {
		steady[i] = 10 + int64(i%3)
	}
	usual := tagHours(steady, 300)[399]
	burst := usual
	burst.Posts = 60
	rare := training.TagHour{Posts: 1, Posts28d: 2, HoursSinceLast: 200, HoursKnown: 672, HourOfWeek: 30}
	fresh := training.TagHour{Posts: 2, HoursKnown: 672, HourOfWeek: 30}
	flood := fresh
	flood.Posts = 80
	silent := usual
	silent.Posts = 0
	got, err := m.Expect(t.Context(), []training.TagHour{usual, burst, rare, fresh, flood, silent})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("usual %v, burst %v, rare %v, fresh %v, flood %v, silent %v", got[0], got[1], got[2], got[3], got[4], got[5])
	if got[0].Mean < 6 || got[0].Mean > 18 || got[0].PValue < 0.05 {
		t.Errorf("a steady tag: %+v", got[0])
	}
	if got[1].PValue > 1e-6 || got[1].Mean != got[0].Mean {
		t.Errorf("a burst: %+v", got[1])
	}
	if got[2].PValue != 1 || got[5].PValue != 1 {
		t.Errorf("one post and none can be no surprise: %+v, %+v", got[2], got[5])
	}
	if got[3].PValue < 0.001 {
		t.Errorf("two posts with a new tag: %+v", got[3])
	}
	if got[4].PValue > 1e-6 {
		t.Errorf("a flood of posts with a new tag: %+v", got[4])
	}
}

// TestCountsOfAnything feeds what no real table holds: the answers must stay
// numbers.
func TestCountsOfAnything(t *testing.T) {
	m, _ := trainCounts(t, world(2)[:20000], t.TempDir())
	const huge = math.MaxInt64
	hours := []training.TagHour{
		{},
		{Posts: huge, Posts24h: huge, Posts7d: huge, Posts28d: huge, SameHour7d: huge, HoursSinceLast: huge, HoursKnown: huge, HourOfWeek: math.MaxInt32},
		{Posts: -1, Posts24h: -1, Posts7d: -1, Posts28d: -1, SameHour7d: -1, HoursSinceLast: -1, HoursKnown: -1, HourOfWeek: -1},
		{Posts: 1e6, HoursKnown: 672},
		{Posts: 3, Posts24h: 1e9, HoursKnown: 672},
	}
	got, err := m.Expect(t.Context(), hours)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range got {
		if math.IsNaN(e.Mean) || math.IsInf(e.Mean, 0) || e.Mean < 0 || !(e.PValue >= 0 && e.PValue <= 1) {
			t.Errorf("%+v: %+v", hours[i], e)
		}
	}
	if got, err := m.Expect(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("no hours: %v, %v", got, err)
	}
}

func TestCountsAreTheSameEveryTime(t *testing.T) {
	hours := world(3)[:15000]
	a, b := t.TempDir(), t.TempDir()
	m, _ := trainCounts(t, hours, a)
	trainCounts(t, hours, b)
	if !bytes.Equal(variables(t, a), variables(t, b)) {
		t.Error("two trainings with one seed gave other variables")
	}
	one, err := m.Expect(t.Context(), hours)
	if err != nil {
		t.Fatal(err)
	}
	two, err := m.Expect(t.Context(), hours[:777])
	if err != nil {
		t.Fatal(err)
	}
	near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b)) })
	if d := cmp.Diff(one[:777], two, near); d != "" { // the matrix kernel rounds by the batch's length
		t.Error(d)
	}
}

func TestCountsErrors(t *testing.T) {
	if _, _, err := (tensorflow.Counts{}).Train(t.Context(), nil, 1, t.TempDir(), nil); !errors.Is(err, feedlake.ErrRejected) {
		t.Errorf("no hours: %v", err)
	}
	if _, err := (tensorflow.Counts{}).Load(t.Context(), t.TempDir()); !errors.Is(err, feedlake.ErrNotFound) {
		t.Errorf("an empty folder: %v", err)
	}
	one, metrics, err := tensorflow.Counts{}.Train(t.Context(), []training.TagHour{{Posts: 1}}, 1, t.TempDir(), nil)
	if err != nil || len(one) == 0 || metrics["hours"] != 1 {
		t.Errorf("one hour: %v, %v, %v", one, metrics, err)
	}
}

// variables reads a checkpoint's data.
func variables(t *testing.T, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "variables", "variables.data-00000-of-00001"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
