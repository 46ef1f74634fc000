package transforms_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/transforms"
)

// growers keeps features.posts and features.entities, which grow by rows.
func growers(r *rig) *rig {
	r.opts.Only = []string{"features.posts", "features.entities"}
	return r
}

// wantGrown checks how many partitions of both models grew.
func wantGrown(t *testing.T, rep transforms.Report, posts, entities int) {
	t.Helper()
	got := [2]int{of(t, rep, "features.posts").Grown, of(t, rep, "features.entities").Grown}
	if got != [2]int{posts, entities} {
		t.Errorf("grown %v, want posts %d, entities %d\n%s", got, posts, entities, rep.String())
	}
}

// wantWhole holds the tables against a build of everything.
func wantWhole(t *testing.T, r *rig) {
	t.Helper()
	got := r.tables()
	r.opts.Full = true
	r.mustTransform()
	r.opts.Full = false
	if diff := cmp.Diff(r.tables(), got); diff != "" {
		t.Errorf("(-built whole +grown):\n%s", diff)
	}
}

// TestOnlyNewPostsGrow lands one thing after another in a day, and wants the day
// computed whole wherever something else happened than that posts came.
func TestOnlyNewPostsGrow(t *testing.T) {
	t.Parallel()
	a1, c1 := post("a1", "01-01", "hello #go"), post("c1", "01-02", "other day #go")
	other := a1
	other.Source = "y"
	for _, c := range []struct {
		name            string
		posts           []feedlake.Post
		posts1, entity1 int
	}{
		{"new posts", []feedlake.Post{post("n1", "01-01", "new #a"), post("n2", "01-01", "new #b")}, 1, 1},
		{"new posts of two days", []feedlake.Post{post("n1", "01-01", "new #a"), post("n2", "01-02", "new #b")}, 2, 2},
		{"new posts without a tag", []feedlake.Post{post("n1", "01-01", "new")}, 1, 0},
		{"two versions of a new post", []feedlake.Post{post("n1", "01-01", "new #a"), seen(post("n1", "01-01", ""), time.Hour, "edited #b")}, 1, 1},
		{"a deletion of a post that nobody holds", []feedlake.Post{deleted(post("n1", "01-01", ""), 0)}, 0, 0},
		{"an edit", []feedlake.Post{post("n1", "01-01", "new #a"), seen(a1, time.Hour, "edited #b")}, 0, 0},
		{"an edit of the other day", []feedlake.Post{post("n1", "01-01", "new #a"), seen(c1, time.Hour, "edited #b")}, 1, 1},
		{"a deletion", []feedlake.Post{post("n1", "01-01", "new #a"), deleted(a1, time.Hour)}, 0, 0},
		{"a post that lands again", []feedlake.Post{post("n1", "01-01", "new #a"), a1}, 0, 0},
		{"a post that moves", []feedlake.Post{post("n1", "01-02", "new #a"), moved(seen(a1, time.Hour, "moved"), 1)}, 0, 0},
		{"a new post that moves at once", []feedlake.Post{post("n1", "01-01", "new #a"), moved(seen(post("n1", "01-01", ""), time.Hour, "moved"), 1)}, 0, 0},
		{"a post of another source", []feedlake.Post{post("n1", "01-01", "new #a"), other}, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := growers(newRig(t))
			r.land(a1, post("a2", "01-01", "bye #go"), c1)
			r.mustTransform()
			r.land(c.posts...)
			wantGrown(t, r.mustTransform(), c.posts1, c.entity1)
			wantWhole(t, r)
		})
	}
}

// TestOneNetworkDoesNotGrow brings a post through a second source of its network:
// both sources' rows change.
func TestOneNetworkDoesNotGrow(t *testing.T) {
	t.Parallel()
	r := growers(newRig(t))
	a, b := post("a1", "01-01", "in x"), post("b1", "01-01", "in y")
	b.Source = "y"
	r.land(a, b)
	set := map[string]string{lake.PropertyNetwork + "x": "bluesky", lake.PropertyNetwork + "y": "bluesky"}
	if _, err := r.lake.Commit(t.Context(), lake.Commit{Table: "raw.posts", Set: set}); err != nil {
		t.Fatal(err)
	}
	r.mustTransform()
	both, fresh := a, post("b2", "01-01", "new in y #go")
	both.Source, fresh.Source = "y", "y"
	r.land(fresh)
	wantGrown(t, r.mustTransform(), 1, 1)
	r.land(both)
	wantGrown(t, r.mustTransform(), 0, 0)
	if diff := cmp.Diff([]string{`{"source":"x","id":"a1","copy":false}`, `{"source":"y","id":"a1","copy":true}`},
		r.rows("SELECT source, id, copy FROM features.posts WHERE id = 'a1' ORDER BY ALL")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantWhole(t, r)
}

// TestGrowthGoesOnAfterCompaction compacts everything between two batches, and
// between landing and building.
func TestGrowthGoesOnAfterCompaction(t *testing.T) {
	t.Parallel()
	r := growers(newRig(t))
	r.land(post("a1", "01-01", "hello #go"))
	r.mustTransform()
	for i := range 3 {
		r.land(post(fmt.Sprintf("b%d", i), "01-01", "new #go"))
		if i > 0 {
			r.compact(t)
		}
		wantGrown(t, r.mustTransform(), 1, 1)
		r.compact(t)
	}
	wantWhole(t, r)
}

// TestKeysAreACache loses and breaks the keys of raw.posts: the next batch may cost
// its day, the rows are right, and then posts grow again.
func TestKeysAreACache(t *testing.T) {
	t.Parallel()
	r := growers(newRig(t))
	r.land(post("a1", "01-01", "hello #go"))
	r.mustTransform()
	dir := filepath.Join(r.lake.Dir(), "keys", "raw.posts")
	n := 0
	land := func() transforms.Report {
		n++
		r.land(post(fmt.Sprintf("b%d", n), "01-01", "new #go"))
		return r.mustTransform()
	}
	wantGrown(t, land(), 1, 1)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	wantGrown(t, land(), 1, 1) // taken anew
	runs, err := filepath.Glob(filepath.Join(dir, "*.run"))
	if err != nil || len(runs) == 0 {
		t.Fatalf("runs %v, %v", runs, err)
	}
	for _, run := range runs {
		if err := os.Truncate(run, 5); err != nil {
			t.Fatal(err)
		}
	}
	wantGrown(t, land(), 0, 0)
	wantGrown(t, land(), 1, 1)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // not to be written
		t.Fatal(err)
	}
	land()
	wantWhole(t, r)
}

