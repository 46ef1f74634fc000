package transforms_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/transforms"
)

func wantPartitions(t *testing.T, rep transforms.Report, model string, want ...lake.Partition) {
	t.Helper()
	if diff := cmp.Diff(want, of(t, rep, model).Partitions); diff != "" {
		t.Errorf("%s: partitions (-want +got):\n%s", model, diff)
	}
}

func TestRunBuildsEveryModel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ensure(lake.Fixed()...)
	r.land(post("a1", "01-01", "hello #go"), post("b1", "01-02", "hello #go"), post("a2", "01-02", "bye"))
	rep := r.mustTransform()
	if got := states(rep)[transforms.Built]; len(got) != len(r.graph.Models()) {
		t.Fatalf("built %v of %d models:\n%s", got, len(r.graph.Models()), rep.String())
	}
	got := r.rows("SELECT source, id, day, engagement, _run_id, _model, _inputs FROM features.posts ORDER BY id")
	posts, _ := r.graph.Model("features.posts")
	raw, err := r.lake.Current(t.Context(), "raw.posts")
	if err != nil {
		t.Fatal(err)
	}
	tail := fmt.Sprintf(`"_run_id":"run-1","_model":"features.posts@%s","_inputs":"raw.posts@%d,features.scattered@0"}`, posts.Hash, raw.ID)
	want := []string{
		`{"source":"x","id":"a1","day":"2026-01-01","engagement":2,` + tail,
		`{"source":"x","id":"a2","day":"2026-01-02","engagement":2,` + tail,
		`{"source":"x","id":"b1","day":"2026-01-02","engagement":2,` + tail,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("features.posts (-want +got):\n%s", diff)
	}
	m := of(t, rep, "features.posts")
	if m.Rows != 3 || m.Files != 2 || m.InputFiles != 2 || m.InputRows != 3 || m.InputBytes == 0 || m.Snapshot == 0 || m.Reason != "first build" {
		t.Errorf("report: %+v", m)
	}
	snap, err := r.lake.Current(t.Context(), "features.posts")
	if err != nil {
		t.Fatal(err)
	}
	if snap.ID != m.Snapshot || snap.Summary[lake.SummaryRunID] != "run-1" || snap.Summary[transforms.PropertyInputs] != fmt.Sprintf("raw.posts@%d,features.scattered@0", raw.ID) {
		t.Errorf("snapshot: %+v", snap)
	}
}

func TestRunAgainDoesNothing(t *testing.T) {
	r := newRig(t)
	r.ensure(lake.Fixed()...)
	r.land(post("a1", "01-01", "hello #go"))
	r.mustTransform()
	before := r.snapshots()
	rep := r.mustTransform()
	if got := states(rep)[transforms.UpToDate]; len(got) != len(r.graph.Models()) {
		t.Errorf("up to date: %v\n%s", got, rep.String())
	}
	if diff := cmp.Diff(before, r.snapshots()); diff != "" || len(r.engine.queries) != 0 {
		t.Errorf("%d queries, snapshots (-before +after):\n%s", len(r.engine.queries), diff)
	}
}

func TestRunOnEmptyLake(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	rep := r.mustTransform()
	if got := states(rep)[transforms.Waiting]; len(got) != len(r.graph.Models()) {
		t.Fatalf("waiting: %v\n%s", got, rep.String())
	}
	if m := of(t, rep, "features.posts"); !strings.Contains(m.Reason, "raw.posts") {
		t.Errorf("reason %q does not name raw.posts", m.Reason)
	}
	r.ensure(lake.Fixed()...) // tables without rows make tables without rows
	rep = r.mustTransform()
	if got := states(rep)[transforms.Built]; len(got) != len(r.graph.Models()) {
		t.Fatalf("built: %v\n%s", got, rep.String())
	}
	for name, rows := range r.tables() {
		if rows != "" {
			t.Errorf("%s has rows:\n%s", name, rows)
		}
	}
	if got := states(r.mustTransform())[transforms.UpToDate]; len(got) != len(r.graph.Models()) {
		t.Errorf("up to date: %v", got)
	}
	r.land(post("a1", "01-01", "hello #go"))
	r.mustTransform()
	if got := r.rows("SELECT hashtag FROM marts.trending_hashtags"); len(got) != 1 {
		t.Errorf("trending hashtags: %v, want one", got)
	}
}

