package training_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/training"
)

var errStop = errors.New("injected fault")

// openAt opens a lake in dir; with an interceptor its tables must exist.
func openAt(t *testing.T, dir string, ic lake.Interceptor) *lake.Lake {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{Dir: dir, Now: clock, Log: slog.New(slog.DiscardHandler), Intercept: ic})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if ic == nil {
		for _, s := range []lake.Spec{lake.Labels(), lake.Champions(), lake.Confusion()} {
			if err := l.Ensure(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Ensure(t.Context(), lake.Erased()); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// stopFrom lets n changing operations happen, stops the next one, before or
// after its effect, and all that follow, as a killed process does.
func stopFrom(n int64, after bool, hit *atomic.Bool) lake.Interceptor {
	var done atomic.Int64
	return func(op, _ string, do func() error) error {
		if op == "read" || op == "open" {
			return do()
		}
		at := done.Add(1) - 1
		if at < n {
			return do()
		}
		hit.Store(true)
		if at == n && after {
			_ = do()
		}
		return errStop
	}
}

// night does what a run does for the sentiment model.
func night(ctx context.Context, l *lake.Lake, db *query.DB, w training.SentimentTrainer) error {
	r := training.NewRegistry(l, clock)
	o := training.Options{Lake: l, DB: db, Registry: r, Seed: 1, RunID: "run", CodeVersion: "test", Now: clock, Log: slog.New(slog.DiscardHandler)}
	gate := training.NewGate(0.6, 0.02)
	due, err := r.SentimentDue(ctx, w)
	switch {
	case err != nil:
		return err
	case due.Finish > 0:
		_, err = training.FinishSentiment(ctx, o, w, gate, due.Finish)
	case due.Train:
		_, err = training.TrainSentiment(ctx, o, w, gate)
	}
	if err != nil && !errors.Is(err, feedlake.ErrRejected) {
		return err
	}
	return r.Sync(ctx, "run")
}

// goodBad is a set of labelled texts; more of it is another snapshot.
func goodBad(n int) string {
	text := "label\ttext\n"
	for i := range n {
		id := string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		text += fmt.Sprintf("positive\tgood %[1]s\nnegative\tbad %[1]s\nneutral\tmeh %[1]s\n", id)
	}
	return text
}

// outcome is what a night leaves: the version in use in the registry and in the
// lake, the number of versions, and who was in use when. Versions are counted
// by their cards, since a number whose folder got no card is not given again.
func outcome(t *testing.T, l *lake.Lake, db *query.DB) map[string]any {
	t.Helper()
	r := training.NewRegistry(l, clock)
	c, err := r.Champion(training.ModelSentiment)
	if err != nil && !errors.Is(err, feedlake.ErrNotFound) {
		t.Fatal(err)
	}
	cards, err := r.Versions(training.ModelSentiment)
	if err != nil {
		t.Fatal(err)
	}
	trail, err := r.Audit(training.ModelSentiment)
	if err != nil {
		t.Fatal(err)
	}
	place := func(version int) int {
		return 1 + slices.IndexFunc(cards, func(c training.Card) bool { return c.Version == version })
	}
	var steps [][2]int
	for _, c := range trail {
		steps = append(steps, [2]int{place(c.From), place(c.To)})
	}
	due, err := r.SentimentDue(t.Context(), wordTrainer{})
	if err != nil {
		t.Fatal(err)
	}
	due.Why, _, _ = strings.Cut(due.Why, ",")
	return map[string]any{
		"in use": place(c.Version), "lake": place(champions(t, l, db)[training.ModelSentiment]), "versions": len(cards), "trail": steps, "due": due,
	}
}

// TestCutOffPromotion stops a training at every operation on the lake and the
// registry, before and after its effect, and wants the next night to end where
// an unbroken one ends: a first version, a better one, and one that the gate
// refuses.
func TestCutOffPromotion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		before, night training.SentimentTrainer
		inUse         int
	}{
		{"the first version", nil, wordTrainer{"right"}, 1},
		{"a further version", wordTrainer{"right"}, wordTrainer{"right"}, 2},
		{"a version that the gate refuses", wordTrainer{"right"}, wordTrainer{"wrong"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db, err := query.Open(t.Context(), query.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			begin := func() (string, *lake.Lake) {
				dir := t.TempDir()
				l := openAt(t, dir, nil)
				if c.before != nil {
					if _, err := importText(t.Context(), l, "a", goodBad(30)); err != nil {
						t.Fatal(err)
					}
					if err := night(t.Context(), l, db, c.before); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := importText(t.Context(), l, "a", goodBad(40)); err != nil {
					t.Fatal(err)
				}
				return dir, l
			}
			_, whole := begin()
			if err := night(t.Context(), whole, db, c.night); err != nil {
				t.Fatal(err)
			}
			want := outcome(t, whole, db)
			due, _ := want["due"].(training.Due)
			if want["in use"] != c.inUse || want["lake"] != c.inUse || due.Why == "" {
				t.Fatalf("an unbroken night leaves %v", want)
			}
			points := 0
			for _, after := range []bool{false, true} {
				for i := int64(0); ; i++ {
					dir, l := begin()
					var hit atomic.Bool
					err := night(t.Context(), openAt(t, dir, stopFrom(i, after, &hit)), db, c.night)
					if !hit.Load() {
						if err != nil {
							t.Fatal(err)
						}
						break
					}
					points++
					if err := night(t.Context(), l, db, c.night); err != nil {
						t.Fatalf("operation %d, after %v: the next night: %v", i, after, err)
					}
					if d := cmp.Diff(want, outcome(t, l, db)); d != "" {
						t.Errorf("operation %d, after %v: %s", i, after, d)
					}
				}
			}
			if t.Logf("%d points", points); points < 2 {
				t.Errorf("only %d points", points)
			}
		})
	}
}

// TestCutOffLine wants the audit trail whole after a crash within a line.
func TestCutOffLine(t *testing.T) {
	l, db := openLake(t)
	r := training.NewRegistry(l, clock)
	one, two := addVersion(t, r, "m"), addVersion(t, r, "m")
	if err := r.Promote(t.Context(), "m", one, "", ""); err != nil {
		t.Fatal(err)
	}
	appendFile(t, l.Dir()+"/models/m/audit.jsonl", `{"at":"2026-01-`)
	if err := r.Promote(t.Context(), "m", two, "", ""); err != nil {
		t.Fatal(err)
	}
	trail, err := r.Audit("m")
	if err != nil || len(trail) != 2 || trail[1].To != two || champions(t, l, db)["m"] != two {
		t.Errorf("trail %+v, %v", trail, err)
	}
}

// TestTwoClasses trains on labels that lack a class: nothing is left behind.
func TestTwoClasses(t *testing.T) {
	l, db := openLake(t)
	if _, err := importText(t.Context(), l, "a", "label\ttext\npositive\tgood\nnegative\tbad\n"); err != nil {
		t.Fatal(err)
	}
	r := training.NewRegistry(l, clock)
	o := training.Options{Lake: l, DB: db, Registry: r, Now: clock, Log: slog.New(slog.DiscardHandler)}
	card, err := training.TrainSentiment(t.Context(), o, wordTrainer{"right"}, training.NewGate(0, 1))
	if !errors.Is(err, feedlake.ErrRejected) || card.Version != 0 {
		t.Errorf("version %d of two classes: %v", card.Version, err)
	}
	if names, err := r.Models(); err != nil || len(names) != 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
	if _, err := importText(t.Context(), l, "a", goodBad(50)); err != nil {
		t.Fatal(err)
	}
	o.Registry = r
	if _, err := training.TrainSentiment(t.Context(), o, failTrainer{}, training.NewGate(0, 1)); !errors.Is(err, errStop) {
		t.Error(err)
	}
	left, err := os.ReadDir(l.Dir() + "/models/" + training.ModelSentiment)
	if err != nil || len(left) != 0 {
		t.Errorf("a failed training left %v, %v", left, err)
	}
}

type failTrainer struct{ wordTrainer }

func (failTrainer) Train(context.Context, []training.Example, []training.Example, int64, string, training.Progress) (map[string]string, error) {
	return nil, errStop
}

func appendFile(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}