// TestRemovalTakesTheKeys: when rows leave raw.posts, as in a takedown, the hashes
// of their keys leave with them.
func TestRemovalTakesTheKeys(t *testing.T) {
	t.Parallel()
	r := growers(newRig(t))
	r.land(post("a1", "01-01", "hello"), post("b1", "01-02", "bye"))
	r.mustTransform()
	r.land(post("a2", "01-01", "new"))
	r.mustTransform()
	if _, err := r.lake.Commit(t.Context(), lake.Commit{Table: "raw.posts", Replace: []lake.Partition{part("01-02")}}); err != nil {
		t.Fatal(err)
	}
	r.mustTransform()
	if left, err := filepath.Glob(filepath.Join(r.lake.Dir(), "keys", "raw.posts", "*")); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	r.land(post("b1", "01-02", "again"), post("a3", "01-01", "new"))
	wantGrown(t, r.mustTransform(), 1, 0)
	wantWhole(t, r)
}

// TestHeldWhileOthersGrow lands new rows that fail a check in a partition whose old
// rows pass it: the old ones stay, the partition is tried again whole, and grows
// again once it is sound.
func TestHeldWhileOthersGrow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const model = "-- model: features.short\n-- inputs: raw.posts, features.scattered\n-- partition: source, day\n-- key: source, id\n-- grows: rows\n" +
		"-- check: accepted(text: good, fine)\n-- check: rows(..4)\n\n" +
		"select source, id, cast(created_at as date) as day, text from raw.posts where not coalesce(deleted, false) and id not in ('none')"
	r.models(model)
	r.land(post("a1", "01-01", "good"), post("a2", "01-02", "good"))
	r.mustTransform()
	const ids = "SELECT id FROM features.short ORDER BY id"
	step := func(what string, held bool, grown int, want string, posts ...feedlake.Post) {
		t.Helper()
		if len(posts) > 0 {
			r.land(posts...)
		}
		rep, err := r.transform()
		if held != errors.Is(err, feedlake.ErrRejected) || !held && err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if g := of(t, rep, "features.short").Grown; g != grown {
			t.Errorf("%s: grown %d, want %d", what, g, grown)
		}
		if got := strings.NewReplacer(`{"id":"`, "", `"}`, "").Replace(strings.Join(r.rows(ids), " ")); got != want {
			t.Errorf("%s: rows %s, want %s", what, got, want)
		}
	}
	step("one is bad", true, 1, "a1 a2 b2", post("b1", "01-01", "bad"), post("b2", "01-02", "fine"))
	step("again", true, 0, "a1 a2 b2")
	step("more beside it", true, 1, "a1 a2 b2 c2", post("c1", "01-01", "good"), post("c2", "01-02", "good"))
	if _, err := r.lake.Commit(t.Context(), lake.Commit{Table: "raw.posts", Replace: []lake.Partition{part("01-01")}}); err != nil {
		t.Fatal(err)
	}
	step("the bad ones are gone", false, 0, "a2 b2 c2 d1", post("d1", "01-01", "good"))
	step("sound again", false, 1, "a2 b2 c2 d1 d2", post("d2", "01-01", "good"))
	step("too many with the old ones", true, 0, "a2 b2 c2 d1 d2", post("e1", "01-02", "good"), post("e2", "01-02", "good"))
}

