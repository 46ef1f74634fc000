package schedules

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/feedlake/feedlake"
)

var errFull = errors.New("full")

// upTo allows what fits into a number of requests in each period.
func upTo(most int64, use Usage) func([]Usage) error {
	return func(used []Usage) error {
		for _, u := range used {
			if u.Requests+use.Requests > most {
				return errFull
			}
		}
		return nil
	}
}

func usedOf(t *testing.T, l *Ledger, account, period string) Usage {
	t.Helper()
	u, err := l.Used(t.Context(), account, period)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestUsageCounts(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		home := place(t)
		l := openTest(t, home)
		use := Usage{Requests: 1, Posts: 100, Micros: 500}
		periods := []string{"2016-10-06", "2016-10"}
		for range 3 {
			if until, err := l.Spend(t.Context(), "ünï '?", "search", periods, use, upTo(3, use)); err != nil || !until.IsZero() {
				t.Fatal(until, err)
			}
		}
		if _, err := l.Spend(t.Context(), "ünï '?", "search", periods, use, upTo(3, use)); !errors.Is(err, errFull) {
			t.Errorf("spent what check refused: %v", err)
		}
		if _, err := l.Spend(t.Context(), "another", "search", periods[:1], use, nil); err != nil {
			t.Error(err)
		}
		if err := l.Settle(t.Context(), "ünï '?", periods, Usage{Posts: -250, Micros: -1500}); err != nil {
			t.Fatal(err)
		}
		again := openTest(t, home)
		for _, c := range []struct {
			account, period string
			want            Usage
		}{
			{"ünï '?", "2016-10-06", Usage{3, 50, 0}},
			{"ünï '?", "2016-10", Usage{3, 50, 0}},
			{"ünï '?", "2016-11", Usage{}},
			{"another", "2016-10-06", use},
			{"another", "2016-10", Usage{}},
			{"nobody", "2016-10", Usage{}},
		} {
			if got := usedOf(t, again, c.account, c.period); got != c.want {
				t.Errorf("%s in %s: %+v, want %+v", c.account, c.period, got, c.want)
			}
		}
	})
}

// TestUsageRefusedInPart wants nothing counted when one of the periods is full.
func TestUsageRefusedInPart(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		l := openTest(t, place(t))
		use := Usage{Requests: 1}
		if err := l.Settle(t.Context(), "a", []string{"month"}, Usage{Requests: 5}); err != nil {
			t.Fatal(err)
		}
		_, free, err := l.Claim(t.Context(), Claim{Locks: []string{"build"}})
		if err != nil {
			t.Fatal(err)
		}
		free()
		if _, err := l.Spend(t.Context(), "a", "e", []string{"day", "month"}, use, upTo(5, use)); !errors.Is(err, errFull) {
			t.Errorf("spent: %v", err)
		}
		if got := usedOf(t, l, "a", "day"); got != (Usage{}) {
			t.Errorf("half of it was counted: %+v", got)
		}
	})
}

func TestLimits(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		clock := at("2016-10-06T10:00:00Z")
		home := place(t)
		l := openTest(t, home, func(c *LedgerConfig) { c.Now = func() time.Time { return clock } })
		reset := clock.Add(time.Minute)
		told := func(remaining int64, reset time.Time) {
			t.Helper()
			if err := l.Limited(t.Context(), "a", "search", func(Limit) Limit { return Limit{remaining, reset} }); err != nil {
				t.Fatal(err)
			}
		}
		spend := func(endpoint string, n int64, want time.Time) {
			t.Helper()
			if until, err := l.Spend(t.Context(), "a", endpoint, []string{"day"}, Usage{Requests: n}, nil); err != nil || !until.Equal(want) {
				t.Errorf("%s: wait until %s, want %s; %v", endpoint, until, want, err)
			}
		}
		told(2, reset)
		spend("search", 1, time.Time{})
		spend("search", 2, reset) // one is left
		spend("search", 1, time.Time{})
		spend("search", 1, reset)
		spend("other", 1, time.Time{})
		if got := usedOf(t, l, "a", "day"); got.Requests != 3 {
			t.Errorf("%d requests counted, want 3: what waits is not", got.Requests)
		}
		var known Limit
		err := openTest(t, home).Limited(t.Context(), "a", "search", func(k Limit) Limit { known = k; return k })
		if diff := cmp.Diff(Limit{0, reset}, known); diff != "" || err != nil {
			t.Error(diff, err)
		}
		clock = reset
		spend("search", 1, time.Time{})
		told(0, time.Time{}) // a limit without an end holds nobody
		spend("search", 1, time.Time{})
	})
}

