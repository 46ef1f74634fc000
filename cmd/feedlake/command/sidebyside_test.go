package command

import (
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/feedlake/feedlake/schedules"
)

// TestWholeSideBySide lets runs, a scoring in shards and lake care work on one lake at
// once: all end well, every post is there once, and nothing is left to do.
func TestWholeSideBySide(t *testing.T) {
	t.Parallel()
	dir := killDir(t)
	lines := [][]string{
		{"run"},
		{"run"},
		{"lake", "compact"},
		{"ingest"},
		{"run", "--step", "score", "--shard", "0/2"},
		{"run", "--step", "score", "--shard", "1/2"},
	}
	var all sync.WaitGroup
	for _, args := range lines {
		all.Go(func() {
			if out, err := program(t, dir, args...).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", strings.Join(args, " "), err, tail(out))
			}
		})
	}
	all.Wait()
	out, err := program(t, dir, "run").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "nothing new") {
		t.Errorf("one more run: %v\n%s", err, tail(out))
	}
	const twice = "select (select count(*) - count(distinct (source, id)) from features.posts) + (select count(*) - count(distinct (source, id)) from ml.sentiment_scores) as twice"
	if out, err := program(t, dir, "sql", "--csv", twice).Output(); err != nil || string(out) != "twice\n0\n" {
		t.Errorf("rows that stand twice: %v\n%s", err, out)
	}
	if out, err := program(t, dir, "status").CombinedOutput(); err != nil {
		t.Errorf("status: %v\n%s", err, tail(out))
	}
}

// TestWholeKilledHolder kills a run that holds a lock: the next one gets it at once.
func TestWholeKilledHolder(t *testing.T) {
	t.Parallel()
	dir := killDir(t)
	if out, err := program(t, dir, "lake", "ls").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	l, err := schedules.OpenLedger(t.Context(), schedules.LedgerConfig{Path: filepath.Join(dir, "lake", "ledger.db"), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	run := program(t, dir, "run")
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	for held := false; !held; {
		all, err := l.Holdings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range all {
			held = held || strings.HasPrefix(h.Lock, "ingest/") && h.Holder.PID == run.Process.Pid && !h.Waits
		}
		if run.ProcessState != nil {
			t.Fatal("the run ended without a lock of a source")
		}
	}
	if err := run.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, ok := run.Wait().(*exec.ExitError); !ok { //nolint:errorlint // it is that type or none
		t.Fatal("the run was faster than its end")
	}
	if out, err := program(t, dir, "ingest", "--wait", "0").CombinedOutput(); err != nil {
		t.Errorf("the next: %v\n%s", err, tail(out))
	}
	left, err := l.Holdings(t.Context())
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
