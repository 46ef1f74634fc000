package schedules

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/feedlake/feedlake"
)

func TestLedgerRemembers(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		home := place(t)
		clock := at("2016-10-06T10:15:00Z")
		now := func(c *LedgerConfig) { c.Now = func() time.Time { return clock } }
		l := openTest(t, home, now)
		_, run := begin(t, l, Run{Job: "nightly", Lock: "lake", Window: day(5)})
		step := Step{
			Run: run.ID, Job: "sources", Kind: "ingest", Try: 1, State: Partial, Started: clock, Ended: clock.Add(time.Second),
			Counts: Counts{RowsIn: 7, RowsOut: 5, Rejects: 2, Detail: "2 files"}, Err: "2 rejects: done in part",
		}
		begun := step
		begun.State, begun.Ended, begun.Counts, begun.Err = Running, time.Time{}, Counts{}, ""
		for _, s := range []Step{begun, {Run: run.ID, Job: "features", State: Cancelled}, step} {
			if err := l.Step(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		clock = clock.Add(90 * time.Second)
		ended, err := l.Finish(t.Context(), run.ID, Partial, errors.New("2 rejects: done in part"))
		if err != nil {
			t.Fatal(err)
		}

		again := openTest(t, home, now)
		got, err := again.Run(t.Context(), run.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := Run{
			ID: "20161006T101500Z-1", Job: "nightly", Lock: "lake", Window: day(5), Try: 1, State: Partial,
			Started: at("2016-10-06T10:15:00Z"), Ended: at("2016-10-06T10:16:30Z"),
			Holder: Holder{Host: self().Host, PID: os.Getpid()}, Err: "2 rejects: done in part",
		}
		for _, r := range []Run{got, ended} {
			if diff := cmp.Diff(want, r, cmpopts.IgnoreUnexported(Holder{})); diff != "" {
				t.Error(diff)
			}
		}
		steps, err := again.Steps(t.Context(), run.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]Step{step, {Run: run.ID, Job: "features", Kind: "features", State: Cancelled}}, steps); diff != "" {
			t.Error(diff)
		}
	})
}

func TestLedgerLists(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		clock := at("2016-10-06T00:00:00Z")
		l := openTest(t, place(t), func(c *LedgerConfig) { c.Now = func() time.Time { return clock } })
		var ids []string
		for i, r := range []struct {
			job   string
			state State
		}{{"a", Done}, {"b", Failed}, {"a", Partial}, {"a", Failed}} {
			clock = at("2016-10-06T00:00:00Z").Add(time.Duration(i) * time.Hour)
			_, run := begin(t, l, Run{Job: r.job})
			if _, err := l.Finish(t.Context(), run.ID, r.state, nil); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, run.ID)
		}
		for name, c := range map[string]struct {
			filter Filter
			want   []string
		}{
			"all":    {Filter{}, []string{ids[3], ids[2], ids[1], ids[0]}},
			"job":    {Filter{Job: "b"}, []string{ids[1]}},
			"states": {Filter{States: []State{Done, Partial}}, []string{ids[2], ids[0]}},
			"since":  {Filter{Since: at("2016-10-06T02:00:00Z")}, []string{ids[3], ids[2]}},
			"limit":  {Filter{Job: "a", Limit: 2}, []string{ids[3], ids[2]}},
			"none":   {Filter{Job: "c"}, nil},
		} {
			runs, err := l.Runs(t.Context(), c.filter)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range runs {
				got = append(got, r.ID)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		if last, err := l.Last(t.Context(), "a", Done, Partial); err != nil || last.ID != ids[2] {
			t.Errorf("last: %v, %v", last, err)
		}
		if _, err := l.Last(t.Context(), "c"); !errors.Is(err, feedlake.ErrNotFound) {
			t.Errorf("last of an unknown job: %v", err)
		}
		if _, err := l.Run(t.Context(), "x"); !errors.Is(err, feedlake.ErrNotFound) {
			t.Errorf("unknown run: %v", err)
		}
	})
}

