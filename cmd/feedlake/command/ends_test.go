package command

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/wiring"
	"github.com/feedlake/feedlake/schedules"
)

// way is a way to end a run: the errors of its steps, and whether somebody stops
// it in the last one.
type way struct {
	errs  []error
	stop  bool
	state schedules.State
	exit  int
}

func waysToEnd() map[string]way {
	boom := errors.New("boom")
	wrap := func(errs ...error) error { return fmt.Errorf("did not: %w", errors.Join(errs...)) }
	partial, rejected, key := feedlake.ErrPartial, feedlake.ErrRejected, feedlake.ErrConfig
	return map[string]way{
		"done":                       {[]error{nil, nil}, false, schedules.Done, exitOK},
		"done before it was stopped": {[]error{nil, nil}, true, schedules.Done, exitOK},
		"partial":                    {[]error{wrap(partial), nil}, false, schedules.Partial, exitPartial},
		"partial by a key":           {[]error{wrap(partial, key), nil}, false, schedules.Partial, exitPartial},
		"partial by terms":           {[]error{wrap(feedlake.ErrForbidden, partial)}, false, schedules.Partial, exitPartial},
		"partial by a full disk":     {[]error{wrap(partial, syscall.ENOSPC)}, false, schedules.Partial, exitPartial},
		"partial by somebody else":   {[]error{wrap(partial, feedlake.ErrBusy)}, false, schedules.Partial, exitPartial},
		"rejected":                   {[]error{wrap(rejected)}, false, schedules.Rejected, exitRejected},
		"rejected in part":           {[]error{wrap(rejected, partial, key)}, false, schedules.Rejected, exitRejected},
		"rejected in the last step":  {[]error{wrap(partial), wrap(rejected)}, false, schedules.Rejected, exitRejected},
		"failed":                     {[]error{boom, nil}, false, schedules.Failed, exitFailed},
		"failed by a key":            {[]error{wrap(key), wrap(partial)}, false, schedules.Failed, exitUsage},
		"failed by a full disk":      {[]error{wrap(key, syscall.ENOSPC)}, false, schedules.Failed, exitFailed},
		"failed by itself":           {[]error{context.Canceled}, false, schedules.Failed, exitFailed},
		"failed, then stopped":       {[]error{boom, context.Canceled}, true, schedules.Failed, exitFailed},
		"cancelled":                  {[]error{nil, wrap(context.Canceled)}, true, schedules.Cancelled, exitInterrupted},
		"cancelled, in other words":  {[]error{nil, boom}, true, schedules.Cancelled, exitInterrupted},
	}
}

// told is what each place says of a run's end.
type told struct {
	Exit                      int
	Log, Status, Ledger, Mart string
}

// end runs a way to end, and tells the run's name, the exit code and what the log
// says of its state.
func (c *cli) end(w way) (run string, got told) {
	c.t.Helper()
	var out, errs bytes.Buffer
	o := &options{config: filepath.Join(c.dir, "feedlake.yaml"), json: true, env: env{
		stdin: strings.NewReader(""), stdout: &out, stderr: &errs, now: c.clock, getenv: func(string) (string, bool) { return "", false },
	}}
	ctx, stop := context.WithCancel(c.t.Context())
	defer stop()
	var jobs []schedules.Job
	for i, err := range w.errs {
		jobs = append(jobs, wiring.Job(fmt.Sprint("step ", i), nil, func(context.Context) error {
			if w.stop && i == len(w.errs)-1 {
				stop()
			}
			return err
		}))
	}
	got.Exit = exitCode(ctx, o.withApp(ctx, func(ctx context.Context, a *app) error { return a.run(ctx, "probe", jobs) }))
	var report runReport
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		c.t.Fatalf("%v: %s\n%s", err, out.String(), errs.String())
	}
	for line := range strings.Lines(errs.String()) {
		var l struct{ Msg, Run, State string }
		if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "run ended" && l.Run == report.RunID {
			got.Log += l.State
		}
	}
	return report.RunID, got
}

// abandon begins a run in a ledger that is closed before it ends, as when its
// process dies.
func (c *cli) abandon(ledger func() *schedules.Ledger) string {
	c.t.Helper()
	l := ledger()
	_, run, err := l.Begin(c.t.Context(), schedules.Run{Job: "probe", Lock: schedules.Unlocked})
	if err == nil {
		err = l.Step(c.t.Context(), schedules.Step{Run: run.ID, Job: "step 0", Try: 1, State: schedules.Running, Started: run.Started})
	}
	if err = errors.Join(err, l.Close()); err != nil {
		c.t.Fatal(err)
	}
	return run.ID
}

// statuses is what `status` says of the state of runs, by name.
func (c *cli) statuses() map[string]string {
	c.t.Helper()
	out, _ := c.run(0, "status", "--json")
	var s status
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		c.t.Fatal(err)
	}
	states := map[string]string{}
	for _, r := range s.Runs {
		states[r.RunID] = r.State
	}
	return states
}

// marts is what marts.pipeline_runs says of the state of runs, by name.
func (c *cli) marts() map[string]string {
	c.t.Helper()
	out, _ := c.run(0, "sql", "--json", "select run_id, state from marts.pipeline_runs")
	var rows []struct {
		RunID string `json:"run_id"`
		State string `json:"state"`
	}
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		c.t.Fatal(err)
	}
	states := map[string]string{}
	for _, r := range rows {
		states[r.RunID] += r.State
	}
	return states
}

