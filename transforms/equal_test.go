package transforms_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/transforms"
)

// newestText shows the text of each post that was seen last: another version with
// the same text changes no row of it.
const newestText = `-- model: features.texts
-- inputs: raw.posts
-- partition: source, day
-- key: source, id

select source, cast(created_at as date) as day, id, max(text) as text, max(likes) as likes
from raw.posts group by source, cast(created_at as date), id
`

// textsByDay counts what stands behind it.
const textsByDay = `-- model: marts.texts
-- inputs: features.texts
-- partition: day
-- key: day

select day, cast(count(distinct text) as bigint) as texts from features.texts group by day
`

// TestEqualRowsStay lands versions that change rows of one day and none of another:
// only the first is replaced, and what stands behind the other is not computed.
func TestEqualRowsStay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.models(newestText, textsByDay)
	r.land(post("a", "01-01", "hello"), post("b", "01-02", "bye"), post("c", "01-02", "more"))
	r.mustTransform()

	r.land(seen(post("a", "01-01", ""), time.Hour, "hello"), seen(post("b", "01-02", ""), time.Hour, "zebra"))
	rep := r.mustTransform()
	m := of(t, rep, "features.texts")
	if diff := cmp.Diff([]lake.Partition{part("01-02")}, m.Partitions); diff != "" || m.Equal != 1 || m.State != transforms.Built {
		t.Errorf("%s%s", diff, rep.String())
	}
	if m := of(t, rep, "marts.texts"); len(r.engine.queries) != 2 || len(m.Partitions) != 0 || m.Equal != 1 { // a text for a text
		t.Errorf("behind it:\n%s", rep.String())
	}
	if got := r.rows("select concat_ws(' ', day, id, text, _run_id) as x from features.texts order by all"); cmp.Diff([]string{
		`{"x":"2026-01-01 a hello run-1"}`, `{"x":"2026-01-02 b zebra run-2"}`, `{"x":"2026-01-02 c more run-2"}`,
	}, got) != "" {
		t.Error(got)
	}

	r.land(seen(post("a", "01-01", ""), 2*time.Hour, "hello"))
	before := r.snapshots()
	rep = r.mustTransform()
	if m := of(t, rep, "features.texts"); m.State != transforms.UpToDate || m.Equal != 1 || of(t, rep, "marts.texts").State != transforms.UpToDate {
		t.Errorf("nothing came out another:\n%s", rep.String())
	}
	if diff := cmp.Diff(before, r.snapshots()); diff != "" {
		t.Errorf("snapshots (-before +now):\n%s", diff)
	}
	if r.mustTransform(); len(r.engine.queries) > 0 {
		t.Errorf("%d queries over what was looked at", len(r.engine.queries))
	}
	r.opts.Full = true
	if m := of(t, r.mustTransform(), "features.texts"); len(m.Partitions) != 2 || m.Equal != 0 {
		t.Errorf("asked for, and not rebuilt: %+v", m)
	}
}

// TestSwappedRowsAreReplaced keeps the number of rows, and the values of each column,
// while the rows change.
func TestSwappedRowsAreReplaced(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.models(newestText)
	r.land(post("a", "01-01", "a"), post("b", "01-01", "b"))
	r.mustTransform()
	if _, err := r.lake.Commit(t.Context(), lake.Commit{Table: "raw.posts", ReplaceAll: true}); err != nil {
		t.Fatal(err)
	}
	r.land(post("a", "01-01", "b"), post("b", "01-01", "a"))
	if m := of(t, r.mustTransform(), "features.texts"); len(m.Partitions) != 1 || m.Equal != 0 {
		t.Errorf("%+v", m)
	}
}

// TestDeletionsOfOthers lands deletions over many days: those of posts that nobody
// holds compute nothing, those of posts that are held take them away, and a post
// that comes after its deletion is gone.
func TestDeletionsOfOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.land(post("a", "01-01", "hello #x"), post("b", "01-02", "bye #y"), post("c", "01-03", "more"))
	r.mustTransform()
	tables := r.tables()

	r.land(deleted(post("n1", "01-01", ""), time.Hour), deleted(post("n2", "01-02", ""), time.Hour), deleted(post("n3", "01-20", ""), time.Hour))
	before := r.snapshots()
	rep := r.mustTransform()
	if len(r.engine.queries) > 0 || of(t, rep, "features.posts").State != transforms.UpToDate {
		t.Errorf("%d queries for deletions of posts that are not held:\n%s", len(r.engine.queries), rep.String())
	}
	if diff := cmp.Diff(before, r.snapshots()); diff != "" {
		t.Errorf("snapshots (-before +now):\n%s", diff)
	}
	if diff := cmp.Diff(tables, r.tables()); diff != "" {
		t.Errorf("tables (-before +now):\n%s", diff)
	}

	r.land(deleted(post("a", "01-01", ""), 2*time.Hour), deleted(post("n4", "01-02", ""), time.Hour), deleted(post("n5", "01-03", ""), time.Hour), post("d", "01-03", "new"))
	m := of(t, r.mustTransform(), "features.posts")
	if diff := cmp.Diff([]lake.Partition{part("01-01"), part("01-03")}, m.Partitions); diff != "" {
		t.Errorf("rebuilt (-want +got):\n%s", diff)
	}
	r.land(post("n2", "01-02", "said before it was deleted"), deleted(post("c", "01-15", ""), time.Hour))
	m = of(t, r.mustTransform(), "features.posts")
	if got := r.rows("select id from features.posts"); cmp.Diff([]string{`{"id":"b"}`, `{"id":"d"}`}, got) != "" {
		t.Errorf("%v of %v", got, m.Partitions)
	}
	whole := r.tables()
	r.opts.Full = true
	r.mustTransform()
	if diff := cmp.Diff(whole, r.tables()); diff != "" {
		t.Errorf("tables (-by parts +whole):\n%s", diff)
	}
}