// endedAfter lists the IDs of the runs that ended after one did.
func endedAfter(t *testing.T, l *Ledger, id string) []string {
	t.Helper()
	runs, err := l.EndedAfter(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, r := range runs {
		ids = append(ids, r.ID)
	}
	return ids
}

// TestEndedAfter wants every run once, in the order in which runs end, whatever
// else is due, under way or was never begun.
func TestEndedAfter(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		home := place(t)
		l := openTest(t, home)
		renamed := Plan{Name: "renamed", Cron: cronOf(t, "@hourly"), Since: time.Now().Add(-2 * time.Hour)}
		if n, _, _, err := l.enqueue(t.Context(), &renamed); err != nil || n == 0 {
			t.Fatalf("%d windows, %v", n, err)
		}
		var ids []string
		for _, job := range []string{"slow", "quick", "killed", "last"} {
			owner := l
			if job == "killed" {
				owner = openTest(t, home)
			}
			_, run := begin(t, owner, Run{Job: job, Lock: job})
			ids = append(ids, run.ID)
			if job == "killed" {
				if err := owner.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		slow, quick, killed, last := ids[0], ids[1], ids[2], ids[3]
		if diff := cmp.Diff([]string{killed}, endedAfter(t, l, "")); diff != "" {
			t.Error(diff)
		}
		for _, id := range []string{quick, slow} {
			if _, err := l.Finish(t.Context(), id, Cancelled, nil); err != nil {
				t.Fatal(err)
			}
		}
		for after, want := range map[string][]string{
			"":      {killed, quick, slow},
			"other": {killed, quick, slow}, // of a ledger that was lost
			killed:  {quick, slow},
			quick:   {slow},
			slow:    {},
			last:    {killed, quick, slow}, // under way
		} {
			if diff := cmp.Diff(want, endedAfter(t, l, after)); diff != "" {
				t.Errorf("after %q: %s", after, diff)
			}
		}
	})
}

func TestBeginKeepsRunsApart(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		open := feedlake.Window{}
		for name, c := range map[string]struct {
			first, second Run
			busy          bool
		}{
			"same window":       {Run{Window: day(5)}, Run{Window: day(5)}, true},
			"touching windows":  {Run{Window: day(5)}, Run{Window: day(6)}, false},
			"open window":       {Run{Window: day(5)}, Run{Window: open}, true},
			"both open":         {Run{Window: open}, Run{Window: open}, true},
			"open start before": {Run{Window: feedlake.Window{End: day(5).Start}}, Run{Window: day(5)}, false},
			"open end over":     {Run{Window: feedlake.Window{Start: day(4).Start}}, Run{Window: day(5)}, true},
			"other lock":        {Run{Window: day(5)}, Run{Window: day(5), Lock: "other"}, false},
		} {
			t.Run(name, func(t *testing.T) {
				home := place(t)
				l, other := openTest(t, home), openTest(t, home)
				c.first.Job, c.second.Job = "first", "second"
				_, run := begin(t, l, c.first)
				_, second, err := other.Begin(t.Context(), c.second)
				if busy := errors.Is(err, feedlake.ErrBusy); busy != c.busy {
					t.Fatalf("busy %v, want %v: %v", busy, c.busy, err)
				}
				if !c.busy {
					return
				}
				for _, part := range []string{run.ID, "first", self().Host, strconv.Itoa(os.Getpid()), run.Started.Format(time.RFC3339)} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("the message does not name %q: %v", part, err)
					}
				}
				if _, ok := errors.AsType[*feedlake.HintError](err); !ok || second.ID != "" {
					t.Errorf("no hint, or a run: %v, %v", second, err)
				}
				if _, err := l.Finish(t.Context(), run.ID, Done, nil); err != nil {
					t.Fatal(err)
				}
				begin(t, other, c.second)
			})
		}
	})
}

func TestBeginOnce(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		l := openTest(t, place(t))
		due := Run{Job: "nightly", Due: day(6).Start, Window: day(5), Try: 1}
		_, run := begin(t, l, due)
		if _, err := l.Finish(t.Context(), run.ID, Done, nil); err != nil {
			t.Fatal(err)
		}
		if _, _, err := l.Begin(t.Context(), due); !errors.Is(err, feedlake.ErrConflict) {
			t.Errorf("a try begun twice: %v", err)
		}
		if _, _, err := l.Begin(t.Context(), Run{ID: run.ID}); !errors.Is(err, feedlake.ErrConflict) {
			t.Errorf("an id used twice: %v", err)
		}
		due.Try = 2
		begin(t, l, due)
	})
}