// TestEveryEnd ends runs in every way that there is, and wants exit code, log,
// status, ledger and marts.pipeline_runs to agree on each.
func TestEveryEnd(t *testing.T) {
	t.Parallel()
	c := newCLI(t, "lake: {dir: lake}\n")
	c.run(0, "lake", "ls")
	open := func() *schedules.Ledger {
		l, err := schedules.OpenLedger(t.Context(), schedules.LedgerConfig{Path: filepath.Join(c.dir, "lake", "ledger.db"), Now: c.clock})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	names, want, got := map[string]string{}, map[string]told{}, map[string]told{}
	for name, w := range waysToEnd() {
		run, said := c.end(w)
		said.Status = c.statuses()[run]
		names[run], got[name] = name, said
		state := string(w.state)
		want[name] = told{w.exit, state, state, state, state}
	}
	killed := c.abandon(open)
	names[killed], got["abandoned"] = "abandoned", told{Status: c.statuses()[killed]}
	want["abandoned"] = told{0, "", "abandoned", "abandoned", "abandoned"}
	c.end(way{errs: []error{nil}}) // records the runs before, which could not
	ledger, marts := open(), c.marts()
	for run, name := range names {
		r, err := ledger.Run(t.Context(), run)
		if err != nil {
			t.Fatal(err)
		}
		said := got[name]
		said.Ledger, said.Mart = string(r.State), marts[run]
		got[name] = said
	}
	if err := ledger.Close(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(marts) != len(want)+1 {
		t.Errorf("%d runs are recorded of %d", len(marts), len(want)+1)
	}
}

// TestWholeKilledRunIsTold kills a run (SIGKILL) as soon as it has landed posts. The next
// run tells of it, and status and marts.pipeline_runs say the same.
func TestWholeKilledRunIsTold(t *testing.T) {
	t.Parallel()
	c := newCLI(t, killConfig)
	c.dir, c.now = killDir(t), time.Now()
	cmd := program(t, c.dir, "run")
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(pipe)
	for said.Scan() {
		if strings.Contains(said.Text(), "step ended") && strings.Contains(said.Text(), `"step":"ingest"`) {
			break
		}
	}
	if err := errors.Join(said.Err(), cmd.Process.Kill()); err != nil {
		t.Fatal(err)
	}
	if code := codeOf(t, cmd.Wait()); code != -1 {
		t.Fatalf("the run ended by itself with %d", code)
	}
	c.run(0, "ingest")
	status, marts := c.statuses(), c.marts()
	if diff := cmp.Diff(status, marts); diff != "" || len(status) != 2 || !slices.Contains(slices.Collect(maps.Values(status)), "abandoned") {
		t.Errorf("status %v (-status +mart): %s", status, diff)
	}
	if got := c.value("select posts > 0 from marts.pipeline_runs where state = 'abandoned'"); got != "true" {
		t.Errorf("posts of the run that was killed: %s", got)
	}
}

// TestWholeGoesOnWithWhatIsThere wants what a broken source and a missing file of
// labels do not touch to be built and published, and the run to name them.
func TestWholeGoesOnWithWhatIsThere(t *testing.T) {
	t.Parallel()
	const sources = `lake: {dir: lake}
sources:
  - {name: good, kind: files, with: {path: good.ndjson, map: {id: id, created_at: at, text: text}}}
  - {name: gone, kind: files, with: {path: nowhere/*.ndjson, map: {id: id, created_at: at}}}
models: {sentiment: {gate: {macro_recall: 0}}}
publish: [{name: export, kind: export, dir: publish}]
`
	for name, x := range map[string]struct {
		labels string
		exit   int
		state  string
		step   string
	}{
		"one set of two": {"labels: [{file: missing.tsv, dataset: absent}, {file: few.tsv, dataset: few}]\n", exitPartial, "partial", "partial"},
		"the only set":   {"labels: [{file: missing.tsv, dataset: absent}]\n", exitUsage, "failed", "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCLI(t, sources+x.labels)
			c.write("good.ndjson", `{"id": "1", "at": "2026-03-01T10:00:00Z", "text": "one #tag"}`+"\n")
			few := "label\ttext\n"
			for i := range 40 {
				few += fmt.Sprintf("positive\ta good thing %d\nnegative\tan awful thing %d\nneutral\tit opens at %d\n", i, i, i)
			}
			c.write("few.tsv", few)
			out, errs := c.run(x.exit, "run", "--json")
			var r runReport
			if err := json.Unmarshal([]byte(out), &r); err != nil {
				t.Fatal(err)
			}
			steps := map[string]string{}
			for _, s := range r.Steps {
				steps[s.Step] = s.State
			}
			want := map[string]string{
				wiring.StepIngest: "partial", wiring.StepRetain: "done", wiring.StepFeatures: "done", wiring.StepLabels: x.step, wiring.StepTrain: "done", wiring.StepScore: "done",
				wiring.StepTrends: "done", wiring.StepMarts: "done", wiring.StepPublish: "done",
			}
			if diff := cmp.Diff(want, steps); diff != "" || r.State != x.state || r.Posts != 1 {
				t.Errorf("run %s with %d posts: %s", r.State, r.Posts, diff)
			}
			for _, broken := range []string{"nowhere", "missing.tsv"} {
				if x.state == "failed" && broken == "nowhere" { // the worst is told; the step has the rest
					continue
				}
				if !strings.Contains(errs, broken) {
					t.Errorf("nothing names %s:\n%s", broken, errs)
				}
			}
			if !fileExists(filepath.Join(c.dir, "publish", "marts", "volume.parquet")) || c.value("select sum(posts) from marts.volume") != "1" {
				t.Error("the good source is not published")
			}
			for run, state := range c.statuses() {
				if state != x.state || c.marts()[run] != state {
					t.Errorf("status says %s, the mart %s", state, c.marts()[run])
				}
			}
		})
	}
}
