package schedules

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/serving/postgres/pgtest"
)

// child names the environment variable that turns the test binary into a
// process which holds a run: its value is the ledger's path, DSN and schema, by lines.
const child = "FEEDLAKE_TEST_HOLD"

func TestMain(m *testing.M) {
	if home := strings.Split(os.Getenv(child), "\n"); len(home) == 3 {
		os.Exit(holdRun(LedgerConfig{Path: home[0], DSN: home[1], Schema: home[2], Now: time.Now}))
	}
	goleak.VerifyTestMain(tests{m})
}

// tests are all of this binary; they share a PostgreSQL server.
type tests struct{ *testing.M }

func (t tests) Run() int {
	defer sharedServer.Stop()
	return t.M.Run()
}

var sharedServer pgtest.Shared

// places gives a place for a new ledger.
type places func(t *testing.T) LedgerConfig

// each runs a test for every database that can keep a ledger.
func each(t *testing.T, test func(t *testing.T, place places)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, inFile) })
	t.Run("postgres", func(t *testing.T) {
		inSchema(t) // the server starts here, with the clock of the system
		test(t, inSchema)
	})
}

func inFile(t *testing.T) LedgerConfig {
	t.Helper()
	return LedgerConfig{Path: filepath.Join(t.TempDir(), "ledger.db")}
}

func inSchema(t *testing.T) LedgerConfig {
	t.Helper()
	return LedgerConfig{DSN: sharedServer.Server(t).DSN("postgres"), Schema: "test " + rand.Text()}
}

// alter changes a ledger from behind.
func alter(ctx context.Context, l *Ledger, statement string) error {
	return l.tx(ctx, func(q querier) error {
		_, err := q.ExecContext(ctx, statement)
		return err
	})
}

// holdRun begins a run with a step, says so on stdout, and waits until stdin
// ends. It says "busy" when another process holds the window.
func holdRun(c LedgerConfig) int {
	ctx := context.Background()
	l, err := OpenLedger(ctx, c)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_, run, err := l.Begin(ctx, Run{Job: "held"})
	if err != nil {
		fmt.Println("busy:", err)
		return 0
	}
	if err := l.Step(ctx, Step{Run: run.ID, Job: "ingest", Try: 1, State: Running, Started: run.Started}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("holds", run.ID)
	_, _ = io.Copy(io.Discard, os.Stdin)
	if _, err := l.Finish(ctx, run.ID, Done, nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := l.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// day is the UTC day n of October 2016.
func day(n int) feedlake.Window {
	start := time.Date(2016, 10, n, 0, 0, 0, 0, time.UTC)
	return feedlake.Window{Start: start, End: start.AddDate(0, 0, 1)}
}

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t.UTC()
}

// openTest opens a ledger and closes it with the test.
func openTest(t *testing.T, c LedgerConfig, change ...func(*LedgerConfig)) *Ledger {
	t.Helper()
	c.Now, c.Log = time.Now, slog.New(slog.NewTextHandler(t.Output(), nil))
	for _, f := range change {
		f(&c)
	}
	l, err := OpenLedger(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// begin begins a run that must begin.
func begin(t *testing.T, l *Ledger, r Run) (context.Context, Run) {
	t.Helper()
	ctx, run, err := l.Begin(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return ctx, run
}

// states is what the ledger says of a job's runs, oldest first.
func states(t *testing.T, l *Ledger, job string) []State {
	t.Helper()
	runs, err := l.Runs(t.Context(), Filter{Job: job})
	if err != nil {
		t.Fatal(err)
	}
	all := make([]State, len(runs))
	for i, r := range runs {
		all[len(runs)-1-i] = r.State
	}
	return all
}
