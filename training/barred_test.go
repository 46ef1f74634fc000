package training_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/training"
)

type textRow struct {
	Source string `parquet:"source,optional"`
	ID     string `parquet:"id,optional"`
	Text   string `parquet:"text,optional"`
}

type hourRow struct {
	Source  string    `parquet:"source,optional"`
	Hashtag string    `parquet:"hashtag,optional"`
	Hour    time.Time `parquet:"hour,optional,timestamp(microsecond)"`
	Posts   int64     `parquet:"posts"`
	Known   int64     `parquet:"hours_known"`
}

// put makes a table and fills it.
func put[T any](t *testing.T, l *lake.Lake, spec lake.Spec, rows []T) {
	t.Helper()
	if err := l.Ensure(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	path, err := lake.WriteRows(t.Context(), l, spec.Name, "", rows)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(t.Context(), lake.Commit{Table: spec.Name, Add: []string{path}}); err != nil {
		t.Fatal(err)
	}
}

// countTrainer keeps the hours that it was given.
type countTrainer struct{ hours *[]training.TagHour }

func (c countTrainer) Train(_ context.Context, hours []training.TagHour, _ int64, dir string, _ training.Progress) (map[string]string, map[string]float64, error) {
	*c.hours = hours
	return nil, nil, os.WriteFile(filepath.Join(dir, "model"), nil, 0o600)
}

func (countTrainer) Load(context.Context, string) (training.CountModel, error) {
	return nil, errors.New("not asked for")
}

// TestBarredSources trains on a lake in which one source may not be learnt from:
// its hours and the texts of its posts are left out, and the card names the rule.
func TestBarredSources(t *testing.T) {
	l, db := openLake(t)
	ctx := t.Context()
	column := func(pairs ...string) (out []lake.Column) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, lake.Column{Name: pairs[i], Type: pairs[i+1]})
		}
		return out
	}
	put(t, l, lake.Spec{Name: "features.posts", Columns: column("source", "VARCHAR", "id", "VARCHAR", "text", "VARCHAR"), Key: []string{"source", "id"}},
		[]textRow{{"x", "1", "good secret text"}, {"open", "1", "good open text"}})
	put(t, l, lake.Spec{Name: "features.hashtag_hourly", Columns: column("source", "VARCHAR", "hashtag", "VARCHAR", "hour", "TIMESTAMPTZ", "posts", "BIGINT", "hours_known", "BIGINT"), Key: []string{"source", "hashtag", "hour"}},
		[]hourRow{{"x", "a", noon, 1000, 0}, {"open", "a", noon, 3, 0}})
	text := "label\ttext\npositive\tgood secret text\npositive\tgood open text\nneutral\tso so\n"
	for i := range 300 {
		text += fmt.Sprintf("negative\tbad %c%c\n", 'a'+rune(i%26), 'a'+rune(i/26))
	}
	if _, err := importText(ctx, l, "a", text); err != nil {
		t.Fatal(err)
	}
	barred := []feedlake.Prohibition{{Source: "x", Rule: "the terms of x"}, {Source: "unseen", Rule: "no"}}
	d, err := training.ReadDataset(ctx, l, db, barred)
	if err != nil || d.Barred != 1 || d.Counts["positive"] != 1 {
		t.Errorf("%d barred, counts %v, %v", d.Barred, d.Counts, err)
	}
	if diff := cmp.Diff([]string{"x: the terms of x"}, d.Rules); diff != "" {
		t.Error(diff)
	}
	if all, err := training.ReadDataset(ctx, l, db, nil); err != nil || all.Barred != 0 || all.Counts["positive"] != 2 || all.Rules != nil {
		t.Errorf("without a rule: %d barred, counts %v, rules %v, %v", all.Barred, all.Counts, all.Rules, err)
	}
	var hours []training.TagHour
	o := training.Options{Lake: l, DB: db, Registry: training.NewRegistry(l, clock), Barred: barred, Seed: 1, RunID: "run", Now: clock, Log: slog.New(slog.DiscardHandler)}
	card, err := training.TrainTrends(ctx, o, countTrainer{&hours})
	if err != nil || len(hours) != 1 || hours[0].Posts != 3 {
		t.Errorf("learnt from %+v, %v", hours, err)
	}
	if diff := cmp.Diff([]string{"x: the terms of x"}, card.LeftOut); diff != "" {
		t.Error(diff)
	}
	o.Barred = append(o.Barred, feedlake.Prohibition{Source: "open", Rule: "closed now"})
	if _, err := training.TrainTrends(ctx, o, countTrainer{&hours}); !errors.Is(err, feedlake.ErrForbidden) || !strings.Contains(err.Error(), "open: closed now") {
		t.Errorf("nothing is left to learn from: %v", err)
	}
}