// TestRunFollowsChanges walks one lake through what happens to posts and wants
// only the partitions that changed to be computed, from only the files needed.
func TestRunFollowsChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := post("a1", "01-01", "hello #go")
	r.land(first, post("b1", "01-10", "hello #go"), post("c1", "02-20", "hello #go"))
	r.mustTransform()

	t.Run("late post", func(t *testing.T) {
		r.land(post("a2", "01-01", "late #rust"))
		rep := r.mustTransform()
		wantPartitions(t, rep, "features.posts", part("01-01"))
		wantPartitions(t, rep, "features.hashtag_hourly", part("01-01")) // 28 days of look-back reach the 10th, where another tag changes no row
		wantPartitions(t, rep, "marts.volume", "day=2026-01-01")
		if diff := cmp.Diff([]lake.Partition{part("01-01")}, r.inputPartitions("features.posts", "raw.posts")); diff != "" {
			t.Errorf("files read of raw.posts (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]lake.Partition{part("01-01"), part("01-10")}, r.inputPartitions("features.hashtag_hourly", "features.entities")); diff != "" {
			t.Errorf("files read of features.entities (-want +got):\n%s", diff)
		}
	})
	t.Run("edit", func(t *testing.T) {
		r.land(seen(first, time.Hour, "edited #zig"))
		wantPartitions(t, r.mustTransform(), "features.text_stats", part("01-01"))
		if got := r.rows("SELECT versions, text FROM features.posts WHERE id = 'a1'"); got[0] != `{"versions":2,"text":"edited #zig"}` {
			t.Errorf("post is %v", got)
		}
	})
	t.Run("deletion", func(t *testing.T) {
		r.land(deleted(post("c1", "02-20", "hello #go"), time.Hour))
		rep := r.mustTransform()
		wantPartitions(t, rep, "features.posts", part("02-20"))
		wantPartitions(t, rep, "features.hashtag_hourly", part("02-20")) // emptied, although no input maps to it any more
		for _, table := range []string{"features.posts", "features.entities", "features.hashtag_hourly", "features.authors", "marts.volume", "marts.engagement"} {
			if got := r.rows("SELECT * FROM " + table + " WHERE day = DATE '2026-02-20'"); len(got) != 0 {
				t.Errorf("%s still has %v", table, got)
			}
		}
	})
	t.Run("same as built at once", func(t *testing.T) {
		got := r.tables()
		r.opts.Full = true
		r.mustTransform()
		if diff := cmp.Diff(r.tables(), got); diff != "" {
			t.Errorf("(-full +incremental):\n%s", diff)
		}
	})
}

const (
	longPosts = `-- model: features.long
-- inputs: raw.posts
-- partition: source, day
-- key: source, id
-- check: %s

select source, id, cast(created_at as date) as day, %s as text from raw.posts`
	countLong = `-- model: marts.count_long
-- inputs: features.long
-- partition: day
-- key: day

select day, cast(count(*) as bigint) as posts from features.long group by day`
)

func TestCheckHoldsPartitionBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	model := fmt.Sprintf(longPosts, "accepted(text: good, fine)", "text")
	r.models(model, countLong)
	r.land(post("a1", "01-01", "good"), post("a2", "01-02", "good"))
	r.mustTransform()
	r.land(post("b1", "01-01", "bad"), post("b2", "01-02", "fine"), post("b3", "01-01", "worse"), post("b4", "01-03", "fine"))
	rep, err := r.transform()
	if !errors.Is(err, feedlake.ErrRejected) {
		t.Fatalf("got %v, want an error wrapping ErrRejected", err)
	}
	want := []transforms.CheckFailure{{Check: "accepted(text: good, fine)", Partition: part("01-01"), Count: 2, Rows: []string{"source=x id=b1", "source=x id=b3"}}}
	m := of(t, rep, "features.long")
	if diff := cmp.Diff(want, m.Failures); diff != "" || m.State != transforms.Held {
		t.Errorf("state %s, failures (-want +got):\n%s", m.State, diff)
	}
	wantPartitions(t, rep, "features.long", part("01-02"), part("01-03"))
	counts := []string{`{"day":"2026-01-01","posts":1}`, `{"day":"2026-01-02","posts":2}`, `{"day":"2026-01-03","posts":1}`}
	if diff := cmp.Diff(counts, r.rows("SELECT day, posts FROM marts.count_long ORDER BY day")); diff != "" {
		t.Errorf("models after it run on what is published (-want +got):\n%s", diff)
	}

	before := r.snapshots()
	rep, err = r.transform() // nothing new: tried again, still bad, no commit
	if m := of(t, rep, "features.long"); !errors.Is(err, feedlake.ErrRejected) || m.State != transforms.Held || len(m.Partitions) != 0 || m.InputFiles != 2 {
		t.Errorf("second try: %v\n%s", err, rep.String())
	}
	if diff := cmp.Diff(before, r.snapshots()); diff != "" {
		t.Errorf("snapshots (-before +after):\n%s", diff)
	}

	model = fmt.Sprintf(longPosts, "accepted(text: good, fine, bad, worse)", "text")
	r.models(model, countLong) // the check is corrected: no input moved, the partition is released
	wantPartitions(t, r.mustTransform(), "features.long", part("01-01"))
	if got := states(r.mustTransform())[transforms.UpToDate]; len(got) != 2 {
		t.Errorf("up to date: %v, want both", got)
	}
}

