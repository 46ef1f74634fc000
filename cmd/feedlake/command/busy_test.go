package command

import (
	"errors"
	"os/exec"
	"path/filepath"
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

// TestWholeOneAtATime holds the lake and wants a second run to say who does.
func TestWholeOneAtATime(t *testing.T) {
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
	if _, _, err := l.Begin(t.Context(), schedules.Run{Job: "other", Lock: wiring.LockName}); err != nil {
		t.Fatal(err)
	}
	out, err := program(t, dir, "run").CombinedOutput()
	if code := codeOf(t, err); code != exitBusy || !strings.Contains(string(out), "other") {
		t.Errorf("exit code %d, want %d with the other run's name:\n%s", code, exitBusy, tail(out))
	}
}
