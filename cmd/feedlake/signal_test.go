package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

// TestInterrupt sends Ctrl-C as soon as the program has begun to land posts: it
// ends with 130 and says so, and the next run makes what an unbroken one makes.
func TestInterrupt(t *testing.T) {
	whole := killDir(t)
	runWhole(t, whole)
	dir := killDir(t)
	var said bytes.Buffer
	cmd := program(t, dir, "run")
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for { // the log tells when the first step has begun
		n, err := pipe.Read(buf)
		said.Write(buf[:n])
		if strings.Contains(said.String(), `"step":"ingest"`) || err != nil {
			break
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if _, err := said.ReadFrom(pipe); err != nil {
		t.Fatal(err)
	}
	if code := codeOf(t, cmd.Wait()); code != exitInterrupted || !strings.Contains(said.String(), "the next run goes on from there") {
		t.Errorf("exit code %d, want %d:\n%s", code, exitInterrupted, tail(said.Bytes()))
	}
	runWhole(t, dir)
	if d := cmp.Diff(contents(t, whole), contents(t, dir)); d != "" {
		t.Error(d)
	}
}

// TestOneRunAtATime holds the lake and wants a second run to say who does.
func TestOneRunAtATime(t *testing.T) {
	dir := killDir(t)
	if out, err := program(t, dir, "lake", "ls").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	l, err := schedules.OpenLedger(t.Context(), schedules.LedgerConfig{Path: filepath.Join(dir, "lake", "ledger.db"), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if _, _, err := l.Begin(t.Context(), schedules.Run{Job: "other", Lock: lockName}); err != nil {
		t.Fatal(err)
	}
	out, err := program(t, dir, "run").CombinedOutput()
	if code := codeOf(t, err); code != exitBusy || !strings.Contains(string(out), "other") {
		t.Errorf("exit code %d, want %d with the other run's name:\n%s", code, exitBusy, tail(out))
	}
}