func TestHeldPartitionThatVanishes(t *testing.T) {
	r := newRig(t)
	r.models(fmt.Sprintf(longPosts, "accepted(text: good)", "text"))
	r.land(post("a1", "01-01", "good"), post("b1", "01-02", "bad"))
	if _, err := r.transform(); !errors.Is(err, feedlake.ErrRejected) {
		t.Fatalf("got %v, want an error wrapping ErrRejected", err)
	}
	cur, err := r.lake.Current(t.Context(), "raw.posts")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.lake.Commit(t.Context(), lake.Commit{Table: "raw.posts", Replace: []lake.Partition{part("01-02")}, Base: cur.ID}); err != nil {
		t.Fatal(err)
	}
	r.mustTransform()
	if held, err := r.lake.Property(t.Context(), "features.long", transforms.PropertyHeld); err != nil || held != "" {
		t.Errorf("held: %q, %v; want none", held, err)
	}
}

func TestChecks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		check, column string
		want          string // of the failure; "" means that it passes
	}{
		{"not_null(id, text)", "nullif(text, 'b')", "source=x/day=2026-01-01: check not_null(id, text): 1 rows, such as source=x id=b1"},
		{"not_null(id)", "nullif(text, 'b')", ""},
		{"unique(source, id)", "text", ""},
		{"unique(day, text)", "'same'", "source=x/day=2026-01-01: check unique(day, text): 6 rows, such as day=2026-01-01 text=same"},
		{"unique(text)", "cast(null as varchar(10))", "source=x/day=2026-01-01: check unique(text): 6 rows, such as text=NULL"},
		{"accepted(text: a, b)", "nullif(text, 'c')", "source=x/day=2026-01-01: check accepted(text: a, b): 4 rows, such as source=x id=d1; source=x id=e1; source=x id=f1; source=x id=g1"},
		{"range(text: 1..7)", "cast(length(id) as bigint)", ""},
		{"range(text: ..1.5)", "cast(length(id) as bigint)", "source=x/day=2026-01-01: check range(text: ..1.5): 7 rows, such as source=x id=a1; source=x id=b1; source=x id=c1; source=x id=d1; source=x id=e1"},
		{"range(text: 0..1)", "cast('nan' as double)", "source=x/day=2026-01-01: check range(text: 0..1): 7 rows, such as source=x id=a1; source=x id=b1; source=x id=c1; source=x id=d1; source=x id=e1"},
		{"rows(7..7)", "text", ""},
		{"rows(8..)", "text", "source=x/day=2026-01-01: check rows(8..): 7 rows"},
	} {
		t.Run(c.check, func(t *testing.T) {
			r := newRig(t)
			r.models(fmt.Sprintf(longPosts, c.check, c.column))
			var posts []feedlake.Post
			for _, l := range "abcdefg" {
				posts = append(posts, post(string(l)+"1", "01-01", string(l)))
			}
			r.land(posts...)
			rep, err := r.transform()
			var got string
			if f := of(t, rep, "features.long").Failures; len(f) > 0 {
				got = f[0].String()
			}
			if got != c.want || (err != nil) != (c.want != "") {
				t.Errorf("got  %q, %v\nwant %q", got, err, c.want)
			}
		})
	}
}

