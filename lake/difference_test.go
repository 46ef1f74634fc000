package lake_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// TestDifferences follows a table through appends, replacements and compactions,
// and holds what came and left against the rows.
func TestDifferences(t *testing.T) {
	l := lakeWithPosts(t, t.TempDir(), nil)
	day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	p := partitionOfDay("x", day)
	db := openQuery(t)
	start := current(t, l, "raw.posts").ID
	compacted := func() {
		if _, err := l.Compact(t.Context(), lake.CompactOptions{MinFiles: 2, Rewrite: db.Rewrite}); err != nil {
			t.Fatal(err)
		}
	}
	add := func(id string) string {
		path := write(t, l, "x", day, id)
		commit(t, l, lake.Commit{Table: "raw.posts", Add: []string{path}})
		return path
	}
	for _, c := range []struct {
		name           string
		do             func()
		added, removed []string // ids, since the step before
	}{
		{"rows come", func() { add("a"); add("b") }, []string{"a", "b"}, nil},
		{"compaction", compacted, nil, nil},
		{"rows come and are compacted", func() { add("c"); compacted(); add("d") }, []string{"c", "d"}, nil},
		{"a file comes and leaves", func() {
			path := add("e")
			commit(t, l, lake.Commit{Table: "raw.posts", Drop: []string{path}, Base: current(t, l, "raw.posts").ID})
		}, nil, nil},
		{"the partition is replaced", func() {
			commit(t, l, lake.Commit{Table: "raw.posts", Add: []string{write(t, l, "x", day, "a", "z")}, Replace: []lake.Partition{p}})
		}, []string{"a", "z"}, []string{"a", "b", "c", "d"}},
		{"it is emptied", func() { commit(t, l, lake.Commit{Table: "raw.posts", Replace: []lake.Partition{p}}) }, nil, []string{"a", "z"}},
	} {
		c.do()
		now := current(t, l, "raw.posts").ID
		list, err := l.Differences(t.Context(), "raw.posts", start, now)
		if err != nil {
			t.Fatal(err)
		}
		var added, removed []string
		for _, d := range list {
			added = append(added, idsOf(t, l, db, d.Added)...)
			removed = append(removed, idsOf(t, l, db, d.Removed)...)
		}
		if diff := cmp.Diff([][]string{c.added, c.removed}, [][]string{added, removed}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		start = now
	}
}

// idsOf reads the ids of some files.
func idsOf(t *testing.T, l *lake.Lake, db *query.DB, files []lake.File) []string {
	t.Helper()
	if len(files) == 0 {
		return nil
	}
	list := texts(t, db, "SELECT id FROM ("+query.Select([]lake.Column{{Name: "id", Type: "VARCHAR"}}, files)+")")
	slices.Sort(list)
	return list
}

// TestFileHours: a plan knows the hours of a file, where all rows have one.
func TestFileHours(t *testing.T) {
	l := lakeWithPosts(t, t.TempDir(), nil)
	spec := lake.Spec{Name: "features.hours", Columns: []lake.Column{{Name: "id", Type: "VARCHAR"}, {Name: "hour", Type: "TIMESTAMPTZ"}}, Key: []string{"id"}}
	if err := l.Ensure(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	db := openQuery(t)
	at := func(hour int) time.Time { return time.Date(2026, 1, 2, hour, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		rows string
		want lake.Hours
	}{
		{"('a', TIMESTAMPTZ '2026-01-02 03:00:00+00'), ('b', TIMESTAMPTZ '2026-01-02 05:00:00+00')", lake.Hours{Known: true, From: at(3).UnixMicro(), To: at(5).UnixMicro()}},
		{"('a', TIMESTAMPTZ '2026-01-02 03:00:00+00'), ('b', NULL)", lake.Hours{}},
	} {
		path, err := l.NewPath("features.hours", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.SQL().ExecContext(t.Context(), fmt.Sprintf("COPY (SELECT * FROM (VALUES %s) t(id, hour)) TO %s (FORMAT parquet)", c.rows, query.Quote(path))); err != nil {
			t.Fatal(err)
		}
		snap := commit(t, l, lake.Commit{Table: "features.hours", Add: []string{path}, ReplaceAll: true})
		files, err := l.Files(t.Context(), "features.hours", snap.ID)
		if err != nil || len(files) != 1 {
			t.Fatalf("%v, %v", files, err)
		}
		if files[0].Hours != c.want {
			t.Errorf("%s: got %+v, want %+v", c.rows, files[0].Hours, c.want)
		}
		if h := files[0].Hours; !h.MayHold([]time.Time{at(4)}) || h.Known == h.MayHold([]time.Time{at(2), at(6)}) {
			t.Errorf("%+v holds the wrong hours", h)
		}
	}
}
