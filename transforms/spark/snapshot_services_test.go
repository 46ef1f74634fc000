//go:build services

package spark_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/transforms"
	"github.com/feedlake/feedlake/transforms/spark"
)

// ids runs "select the key of a table" and reads what came out.
func ids(t *testing.T, e transforms.Engine, l *lake.Lake, table string, snapshot int64, want func(lake.Partition) bool) []string {
	t.Helper()
	files, err := l.Files(t.Context(), table, snapshot)
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(f lake.File) bool { return !want(f.Partition) })
	cols, err := l.Columns(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	m, err := transforms.ParseModel("models/ids.sql", []byte("-- model: features.ids\n-- inputs: "+table+"\n-- key: id\n\nselect concat(id, coalesce(lang, '-')) as id from "+table+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out, err := e.Run(t.Context(), transforms.Query{
		Model: m, Inputs: map[string][]lake.File{table: files}, Columns: map[string][]lake.Column{table: cols},
		Snapshots: map[string]int64{table: snapshot},
		Staging:   func(lake.Partition) (string, error) { return filepath.Join(dir, "out.parquet"), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]bool{}
	for _, f := range out.Files {
		rows, err := parquet.ReadFile[struct {
			ID string `parquet:"id,optional"`
		}](f.Path)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			set[r.ID] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// TestServiceReadsSnapshots reads partitions of Iceberg tables at snapshots
// that are not the newest: rows of other partitions and of later commits, and
// columns of later days, do not show.
func TestServiceReadsSnapshots(t *testing.T) {
	dir := t.TempDir()
	l := openPlain(t, dir)
	type row struct {
		Source    string    `parquet:"source,optional"`
		ID        string    `parquet:"id,optional"`
		CreatedAt time.Time `parquet:"created_at,optional,timestamp(microsecond)"`
	}
	type rowWithLang struct {
		row
		Lang string `parquet:"lang,optional"`
	}
	spec := lake.Spec{
		Name: "raw.posts", Partition: []string{"source", "day(created_at)"}, Key: []string{"id"},
		Columns: []lake.Column{{Name: "source", Type: "VARCHAR"}, {Name: "id", Type: "VARCHAR"}, {Name: "created_at", Type: "TIMESTAMPTZ"}},
	}
	if err := l.Ensure(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	at := func(day, hour int) time.Time { return time.Date(2026, 3, day, hour, 59, 59, 999999000, time.UTC) }
	var add []string
	write := func(p lake.Partition, path string, err error) {
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		add = append(add, path)
	}
	part := func(source string, day int) lake.Partition {
		return lake.MakePartition("source", source, "day", fmt.Sprintf("2026-03-%02d", day))
	}
	for _, source := range []string{"x", "y-z", `b\s'`} {
		for day := 1; day <= 5; day++ {
			p := part(source, day)
			path, err := lake.WriteRows(t.Context(), l, "raw.posts", p, []row{{source, fmt.Sprintf("%s%d-first", source, day), at(day, 0)}, {source, fmt.Sprintf("%s%d-last", source, day), at(day, 23)}})
			write(p, path, err)
		}
	}
	first, err := l.Commit(t.Context(), lake.Commit{Table: "raw.posts", Add: add})
	if err != nil {
		t.Fatal(err)
	}
	spec.Columns = append(spec.Columns, lake.Column{Name: "lang", Type: "VARCHAR"})
	if err := l.Ensure(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	add = nil
	path, err := lake.WriteRows(t.Context(), l, "raw.posts", part("x", 2), []rowWithLang{{row{"x", "x2-later", at(2, 5)}, "en"}})
	write(part("x", 2), path, err)
	second, err := l.Commit(t.Context(), lake.Commit{Table: "raw.posts", Add: add})
	if err != nil {
		t.Fatal(err)
	}

	e := openWith(t, spark.Options{Remote: address(t), Catalog: catalogOf(dir)})
	wanted := map[lake.Partition]bool{part("x", 2): true, part("x", 3): true, part("y-z", 5): true}
	in := func(p lake.Partition) bool { return wanted[p] }
	want := []string{"x2-first-", "x2-last-", "x3-first-", "x3-last-", "y-z5-first-", "y-z5-last-"}
	if diff := cmp.Diff(want, ids(t, e, l, "raw.posts", first.ID, in)); diff != "" {
		t.Errorf("at the first snapshot (-want +got):\n%s", diff)
	}
	want = append(want, "x2-lateren")
	slices.Sort(want)
	if diff := cmp.Diff(want, ids(t, e, l, "raw.posts", second.ID, in)); diff != "" {
		t.Errorf("at the second snapshot (-want +got):\n%s", diff)
	}
	files := openWith(t, spark.Options{Remote: address(t)})
	if diff := cmp.Diff(want, ids(t, files, l, "raw.posts", second.ID, in)); diff != "" {
		t.Errorf("the same files by path (-want +got):\n%s", diff)
	}
	// A folder with an escaped name: Spark reads all the files by path.
	wanted[part(`b\s'`, 1)] = true
	want = append(want, `b\s'1-first-`, `b\s'1-last-`)
	slices.Sort(want)
	if diff := cmp.Diff(want, ids(t, e, l, "raw.posts", second.ID, in)); diff != "" {
		t.Errorf("with an escaped folder (-want +got):\n%s", diff)
	}
}