func TestRowCountOfEmptiedPartition(t *testing.T) {
	r := newRig(t)
	r.models(strings.Replace(fmt.Sprintf(longPosts, "rows(1..)", "text"), "from raw.posts", "from raw.posts where not deleted", 1))
	r.land(post("a1", "01-01", "good"))
	r.mustTransform()
	path, err := lake.WriteRows(t.Context(), r.lake, "raw.posts", part("01-01"), []feedlake.Post{deleted(post("a1", "01-01", ""), time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.lake.Commit(t.Context(), lake.Commit{Table: "raw.posts", Add: []string{path}, ReplaceAll: true}); err != nil {
		t.Fatal(err)
	}
	rep, err := r.transform()
	if f := of(t, rep, "features.long").Failures; !errors.Is(err, feedlake.ErrRejected) || len(f) != 1 || f[0].Count != 0 {
		t.Errorf("failures %v, %v; want the emptied partition", f, err)
	}
	if got := r.rows("SELECT id FROM features.long"); len(got) != 1 {
		t.Errorf("rows %v: the old one must stay", got)
	}
}

func TestFreshIsAWarning(t *testing.T) {
	r := newRig(t)
	r.models(fmt.Sprintf(longPosts, "fresh(text, 48h)", "max(created_at) over ()"))
	r.land(post("a1", "01-01", "old"))
	rep := r.mustTransform()
	want := "check fresh(text, 48h): the newest text is 2026-01-01T10:00:00Z, 1418h0m0s old"
	for _, state := range []transforms.State{transforms.Built, transforms.UpToDate} {
		m := of(t, rep, "features.long")
		if diff := cmp.Diff([]string{want}, m.Warnings); diff != "" || m.State != state {
			t.Errorf("state %s, warnings (-want +got):\n%s", m.State, diff)
		}
		rep = r.mustTransform()
	}
	r.land(post("a2", "02-28", "new"))
	if m := of(t, r.mustTransform(), "features.long"); len(m.Warnings) != 0 {
		t.Errorf("warnings %v, want none", m.Warnings)
	}
}

func TestModelChangeRebuilds(t *testing.T) {
	r := newRig(t)
	r.models(fmt.Sprintf(longPosts, "not_null(id)", "text"))
	r.land(post("a1", "01-01", "one"), post("a2", "01-02", "two"))
	r.mustTransform()
	r.models("-- about: another sentence\n" + fmt.Sprintf(longPosts, "not_null(id)", "text") + " -- a comment\n")
	r.models(fmt.Sprintf(longPosts, "not_null(id, text)", "text"))
	if m := of(t, r.mustTransform(), "features.long"); m.State != transforms.UpToDate {
		t.Errorf("a changed head rebuilds: %+v", m)
	}
	r.models(fmt.Sprintf(longPosts, "not_null(id)", "upper(text) as shout, lower(text)"))
	rep := r.mustTransform()
	wantPartitions(t, rep, "features.long", part("01-01"), part("01-02"))
	if got := of(t, rep, "features.long").Reason; got != "model changed" {
		t.Errorf("reason %q", got)
	}
	r.models(fmt.Sprintf(longPosts, "not_null(id)", "text")) // and back: the column that is gone reads as NULL
	r.mustTransform()
	if got := r.rows("SELECT id, text, shout FROM features.long ORDER BY id"); got[0] != `{"id":"a1","text":"one","shout":null}` {
		t.Errorf("rows %v", got)
	}
	r.models(fmt.Sprintf(longPosts, "not_null(id)", "cast(1 as bigint)"))
	rep, err := r.transform()
	var hint *feedlake.HintError
	if !errors.Is(err, feedlake.ErrConflict) || !errors.As(err, &hint) || of(t, rep, "features.long").State != transforms.Failed {
		t.Errorf("a column that changes its type: got %v, want ErrConflict with a hint", err)
	}
}

// TestWholeBigRebuildInOneSnapshot wants the same rows whether a rebuild is one query
// or many, and one snapshot either way.
func TestWholeBigRebuildInOneSnapshot(t *testing.T) {
	t.Parallel()
	var posts []feedlake.Post
	for d := range 40 {
		at := time.Date(2026, 1, 1+d, 0, 0, 0, 0, time.UTC).Format("01-02")
		posts = append(posts, post("a"+at, at, "one #go @bob"), post("b"+at, at, "two #go #rust"))
	}
	whole, parts := newRig(t), newRig(t)
	for _, r := range []*rig{whole, parts} {
		r.ensure(lake.Fixed()...)
		r.land(posts...)
	}
	only := []string{"features.posts", "features.entities", "features.hashtag_hourly", "marts.volume"}
	whole.opts.Only, parts.opts.Only, parts.opts.MaxRows = only, only, 10
	whole.mustTransform()
	parts.mustTransform()
	if diff := cmp.Diff(whole.tables(), parts.tables()); diff != "" {
		t.Errorf("(-whole +parts):\n%s", diff)
	}
	if diff := cmp.Diff(whole.snapshots(), parts.snapshots()); diff != "" {
		t.Errorf("snapshots (-whole +parts):\n%s", diff)
	}
	if w, p := len(whole.engine.queries), len(parts.engine.queries); w != len(only) || p < 20 {
		t.Errorf("%d and %d queries: want one per model, and many", w, p)
	}
}

// TestLostRace lets a second run finish while the first computes.
func TestLostRace(t *testing.T) {
	for _, built := range []bool{false, true} {
		t.Run(fmt.Sprintf("built before %v", built), func(t *testing.T) {
			r := newRig(t)
			r.models(fmt.Sprintf(longPosts, "not_null(id)", "text"))
			r.land(post("a1", "01-01", "one"))
			if built {
				r.mustTransform()
			}
			r.land(post("a2", "01-01", "two"))
			r.meanwhile(func() {
				r.land(post("a3", "01-01", "three"))
				rival := &rig{t: r.t, lake: r.lake, engine: &recorder{Engine: r.engine.Engine}, graph: r.graph, opts: transforms.Options{RunID: "rival"}}
				rival.mustTransform()
			})
			rep := r.mustTransform()
			if m := of(t, rep, "features.long"); m.State != transforms.UpToDate {
				t.Errorf("after the race: %+v, want up to date by the rival's run", m)
			}
			if got := r.rows("SELECT id FROM features.long ORDER BY id"); len(got) != 3 {
				t.Errorf("rows %v, want each post once", got)
			}
		})
	}
}

// TestOutputChangedByAnother lets another writer, such as a takedown, replace a
// partition of the output while it is computed.
func TestOutputChangedByAnother(t *testing.T) {
	r := newRig(t)
	r.models(fmt.Sprintf(longPosts, "not_null(id)", "text"))
	r.land(post("a1", "01-01", "one"))
	r.mustTransform()
	r.land(post("a2", "01-01", "two"))
	r.meanwhile(func() {
		if _, err := r.lake.Commit(t.Context(), lake.Commit{Table: "features.long", Replace: []lake.Partition{part("01-01")}}); err != nil {
			t.Fatal(err)
		}
	})
	if m := of(t, r.mustTransform(), "features.long"); m.State != transforms.Built || len(r.engine.queries) != 2 {
		t.Errorf("%d queries, %+v; want it computed again on what the other left", len(r.engine.queries), m)
	}
	if got := r.rows("SELECT id FROM features.long ORDER BY id"); len(got) != 2 {
		t.Errorf("rows %v, want each post once", got)
	}
}

func TestFailedModelLeavesTheOthers(t *testing.T) {
	r := newRig(t)
	other := strings.ReplaceAll(countLong, "count_long", "other")
	r.models(fmt.Sprintf(longPosts, "not_null(id)", "text"), countLong, other)
	r.land(post("a1", "01-01", "one"))
	boom := errors.New("boom")
	r.engine.hook(func(_ context.Context, q transforms.Query) error {
		if q.Model.Name == "marts.count_long" {
			return boom
		}
		return nil
	})
	rep, err := r.transform()
	if !errors.Is(err, boom) || of(t, rep, "marts.count_long").State != transforms.Failed || of(t, rep, "marts.other").State != transforms.Built {
		t.Errorf("%v\n%s", err, rep.String())
	}
	r.engine.hook(nil)
	if got := states(r.mustTransform()); len(got[transforms.Built]) != 1 || len(got[transforms.UpToDate]) != 2 {
		t.Errorf("the next run: %v", got)
	}
}

func TestOnly(t *testing.T) {
	r := newRig(t)
	r.land(post("a1", "01-01", "one"))
	r.opts.Only = []string{"features.posts"}
	if rep := r.mustTransform(); len(rep.Models) != 1 || rep.Models[0].State != transforms.Built {
		t.Errorf("%s", rep.String())
	}
	r.opts.Only = []string{"features.post"}
	_, err := r.transform()
	var hint *feedlake.HintError
	if !errors.Is(err, feedlake.ErrNotFound) || !errors.As(err, &hint) || !strings.Contains(hint.Hint, "features.posts") {
		t.Errorf("unknown model: %v, want ErrNotFound and a suggestion", err)
	}
}

func TestCancelStopsTheRun(t *testing.T) {
	r := newRig(t)
	r.land(post("a1", "01-01", "one"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r.engine.hook(func(context.Context, transforms.Query) error { cancel(); return nil })
	rep, err := transforms.Run(ctx, transforms.Options{
		Lake: r.lake, Engine: r.engine, Graph: r.graph, RunID: "cancelled", Now: clock, Log: discardLog(), Parallel: 1,
	})
	if !errors.Is(err, context.Canceled) || len(rep.Models) != 1 {
		t.Errorf("got %v and %d models, want context.Canceled after the first", err, len(rep.Models))
	}
	r.engine.hook(nil)
	r.mustTransform()
}

func TestProgress(t *testing.T) {
	r := newRig(t)
	r.models(fmt.Sprintf(longPosts, "not_null(id)", "text"), countLong)
	r.land(post("a1", "01-01", "one"), post("a2", "01-02", "two"))
	var got []transforms.Progress
	r.opts.MaxRows, r.opts.Parallel = 1, 1
	r.opts.Progress = func(p transforms.Progress) { got = append(got, p) }
	r.mustTransform()
	want := []transforms.Progress{
		{Model: "features.long", Models: 2},
		{Model: "features.long", Models: 2, Partitions: 1, Of: 2, Rows: 1},
		{Model: "features.long", Models: 2, Partitions: 2, Of: 2, Rows: 2},
		{Model: "features.long", Models: 2, State: transforms.Built, Partitions: 2, Rows: 2},
		{Model: "marts.count_long", Index: 1, Models: 2},
		{Model: "marts.count_long", Index: 1, Models: 2, Partitions: 1, Of: 2, Rows: 1},
		{Model: "marts.count_long", Index: 1, Models: 2, Partitions: 2, Of: 2, Rows: 2},
		{Model: "marts.count_long", Index: 1, Models: 2, State: transforms.Built, Partitions: 2, Rows: 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}

// TestLookupComputesNothing adds rows to an input that a model only looks things
// up in: nothing is computed, until another input changes, and then with them.
func TestLookupComputesNothing(t *testing.T) {
	r := newRig(t)
	r.ensure(lake.Champions())
	r.models(`-- model: features.known
-- inputs: raw.posts, ml.champions lookup
-- partition: source, day
-- key: id

select p.source, cast(p.created_at as date) as day, p.id, count(l.model) as labels
from raw.posts p left join ml.champions l on l.model = p.id
group by p.source, cast(p.created_at as date), p.id`)
	label := func(id string) {
		t.Helper()
		path, err := lake.WriteRows(t.Context(), r.lake, "ml.champions", "", []struct {
			Model      string    `parquet:"model,optional"`
			Version    int64     `parquet:"version,optional"`
			PromotedAt time.Time `parquet:"promoted_at,optional,timestamp(microsecond)"`
			RunID      string    `parquet:"run_id,optional"`
		}{{id, 1, time.Unix(0, 0), "r"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.lake.Commit(t.Context(), lake.Commit{Table: "ml.champions", Add: []string{path}}); err != nil {
			t.Fatal(err)
		}
	}
	label("a1")
	r.land(post("a1", "01-01", "x"), post("b1", "01-02", "x"))
	r.mustTransform()
	label("b1")
	if got := states(r.mustTransform())[transforms.UpToDate]; len(got) != 1 {
		t.Errorf("new rows of a lookup: %v are up to date, want the model", got)
	}
	r.land(post("b2", "01-02", "x"))
	wantPartitions(t, r.mustTransform(), "features.known", part("01-02"))
	if got := fmt.Sprint(r.rows("SELECT id, labels FROM features.known ORDER BY id")); got != `[{"id":"a1","labels":1} {"id":"b1","labels":1} {"id":"b2","labels":0}]` {
		t.Error(got)
	}
}
