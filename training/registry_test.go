package training_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/training"
)

func addVersion(t *testing.T, r *training.Registry, model string) int {
	t.Helper()
	v, dir, err := r.Reserve(t.Context(), model)
	if err != nil {
		t.Fatal(err)
	}
	if dir != r.Dir(model, v) {
		t.Errorf("version %d lies in %s", v, dir)
	}
	if err := r.Add(t.Context(), training.Card{Model: model, Version: v}); err != nil {
		t.Fatal(err)
	}
	return v
}

func champions(t *testing.T, l *lake.Lake, db *query.DB) map[string]int {
	t.Helper()
	if _, err := db.Pin(t.Context(), l, nil); err != nil {
		t.Fatal(err)
	}
	rows, err := db.SQL().QueryContext(t.Context(), "select model, version from ml.champions")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string]int{}
	for rows.Next() {
		var m string
		var v int
		if err := rows.Scan(&m, &v); err != nil {
			t.Fatal(err)
		}
		out[m] = v
	}
	return out
}

func TestRegistry(t *testing.T) {
	l, db := openLake(t)
	ctx := t.Context()
	r := training.NewRegistry(l, clock)
	if _, err := r.Champion("m"); !errors.Is(err, feedlake.ErrNotFound) {
		t.Errorf("champion of nothing: %v", err)
	}
	one, two := addVersion(t, r, "m"), addVersion(t, r, "m")
	if _, _, err := r.Reserve(t.Context(), "m"); err != nil { // a version that is never completed
		t.Fatal(err)
	}
	other := addVersion(t, r, "n")
	cards, err := r.Versions("m")
	if err != nil || len(cards) != 2 || cards[1].Version != two {
		t.Errorf("versions %+v, %v, want 2 without the unfinished one", cards, err)
	}
	if err := r.Promote(ctx, "m", 9, "", ""); !errors.Is(err, feedlake.ErrNotFound) {
		t.Errorf("promote a version that is not there: %v", err)
	}
	for _, p := range []struct {
		model   string
		version int
	}{{"m", one}, {"n", other}, {"m", two}} {
		if err := r.Promote(ctx, p.model, p.version, "run", "test"); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(map[string]int{"m": two, "n": other}, champions(t, l, db)); d != "" {
		t.Error(d)
	}
	if ch, err := r.Rollback(ctx, "m", "", "test"); err != nil || ch.To != one {
		t.Errorf("roll back: %+v, %v", ch, err)
	}
	if _, err := r.Rollback(ctx, "n", "", "test"); !errors.Is(err, feedlake.ErrNotFound) {
		t.Errorf("roll back the first version: %v", err)
	}
	if d := cmp.Diff(map[string]int{"m": one, "n": other}, champions(t, l, db)); d != "" {
		t.Error(d)
	}
	trail, err := r.Audit("m")
	var steps [][2]int
	for _, c := range trail {
		steps = append(steps, [2]int{c.From, c.To})
	}
	if d := cmp.Diff([][2]int{{0, one}, {one, two}, {two, one}}, steps); d != "" || err != nil {
		t.Error(d, err)
	}
	before, err := l.Current(ctx, "ml.champions")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Sync(ctx, "again"); err != nil {
		t.Fatal(err)
	}
	if after, err := l.Current(ctx, "ml.champions"); err != nil || after.ID != before.ID {
		t.Errorf("a sync without a change made a snapshot: %v, %v", after, err)
	}
}

// TestPromotionHeals stops a promotion between the registry and the lake: the
// next one brings ml.champions up to date.
func TestPromotionHeals(t *testing.T) {
	dir := t.TempDir()
	broken := errors.New("injected fault")
	openAt := func(ic lake.Interceptor) *lake.Lake {
		t.Helper()
		l, err := lake.Open(t.Context(), lake.Config{Dir: dir, Now: clock, Log: slog.New(slog.DiscardHandler), Intercept: ic})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	whole := openAt(nil)
	for _, s := range lake.Fixed() {
		if err := whole.Ensure(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	half := openAt(func(op, _ string, do func() error) error {
		if op == "commit" {
			return broken
		}
		return do()
	})
	r := training.NewRegistry(half, clock)
	v := addVersion(t, r, "m")
	if err := r.Promote(t.Context(), "m", v, "", ""); !errors.Is(err, broken) {
		t.Fatalf("promotion over a broken lake: %v", err)
	}
	db, err := query.Open(t.Context(), query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if d := cmp.Diff(map[string]int{}, champions(t, whole, db)); d != "" {
		t.Error(d)
	}
	if err := training.NewRegistry(whole, clock).Sync(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]int{"m": v}, champions(t, whole, db)); d != "" {
		t.Error(d)
	}
}

// wordTrainer is a tiny trainer for the orchestration's tests: the version it
// writes answers with the label that its file names.
type wordTrainer struct{ answer string }

func (w wordTrainer) Train(_ context.Context, fit, held []training.Example, _ int64, dir string, p training.Progress) (map[string]string, error) {
	p(int64(len(fit)), int64(len(fit)+len(held)))
	return map[string]string{"answer": w.answer}, os.WriteFile(filepath.Join(dir, "answer"), []byte(w.answer), 0o600)
}

func (w wordTrainer) Load(_ context.Context, dir string) (training.Scorer, error) {
	b, err := os.ReadFile(filepath.Join(dir, "answer"))
	return wordScorer(b), err
}

type wordScorer string

func (w wordScorer) Score(_ context.Context, texts []string) ([]training.Prediction, error) {
	out := make([]training.Prediction, len(texts))
	for i, text := range texts {
		label := map[byte]int{'g': 2, 'b': 0, 'm': 1}[text[0]]
		if w == "wrong" {
			label = 1
		}
		out[i] = sure(label, 0.9)
	}
	return out, nil
}

func (wordScorer) Close() error { return nil }

func TestTrainingGoesThroughTheGate(t *testing.T) {
	l, db := openLake(t)
	ctx := t.Context()
	if _, err := importText(ctx, l, "a", goodBad(400)); err != nil {
		t.Fatal(err)
	}
	r := training.NewRegistry(l, clock)
	o := training.Options{Lake: l, DB: db, Registry: r, Seed: 1, RunID: "run", CodeVersion: "test", Now: clock, Log: slog.New(slog.DiscardHandler)}
	gate := training.NewGate(0.6, 0.02)
	card, err := training.TrainSentiment(ctx, o, wordTrainer{"right"}, gate)
	if err != nil {
		t.Fatal(err)
	}
	if card.Evaluation.MacroRecall != 1 || card.Held != card.Evaluation.N || card.Data["ml.labels"] == 0 {
		t.Errorf("card %+v", card)
	}
	worse, err := training.TrainSentiment(ctx, o, wordTrainer{"wrong"}, gate)
	if !errors.Is(err, feedlake.ErrRejected) {
		t.Errorf("a useless version passed the gate: %v", err)
	}
	if c, err := r.Champion(training.ModelSentiment); err != nil || c.Version != card.Version {
		t.Errorf("in use: %+v, %v, want version %d", c, err, card.Version)
	}
	if c, err := r.Card(training.ModelSentiment, worse.Version); err != nil || c.GateVerdict == "passed" {
		t.Errorf("the refused version's card: %+v, %v", c, err)
	}
}
