package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake/cmd/feedlake/wiring"
	"github.com/feedlake/feedlake/schedules"
)

func codeOf(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	e, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatal(err)
	}
	return e.ExitCode()
}

// holding opens a lake's ledger as another process would, and holds a lock.
func holding(t *testing.T, dir string, locks ...string) (*schedules.Ledger, func()) {
	t.Helper()
	l, err := schedules.OpenLedger(t.Context(), schedules.LedgerConfig{Path: filepath.Join(dir, "lake", "ledger.db"), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	_, release, err := l.Claim(t.Context(), schedules.Claim{Locks: locks, Work: "other", Wait: -1})
	if err != nil {
		t.Fatal(err)
	}
	return l, release
}

// TestWholeOneAtATime holds locks of a lake: what needs them says for whom it
// waits, and does not wait longer than it was told; what needs others goes on.
func TestWholeOneAtATime(t *testing.T) {
	t.Parallel()
	dir := killDir(t)
	if out, err := program(t, dir, "lake", "ls").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, release := holding(t, dir, wiring.LockBuild)
	for _, c := range []struct {
		want int
		args []string
	}{
		{exitBusy, []string{"run", "--step", "features", "--wait", "0"}},
		{exitBusy, []string{"transform", "--wait", "1ms"}},
		{exitBusy, []string{"erase", "--post", "simulated/1", "--wait", "0"}},
		{exitOK, []string{"ingest", "--wait", "0"}},
		{exitOK, []string{"lake", "compact", "--wait", "0"}},
		{exitOK, []string{"run", "--step", "publish", "--wait", "0"}},
	} {
		out, err := program(t, dir, c.args...).CombinedOutput()
		if code := codeOf(t, err); code != c.want || (code == exitBusy) != strings.Contains(string(out), "other of process") {
			t.Errorf("%s: exit code %d, want %d, with the other's name where it waits:\n%s", strings.Join(c.args, " "), code, c.want, tail(out))
		}
	}
	release()
}

// TestWholeTwoBuilders lets two processes build at once: the second waits, says for
// whom, and finds nothing to do.
func TestWholeTwoBuilders(t *testing.T) {
	t.Parallel()
	dir := killDir(t)
	if out, err := program(t, dir, "ingest").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, release := holding(t, dir, wiring.LockBuild)
	type result struct {
		err error
		out bytes.Buffer
	}
	results := make(chan *result, 2)
	var waits [2]chan struct{}
	for i := range waits {
		waits[i] = make(chan struct{})
		r := &result{}
		cmd := program(t, dir, "run", "--step", "features")
		cmd.Stdout, cmd.Stderr = &r.out, &announced{to: &r.out, word: "waits: ", seen: waits[i]}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			r.err = cmd.Wait()
			results <- r
		}()
	}
	<-waits[0]
	<-waits[1]
	release()
	built := 0
	for range waits {
		r := <-results
		if r.err != nil {
			t.Errorf("%v\n%s", r.err, tail(r.out.Bytes()))
		}
		if !strings.Contains(r.out.String(), "up to date") {
			built++
		}
	}
	if built != 1 {
		t.Errorf("%d of 2 built", built)
	}
}

// announced passes text on, and tells when a word came.
type announced struct {
	to   *bytes.Buffer
	word string
	seen chan struct{}
	done bool
}

func (a *announced) Write(p []byte) (int, error) {
	if !a.done && bytes.Contains(p, []byte(a.word)) {
		a.done = true
		close(a.seen)
	}
	return len(p), nil
}

// TestJobs lists the steps as schedulers read them: each with a command that runs
// it, after those that it needs.
func TestJobs(t *testing.T) {
	t.Parallel()
	c := newCLI(t, "")
	c.write("feedlake.yaml", "lake: {dir: lake}\nlog: {level: error}\nsources:\n  - {name: a, kind: simulate, with: {seed: 1, posts: 10}}\n  - {name: b, kind: simulate, with: {seed: 2, posts: 10}}\n"+
		"publish: [{kind: export, dir: out}]\n")
	out, _ := c.run(0, "jobs", "--json")
	var rep jobsReport
	if err := json.Unmarshal([]byte(out), &rep); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, j := range rep.Jobs {
		for _, n := range j.Needs {
			if !slices.Contains(names, n) {
				t.Errorf("%s needs %s, which comes later or not at all", j.Name, n)
			}
		}
		names = append(names, j.Name)
		if len(j.Locks) == 0 || len(j.Writes) == 0 && j.Name != wiring.StepPublish || len(j.Reads) == 0 && j.Name != wiring.StepIngest {
			t.Errorf("%+v", j)
		}
		if !slices.Equal(j.Command[:4], []string{"feedlake", "run", "--step", j.Name}) {
			t.Errorf("%s: command %v", j.Name, j.Command)
		}
		c.run(0, append(j.Command[1:4], "--quiet")...)
	}
	if want := []string{"ingest", "retain", "features", "labels", "train", "score", "trends", "marts", "publish"}; !slices.Equal(names, want) {
		t.Errorf("steps %v, want %v", names, want)
	}
	if got := rep.Jobs[0].Locks; !slices.Equal(got, []string{"ingest/a", "ingest/b"}) || rep.Jobs[0].Together {
		t.Errorf("locks of ingest: %v", got)
	}
}

// TestShardedSteps leaves a step incomplete until all shards are there: status and
// the steps behind it say so, and a run of the whole completes it.
func TestShardedSteps(t *testing.T) {
	t.Parallel()
	c := newCLI(t, "")
	c.write("feedlake.yaml", "lake: {dir: lake}\nlog: {level: error}\nsources:\n  - {name: a, kind: simulate, with: {seed: 1, posts: 10}}\n  - {name: b, kind: simulate, with: {seed: 2, posts: 10}}\n")
	c.run(0, "run", "--step", "ingest", "--shard", "1/2")
	if got := c.value("select count(*) from raw.posts"); got != "10" {
		t.Errorf("shard 1/2 read %s posts", got)
	}
	if _, errs := c.run(exitPartial, "status"); !strings.Contains(errs, "step ingest: shards 0/2 are missing") {
		t.Errorf("status: %s", errs)
	}
	if _, errs := c.run(exitPartial, "run", "--step", "retain"); !strings.Contains(errs, "shards [0/2] are missing") {
		t.Errorf("the step behind it: %s", errs)
	}
	c.run(0, "run", "--step", "ingest", "--shard", "0/2")
	c.run(0, "status")
	c.run(0, "run", "--step", "ingest", "--shard", "2/3")
	c.run(exitPartial, "status")
	c.run(0, "run")
	c.run(0, "status")
	if got := c.value("select count(*) from raw.posts"); got != "20" {
		t.Errorf("%s posts", got)
	}
	for _, args := range [][]string{
		{"run", "--step", "ingest", "--shard", "3/2"},
		{"run", "--step", "ingest", "--shard", "0/0"},
		{"run", "--step", "ingest", "--shard", "-1/2"},
		{"run", "--step", "ingest", "--shard", "1"},
		{"run", "--step", "ingest", "--shard", "0/1000000"},
		{"run", "--shard", "0/2"},
		{"run", "--step", "marts", "--shard", "0/2"},
		{"run", "--step", "nothing"},
		{"run", "--from", "2026-01-01", "--to", "2026-01-02"},
		{"run", "--step", "score", "--from", "2026-01-01", "--to", "2026-01-02"},
		{"run", "--step", "ingest", "--from", "2026-01-01"},
		{"run", "--step", "ingest", "--from", "2026-01-02", "--to", "2026-01-01"},
		{"run", "--step", "score", "--full"},
	} {
		if _, errs := c.run(exitUsage, args...); !strings.Contains(errs, "feedlake: ") {
			t.Errorf("%v: %s", args, errs)
		}
	}
}
