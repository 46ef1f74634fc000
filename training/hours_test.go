package training_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/training"
)

// TestHoursAreNotCutOff reads what the count model learns from out of twenty
// weeks of one hashtag: the first of the hours knows the 28 days before it, and
// the hours without posts are among them.
func TestHoursAreNotCutOff(t *testing.T) {
	t.Parallel()
	l, db := openLake(t)
	const weeks, day = 20, 24 * time.Hour
	begin := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC) // a Monday
	var rows []hourRow
	for d := range weeks * 7 {
		rows = append(rows, hourRow{"s", "daily", begin.Add(time.Duration(d) * day), 2, min(672, int64(24*d))})
	}
	put(t, l, lake.Spec{Name: "features.hashtag_hourly", Key: []string{"source", "hashtag", "hour"}, Columns: []lake.Column{
		{Name: "source", Type: "VARCHAR"},
		{Name: "hashtag", Type: "VARCHAR"},
		{Name: "hour", Type: "TIMESTAMPTZ"},
		{Name: "posts", Type: "BIGINT"},
		{Name: "hours_known", Type: "BIGINT"},
	}}, rows)
	var hours []training.TagHour
	o := training.Options{Lake: l, DB: db, Registry: training.NewRegistry(l, clock), RunID: "run", Now: clock, Log: slog.New(slog.DiscardHandler)}
	if _, err := training.TrainTrends(t.Context(), o, countTrainer{&hours}); err != nil {
		t.Fatal(err)
	}
	if want := 8*7*24 + 1; len(hours) != want {
		t.Fatalf("%d hours, want %d", len(hours), want)
	}
	for i, h := range hours {
		want := training.TagHour{Posts24h: 2, Posts7d: 14, Posts28d: 56, HoursSinceLast: 24, HoursKnown: 672, HourOfWeek: (6*24 + 9 + i) % 168} // the first is a Sunday
		if i%24 == 0 {
			want.Posts, want.SameHour7d = 2, 14
		} else {
			want.HoursSinceLast = int64(i % 24)
			want.HoursKnown -= int64(24 - i%24) // the first post of the 28 days is younger
		}
		if h != want {
			t.Fatalf("hour %d is %+v, want %+v", i, h, want)
		}
	}
}
