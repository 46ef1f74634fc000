package sql_test

import (
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake/training"
)

// caseTable reads a file of a golden case: column to text, row by row.
func caseTable(t *testing.T, path ...string) []map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(append([]string{"testdata"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]string
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, h := range lines[0] {
			name, _, _ := strings.Cut(h, ":")
			row[name] = line[i]
		}
		out = append(out, row)
	}
	return out
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestMartSharesAreThoseOfTraining holds the SQL of marts.daily_sentiment to
// training.Correction, whose intervals hold the truth on real texts.
func TestMartSharesAreThoseOfTraining(t *testing.T) {
	labels := training.SentimentLabels()
	corrections := map[string]*training.Correction{}
	for _, r := range caseTable(t, "marts.daily_sentiment", "versions", "in.ml.confusion.csv") {
		if r["model"] != "sentiment" {
			continue
		}
		c := corrections[r["version"]]
		if c == nil {
			c = &training.Correction{}
			corrections[r["version"]] = c
		}
		for k, l := range labels {
			if l != r["label"] {
				continue
			}
			c.Texts[k] = int(number(t, r["texts"]))
			for j, m := range labels {
				c.Weights[k][j], c.Spread[k][j] = number(t, r["weight_"+m]), number(t, r["spread_"+m])
			}
		}
	}
	wanted := map[string]bool{"1": true, "2": true, "3": true, "4": true, "5": true, "6": true} // in English on 2026-01-01
	sums := map[string][3]float64{}
	n := 0
	for _, r := range caseTable(t, "marts.daily_sentiment", "versions", "in.ml.sentiment_scores.csv") {
		if r["day"] != "2026-01-01" || r["source"] != "x" || !wanted[r["id"]] || r["model"] != "sentiment" || r["label"] == "" {
			continue
		}
		n++
		s := sums[r["model_version"]]
		for j, l := range labels {
			s[j] += number(t, r["p_"+l])
		}
		sums[r["model_version"]] = s
	}
	for _, r := range caseTable(t, "marts.daily_sentiment", "versions", "want.csv") {
		if r["day"] != "2026-01-01" || r["source"] != "x" || r["lang"] != "en" {
			continue
		}
		got := corrections[r["model_version"]].Shares(n, sums[r["model_version"]])
		for k, l := range labels {
			for name, v := range map[string]float64{"_share": got[k].Value, "_low": got[k].Low, "_high": got[k].High} {
				if want := number(t, r[l+name]); math.Abs(want-v) > 2e-6 {
					t.Errorf("%s%s: %v in the mart, %v in training", l, name, want, v)
				}
			}
		}
		return
	}
	t.Error("the case has no such day")
}

// TestSilentHoursAreDescribedAlike holds training.Describe, which also describes
// hours without posts, to every row of features.hashtag_hourly.
func TestSilentHoursAreDescribedAlike(t *testing.T) {
	for _, name := range []string{"windows", "random"} {
		rows := caseTable(t, "features.hashtag_hourly", name, "want.csv")
		past, active := map[[2]string][]training.HourPosts{}, map[string][]int64{}
		for _, r := range rows {
			h, key := hours(t, r["hour"]), [2]string{r["source"], r["hashtag"]}
			past[key] = append(past[key], training.HourPosts{Hour: h, Posts: int64(number(t, r["posts"]))})
			active[r["source"]] = append(active[r["source"]], h-int64(number(t, r["hours_known"])), h)
		}
		for _, r := range rows {
			a := sorted(active[r["source"]])
			got := training.Describe(past[[2]string{r["source"], r["hashtag"]}], a, []int64{hours(t, r["hour"])})[0]
			for column, v := range map[string]int64{
				"posts": got.Posts, "posts_24h": got.Posts24h, "posts_7d": got.Posts7d, "posts_28d": got.Posts28d,
				"same_hour_7d": got.SameHour7d, "hours_since_last": got.HoursSinceLast, "hours_known": got.HoursKnown,
			} {
				want := int64(0)
				if r[column] != "" {
					want = int64(number(t, r[column]))
				}
				if v != want {
					t.Errorf("%s %s of %s %s is %d, the table says %d", r["hour"], column, r["source"], r["hashtag"], v, want)
				}
			}
		}
	}
}

func hours(t *testing.T, s string) int64 {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04:05-07", s)
	if err != nil {
		t.Fatal(err)
	}
	return at.Unix() / 3600
}

func sorted(list []int64) []int64 {
	slices.Sort(list)
	return slices.Compact(list)
}