func TestFinishEndsTheClaim(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		l := openTest(t, place(t))
		held, run := begin(t, l, Run{Job: "a"})
		if _, err := l.Finish(t.Context(), run.ID, Done, nil); err != nil {
			t.Fatal(err)
		}
		if held.Err() == nil {
			t.Error("the run's context lives on")
		}
		if _, err := l.Finish(t.Context(), run.ID, Failed, nil); !errors.Is(err, feedlake.ErrConflict) {
			t.Errorf("finished twice: %v", err)
		}
		if err := l.Step(t.Context(), Step{Run: run.ID, Job: "late"}); !errors.Is(err, feedlake.ErrConflict) {
			t.Errorf("a step after the end: %v", err)
		}
	})
}

func TestCloseAbandons(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		home := place(t)
		home.Now = time.Now
		l, err := OpenLedger(t.Context(), home)
		if err != nil {
			t.Fatal(err)
		}
		held, _ := begin(t, l, Run{Job: "a"})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if held.Err() == nil {
			t.Error("the run's context lives on")
		}
		if diff := cmp.Diff([]State{Abandoned}, states(t, openTest(t, home), "a")); diff != "" {
			t.Error(diff)
		}
	})
}

// elsewhere makes a ledger believe that it runs on another machine.
func elsewhere(l *Ledger) *Ledger {
	l.me = Holder{Host: "elsewhere", PID: l.me.PID, boot: "another kernel", born: l.me.born}
	return l
}

func TestLeaseOfAnotherMachine(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		synctest.Test(t, func(t *testing.T) {
			home := place(t)
			lease := func(c *LedgerConfig) { c.Lease = time.Minute }
			far, near := elsewhere(openTest(t, home, lease)), openTest(t, home, lease)
			held, run := begin(t, far, Run{Job: "far"})

			time.Sleep(time.Hour) // it lives: the heartbeat renews the lease
			if _, _, err := near.Begin(t.Context(), Run{Job: "near"}); !errors.Is(err, feedlake.ErrBusy) {
				t.Fatalf("took a living run's window: %v", err)
			}
			far.stopBeating()
			time.Sleep(39 * time.Second) // the last beat was at most 20 s before
			if _, _, err := near.Begin(t.Context(), Run{Job: "near"}); !errors.Is(err, feedlake.ErrBusy) {
				t.Fatalf("took the window within the lease: %v", err)
			}
			time.Sleep(time.Minute)
			begin(t, near, Run{Job: "near"})
			if diff := cmp.Diff([]State{Abandoned}, states(t, near, "far")); diff != "" {
				t.Error(diff)
			}
			if err := far.renew(t.Context()); !errors.Is(err, feedlake.ErrConflict) {
				t.Errorf("renewed a lost session: %v", err)
			}
			if !errors.Is(context.Cause(held), feedlake.ErrBusy) {
				t.Errorf("the lost run goes on: %v", context.Cause(held))
			}
			if _, err := far.Finish(t.Context(), run.ID, Done, nil); !errors.Is(err, feedlake.ErrConflict) {
				t.Errorf("finished a lost run: %v", err)
			}
		})
	})
}

// stopBeating ends the heartbeat, as a process does that hangs.
func (l *Ledger) stopBeating() {
	l.mu.Lock()
	stop := l.stop
	l.mu.Unlock()
	stop()
	l.beats.Wait()
}

func TestRunsAreLostWithoutALedger(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		synctest.Test(t, func(t *testing.T) {
			home := place(t)
			l := openTest(t, home, func(c *LedgerConfig) { c.Lease = time.Minute })
			held, _ := begin(t, l, Run{Job: "a"})
			block := openTest(t, home)
			if err := alter(t.Context(), block, "alter table sessions rename to gone"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(41 * time.Second) // two failed beats
			if held.Err() != nil {
				t.Fatal("lost within the lease")
			}
			time.Sleep(40 * time.Second)
			if !errors.Is(context.Cause(held), feedlake.ErrBusy) {
				t.Errorf("another machine may have the window, and the run goes on: %v", context.Cause(held))
			}
			if err := alter(t.Context(), block, "alter table gone rename to sessions"); err != nil {
				t.Fatal(err)
			}
			begin(t, l, Run{Job: "a"}) // the process lives, and knows that its lost run does not
			if diff := cmp.Diff([]State{Abandoned, Running}, states(t, block, "a")); diff != "" {
				t.Error(diff)
			}
		})
	})
}

