package schedules

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
)

// claimed gets locks that must be free.
func claimed(t *testing.T, l *Ledger, c Claim) (context.Context, func()) {
	t.Helper()
	c.Wait = -1
	ctx, release, err := l.Claim(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return ctx, release
}

// TestClaimExcludes says which claims keep which others out.
func TestClaimExcludes(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		for name, c := range map[string]struct {
			held, asked Claim
			busy        bool
		}{
			"one name":           {Claim{Locks: []string{"build"}}, Claim{Locks: []string{"build"}}, true},
			"two names":          {Claim{Locks: []string{"build"}}, Claim{Locks: []string{"care"}}, false},
			"one of several":     {Claim{Locks: []string{"ingest/a", "ingest/b"}}, Claim{Locks: []string{"ingest/c", "ingest/b"}}, true},
			"all before one":     {Claim{Locks: []string{LockAll}}, Claim{Locks: []string{"care"}}, true},
			"one before all":     {Claim{Locks: []string{"care"}}, Claim{Locks: []string{LockAll}}, true},
			"windows that touch": {Claim{Locks: []string{"ingest/a"}, Window: day(1)}, Claim{Locks: []string{"ingest/a"}, Window: day(2)}, false},
			"one window":         {Claim{Locks: []string{"ingest/a"}, Window: day(1)}, Claim{Locks: []string{"ingest/a"}, Window: day(1)}, true},
			"window and all":     {Claim{Locks: []string{"ingest/a"}, Window: day(1)}, Claim{Locks: []string{"ingest/a"}}, true},
			"two shards":         {Claim{Locks: []string{"score/s"}, Shard: Shard{0, 2}}, Claim{Locks: []string{"score/s"}, Shard: Shard{1, 2}}, false},
			"one shard":          {Claim{Locks: []string{"score/s"}, Shard: Shard{0, 2}}, Claim{Locks: []string{"score/s"}, Shard: Shard{0, 2}}, true},
			"shards of others":   {Claim{Locks: []string{"score/s"}, Shard: Shard{0, 2}}, Claim{Locks: []string{"score/s"}, Shard: Shard{1, 3}}, true},
			"shard and whole":    {Claim{Locks: []string{"score/s"}, Shard: Shard{0, 2}}, Claim{Locks: []string{"score/s"}}, true},
		} {
			t.Run(name, func(t *testing.T) {
				where := place(t)
				a, b := openTest(t, where), openTest(t, where)
				c.held.Work, c.asked.Wait = "nightly", -1
				_, release := claimed(t, a, c.held)
				_, free, err := b.Claim(t.Context(), c.asked)
				if busy := errors.Is(err, feedlake.ErrBusy); busy != c.busy || err != nil && !busy {
					t.Fatalf("busy: %v", err)
				}
				if c.busy && !strings.Contains(err.Error(), "nightly of process") {
					t.Errorf("the error does not say who holds it: %v", err)
				}
				if err == nil {
					free()
				}
				release()
				_, again := claimed(t, b, c.asked)
				again()
				if left, err := b.Holdings(t.Context()); err != nil || len(left) > 0 {
					t.Errorf("left: %v, %v", left, err)
				}
			})
		}
	})
}

// TestClaimUnderClaim grants what the context holds already, and no more.
func TestClaimUnderClaim(t *testing.T) {
	t.Parallel()
	l := openTest(t, inFile(t))
	all, release := claimed(t, l, Claim{Locks: []string{LockAll}})
	if _, free, err := l.Claim(all, Claim{Locks: []string{"build"}, Wait: -1}); err != nil {
		t.Error(err)
	} else {
		free()
	}
	if held, err := l.Holdings(t.Context()); err != nil || len(held) != 1 {
		t.Errorf("the inner release took the outer claim: %v, %v", held, err)
	}
	release()
	if all.Err() == nil {
		t.Error("the context outlives the claim")
	}
	one, release := claimed(t, l, Claim{Locks: []string{"build"}})
	defer release()
	if _, _, err := l.Claim(one, Claim{Locks: []string{"care"}}); err == nil || errors.Is(err, feedlake.ErrBusy) {
		t.Errorf("who holds a lock gets another: %v", err)
	}
}

// TestClaimWaits waits in turn, says for whom, and leaves no trace when it gives up.
func TestClaimWaits(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		where := place(t)
		a := openTest(t, where)
		waits := make(chan Holding, 8)
		b := openTest(t, where, func(c *LedgerConfig) { c.OnWait = func(_ Claim, h Holding) { waits <- h } })
		_, release := claimed(t, a, Claim{Locks: []string{"build"}, Work: "first"})
		got := make(chan error, 1)
		go func() {
			_, free, err := b.Claim(t.Context(), Claim{Locks: []string{"build"}, Work: "second"})
			if err == nil {
				free()
			}
			got <- err
		}()
		if h := <-waits; h.Work != "first" || h.Waits || h.Holder.PID == 0 {
			t.Errorf("waits for %v", h)
		}
		// A third stands behind the second, also where the first has gone.
		if _, _, err := a.Claim(t.Context(), Claim{Locks: []string{"build", "care"}, Wait: time.Millisecond}); !errors.Is(err, feedlake.ErrBusy) {
			t.Errorf("the third: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancelled := make(chan error, 1)
		go func() {
			_, _, err := b.Claim(ctx, Claim{Locks: []string{"build"}, Work: "fourth"})
			cancelled <- err
		}()
		<-waits
		cancel()
		if err := <-cancelled; !errors.Is(err, context.Canceled) {
			t.Errorf("the fourth: %v", err)
		}
		release()
		if err := <-got; err != nil {
			t.Errorf("the second: %v", err)
		}
		if left, err := a.Holdings(t.Context()); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	})
}

