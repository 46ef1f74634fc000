package transforms_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/sql"
	"github.com/feedlake/feedlake/transforms"
)

var errFault = errors.New("injected fault")

// faulty is an Interceptor that fails the n-th operation after arming: before
// its effect, or after it, as a lost answer does. Iceberg reads side by side.
type faulty struct {
	at    int64
	after bool
	armed atomic.Bool
	seen  atomic.Int64
}

func (f *faulty) intercept(_, _ string, do func() error) error {
	if !f.armed.Load() || f.seen.Add(1) != f.at {
		return do()
	}
	if f.after {
		return errors.Join(do(), errFault)
	}
	return errFault
}

// change lands a second day of news on a built lake: a late post, an edit, a
// deletion and a new day.
func change(r *rig) {
	first := post("a1", "01-01", "hello #go")
	r.land(post("a2", "01-01", "late #rust"), seen(first, time.Hour, "edited #zig"), deleted(post("b1", "01-02", "bye #go"), time.Hour), post("c1", "01-03", "new day"))
}

// twoModels keeps features.posts and one model that reads it.
func twoModels(r *rig) {
	text, err := fs.ReadFile(sql.Models, "features/posts.sql")
	if err != nil {
		r.t.Fatal(err)
	}
	r.models(string(text), strings.ReplaceAll(countLong, "features.long", "features.posts"))
}

// countHours counts the posts of an hour.
const countHours = `-- model: marts.by_hour
-- inputs: features.posts
-- partition: day
-- key: hour, source
-- grows: hours
-- check: range(posts: 1..8)

select day, hour, source, cast(count(*) as bigint) as posts from features.posts group by day, hour, source`

// twoGrowing keeps features.posts, which grows by rows, and a model that grows by
// hours.
func twoGrowing(r *rig) {
	text, err := fs.ReadFile(sql.Models, "features/posts.sql")
	if err != nil {
		r.t.Fatal(err)
	}
	r.models(string(text), countHours)
}

// at gives a post another hour of its day.
func at(p feedlake.Post, hour int) feedlake.Post {
	p.CreatedAt = p.CreatedAt.Truncate(24 * time.Hour).Add(time.Duration(hour) * time.Hour)
	return p
}

// grow lands new posts alone, in a day that has some.
func grow(r *rig) {
	r.land(post("a2", "01-01", "late #rust"), post("c1", "01-01", "later"))
}

// TestWholeEveryFaultHeals fails storage operation i of a run, for every i, before
// and after its effect; the next run must leave the same rows as a run that
// nothing disturbed: where partitions are replaced, and where they grow.
func TestWholeEveryFaultHeals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		models, land func(*rig)
		grown        int
	}{"replaced": {twoModels, change, 0}, "grown": {twoGrowing, grow, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			everyFaultHeals(t, c.models, c.land, c.grown)
		})
	}
}

func everyFaultHeals(t *testing.T, models, land func(*rig), grown int) {
	engine := openEngine(t)
	dir, saved := filepath.Join(t.TempDir(), "lake"), filepath.Join(t.TempDir(), "saved")
	open := func(f *faulty) *rig {
		r := openRig(t, dir, engine, f.intercept)
		models(r)
		return r
	}
	r := open(&faulty{}) // a lake with news, saved to begin from again and again: its paths are absolute
	r.land(post("a1", "01-01", "hello #go"), at(post("a0", "01-01", "early"), 3), post("b1", "01-02", "bye #go"))
	r.mustTransform()
	land(r)
	r.close()
	if err := os.CopyFS(saved, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	r = open(&faulty{})
	got := 0
	for _, m := range r.mustTransform().Models {
		got += m.Grown
	}
	if got != grown {
		t.Fatalf("%d partitions grew, want %d", got, grown)
	}
	want := r.tables()
	r.close()
	for _, after := range []bool{false, true} {
		for i := int64(1); ; i += stride() {
			if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(saved))); err != nil {
				t.Fatal(err)
			}
			f := &faulty{at: i, after: after}
			r := open(f)
			f.armed.Store(true)
			rep, err := r.transform()
			f.armed.Store(false)
			if f.seen.Load() < i {
				r.close()
				t.Logf("after %v: %d operations", after, f.seen.Load())
				break // fewer operations than i: every one of them had its turn
			}
			if err == nil {
				assertCommitted(t, r, rep, i)
			}
			r.mustTransform()
			if diff := cmp.Diff(want, r.tables()); diff != "" {
				t.Fatalf("operation %d, after %v, first run: %v\n(-unbroken +healed):\n%s", i, after, err, diff)
			}
			if got := states(r.mustTransform())[transforms.UpToDate]; len(got) != 2 {
				t.Fatalf("operation %d, after %v: not at rest afterwards", i, after)
			}
			r.close()
		}
	}
}

