package enginetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/transforms"
)

// Run holds an engine to the contract of transforms.Engine. open starts one and
// closes it when its test ends.
func Run(t *testing.T, open func(t *testing.T) transforms.Engine) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, e transforms.Engine, r *rig)
	}{
		{"keeps types", keepsTypes},
		{"keeps nulls and lists", keepsNulls},
		{"empty inputs", emptyInputs},
		{"empty result", emptyResult},
		{"one file set per partition", partsRows},
		{"only the partitions asked for", limitsPartitions},
		{"only the hours asked for", limitsHours},
		{"many partitions", manyPartitions},
		{"extra and kept columns", extraColumns},
		{"never the same path twice", freshPaths},
		{"inputs do not outlive a query", forgetsInputs},
		{"queries at the same time", concurrent},
		{"no value in a partition column", refusesNullPartition},
		{"a type that tables lack", refusesType},
		{"fault with file and line", tellsLine},
		{"fault at run time", tellsFile},
		{"cancel", cancels},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t), newRig(t)) })
	}
}

const (
	whole  = "-- model: features.out\n-- inputs: raw.t\n-- key: id"
	byDay  = whole + "\n-- partition: source, day"
	letter = "SELECT * FROM (VALUES ('a', DATE '2026-01-01', 'x 1/2'), ('b', DATE '2026-01-01', 'x 1/2'), ('c', DATE '2026-01-02', 'x 1/2'), ('d', DATE '2026-01-02', 'ÿ=&%')) AS t(id, day, source)"
)

func letters(r *rig) map[string]input {
	return map[string]input{"raw.t": {columns("id", "VARCHAR", "day", "DATE", "source", "VARCHAR"), []lake.File{r.file("", letter)}}}
}