// TestClaimHistories runs random histories of claims, releases and deaths of
// holders over two ledgers: what excludes each other is never held at once, and
// nobody waits for ever.
func TestClaimHistories(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		where := place(t)
		names := []string{"ingest/a", "ingest/b", "build", "score/sentiment", "publish/x", "care", LockAll}
		var mu sync.Mutex
		held := map[int]Claim{} // by claimant
		take := func(who int, c Claim) {
			mu.Lock()
			defer mu.Unlock()
			for other, o := range held {
				if o.excludes(c) {
					t.Errorf("%d got %v of %v %v while %d holds %v of %v %v", who, c.Locks, c.Window, c.Shard, other, o.Locks, o.Window, o.Shard)
				}
			}
			held[who] = c
		}
		drop := func(who int) {
			mu.Lock()
			defer mu.Unlock()
			delete(held, who)
		}
		var all sync.WaitGroup
		for who := range 8 {
			all.Go(func() {
				rng := rand.New(rand.NewPCG(7, uint64(who)))
				l := openTest(t, where)
				for range 25 {
					if err := lockHistory(t.Context(), l, rng, names, func(c Claim) { take(who, c) }, func() { drop(who) }); err != nil {
						t.Errorf("claimant %d: %v", who, err)
						return
					}
				}
			})
		}
		all.Wait()
	})
}

// lockHistory is one claim and its end: a release, or the death of its session.
func lockHistory(ctx context.Context, l *Ledger, rng *rand.Rand, names []string, take func(Claim), drop func()) error {
	c := Claim{Work: "history"}
	for _, at := range rng.Perm(len(names))[:1+rng.IntN(3)] {
		c.Locks = append(c.Locks, names[at])
	}
	switch rng.IntN(4) {
	case 0:
		c.Window = day(1 + rng.IntN(3))
	case 1:
		c.Shard = Shard{rng.IntN(3), 3}
	}
	if rng.IntN(4) == 0 {
		c.Wait = time.Duration(1 + rng.IntN(int(30*time.Millisecond)))
	}
	_, release, err := l.Claim(ctx, c)
	if errors.Is(err, feedlake.ErrBusy) {
		return nil
	}
	if err != nil {
		return err
	}
	take(c)
	if rng.IntN(5) > 0 {
		drop()
		release()
		return nil
	}
	drop()
	err = alter(ctx, l, fmt.Sprintf("update sessions set pid = 0, born = 'another', boot = '', host = 'gone', beat = '2000-01-01T00:00:00.000000Z' where id = %d", l.sessionID()))
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.session = 0 // a new process
	l.mu.Unlock()
	return nil
}

// TestClaimOfTheDead frees the locks of a process that was killed.
func TestClaimOfTheDead(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		where := place(t)
		dead, l := openTest(t, where), openTest(t, where)
		ctx, _ := claimed(t, dead, Claim{Locks: []string{"build", "care"}})
		if err := alter(t.Context(), l, "update sessions set host = 'gone', beat = '2000-01-01T00:00:00.000000Z'"); err != nil {
			t.Fatal(err)
		}
		_, release := claimed(t, l, Claim{Locks: []string{"care"}})
		defer release()
		if err := dead.renew(t.Context()); !errors.Is(err, feedlake.ErrConflict) {
			t.Errorf("the dead: %v", err)
		}
		if !errors.Is(context.Cause(ctx), feedlake.ErrBusy) {
			t.Errorf("the claim was lost, and its context says %v", context.Cause(ctx))
		}
	})
}

// TestRunnerClaims runs jobs under their locks, and releases each with its job.
func TestRunnerClaims(t *testing.T) {
	t.Parallel()
	where := inFile(t)
	l, other := openTest(t, where), openTest(t, where)
	locks := func() (names []string) {
		all, err := other.Holdings(t.Context())
		if err != nil {
			t.Error(err)
		}
		for _, h := range all {
			names = append(names, h.Lock)
		}
		return names
	}
	see := func(want ...string) func(context.Context, feedlake.Window) error {
		return func(context.Context, feedlake.Window) error {
			if got := locks(); !slices.Equal(got, want) {
				t.Errorf("held: %v, want %v", got, want)
			}
			return nil
		}
	}
	jobs := []Job{{Name: "one", Locks: []string{"build"}, Run: see("build")}, {Name: "two", Locks: []string{"care"}, Run: see("care")}}
	r := Runner{Ledger: l}
	if _, err := r.Run(t.Context(), Run{Job: "x", Lock: Unlocked}, jobs); err != nil {
		t.Error(err)
	}
	r.Locks = []string{LockAll}
	for i := range jobs {
		jobs[i].Run = see(LockAll)
	}
	if _, err := r.Run(t.Context(), Run{Job: "x", Lock: Unlocked}, jobs); err != nil {
		t.Error(err)
	}
	_, release := claimed(t, other, Claim{Locks: []string{"care"}, Work: "compact"})
	defer release()
	r.Locks, r.Wait, jobs[0].Run = nil, -1, see("care", "build")
	run, err := r.Run(t.Context(), Run{Job: "x", Lock: Unlocked}, jobs)
	if run.State != Failed || !errors.Is(err, feedlake.ErrBusy) || !strings.Contains(run.Err, "compact of process") {
		t.Errorf("a job without its lock: %s, %v", run.State, err)
	}
}
