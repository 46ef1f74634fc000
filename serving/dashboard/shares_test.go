package dashboard_test

import (
	"math"
	"testing"
	"time"

	"github.com/feedlake/feedlake/serving/dashboard"
)

// TestShares wants shares and intervals of totals to follow from the sums of the
// estimates and from what is known of each version's mistakes, by the rule of
// marts.daily_sentiment; and labels as given where nothing is known.
func TestShares(t *testing.T) {
	day := lastDay()
	judged := func(source string, version int64, labels [3]int64, estimates ...float64) sentimentRow {
		r := sentimentRow{
			Day: date(day), Source: source, Lang: "en", Posts: 1000, Scored: labels[0] + labels[1] + labels[2],
			Negative: labels[0], Neutral: labels[1], Positive: labels[2], ModelVersion: &version,
		}
		if len(estimates) == 3 {
			r.NegativeEst, r.NeutralEst, r.PositiveEst = &estimates[0], &estimates[1], &estimates[2]
		}
		return r
	}
	variance := func(n [3]float64) (v [3]float64) { // of one version's sums
		for i, k := range mistakes(0) {
			spread := [3]float64{k.SpreadNegative, k.SpreadNeutral, k.SpreadPositive}
			for j, of := range mistakes(0) {
				v[i] += spread[j] * (n[j] + 0.5 + n[j]*n[j]*of.Doubt)
			}
		}
		return v
	}
	plus := func(a, b [3]float64) [3]float64 { return [3]float64{a[0] + b[0], a[1] + b[1], a[2] + b[2]} }
	for name, c := range map[string]struct {
		rows      []sentimentRow
		corrected bool
		shares    [3]float64
		variance  [3]float64
		scored    float64
	}{
		"one version": {
			[]sentimentRow{judged("a", 3, [3]int64{210, 580, 210}, 100, 800, 100), judged("b", 3, [3]int64{20, 60, 20}, 10, 75, 15)},
			true,
			[3]float64{110. / 1100, 875. / 1100, 115. / 1100},
			variance([3]float64{110, 875, 115}), 1100,
		},
		"two versions": {
			[]sentimentRow{judged("a", 3, [3]int64{210, 580, 210}, 100, 800, 100), judged("b", 4, [3]int64{20, 60, 20}, 10, 75, 15)},
			true,
			[3]float64{110. / 1100, 875. / 1100, 115. / 1100},
			plus(variance([3]float64{100, 800, 100}), variance([3]float64{10, 75, 15})), 1100,
		},
		"below nothing": {
			[]sentimentRow{judged("a", 3, [3]int64{1, 8, 1}, -2, 11, 1)},
			true,
			[3]float64{0, (11. - 1) / 10, 0},
			variance([3]float64{0, 11, 1}), 10,
		},
		"an unknown version": {[]sentimentRow{judged("a", 9, [3]int64{210, 580, 210}, 100, 800, 100)}, false, [3]float64{0.21, 0.58, 0.21}, [3]float64{}, 1000},
		"one of two is unknown": {
			[]sentimentRow{judged("a", 3, [3]int64{210, 580, 210}, 100, 800, 100), judged("b", 9, [3]int64{0, 1000, 0}, 10, 980, 10)},
			false,
			[3]float64{0.105, 0.79, 0.105},
			[3]float64{},
			2000,
		},
		"without estimates": {[]sentimentRow{judged("a", 3, [3]int64{210, 580, 210})}, false, [3]float64{0.21, 0.58, 0.21}, [3]float64{}, 1000},
		"partly without": {
			[]sentimentRow{judged("a", 3, [3]int64{210, 580, 210}, 100, 800, 100), judged("b", 3, [3]int64{0, 1000, 0})},
			false,
			[3]float64{0.105, 0.79, 0.105},
			[3]float64{},
			2000,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.ensure()
			put(w, "marts.daily_sentiment", day.Format(time.DateOnly), c.rows)
			put(w, "ml.confusion", "", append(mistakes(3), mistakes(4)...))
			w.flush()
			h := dashboard.Handler(w.options())
			summary, _ := get(t, h, "/api/summary")
			days, _ := get(t, h, "/api/sentiment")
			rows, _ := days.Data["rows"].([]any)
			if len(rows) != 1 {
				t.Fatalf("%+v", days)
			}
			row, _ := rows[0].(map[string]any)
			for where, data := range map[string]map[string]any{"card": summary.Metrics["sentiment"].Data, "day": row} {
				if data["corrected"] != c.corrected || data["scored"] != c.scored {
					t.Errorf("%s: %v", where, data)
				}
				for i, class := range []string{"negative", "neutral", "positive"} {
					half := 1.96 * math.Sqrt(c.variance[i]) / c.scored
					near(t, where+" share of "+class, data[class+"_share"], c.shares[i], true)
					near(t, where+" lower end of "+class, data[class+"_low"], max(c.shares[i]-half, 0), c.corrected)
					near(t, where+" upper end of "+class, data[class+"_high"], min(c.shares[i]+half, 1), c.corrected)
				}
				near(t, where+" net", data["net_sentiment"], c.shares[2]-c.shares[0], true)
			}
		})
	}
}

// near compares a number of an answer, or wants none.
func near(t *testing.T, what string, got any, want float64, known bool) {
	t.Helper()
	v, ok := got.(float64)
	if ok != known || known && math.Abs(v-want) > 1e-9 {
		t.Errorf("%s is %v, want %v (known: %v)", what, got, want, known)
	}
}
