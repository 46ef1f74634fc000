package transforms_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/transforms"
)

// compact rewrites every table's small files.
func (r *rig) compact(t *testing.T) lake.CompactReport {
	t.Helper()
	db, err := query.Open(t.Context(), query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	rep, err := r.lake.Compact(t.Context(), lake.CompactOptions{MinFiles: 2, Rewrite: db.Rewrite})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// TestCompactionIsNoChange compacts inputs: the models are up to date, and a
// late post afterwards costs only its partitions.
func TestCompactionIsNoChange(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 3 {
		r.land(post(fmt.Sprintf("a%d", i), "01-01", "hello #x"), post(fmt.Sprintf("b%d", i), "01-10", "bye #y"))
	}
	r.mustTransform()
	tables := r.tables()
	if rep := r.compact(t); len(rep.Partitions) < 2 {
		t.Fatalf("compacted only %+v", rep.Partitions)
	}
	after := r.snapshots()
	rep := r.mustTransform()
	if s := states(rep); len(s[transforms.UpToDate])+len(s[transforms.Waiting]) != len(rep.Models) || len(s[transforms.UpToDate]) < 6 || len(r.engine.queries) != 0 {
		t.Errorf("after compaction: %d queries\n%s", len(r.engine.queries), rep.String())
	}
	if diff := cmp.Diff(after, r.snapshots()); diff != "" {
		t.Errorf("snapshots (-compacted +now):\n%s", diff)
	}
	if diff := cmp.Diff(tables, r.tables()); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}

	r.land(post("late", "01-10", "late #y"))
	r.compact(t)
	rep = r.mustTransform()
	if diff := cmp.Diff([]lake.Partition{part("01-10")}, of(t, rep, "features.posts").Partitions); diff != "" {
		t.Errorf("rebuilt (-want +got):\n%s", diff)
	}
	whole := newRig(t)
	for i := range 3 {
		whole.land(post(fmt.Sprintf("a%d", i), "01-01", "hello #x"), post(fmt.Sprintf("b%d", i), "01-10", "bye #y"))
	}
	whole.land(post("late", "01-10", "late #y"))
	whole.mustTransform()
	if diff := cmp.Diff(whole.tables(), r.tables()); diff != "" {
		t.Errorf("tables (-whole +by parts):\n%s", diff)
	}
}

// TestExpiryKeepsInputs expires all that may go: the models still find what
// they were made from.
func TestExpiryKeepsInputs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 3 {
		r.land(post(fmt.Sprintf("a%d", i), "01-01", "hello #x"))
	}
	r.mustTransform()
	r.compact(t)
	r.land(post("late", "01-02", "late #y"))
	r.compact(t)
	later, err := lake.Open(t.Context(), lake.Config{Dir: r.lake.Dir(), Now: time.Now, StorageNow: func(context.Context) (time.Time, error) { return time.Now().Add(time.Hour), nil }, Log: discardLog()})
	if err != nil {
		t.Fatal(err)
	}
	defer later.Close()
	exp, err := later.Expire(t.Context(), lake.ExpireOptions{KeepLast: 1, OlderThan: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	expired := map[string]int{}
	for _, e := range exp.Tables {
		expired[e.Table] = len(e.Expired)
	}
	if expired["raw.posts"] != 2 { // before the snapshot that the models name
		t.Errorf("expired %v", expired)
	}
	rep := r.mustTransform()
	if m := of(t, rep, "features.posts"); !cmp.Equal([]lake.Partition{part("01-02")}, m.Partitions) || m.Reason != "inputs changed" {
		t.Errorf("rebuilt %v: %s", m.Partitions, m.Reason)
	}
}