// TestTwoBuildersGrowOnce lets another run land and build in the middle of a run
// that grows: every post is there once.
func TestTwoBuildersGrowOnce(t *testing.T) {
	t.Parallel()
	for _, more := range []bool{false, true} { // whether posts land in between
		r := growers(newRig(t))
		r.land(post("a1", "01-01", "hello #go"))
		r.mustTransform()
		r.land(post("b1", "01-01", "new #go"))
		r.meanwhile(func() {
			if more {
				r.land(post("c1", "01-01", "newer #go"), seen(post("b1", "01-01", ""), time.Hour, "edited"))
			}
			o := r.opts
			o.Lake, o.Engine, o.Graph, o.Now, o.RunID, o.Log = r.lake, r.engine.Engine, r.graph, clock, "rival", discardLog()
			if rep, err := transforms.Run(t.Context(), o); err != nil {
				t.Errorf("%v\n%s", err, rep.String())
			}
		})
		r.mustTransform()
		wantWhole(t, r)
		r.land(post("d1", "01-01", "last #go"))
		wantGrown(t, r.mustTransform(), 1, 1)
		wantWhole(t, r)
	}
}

// TestOnlyTouchedHours lands one thing after another, and wants only the hours in
// which something happened to be computed, beside the files of the others.
func TestOnlyTouchedHours(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	twoGrowing(r)
	a1 := at(post("a1", "01-01", "hello"), 3)
	r.land(a1, at(post("a2", "01-01", "hello"), 5), post("a3", "01-01", "hello"), post("z1", "01-02", "hello"))
	r.mustTransform()
	for _, c := range []struct {
		name  string
		posts []feedlake.Post
		grown int      // partitions of which hours were computed
		hours []string // asked for
		files int      // of the day, after
	}{
		{"the same hour", []feedlake.Post{post("b1", "01-01", "new")}, 1, []string{"10"}, 2}, // it had one file with the others
		{"again", []feedlake.Post{post("b2", "01-01", "new")}, 1, []string{"10"}, 2},
		{"a new hour", []feedlake.Post{at(post("b3", "01-01", "new"), 11)}, 1, []string{"11"}, 3},
		{"two days", []feedlake.Post{at(post("b4", "01-01", "new"), 11), at(post("z2", "01-02", "new"), 23)}, 2, []string{"11", "23"}, 3},
		{"a late post", []feedlake.Post{at(post("b5", "01-01", "late"), 3)}, 1, []string{"03"}, 4},
		{"an edit: its hour is computed, and has as many posts", []feedlake.Post{seen(a1, time.Hour, "edited")}, 0, []string{"03"}, 4},
		{"a deletion", []feedlake.Post{deleted(at(post("b5", "01-01", ""), 3), time.Hour)}, 1, []string{"03"}, 4},
		{"the last post of an hour", []feedlake.Post{deleted(at(post("a2", "01-01", ""), 5), time.Hour)}, 1, []string{"05"}, 3},
	} {
		r.land(c.posts...)
		rep := r.mustTransform()
		m := of(t, rep, "marts.by_hour")
		if m.Grown != c.grown || len(m.Partitions) != c.grown {
			t.Errorf("%s: %d of %v grew, want %d", c.name, m.Grown, m.Partitions, c.grown)
		}
		var hours []string
		for _, q := range r.engine.queries {
			if q.Model.Name == "marts.by_hour" {
				for _, h := range q.Hours {
					hours = append(hours, h.Format("15"))
				}
			}
		}
		slices.Sort(hours) // queries run side by side
		if diff := cmp.Diff(c.hours, hours); diff != "" {
			t.Errorf("%s: hours (-want +got):\n%s", c.name, diff)
		}
		files, err := r.lake.Files(t.Context(), "marts.by_hour", m.Snapshot)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range files {
			if f.Partition == "day=2026-01-01" {
				n++
			}
		}
		if n != c.files {
			t.Errorf("%s: %d files, want %d", c.name, n, c.files)
		}
	}
	wantWhole(t, r)
}

// TestHeldHours lands an hour that fails a check: the old rows stay, those of that
// hour too, until the day is sound.
func TestHeldHours(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	twoGrowing(r)
	r.land(at(post("a1", "01-01", "hello"), 3), post("a2", "01-01", "hello"))
	r.mustTransform()
	var many []feedlake.Post
	for i := range 8 {
		many = append(many, post(fmt.Sprint("b", i), "01-01", "one too many"))
	}
	r.land(many...)
	rep, err := r.transform()
	if !errors.Is(err, feedlake.ErrRejected) || of(t, rep, "marts.by_hour").State != transforms.Held {
		t.Fatalf("got %v\n%s", err, rep.String())
	}
	const rows = "SELECT date_part('hour', hour) AS h, posts FROM marts.by_hour ORDER BY h"
	if diff := cmp.Diff([]string{`{"h":3,"posts":1}`, `{"h":10,"posts":1}`}, r.rows(rows)); diff != "" {
		t.Errorf("while it is held (-want +got):\n%s", diff)
	}
	r.land(deleted(many[0], time.Hour))
	m := of(t, r.mustTransform(), "marts.by_hour")
	if diff := cmp.Diff([]string{`{"h":3,"posts":1}`, `{"h":10,"posts":8}`}, r.rows(rows)); diff != "" || m.Grown != 0 {
		t.Errorf("%d grown; once it is sound (-want +got):\n%s", m.Grown, diff)
	}
	wantWhole(t, r)
}
