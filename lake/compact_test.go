package lake_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// openQuery opens a DuckDB for the length of a test.
func openQuery(t testing.TB) *query.DB {
	t.Helper()
	db, err := query.Open(context.WithoutCancel(t.Context()), query.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// rewriter is the Rewriter that the commands use.
func rewriter(t testing.TB) lake.Rewriter {
	t.Helper()
	return openQuery(t).Rewrite
}

// texts reads a query's one column.
func texts(t testing.TB, db *query.DB, text string) []string {
	t.Helper()
	rows, err := db.SQL().QueryContext(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := []string{}
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// rowsOf reads a query over a table at a snapshot, as text.
func rowsOf(t testing.TB, l *lake.Lake, table string, snapshot int64, text string) []string {
	t.Helper()
	db := openQuery(t)
	if err := db.PinTable(t.Context(), l, table, snapshot); err != nil {
		t.Fatal(err)
	}
	return texts(t, db, "select x::varchar from ("+text+") as q(x) order by 1")
}

// wholePosts spells every column of every post.
const wholePosts = "select to_json(p) from raw.posts as p"

func current(t testing.TB, l *lake.Lake, table string) lake.Snapshot {
	t.Helper()
	s, err := l.Current(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func commit(t testing.TB, l *lake.Lake, c lake.Commit) lake.Snapshot {
	t.Helper()
	if c.Table == "" {
		c.Table = "raw.posts"
	}
	s, err := l.Commit(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func partitionOfDay(source string, day time.Time) lake.Partition {
	return lake.MakePartition("source", source, "day", day.Format(time.DateOnly))
}

// manyFiles lands n files of one post each in one partition, a commit each.
func manyFiles(t *testing.T, l *lake.Lake, source string, day time.Time, n int) {
	t.Helper()
	for i := range n {
		commit(t, l, lake.Commit{Add: []string{write(t, l, source, day, fmt.Sprintf("%s%d", day.Format("02-"), i))}})
	}
}

func lakeWithPosts(t *testing.T, dir string, ic lake.Interceptor) *lake.Lake {
	t.Helper()
	l := open(t, dir, ic)
	if err := l.Ensure(t.Context(), lake.RawPosts()); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestCompactKeepsEveryRow(t *testing.T) {
	l := lakeWithPosts(t, t.TempDir(), nil)
	ctx := t.Context()
	day2 := noon.AddDate(0, 0, 1)
	manyFiles(t, l, "a", noon, 6)
	manyFiles(t, l, "a", day2, 2) // too few
	manyFiles(t, l, "b/ä", noon, 4)
	nulls := feedlake.Post{Source: "a", ID: "nulls", CreatedAt: noon, ObservedAt: noon, Hashtags: []string{}, Deleted: true, Payload: `{"x":"é"}`}
	path, err := lake.WriteRows(ctx, l, "raw.posts", partitionOfDay("a", noon), []feedlake.Post{nulls})
	if err != nil {
		t.Fatal(err)
	}
	before := commit(t, l, lake.Commit{Add: []string{path}, Summary: map[string]string{lake.SummaryModel: "m@1"}})
	want := rowsOf(t, l, "raw.posts", before.ID, wholePosts)

	dry, err := l.Compact(ctx, lake.CompactOptions{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if s := current(t, l, "raw.posts"); s.ID != before.ID || !dry.DryRun {
		t.Errorf("a dry run made snapshot %d", s.ID)
	}
	rep, err := l.Compact(ctx, lake.CompactOptions{RunID: "care-1", Rewrite: rewriter(t)})
	if err != nil {
		t.Fatal(err)
	}
	got := rep.Partitions
	if len(got) != 2 || len(dry.Partitions) != 2 {
		t.Fatalf("compacted %+v, dry %+v", got, dry.Partitions)
	}
	for i, p := range []lake.CompactedPartition{
		{Table: "raw.posts", Partition: partitionOfDay("a", noon), Rows: 7, FilesBefore: 7, FilesAfter: 1},
		{Table: "raw.posts", Partition: partitionOfDay("b/ä", noon), Rows: 4, FilesBefore: 4, FilesAfter: 1},
	} {
		p.BytesBefore = dry.Partitions[i].BytesBefore
		if d := cmp.Diff(p, dry.Partitions[i]); d != "" || p.BytesBefore == 0 {
			t.Error("dry run:", d)
		}
		p.Snapshot, p.BytesAfter = current(t, l, "raw.posts").ID, got[i].BytesAfter
		if d := cmp.Diff(p, got[i]); d != "" || p.BytesAfter == 0 {
			t.Error(d)
		}
	}
	after := current(t, l, "raw.posts")
	if after.Summary["feedlake.compacted"] != "true" || after.Summary[lake.SummaryRunID] != "care-1" || after.Summary[lake.SummaryModel] != "m@1" {
		t.Errorf("summary %v", after.Summary)
	}
	if d := cmp.Diff(want, rowsOf(t, l, "raw.posts", after.ID, wholePosts)); d != "" {
		t.Error("rows after:", d)
	}
	if d := cmp.Diff(want, rowsOf(t, l, "raw.posts", before.ID, wholePosts)); d != "" {
		t.Error("rows of the snapshot before:", d)
	}
	files, err := l.Files(ctx, "raw.posts", after.ID)
	if err != nil || len(files) != 4 {
		t.Errorf("%d files, %v, want 2 new and 2 old", len(files), err)
	}
	again, err := l.Compact(ctx, lake.CompactOptions{Rewrite: rewriter(t)})
	if err != nil || len(again.Partitions) != 0 || current(t, l, "raw.posts").ID != after.ID {
		t.Errorf("again: %+v, %v", again, err)
	}
}

// TestCompactOldColumns merges files from before and after a column was added,
// of every type.
func TestCompactOldColumns(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	ctx := t.Context()
	db, err := query.Open(ctx, query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	spec := lake.Spec{Name: "features.x", Columns: []lake.Column{
		{Name: "day", Type: "DATE"},
		{Name: "n", Type: "BIGINT"},
		{Name: "i", Type: "INTEGER"},
		{Name: "d", Type: "DOUBLE"},
		{Name: "b", Type: "BOOLEAN"},
		{Name: "at", Type: "TIMESTAMPTZ"},
		{Name: "tags", Type: "VARCHAR[]"},
	}, Partition: []string{"day"}}
	put := func(sql string) {
		t.Helper()
		if err := l.Ensure(ctx, spec); err != nil {
			t.Fatal(err)
		}
		path, err := l.NewPath("features.x", "day=2026-01-10")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.SQL().ExecContext(ctx, "copy ("+sql+") to "+query.Quote(path)+" (format parquet)"); err != nil {
			t.Fatal(err)
		}
		commit(t, l, lake.Commit{Table: "features.x", Add: []string{path}})
	}
	row := "select date '2026-01-10' as day, 9223372036854775807::bigint as n, (-1)::integer as i, 'nan'::double as d, true as b, timestamptz '2026-01-10 01:02:03.000004+00' as at, ['a', 'ä', ''] as tags"
	put(row)
	put(strings.NewReplacer("['a', 'ä', '']", "[]::varchar[]", "'nan'", "'-0.0'").Replace(row))
	spec.Columns = append(spec.Columns, lake.Column{Name: "more", Type: "VARCHAR"})
	put(row + ", 'm' as more")
	put("select date '2026-01-10' as day, null::bigint as n, null::integer as i, null::double as d, null::boolean as b, null::timestamptz as at, null::varchar[] as tags, null::varchar as more")
	text := `select row("day", n, i, d, b, "at", tags, more) from features.x`
	want := rowsOf(t, l, "features.x", current(t, l, "features.x").ID, text)
	if _, err := l.Compact(ctx, lake.CompactOptions{Rewrite: rewriter(t)}); err != nil {
		t.Fatal(err)
	}
	after := current(t, l, "features.x").ID
	if d := cmp.Diff(want, rowsOf(t, l, "features.x", after, text)); d != "" {
		t.Error(d)
	}
	if files, err := l.Files(ctx, "features.x", after); err != nil || len(files) != 1 {
		t.Errorf("%d files, %v", len(files), err)
	}
}

// TestCompactBesideWriters lets writers come between the rewriting and its
// commit.
func TestCompactBesideWriters(t *testing.T) {
	l := lakeWithPosts(t, t.TempDir(), nil)
	ctx := t.Context()
	manyFiles(t, l, "a", noon, 4)
	manyFiles(t, l, "b", noon, 4)
	manyFiles(t, l, "c", noon, 4)
	inner, first := rewriter(t), true
	rep, err := l.Compact(ctx, lake.CompactOptions{Rewrite: func(ctx context.Context, cols []lake.Column, in []lake.File, out string) error {
		if first {
			first = false
			commit(t, l, lake.Commit{Add: []string{write(t, l, "a", noon, "late")}})
			commit(t, l, lake.Commit{Replace: []lake.Partition{partitionOfDay("b", noon)}, Base: current(t, l, "raw.posts").ID, Add: []string{write(t, l, "b", noon, "new")}})
		}
		return inner(ctx, cols, in, out)
	}})
	if err != nil {
		t.Fatal(err)
	}
	skipped := map[lake.Partition]bool{}
	for _, p := range rep.Partitions {
		skipped[p.Partition] = p.Skipped
	}
	if d := cmp.Diff(map[lake.Partition]bool{partitionOfDay("a", noon): false, partitionOfDay("b", noon): true, partitionOfDay("c", noon): false}, skipped); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"a/10-0", "a/10-1", "a/10-2", "a/10-3", "a/late", "b/new", "c/10-0", "c/10-1", "c/10-2", "c/10-3"}, ids(t, l)); d != "" {
		t.Error(d)
	}
	files, err := l.Files(ctx, "raw.posts", current(t, l, "raw.posts").ID)
	if err != nil || len(files) != 4 {
		t.Errorf("%d files, %v, want late, new and two that are compacted", len(files), err)
	}
}

func TestCompactRefusesWrongRewrite(t *testing.T) {
	l := lakeWithPosts(t, t.TempDir(), nil)
	manyFiles(t, l, "a", noon, 5)
	before, inner := current(t, l, "raw.posts"), rewriter(t)
	var made string
	_, err := l.Compact(t.Context(), lake.CompactOptions{Rewrite: func(ctx context.Context, cols []lake.Column, in []lake.File, out string) error {
		made = out
		return inner(ctx, cols, in[1:], out)
	}})
	if !errors.Is(err, feedlake.ErrRejected) || current(t, l, "raw.posts").ID != before.ID {
		t.Errorf("a rewrite that lost a row: %v", err)
	}
	if _, err := os.Stat(made); !os.IsNotExist(err) {
		t.Errorf("its file stays: %v", err)
	}
	if _, err := l.Compact(t.Context(), lake.CompactOptions{}); !errors.Is(err, feedlake.ErrConfig) {
		t.Errorf("no rewriter: %v", err)
	}
	if _, err := l.Compact(t.Context(), lake.CompactOptions{DryRun: true, Tables: []string{"raw.none"}}); !errors.Is(err, feedlake.ErrNotFound) {
		t.Errorf("no such table: %v", err)
	}
}

func TestChangedIgnoresCompaction(t *testing.T) {
	l := lakeWithPosts(t, t.TempDir(), nil)
	ctx := t.Context()
	compact := func() lake.Snapshot {
		t.Helper()
		if _, err := l.Compact(ctx, lake.CompactOptions{Rewrite: rewriter(t), MinFiles: 2}); err != nil {
			t.Fatal(err)
		}
		return current(t, l, "raw.posts")
	}
	check := func(what string, from, to lake.Snapshot, want ...lake.Partition) {
		t.Helper()
		got, err := l.Changed(ctx, "raw.posts", from.ID, to.ID)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if d := cmp.Diff(append([]lake.Partition{}, want...), append([]lake.Partition{}, got...)); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	a, b := partitionOfDay("a", noon), partitionOfDay("b", noon)
	manyFiles(t, l, "a", noon, 3)
	manyFiles(t, l, "b", noon, 3)
	s1 := current(t, l, "raw.posts")
	s2 := compact()
	check("one compaction", s1, s2)
	check("from nothing", lake.Snapshot{}, s2, a, b)
	check("nothing", lake.Snapshot{}, lake.Snapshot{})
	manyFiles(t, l, "a", noon, 1)
	s3 := current(t, l, "raw.posts")
	check("a late post after it", s1, s3, a)
	s4 := compact()
	check("two compactions around a late post", s1, s4, a)
	check("the second only", s3, s4)
	check("backwards", s4, s1, a, b) // no way back is known: more than must be
	commit(t, l, lake.Commit{Replace: []lake.Partition{b}, Base: s4.ID})
	s5 := current(t, l, "raw.posts")
	check("a deletion", s2, s5, a, b)
	check("a deletion alone", s4, s5, b)
	if _, err := l.Changed(ctx, "raw.posts", 12345, s5.ID); !errors.Is(err, feedlake.ErrNotFound) {
		t.Errorf("unknown snapshot: %v", err)
	}
	// A commit that was computed before a compaction is not in its way.
	manyFiles(t, l, "b", noon, 2)
	base := current(t, l, "raw.posts")
	compact()
	commit(t, l, lake.Commit{Replace: []lake.Partition{b}, Base: base.ID, Add: []string{write(t, l, "b", noon, "computed")}})
	if got := ids(t, l); got[len(got)-1] != "b/computed" || len(got) != 5 {
		t.Errorf("rows %v", got)
	}
}

func TestDropMustBeLive(t *testing.T) {
	l := lakeWithPosts(t, t.TempDir(), nil)
	old := write(t, l, "a", noon, "1")
	base := commit(t, l, lake.Commit{Add: []string{old}})
	commit(t, l, lake.Commit{Drop: []string{old}, Base: base.ID, Add: []string{write(t, l, "a", noon, "2")}})
	_, err := l.Commit(t.Context(), lake.Commit{Table: "raw.posts", Drop: []string{old}, Base: base.ID, Add: []string{write(t, l, "a", noon, "3")}})
	if !errors.Is(err, feedlake.ErrConflict) {
		t.Errorf("a dropped file was dropped again: %v", err)
	}
	if d := cmp.Diff([]string{"a/2"}, ids(t, l)); d != "" {
		t.Error(d)
	}
}

func TestCareLock(t *testing.T) {
	dir := t.TempDir()
	l, other := lakeWithPosts(t, dir, nil), open(t, dir, nil)
	manyFiles(t, l, "a", noon, 4)
	inner := rewriter(t)
	_, err := l.Compact(t.Context(), lake.CompactOptions{Rewrite: func(ctx context.Context, cols []lake.Column, in []lake.File, out string) error {
		_, err := other.Compact(ctx, lake.CompactOptions{DryRun: true})
		var hint *feedlake.HintError
		if !errors.Is(err, feedlake.ErrBusy) || !errors.As(err, &hint) || !strings.Contains(err.Error(), fmt.Sprintf("compact of process %d", os.Getpid())) {
			t.Errorf("a second compaction: %v", err)
		}
		commit(t, other, lake.Commit{Add: []string{write(t, other, "a", noon, "meanwhile")}}) // writers do not wait
		return inner(ctx, cols, in, out)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Compact(t.Context(), lake.CompactOptions{DryRun: true}); err != nil {
		t.Errorf("after it: %v", err)
	}
}