func mustRun(t *testing.T, e transforms.Engine, q transforms.Query) transforms.Output {
	t.Helper()
	out, err := e.Run(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	var rows int64
	for _, f := range out.Files {
		rows += f.Rows
		info, err := os.Stat(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() != f.Bytes {
			t.Errorf("%s has %d bytes, reported as %d", f.Path, info.Size(), f.Bytes)
		}
	}
	if rows != out.Rows {
		t.Errorf("files have %d rows, output says %d", rows, out.Rows)
	}
	return out
}

func everyType() (cols []lake.Column, row string) {
	return columns("id", "BIGINT", "s", "VARCHAR", "i", "INTEGER", "f", "DOUBLE", "b", "BOOLEAN", "d", "DATE", "t", "TIMESTAMPTZ", "l", "VARCHAR[]"),
		"SELECT CAST(9007199254740993 AS BIGINT) AS id, 'naïve 東京 👍' AS s, CAST(-7 AS INTEGER) AS i, CAST(0.1 AS DOUBLE) AS f, true AS b, " +
			"DATE '1999-12-31' AS d, TIMESTAMPTZ '2026-03-08 13:47:11.123456+00' AS t, ['a', NULL, ''] AS l"
}

func keepsTypes(t *testing.T, e transforms.Engine, r *rig) {
	cols, row := everyType()
	in := map[string]input{"raw.t": {cols, []lake.File{r.file("", row)}}}
	out := mustRun(t, e, r.query(r.model(whole, "select * from raw.t"), in))
	if diff := cmp.Diff(cols, out.Columns); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	want := [][]string{{"9007199254740993", "naïve 東京 👍", "-7", "0.1", "true", "1999-12-31", "2026-03-08 13:47:11.123456+00", `["a",null,""]`}}
	if diff := cmp.Diff(want, r.rows(cols, out.Files, "id")); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func keepsNulls(t *testing.T, e transforms.Engine, r *rig) {
	cols, row := everyType()
	nulls := []string{"CAST(1 AS BIGINT) AS id"}
	for _, c := range cols[1:] {
		nulls = append(nulls, "CAST(NULL AS "+c.Type+") AS "+c.Name)
	}
	in := map[string]input{"raw.t": {cols, []lake.File{
		r.file("", row),
		r.file("", "SELECT "+strings.Join(nulls, ", ")),
		r.file("", "SELECT * REPLACE (CAST(2 AS BIGINT) AS id, CAST([] AS VARCHAR[]) AS l, '' AS s) FROM ("+row+")"),
	}}}
	out := mustRun(t, e, r.query(r.model(whole, "select * from raw.t where id < 10"), in))
	got := r.rows(cols, out.Files, "id")
	want := [][]string{
		{"1", null, null, null, null, null, null, null},
		{"2", "", "-7", "0.1", "true", "1999-12-31", "2026-03-08 13:47:11.123456+00", "[]"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func emptyInputs(t *testing.T, e transforms.Engine, r *rig) {
	cols, _ := everyType()
	in := map[string]input{"raw.t": {columns: cols}}
	out := mustRun(t, e, r.query(r.model(whole, "select * from raw.t"), in))
	if diff := cmp.Diff(cols, out.Columns); diff != "" || len(out.Files) != 0 {
		t.Errorf("got files %v, columns (-want +got):\n%s", out.Files, diff)
	}
}

func emptyResult(t *testing.T, e transforms.Engine, r *rig) {
	for _, head := range []string{whole, byDay} {
		q := r.query(r.model(head, "select * from raw.t where id = 'nobody'"), letters(r))
		if out := mustRun(t, e, q); len(out.Files) != 0 || len(out.Columns) != 3 {
			t.Errorf("got %+v, want no files and 3 columns", out)
		}
	}
}

// byPartition reads the ids of each partition's files.
func byPartition(r *rig, out transforms.Output) map[lake.Partition]string {
	got := map[lake.Partition]string{}
	for _, f := range out.Files {
		for _, row := range r.rows(columns("id", "VARCHAR"), []lake.File{f}, "id") {
			got[f.Partition] += row[0]
		}
	}
	return got
}

func partsRows(t *testing.T, e transforms.Engine, r *rig) {
	out := mustRun(t, e, r.query(r.model(byDay, "select * from raw.t"), letters(r)))
	want := map[lake.Partition]string{
		lake.MakePartition("source", "x 1/2", "day", "2026-01-01"): "ab",
		lake.MakePartition("source", "x 1/2", "day", "2026-01-02"): "c",
		lake.MakePartition("source", "ÿ=&%", "day", "2026-01-02"):  "d",
	}
	if diff := cmp.Diff(want, byPartition(r, out)); diff != "" {
		t.Errorf("partitions (-want +got):\n%s", diff)
	}
	cols := columns("id", "VARCHAR", "day", "DATE", "source", "VARCHAR") // partition columns stand in the files too
	if rows := r.rows(cols, out.Files, "id"); rows[3][2] != "ÿ=&%" || rows[3][1] != "2026-01-02" {
		t.Errorf("row d is %v", rows[3])
	}
}

func limitsPartitions(t *testing.T, e transforms.Engine, r *rig) {
	one := lake.MakePartition("source", "x 1/2", "day", "2026-01-02")
	two := lake.MakePartition("source", "ÿ=&%", "day", "2026-01-02")
	gone := lake.MakePartition("source", "nobody", "day", "2026-01-02")
	for _, c := range []struct {
		list []lake.Partition
		want map[lake.Partition]string
	}{
		{[]lake.Partition{one}, map[lake.Partition]string{one: "c"}},
		{[]lake.Partition{one, two, gone}, map[lake.Partition]string{one: "c", two: "d"}},
		{[]lake.Partition{gone}, map[lake.Partition]string{}},
	} {
		q := r.query(r.model(byDay, "select * from raw.t"), letters(r))
		q.Partitions = c.list
		if diff := cmp.Diff(c.want, byPartition(r, mustRun(t, e, q))); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.list, diff)
		}
	}
}

func limitsHours(t *testing.T, e transforms.Engine, r *rig) {
	rows := "SELECT CAST(n AS VARCHAR) AS id, DATE '2026-01-01' + CAST(n // 24 AS INTEGER) AS day, TIMESTAMPTZ '2026-01-01 00:00:00+00' + to_hours(n) AS hour, 'x' AS source " +
		"FROM range(48) x(n) UNION ALL SELECT 'none', DATE '2026-01-01', NULL, 'x'"
	in := map[string]input{"raw.t": {columns("id", "VARCHAR", "day", "DATE", "hour", "TIMESTAMPTZ", "source", "VARCHAR"), []lake.File{r.file("", rows)}}}
	q := r.query(r.model(byDay, "select * from raw.t"), in)
	day := lake.MakePartition("source", "x", "day", "2026-01-01")
	q.Partitions = []lake.Partition{day}
	for _, h := range []int{23, 3, 30} { // the last is of another day
		q.Hours = append(q.Hours, time.Date(2026, 1, 1, h, 0, 0, 0, time.UTC))
	}
	out := mustRun(t, e, q)
	var got []string
	for _, row := range r.rows(out.Columns[:1], out.Files, "1") {
		got = append(got, row[0])
	}
	if diff := cmp.Diff([]string{"23", "3"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func manyPartitions(t *testing.T, e transforms.Engine, r *rig) {
	rows := "SELECT CAST(n AS VARCHAR) AS id, DATE '2026-01-01' + CAST(n % 150 AS INTEGER) AS day, 's' || n % 2 AS source FROM range(3000) x(n)"
	in := map[string]input{"raw.t": {columns("id", "VARCHAR", "day", "DATE", "source", "VARCHAR"), []lake.File{r.file("", rows)}}}
	out := mustRun(t, e, r.query(r.model(byDay, "select * from raw.t"), in))
	parts := map[lake.Partition]int64{}
	for _, f := range out.Files {
		parts[f.Partition] += f.Rows
	}
	if len(parts) != 150 || out.Rows != 3000 {
		t.Errorf("got %d partitions and %d rows, want 150 and 3000", len(parts), out.Rows)
	}
	for p, n := range parts {
		if n != 20 {
			t.Errorf("partition %s has %d rows, want 20", p, n)
		}
	}
}

func extraColumns(t *testing.T, e transforms.Engine, r *rig) {
	q := r.query(r.model(whole, "select id from raw.t where id = 'a'"), letters(r))
	q.Extra = []transforms.Constant{{Name: "_run_id", Value: "it's 1"}, {Name: "_model", Value: ""}}
	q.Keep = columns("id", "VARCHAR", "gone", "BIGINT", "_run_id", "VARCHAR")
	out := mustRun(t, e, q)
	want := columns("id", "VARCHAR", "_run_id", "VARCHAR", "_model", "VARCHAR", "gone", "BIGINT")
	if diff := cmp.Diff(want, out.Columns); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]string{{"a", "it's 1", "", null}}, r.rows(want, out.Files, "id")); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func freshPaths(t *testing.T, e transforms.Engine, r *rig) {
	q := r.query(r.model(byDay, "select * from raw.t"), letters(r))
	seen := map[string]bool{}
	for range 2 {
		for _, f := range mustRun(t, e, q).Files {
			if seen[f.Path] {
				t.Errorf("%s was written twice", f.Path)
			}
			seen[f.Path] = true
		}
	}
	r.onlyFiles(t, append(slices.Collect(maps.Keys(seen)), q.Inputs["raw.t"][0].Path))
}

// onlyFiles wants nothing in the rig's folder but the named files and the
// folders that they lie in.
func (r *rig) onlyFiles(t *testing.T, want []string) {
	t.Helper()
	folders := map[string]bool{r.dir: true, filepath.Join(r.dir, "spill"): true}
	for _, path := range want {
		for dir := filepath.Dir(path); len(dir) > len(r.dir); dir = filepath.Dir(dir) {
			folders[dir] = true
		}
	}
	var got []string
	err := filepath.WalkDir(r.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && (!d.IsDir() || !folders[path]) {
			got = append(got, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files left (-want +got):\n%s", diff)
	}
}

func forgetsInputs(t *testing.T, e transforms.Engine, r *rig) {
	mustRun(t, e, r.query(r.model(whole, "select * from raw.t"), letters(r)))
	m := r.model("-- model: features.out\n-- inputs: raw.other\n-- key: id", "select id from raw.t")
	_, err := e.Run(t.Context(), r.query(m, map[string]input{"raw.other": {columns: columns("id", "VARCHAR")}}))
	if !errors.Is(err, feedlake.ErrConfig) {
		t.Errorf("reading the last query's input: got %v, want an error wrapping ErrConfig", err)
	}
}

// concurrent runs queries of one table's name over different files side by side.
func concurrent(t *testing.T, e transforms.Engine, r *rig) {
	queries := make([]transforms.Query, 4)
	for i := range queries {
		in := map[string]input{"raw.t": {columns("id", "BIGINT"), []lake.File{r.file("", fmt.Sprintf("SELECT CAST(%d AS BIGINT) AS id", i))}}}
		queries[i] = r.query(r.model(whole, "select id from raw.t"), in)
	}
	outs, errs := make([]transforms.Output, len(queries)), make([]error, len(queries))
	var wg sync.WaitGroup
	for i := range queries {
		wg.Go(func() { outs[i], errs[i] = e.Run(t.Context(), queries[i]) })
	}
	wg.Wait()
	for i, out := range outs {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if diff := cmp.Diff([][]string{{fmt.Sprint(i)}}, r.rows(columns("id", "BIGINT"), out.Files, "id")); diff != "" {
			t.Errorf("query %d (-want +got):\n%s", i, diff)
		}
	}
}

// fails runs a query that must fail and leave no file.
func fails(t *testing.T, e transforms.Engine, r *rig, q transforms.Query, kind error) error {
	t.Helper()
	var before []string
	for _, files := range q.Inputs {
		for _, f := range files {
			before = append(before, f.Path)
		}
	}
	_, err := e.Run(t.Context(), q)
	if err == nil || (kind != nil && !errors.Is(err, kind)) {
		t.Fatalf("got %v, want an error wrapping %v", err, kind)
	}
	r.onlyFiles(t, before)
	return err
}

func refusesNullPartition(t *testing.T, e transforms.Engine, r *rig) {
	m := r.model(byDay, "select id, day, case when id <> 'c' then source end as source from raw.t")
	q := r.query(m, letters(r))
	_ = fails(t, e, r, q, feedlake.ErrRejected)
	q = r.query(m, letters(r))
	q.Partitions = []lake.Partition{lake.MakePartition("source", "ÿ=&%", "day", "2026-01-02")}
	_, err := e.Run(t.Context(), q)
	if !errors.Is(err, feedlake.ErrRejected) || !strings.Contains(err.Error(), "source") {
		t.Errorf("one partition asked for: got %v, want an error wrapping ErrRejected that names the column", err)
	}
}

func refusesType(t *testing.T, e transforms.Engine, r *rig) {
	err := fails(t, e, r, r.query(r.model(whole, "select id, cast(1 as decimal(20, 2)) as money from raw.t"), letters(r)), feedlake.ErrRejected)
	var hint *feedlake.HintError
	if !strings.Contains(err.Error(), "money") || !errors.As(err, &hint) {
		t.Errorf("got %v, want the column's name and a hint", err)
	}
}

func tellsLine(t *testing.T, e transforms.Engine, r *rig) {
	// The head has three lines and an empty one follows: nobody stands on line 6.
	err := fails(t, e, r, r.query(r.model(whole, "select id,\n  nobody\nfrom raw.t"), letters(r)), feedlake.ErrConfig)
	if !strings.Contains(err.Error(), "models/case.sql:6") || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("got %v, want models/case.sql:6 and the name", err)
	}
}

func tellsFile(t *testing.T, e transforms.Engine, r *rig) {
	err := fails(t, e, r, r.query(r.model(whole, "select cast(id as bigint) as id from raw.t"), letters(r)), nil)
	if !strings.Contains(err.Error(), "models/case.sql") {
		t.Errorf("got %v, want the model's file", err)
	}
}

// cancels stops a query that would take many minutes. It makes its rows from
// those of a file, a few for each: Spark's tasks look whether they are to stop
// when they take up the next row of their input, and until then keep all that
// came of one, in a cross join until memory is full.
func cancels(t *testing.T, e transforms.Engine, r *rig) {
	in := map[string]input{"raw.t": {columns("id", "BIGINT"), []lake.File{r.file("", "SELECT n AS id FROM range(2000000) x(n)")}}}
	m := r.model(whole, "select max(md5(cast(id * n as varchar(20)))) as id from (select id, explode(sequence(1, 2000)) as n from raw.t) x")
	q := r.query(m, in)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := e.Run(ctx, q); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want the context's error", err)
	}
	r.onlyFiles(t, []string{q.Inputs["raw.t"][0].Path})
	mustRun(t, e, r.query(r.model(whole, "select * from raw.t"), letters(r))) // and goes on
}