// TestUsageRaces spends one budget from several ledgers at once: all of it is
// spent, and no more.
func TestUsageRaces(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		home := place(t)
		const most, tries = 100, 60
		ledgers := []*Ledger{openTest(t, home), openTest(t, home), openTest(t, home)}
		use := Usage{Requests: 1, Posts: 7}
		var all sync.WaitGroup
		for _, l := range ledgers {
			all.Go(func() {
				for range tries {
					_, free, err := l.Claim(t.Context(), Claim{Locks: []string{"build"}})
					if err != nil {
						t.Fatal(err)
					}
					free()
					if _, err := l.Spend(t.Context(), "a", "e", []string{"day", "month"}, use, upTo(most, use)); err != nil && !errors.Is(err, errFull) {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		for _, period := range []string{"day", "month"} {
			if got := usedOf(t, ledgers[0], "a", period); got != (Usage{most, 7 * most, 0}) {
				t.Errorf("%s: %+v, want %d requests", period, got, most)
			}
		}
	})
}

// TestLimitRaces lets several ledgers take what a limit leaves.
func TestLimitRaces(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		home := place(t)
		ledgers := []*Ledger{openTest(t, home), openTest(t, home), openTest(t, home)}
		reset := time.Now().Add(time.Hour)
		if err := ledgers[0].Limited(t.Context(), "a", "e", func(Limit) Limit { return Limit{50, reset} }); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for _, l := range ledgers {
			all.Go(func() {
				for range 30 {
					_, free, err := l.Claim(t.Context(), Claim{Locks: []string{"build"}})
					if err != nil {
						t.Fatal(err)
					}
					free()
					if _, err := l.Spend(t.Context(), "a", "e", []string{"day"}, Usage{Requests: 1}, nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if got := usedOf(t, ledgers[0], "a", "day"); got.Requests != 50 {
			t.Errorf("%d requests passed, the limit left 50", got.Requests)
		}
	})
}

// downgrades are the statements that take a ledger back by one version: from 4,
// which brought locks and shards, from 3, which brought places and kinds, and from
// 2, which brought usage and limits.
var downgrades = [][]string{
	{"drop table locks", "drop table shards"},
	{"drop index runs_by_place", "alter table runs drop column place", "alter table steps drop column kind"},
	{"drop table usage", "drop table limits"},
}

// setVersion is the statement that sets the version of the tables.
var setVersion = map[string]string{"sqlite": "pragma user_version = %d", "postgres": "update ledger set version = %d"}

// TestUpgrade opens a ledger of each version before: what it holds stays, usage
// can be counted, and runs are told of in the order in which they ended. Several
// may open it at once.
func TestUpgrade(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		for back := 1; back < ledgerVersion; back++ {
			t.Run(fmt.Sprint("version ", ledgerVersion-back), func(t *testing.T) {
				home := place(t)
				clock := at("2016-10-06T10:00:00Z")
				old := openTest(t, home, func(c *LedgerConfig) { c.Now = func() time.Time { return clock } })
				fill(t, old, &clock)
				want := historyOf(t, old)
				for _, steps := range want.Steps {
					for i := range steps {
						if back < 2 {
							continue
						}
						steps[i].Kind = steps[i].Job // a name said what a job does
					}
				}
				database := filepath.Base(filepath.Dir(t.Name()))
				statements := slices.Concat(downgrades[:back]...)
				for _, statement := range append(statements, fmt.Sprintf(setVersion[database], ledgerVersion-back)) {
					if err := alter(t.Context(), old, statement); err != nil {
						t.Fatal(err)
					}
				}
				checkUpgraded(t, home, want)
			})
		}
	})
}

// TestUpgradeOldFile opens a file that was made with the statements of version 1.
func TestUpgradeOldFile(t *testing.T) {
	home := inFile(t)
	db, err := sql.Open("sqlite", home.Path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), sqliteVersion1); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	checkUpgraded(t, home, history{
		Runs: []Run{{
			ID: "20161006T101500Z-1", Job: "nightly", Lock: "lake", Window: day(5), Try: 1, State: Done,
			Started: at("2016-10-06T10:15:00Z"), Ended: at("2016-10-06T10:16:00Z"), Holder: Holder{Host: "h", PID: 7},
		}},
		Ended: []string{"20161006T101500Z-1"},
		Steps: map[string][]Step{"20161006T101500Z-1": {{
			Run: "20161006T101500Z-1", Job: "ingest", Kind: "ingest", Try: 1, State: Done, Started: at("2016-10-06T10:15:00Z"), Ended: at("2016-10-06T10:16:00Z"),
			Counts: Counts{7, 5, 2, "2 files"},
		}}},
		Plans: map[string]string{"hourly": "2016-10-06T10:00:00.000000Z"},
	})
}

func checkUpgraded(t *testing.T, home LedgerConfig, want history) {
	t.Helper()
	ledgers := make([]*Ledger, 3)
	var all sync.WaitGroup
	for i := range ledgers {
		all.Go(func() {
			c := home
			c.Now = time.Now
			l, err := OpenLedger(context.WithoutCancel(t.Context()), c)
			if err != nil {
				t.Error(err)
				return
			}
			ledgers[i] = l
		})
	}
	all.Wait()
	for _, l := range ledgers {
		if l == nil {
			t.FailNow()
		}
		t.Cleanup(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
		if diff := cmp.Diff(want, historyOf(t, l), cmpopts.IgnoreUnexported(Holder{})); diff != "" {
			t.Errorf("the history changed: %s", diff)
		}
		_, free, err := l.Claim(t.Context(), Claim{Locks: []string{"build"}})
		if err != nil {
			t.Fatal(err)
		}
		free()
		if _, err := l.Spend(t.Context(), "a", "e", []string{"day"}, Usage{Requests: 1}, nil); err != nil {
			t.Fatal(err)
		}
		if err := l.Limited(t.Context(), "a", "e", func(k Limit) Limit { return k }); err != nil {
			t.Fatal(err)
		}
	}
	if got := usedOf(t, ledgers[0], "a", "day"); got.Requests != 3 {
		t.Errorf("used %+v, want 3 requests", got)
	}
	var version int
	err := ledgers[0].read(t.Context(), func(q querier) (err error) {
		version, err = ledgers[0].on.version(t.Context(), q)
		return err
	})
	if err != nil || version != ledgerVersion {
		t.Errorf("version %d: %v", version, err)
	}
}

// TestCopyUsage wants an account's use and limits in the copy, and not twice.
func TestCopyUsage(t *testing.T) {
	each(t, func(t *testing.T, from places) {
		each(t, func(t *testing.T, to places) {
			old, l := openTest(t, from(t)), openTest(t, to(t))
			reset := at("2016-10-06T10:00:00Z")
			limit := func(l *Ledger, endpoint string, told Limit) {
				t.Helper()
				if err := l.Limited(t.Context(), "a", endpoint, func(Limit) Limit { return told }); err != nil {
					t.Fatal(err)
				}
			}
			settle := func(l *Ledger, account string, u Usage) {
				t.Helper()
				if err := l.Settle(t.Context(), account, []string{"day", "month"}, u); err != nil {
					t.Fatal(err)
				}
			}
			check := func(account string, want Usage) {
				t.Helper()
				for _, period := range []string{"day", "month"} {
					if got := usedOf(t, l, account, period); got != want {
						t.Errorf("%s, %s: %+v, want %+v", account, period, got, want)
					}
				}
			}
			for i := range pageRuns + 3 {
				settle(old, fmt.Sprint("many ", i), Usage{Requests: int64(i)})
			}
			settle(old, "a", Usage{5, 50, 500})
			settle(old, "b", Usage{5, 50, 500})
			settle(l, "b", Usage{9, 40, 0})
			limit(old, "only", Limit{3, reset})
			limit(old, "later", Limit{3, reset.Add(time.Minute)})
			limit(l, "later", Limit{1, reset})
			limit(old, "earlier", Limit{3, reset})
			limit(l, "earlier", Limit{9, reset.Add(time.Minute)})
			limit(old, "alike", Limit{3, reset})
			limit(l, "alike", Limit{7, reset})
			for range 2 {
				if _, err := Copy(t.Context(), old, l); err != nil {
					t.Fatal(err)
				}
				check("a", Usage{5, 50, 500})
				check("b", Usage{9, 50, 500}) // the greater: a budget is not exceeded, and a copy again adds nothing
				check(fmt.Sprint("many ", pageRuns+2), Usage{Requests: pageRuns + 2})
				for endpoint, want := range map[string]Limit{
					"only": {3, reset}, "later": {3, reset.Add(time.Minute)}, "earlier": {9, reset.Add(time.Minute)}, "alike": {3, reset},
				} {
					err := l.Limited(t.Context(), "a", endpoint, func(got Limit) Limit {
						if diff := cmp.Diff(want, got); diff != "" {
							t.Errorf("%s: %s", endpoint, diff)
						}
						return got
					})
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			settle(old, "a", Usage{Requests: 1})
			if _, err := Copy(t.Context(), old, l); err != nil {
				t.Fatal(err)
			}
			check("a", Usage{6, 50, 500})
		})
	})
}

// TestUsageNames wants errors that say whose use it was, and of what kind.
func TestUsageNames(t *testing.T) {
	l := openTest(t, inFile(t))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	_, spend := l.Spend(ctx, "acc", "e", []string{"day"}, Usage{}, nil)
	for what, err := range map[string]error{
		"spend": spend, "settle": l.Settle(ctx, "acc", []string{"day"}, Usage{}), "limited": l.Limited(ctx, "acc", "e", func(k Limit) Limit { return k }),
	} {
		if !errors.Is(err, context.Canceled) || err.Error() == context.Canceled.Error() {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := alter(t.Context(), l, "insert into limits values ('acc', 'e', 1, 'tomorrow')"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Spend(t.Context(), "acc", "e", []string{"day"}, Usage{Requests: 1}, nil); err == nil || errors.Is(err, feedlake.ErrUnknown) {
		t.Errorf("a broken limit: %v", err)
	}
}

// TestUpgradeWaitsForOldPrograms leaves a ledger alone in which a program that
// knows no locks has a run under way.
func TestUpgradeWaitsForOldPrograms(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		home := place(t)
		old := openTest(t, home)
		_, run := begin(t, old, Run{Job: "nightly", Lock: "lake"})
		for _, statement := range append(slices.Clone(downgrades[0]), fmt.Sprintf(setVersion[filepath.Base(t.Name())], 3)) {
			if err := alter(t.Context(), old, statement); err != nil {
				t.Fatal(err)
			}
		}
		c := home
		c.Now = time.Now
		if _, err := OpenLedger(t.Context(), c); !errors.Is(err, feedlake.ErrBusy) || !strings.Contains(err.Error(), run.ID) {
			t.Errorf("upgraded under a run: %v", err)
		}
		if _, err := old.Finish(t.Context(), run.ID, Done, nil); err != nil {
			t.Fatal(err)
		}
		openTest(t, home)
	})
}
