package schedules

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/feedlake/feedlake"
)

// history is all that a ledger keeps.
type history struct {
	Runs  []Run
	Ended []string // IDs, in the order in which they ended
	Steps map[string][]Step
	Plans map[string]string
}

func historyOf(t *testing.T, l *Ledger) history {
	t.Helper()
	runs, err := l.Runs(t.Context(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	h := history{Runs: runs, Ended: endedAfter(t, l, ""), Steps: map[string][]Step{}, Plans: map[string]string{}}
	for _, r := range runs {
		if h.Steps[r.ID], err = l.Steps(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
	}
	err = l.read(t.Context(), func(q querier) error {
		rows, err := q.QueryContext(t.Context(), "select name, upto from plans")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name, upto string
			if err := rows.Scan(&name, &upto); err != nil {
				return err
			}
			h.Plans[name] = upto
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// fill gives a ledger runs in every final state, more than Copy moves at a
// time, and a plan with windows that are due.
func fill(t *testing.T, l *Ledger, clock *time.Time) Plan {
	t.Helper()
	plan := Plan{Name: "hourly", Cron: cronOf(t, "@hourly"), Since: clock.Add(-3 * time.Hour)}
	if n, _, _, err := l.enqueue(t.Context(), &plan); err != nil || n != 3 {
		t.Fatalf("%d windows, %v", n, err)
	}
	finals := []State{Done, Partial, Rejected, Failed, Cancelled, Abandoned}
	for i := range pageRuns + 7 {
		*clock = clock.Add(time.Second)
		_, run := begin(t, l, Run{Job: "nightly", Lock: "lake", Window: day(1 + i%28)})
		for n := range i % 3 {
			step := Step{
				Run: run.ID, Job: fmt.Sprintf("%c step %d", 'z'-n, n), Kind: "step", Try: 1, State: Done, Started: *clock, Ended: clock.Add(time.Millisecond),
				Counts: Counts{int64(i), int64(i) << 33, 1, "ünï 'quoted' ?"},
			}
			if err := l.Step(t.Context(), step); err != nil {
				t.Fatal(err)
			}
		}
		state := finals[i%len(finals)]
		var cause error
		if state != Done {
			cause = errors.New("why? because " + string(state))
		}
		if _, err := l.Finish(t.Context(), run.ID, state, cause); err != nil {
			t.Fatal(err)
		}
	}
	return plan
}

func TestCopy(t *testing.T) {
	each(t, func(t *testing.T, from places) {
		each(t, func(t *testing.T, to places) {
			clock := at("2016-10-06T10:00:00Z")
			now := func(c *LedgerConfig) { c.Now = func() time.Time { return clock } }
			old, l := openTest(t, from(t), now), openTest(t, to(t), now)
			plan := fill(t, old, &clock)
			want := historyOf(t, old)
			for i, n := range []int64{pageRuns + 7 + 3, 0} {
				if got, err := Copy(t.Context(), old, l); err != nil || got != n {
					t.Fatalf("copy %d: %d runs, want %d: %v", i+1, got, n, err)
				}
				if diff := cmp.Diff(want, historyOf(t, l), cmpopts.IgnoreUnexported(Holder{})); diff != "" {
					t.Fatalf("copy %d: %s", i+1, diff)
				}
			}
			if diff := cmp.Diff(want, historyOf(t, old), cmpopts.IgnoreUnexported(Holder{})); diff != "" {
				t.Errorf("the old one changed: %s", diff)
			}

			// Life goes on in the old one; then the rest follows, and the new one takes up the plan.
			runNext(t, old, &plan)
			if got, err := Copy(t.Context(), old, l); err != nil || got != 1 {
				t.Errorf("copied %d of one run that was pending: %v", got, err)
			}
			if diff := cmp.Diff(historyOf(t, old), historyOf(t, l), cmpopts.IgnoreUnexported(Holder{})); diff != "" {
				t.Error(diff)
			}
			if n, _, _, err := l.enqueue(t.Context(), &plan); err != nil || n != 0 {
				t.Errorf("%d windows came due twice, %v", n, err)
			}
			runNext(t, l, &plan)
			if got, err := Copy(t.Context(), old, l); err != nil || got != 0 {
				t.Errorf("copied %d over what the new one has run: %v", got, err)
			}
			if _, err := Copy(t.Context(), l, old); err != nil {
				t.Errorf("copy back: %v", err)
			}
			if diff := cmp.Diff(historyOf(t, l), historyOf(t, old), cmpopts.IgnoreUnexported(Holder{})); diff != "" {
				t.Error(diff)
			}
		})
	})
}

// runNext runs the next window of a plan.
func runNext(t *testing.T, l *Ledger, p *Plan) {
	t.Helper()
	run, _, ok, err := l.next(t.Context(), p)
	if err != nil || !ok {
		t.Fatalf("nothing to run: %v", err)
	}
	_, run = begin(t, l, run)
	if err := l.Step(t.Context(), Step{Run: run.ID, Job: "ingest", Try: 1, State: Done, Started: run.Started, Ended: run.Started}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Finish(t.Context(), run.ID, Done, nil); err != nil {
		t.Fatal(err)
	}
}

func TestCopyRefuses(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		home := place(t)
		old, l := openTest(t, home), openTest(t, place(t))
		_, run := begin(t, old, Run{Job: "a"})
		_, err := Copy(t.Context(), old, l)
		if hint, ok := errors.AsType[*feedlake.HintError](err); !errors.Is(err, feedlake.ErrBusy) || !ok || hint.Hint == "" {
			t.Errorf("copied a ledger in use: %v", err)
		}
		if _, err := old.Finish(t.Context(), run.ID, Done, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := Copy(t.Context(), old, openTest(t, home)); !errors.Is(err, feedlake.ErrConfig) {
			t.Errorf("copied a ledger to itself: %v", err)
		}

		begin(t, old, Run{Job: "b", ID: "same"})
		if _, err := old.Finish(t.Context(), "same", Done, nil); err != nil {
			t.Fatal(err)
		}
		begin(t, l, Run{Job: "c", ID: "same"})
		if _, err := Copy(t.Context(), old, l); !errors.Is(err, feedlake.ErrConflict) {
			t.Errorf("copied over another run: %v", err)
		}
		if got := states(t, l, "a"); len(got) > 0 {
			t.Errorf("half a copy: %v", got)
		}
	})
}