// startChild starts this binary as a process that holds a run of a ledger, and returns what it says first.
func startChild(t *testing.T, home LedgerConfig) (cmd *exec.Cmd, says string, stdin io.WriteCloser) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), child+"="+strings.Join([]string{home.Path, home.DSN, home.Schema}, "\n"))
	cmd.Stderr = t.Output()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the child says nothing: %v, %v", err, cmd.Wait())
	}
	return cmd, strings.TrimSpace(line), stdin
}

func TestKilledHolderFreesItsWindow(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		home := place(t)
		l := openTest(t, home)
		cmd, says, _ := startChild(t, home)
		id, ok := strings.CutPrefix(says, "holds ")
		if !ok {
			t.Fatal(says)
		}
		if _, _, err := l.Begin(t.Context(), Run{Job: "next"}); !errors.Is(err, feedlake.ErrBusy) || !strings.Contains(err.Error(), strconv.Itoa(cmd.Process.Pid)) {
			t.Fatalf("took a living process's window, or do not name it: %v", err)
		}
		if err := cmd.Process.Kill(); err != nil { // SIGKILL
			t.Fatal(err)
		}
		for !isZombie(cmd.Process.Pid) { // dead, and its parent has not looked yet
			time.Sleep(time.Millisecond)
		}
		_, run := begin(t, l, Run{Job: "next"})
		if err := cmd.Wait(); err == nil {
			t.Error("the child was not killed")
		}
		dead, err := l.Run(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if dead.State != Abandoned || dead.Ended.Before(dead.Started) || !strings.Contains(dead.Err, "died") {
			t.Errorf("the killed run: %+v", dead)
		}
		steps, err := l.Steps(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if len(steps) != 1 || steps[0].State != Abandoned {
			t.Errorf("its steps: %+v", steps)
		}
		if _, err := l.Finish(t.Context(), run.ID, Done, nil); err != nil {
			t.Error(err)
		}
	})
}

func isZombie(pid int) bool {
	_, dead := birth(pid)
	return dead
}

// TestManyOpenANewFile opens one new ledger many times at once: whoever comes
// second waits.
func TestManyOpenANewFile(t *testing.T) {
	for range 20 {
		home := inFile(t)
		home.Now = time.Now
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				l, err := OpenLedger(t.Context(), home)
				if err == nil {
					err = l.Close()
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
}

func TestManyProcessesOneHolder(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		home := place(t) // without a ledger: they race to make it, too
		const n = 6
		var all sync.WaitGroup
		said := make([]string, n)
		children := make([]*exec.Cmd, n)
		pipes := make([]io.WriteCloser, n)
		for i := range n {
			all.Go(func() { children[i], said[i], pipes[i] = startChild(t, home) })
		}
		all.Wait()
		holders := 0
		for _, says := range said {
			switch {
			case strings.HasPrefix(says, "holds "):
				holders++
			case !strings.HasPrefix(says, "busy: "):
				t.Error(says)
			}
		}
		if holders != 1 {
			t.Errorf("%d processes hold the window, want 1: %q", holders, said)
		}
		for i, c := range children {
			if c == nil {
				continue // it said nothing, which is an error already
			}
			if err := errors.Join(pipes[i].Close(), c.Wait()); err != nil {
				t.Error(err)
			}
		}
		if diff := cmp.Diff([]State{Done}, states(t, openTest(t, home), "held")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestOpenLedgerRejects(t *testing.T) {
	dir := t.TempDir()
	newer, garbage := filepath.Join(dir, "newer.db"), filepath.Join(dir, "garbage.db")
	db, err := sql.Open("sqlite", newer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "pragma user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, kind := range map[string]error{newer: feedlake.ErrConfig, garbage: nil, filepath.Join(garbage, "below"): nil} {
		_, err := OpenLedger(t.Context(), LedgerConfig{Path: path, Now: time.Now})
		if err == nil || !strings.Contains(err.Error(), path) || kind != nil && !errors.Is(err, kind) {
			t.Errorf("open %s: %v", path, err)
		}
	}
}

func TestLedgerPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a lake #1?x=50%")
	l := openTest(t, LedgerConfig{Path: filepath.Join(dir, "ledger.db")})
	begin(t, l, Run{Job: "a"})
	if _, err := os.Stat(filepath.Join(dir, "ledger.db")); err != nil {
		t.Error(err)
	}
}
