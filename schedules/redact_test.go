package schedules

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRedactLeavesNoByte looks for a text in the ledger's files after it was
// taken away.
func TestRedactLeavesNoByte(t *testing.T) {
	const secret = "reddit/t3_4711-unlikely"
	dir := t.TempDir()
	l, err := OpenLedger(t.Context(), LedgerConfig{Path: filepath.Join(dir, "ledger.db"), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	for range 20 { // so that pages are freed, not only rows
		ctx, run, err := l.Begin(t.Context(), Run{Job: "j", Lock: "l"})
		if err != nil {
			t.Fatal(err)
		}
		step := Step{Run: run.ID, Job: "features", Try: 1, State: Failed, Started: run.Started, Ended: run.Started, Err: "row id=" + secret}
		step.Detail = "first " + secret + strings.Repeat(" and more", 40)
		if err := l.Step(ctx, step); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Finish(t.Context(), run.ID, Failed, errors.New("job features: row id="+secret)); err != nil {
			t.Fatal(err)
		}
	}
	if !fileHolds(t, dir, secret) {
		t.Fatal("the text is not there before: the test sees nothing")
	}
	n, err := l.Redact(t.Context(), func(text string) bool { return strings.Contains(text, secret) })
	if err != nil || n != 60 {
		t.Fatalf("%d texts taken away, %v, want 60", n, err)
	}
	if fileHolds(t, dir, secret) {
		t.Error("the ledger's files still hold the text")
	}
	runs, err := l.Runs(t.Context(), Filter{Limit: 1})
	if err != nil || len(runs) != 1 || runs[0].Err != Redacted {
		t.Errorf("runs %+v, %v", runs, err)
	}
	if n, err := l.Redact(t.Context(), func(text string) bool { return strings.Contains(text, secret) }); n != 0 || err != nil {
		t.Errorf("again: %d, %v", n, err)
	}
}

func fileHolds(t *testing.T, dir, text string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal("no file", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), text) {
			return true
		}
	}
	return false
}
