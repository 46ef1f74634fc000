package lake_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// Bounds for tests: as many commits as it takes to meet them.
const (
	fewSnapshots = 12
	fewManifests = 6
)

func tend(t *testing.T, l *lake.Lake, o lake.TendOptions) lake.TendReport {
	t.Helper()
	o.Compact.Rewrite = rewriter(t)
	o.Snapshots, o.Manifests = fewSnapshots, fewManifests
	if o.Expire == nil {
		o.Expire = func(context.Context) (lake.ExpireOptions, error) { return lake.ExpireOptions{}, nil }
	}
	rep, err := l.Tend(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// TestTendBounds looks after a table that is committed to often: files, snapshots
// and manifests stay few, rows stay, and nothing counts as changed.
func TestTendBounds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := lakeWithPosts(t, dir, nil)
	manyFiles(t, l, "a", noon, fewSnapshots+30)
	want := rowsOf(t, l, "raw.posts", current(t, l, "raw.posts").ID, wholePosts)
	before := current(t, l, "raw.posts")

	rep := tend(t, l, lake.TendOptions{})
	if n := len(rep.Expired.Tables); n != 1 || len(rep.Expired.Tables[0].Expired) != 0 {
		t.Errorf("snapshots of this hour expired: %+v", rep.Expired)
	}
	if changed, err := l.Changed(t.Context(), "raw.posts", before.ID, current(t, l, "raw.posts").ID); err != nil || len(changed) > 0 {
		t.Errorf("changed %v, %v", changed, err)
	}
	later := openLater(t, dir, 2*time.Hour, nil)
	hold, err := later.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if rep := tend(t, later, lake.TendOptions{}); len(rep.Expired.Tables) > 0 {
		t.Errorf("expired beside a reader: %+v", rep.Expired)
	}
	if err := hold(); err != nil {
		t.Fatal(err)
	}
	tend(t, later, lake.TendOptions{})
	if n := len(snapshotIDs(t, later, "raw.posts")); n != fewSnapshots {
		t.Errorf("%d snapshots, want %d", n, fewSnapshots)
	}
	readsEverywhere(t, later, "raw.posts")
	cur := current(t, later, "raw.posts")
	files, err := later.Files(t.Context(), "raw.posts", cur.ID)
	if err != nil || len(files) != 1 {
		t.Errorf("%d files, %v; want 1", len(files), err)
	}
	if diff := cmp.Diff(want, rowsOf(t, later, "raw.posts", cur.ID, wholePosts)); diff != "" {
		t.Error(diff)
	}
	if rep := tend(t, later, lake.TendOptions{}); len(rep.Compacted.Partitions)+len(rep.Expired.Tables)+len(rep.Manifests) > 0 {
		t.Errorf("something was due again: %+v", rep)
	}
}

// TestTendManifests merges the manifests that replaced partitions leave, with the
// provenance of the table, and a restore finds its way over it.
func TestTendManifests(t *testing.T) {
	t.Parallel()
	l := lakeWithPosts(t, t.TempDir(), nil)
	var paths []string
	for i := range fewManifests + 1 {
		paths = append(paths, write(t, l, "a", noon.AddDate(0, 0, i), fmt.Sprint(i)))
	}
	commit(t, l, lake.Commit{Add: paths})
	var last lake.Snapshot
	for i := range fewManifests + 1 {
		day := noon.AddDate(0, 0, i)
		last = commit(t, l, lake.Commit{
			Replace: []lake.Partition{partitionOfDay("a", day)}, Add: []string{write(t, l, "a", day, "again", fmt.Sprint(i))},
			Set:     map[string]string{"feedlake.cursor.a": fmt.Sprint(i)},
			Summary: map[string]string{lake.SummaryModel: "m@1", lake.SummaryInputs: "x@1"},
		})
	}
	rep := tend(t, l, lake.TendOptions{Compact: lake.CompactOptions{RunID: "r"}})
	cur := current(t, l, "raw.posts")
	if len(rep.Manifests) != 1 || cur.ID == last.ID || cur.Summary[lake.SummaryModel] != "m@1" || cur.Summary[lake.SummaryRunID] != "r" {
		t.Fatalf("%v, %+v", rep.Manifests, cur)
	}
	if n := lake.CountManifests(t, l, "raw.posts"); n > 2 {
		t.Errorf("%d manifests", n)
	}
	if changed, err := l.Changed(t.Context(), "raw.posts", last.ID, cur.ID); err != nil || len(changed) > 0 {
		t.Errorf("changed %v, %v", changed, err)
	}
	if _, err := l.Restore(t.Context(), "raw.posts", last.Parent, lake.RestoreOptions{RunID: "r"}); err != nil {
		t.Error(err)
	}
	if v, err := l.Property(t.Context(), "raw.posts", "feedlake.cursor.a"); err != nil || v != fmt.Sprint(fewManifests-1) {
		t.Errorf("cursor %q, %v", v, err)
	}
}

// TestTendSparing lets a partition grow by files of one size: what is rewritten in
// all stays within a few times of what was written, and files stay few.
func TestTendSparing(t *testing.T) {
	t.Parallel()
	sizes, written, rewritten := []int64{}, int64(0), int64(0)
	for round := range 1000 {
		for range lake.DefaultTendFiles {
			sizes, written = append(sizes, 1), written+1
		}
		var n int64
		sizes, n = lake.SparingApply(sizes)
		rewritten += n
		if len(sizes) > 3*lake.DefaultTendFiles {
			t.Fatalf("round %d: %d files", round, len(sizes))
		}
	}
	if rewritten > 12*written || rewritten < written {
		t.Errorf("%d rewritten of %d written", rewritten, written)
	}
}

// TestTendBudget leaves for the next time what the bounds have no room for.
func TestTendBudget(t *testing.T) {
	t.Parallel()
	l := lakeWithPosts(t, t.TempDir(), nil)
	manyFiles(t, l, "a", noon, lake.DefaultTendFiles)
	manyFiles(t, l, "b", noon, lake.DefaultTendFiles+5)
	files, err := l.Files(t.Context(), "raw.posts", current(t, l, "raw.posts").ID)
	if err != nil {
		t.Fatal(err)
	}
	var b int64
	for _, f := range files {
		if f.Partition == partitionOfDay("b", noon) {
			b += f.Bytes
		}
	}
	if rep := tend(t, l, lake.TendOptions{Compact: lake.CompactOptions{Until: l.Now().Add(-time.Hour)}}); len(rep.Compacted.Partitions) > 0 {
		t.Errorf("rewritten too late: %+v", rep.Compacted.Partitions)
	}
	rep := tend(t, l, lake.TendOptions{Compact: lake.CompactOptions{MaxBytes: b}})
	if p := rep.Compacted.Partitions; len(p) != 1 || p[0].Partition != partitionOfDay("b", noon) {
		t.Errorf("%+v", p)
	}
	if p := tend(t, l, lake.TendOptions{}).Compacted.Partitions; len(p) != 1 || p[0].Partition != partitionOfDay("a", noon) {
		t.Errorf("the rest: %+v", p)
	}
}

// TestTendNeedsAnswer expires nothing when nobody can say what is needed.
func TestTendNeedsAnswer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := lakeWithPosts(t, dir, nil)
	manyFiles(t, l, "a", noon, fewSnapshots+30)
	later := openLater(t, dir, month, nil)
	n := len(snapshotIDs(t, l, "raw.posts"))
	_, err := later.Tend(t.Context(), lake.TendOptions{
		Compact: lake.CompactOptions{Rewrite: rewriter(t), MinFiles: 1 << 20},
		Expire:  func(context.Context) (lake.ExpireOptions, error) { return lake.ExpireOptions{}, feedlake.ErrBusy }, Snapshots: fewSnapshots,
	})
	if !errors.Is(err, feedlake.ErrBusy) || len(snapshotIDs(t, l, "raw.posts")) != n {
		t.Errorf("%v, %d of %d snapshots", err, len(snapshotIDs(t, l, "raw.posts")), n)
	}
}