// TestUnknownOutcomeIsAskedAgain fails one commit, before or after its effect:
// the run itself finds out and goes on.
func TestUnknownOutcomeIsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		failed := 0
		r := newRigWith(t, openEngine(t), func(op, path string, do func() error) error {
			if op != "commit" || path != "features.posts" || failed > 0 {
				return do()
			}
			failed++
			if after {
				return errors.Join(do(), errFault)
			}
			return errFault
		})
		twoModels(r)
		r.land(post("a1", "01-01", "one"))
		r.mustTransform()
		if got := r.rows("SELECT id FROM features.posts"); failed != 1 || len(got) != 1 {
			t.Errorf("after %v: %d faults, rows %v; want one and one", after, failed, got)
		}
	}
}

// stride skips operations under -short.
func stride() int64 {
	if testing.Short() {
		return 7
	}
	return 1
}

// assertCommitted wants a run that reported success to have published.
func assertCommitted(t *testing.T, r *rig, rep transforms.Report, i int64) {
	t.Helper()
	for _, m := range rep.Models {
		if cur, err := r.lake.Current(t.Context(), m.Model); err != nil || cur.ID != m.Snapshot {
			t.Fatalf("operation %d: %s reports snapshot %d, the table has %d, %v", i, m.Model, m.Snapshot, cur.ID, err)
		}
	}
}

// TestWholeKilledBetweenModels stops after each number of queries, as a kill does,
// and wants the next run of the same window to leave the same rows.
func TestWholeKilledBetweenModels(t *testing.T) {
	t.Parallel()
	for name, land := range map[string]func(*rig){"replaced": change, "grown": func(r *rig) {
		r.mustTransform()
		r.opts.RunID = ""
		grow(r)
	}} {
		t.Run(name, func(t *testing.T) { killedBetweenModels(t, land) })
	}
}

func killedBetweenModels(t *testing.T, land func(*rig)) {
	engine := openEngine(t)
	build := func(t *testing.T) *rig {
		r := newRigWith(t, engine, nil)
		twoModels(r)
		r.land(post("a1", "01-01", "hello #go"), post("b1", "01-02", "bye #go"))
		land(r)
		return r
	}
	calm := build(t)
	calm.mustTransform()
	want, queries := calm.tables(), len(calm.engine.queries)
	for n := range queries {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r := build(t)
			err := interrupted(r, n)
			if !errors.Is(err, errFault) {
				t.Fatalf("got %v, want the interruption", err)
			}
			r.opts.RunID = "again"
			r.mustTransform()
			if diff := cmp.Diff(want, r.tables()); diff != "" {
				t.Errorf("(-unbroken +resumed):\n%s", diff)
			}
			r.opts.Full = true // the same window once more
			r.mustTransform()
			if diff := cmp.Diff(want, r.tables()); diff != "" {
				t.Errorf("(-unbroken +rebuilt):\n%s", diff)
			}
		})
	}
}

// TestReportText holds the words that people see.
func TestReportText(t *testing.T) {
	rep := transforms.Report{Models: []transforms.ModelReport{
		{Model: "features.posts", State: transforms.UpToDate},
		{
			Model: "features.entities", State: transforms.Held, Reason: "inputs changed", Rows: 7, Partitions: []lake.Partition{"day=2026-01-02"},
			InputFiles: 3, InputBytes: 4096, Took: 1234567 * time.Microsecond,
			Failures: []transforms.CheckFailure{{Check: "not_null(id)", Partition: "day=2026-01-01", Count: 2, Rows: []string{"id=NULL", "id=7"}}},
			Warnings: []string{"check fresh(hour, 48h): the newest hour is old"},
		},
		{Model: "features.authors", State: transforms.Failed, Error: "features/authors.sql:7: no such column"},
		{Model: "marts.volume", State: transforms.Waiting, Reason: "table ml.trends: not found"},
	}}
	want := strings.Join([]string{
		"features.posts             up_to_date",
		"features.entities          held       7 rows in 1 partitions, read 3 files (4096 bytes), 1.235s: inputs changed",
		"    held back  day=2026-01-01: check not_null(id): 2 rows, such as id=NULL; id=7",
		"    warning    check fresh(hour, 48h): the newest hour is old",
		"features.authors           failed     features/authors.sql:7: no such column",
		"marts.volume               waiting    table ml.trends: not found",
		"",
	}, "\n")
	if diff := cmp.Diff(want, rep.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if rep.Built() != 1 {
		t.Errorf("built %d, want 1", rep.Built())
	}
}
