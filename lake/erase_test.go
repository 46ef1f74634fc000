package lake_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// eraseRow is a row of the tests' table.
type eraseRow struct {
	Source string `parquet:"source,optional"`
	ID     string `parquet:"id,optional"`
	Text   string `parquet:"text,optional"`
}

// eraseIDs removes rows by id; meanwhile is called before each rewrite.
type eraseIDs struct {
	t         *testing.T
	ids       []string
	meanwhile func()
	loses     int // rows that the rewrite forgets
}

func (e eraseIDs) Find(_ context.Context, _ []lake.Column, files []lake.File) (map[string]lake.Affected, error) {
	out := map[string]lake.Affected{}
	for _, f := range files {
		for _, r := range readRows(e.t, f.Path) {
			if slices.Contains(e.ids, r.ID) {
				out[f.Path] = lake.Affected{Removed: out[f.Path].Removed + 1}
			}
		}
	}
	return out, nil
}

func (e eraseIDs) Rewrite(_ context.Context, _ []lake.Column, in []lake.File, out string) (int64, error) {
	if e.meanwhile != nil {
		e.meanwhile()
	}
	var rows []eraseRow
	for _, f := range in {
		rows = append(rows, slices.DeleteFunc(readRows(e.t, f.Path), func(r eraseRow) bool { return slices.Contains(e.ids, r.ID) })...)
	}
	rows = rows[min(e.loses, len(rows)):]
	return int64(len(rows)), parquet.WriteFile(out, rows)
}

func readRows(t *testing.T, path string) []eraseRow {
	t.Helper()
	rows, err := parquet.ReadFile[eraseRow](path)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

const eraseTable = "raw.things"

func eraseLake(t *testing.T) *lake.Lake {
	t.Helper()
	l := open(t, t.TempDir(), nil)
	err := l.Ensure(t.Context(), lake.Spec{
		Name: eraseTable, Partition: []string{"source"}, Key: []string{"source", "id"},
		Columns: []lake.Column{{Name: "source", Type: "VARCHAR"}, {Name: "id", Type: "VARCHAR"}, {Name: "text", Type: "VARCHAR"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{"a", "a", "b"} {
		addThings(t, l, source, 5)
	}
	return l
}

// addThings appends a file of n rows, whose ids go on from those there.
func addThings(t *testing.T, l *lake.Lake, source string, n int) {
	t.Helper()
	from := len(things(t, l, source))
	var rows []eraseRow
	for i := range n {
		rows = append(rows, eraseRow{source, fmt.Sprintf("%s%d", source, from+i), "text"})
	}
	path, err := lake.WriteRows(t.Context(), l, eraseTable, lake.MakePartition("source", source), rows)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(t.Context(), lake.Commit{Table: eraseTable, Add: []string{path}}); err != nil {
		t.Fatal(err)
	}
}

// things lists the ids of a source, sorted.
func things(t *testing.T, l *lake.Lake, source string) []string {
	t.Helper()
	cur, err := l.Current(t.Context(), eraseTable)
	if err != nil {
		t.Fatal(err)
	}
	files, err := l.Files(t.Context(), eraseTable, cur.ID)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, f := range files {
		for _, r := range readRows(t, f.Path) {
			if r.Source == source {
				ids = append(ids, r.ID)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

func TestEraseRewritesAffectedPartitionsOnly(t *testing.T) {
	l := eraseLake(t)
	b := things(t, l, "b")
	res, err := l.Erase(t.Context(), lake.EraseOptions{Table: eraseTable, Request: "r1", RunID: "run", Rows: eraseIDs{t: t, ids: []string{"a1", "a7"}}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Current(t.Context(), eraseTable)
	if err != nil {
		t.Fatal(err)
	}
	want := lake.EraseResult{Table: eraseTable, Removed: 2, Partitions: 1, Snapshot: s.ID}
	if diff := cmp.Diff(want, res); diff != "" || s.Summary[lake.SummaryErased] != "r1" || s.Summary[lake.SummaryRunID] != "run" {
		t.Errorf("(-want +got):\n%s%v", diff, s.Summary)
	}
	if diff := cmp.Diff([]string{"a0", "a2", "a3", "a4", "a5", "a6", "a8", "a9"}, things(t, l, "a")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(b, things(t, l, "b")); diff != "" {
		t.Error(diff)
	}
	again, err := l.Erase(t.Context(), lake.EraseOptions{Table: eraseTable, Rows: eraseIDs{t: t, ids: []string{"a1", "a7"}}})
	if err != nil || again.Removed != 0 || again.Snapshot != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	gone, err := l.Erase(t.Context(), lake.EraseOptions{Table: "raw.none", Rows: eraseIDs{t: t}})
	if err != nil || gone.Removed != 0 {
		t.Errorf("missing table: %+v, %v", gone, err)
	}
}

// A writer that appends to the same partition while it is rewritten loses
// nothing, and what it brings is searched too.
func TestEraseBesideWriter(t *testing.T) {
	l := eraseLake(t)
	writes := 0
	res, err := l.Erase(t.Context(), lake.EraseOptions{Table: eraseTable, Rows: eraseIDs{t: t, ids: []string{"a1", "a12"}, meanwhile: func() {
		if writes++; writes == 1 {
			addThings(t, l, "a", 5)
		}
	}}})
	if err != nil || res.Removed != 2 || writes != 2 {
		t.Fatalf("%+v after %d rewrites: %v", res, writes, err)
	}
	if got := things(t, l, "a"); len(got) != 13 || slices.Contains(got, "a1") || slices.Contains(got, "a12") {
		t.Errorf("left: %v", got)
	}
}

func TestEraseRefusesToLoseRows(t *testing.T) {
	l := eraseLake(t)
	before := things(t, l, "a")
	_, err := l.Erase(t.Context(), lake.EraseOptions{Table: eraseTable, Rows: eraseIDs{t: t, ids: []string{"a1"}, loses: 1}})
	if !errors.Is(err, feedlake.ErrRejected) {
		t.Errorf("error: %v", err)
	}
	if diff := cmp.Diff(before, things(t, l, "a")); diff != "" {
		t.Error(diff)
	}
}

// Sweep leaves the rows, also of a table that became empty, and then has
// nothing to do.
func TestSweep(t *testing.T) {
	l := eraseLake(t)
	for _, ids := range [][]string{{"b0"}, append(things(t, l, "a"), things(t, l, "b")...)} {
		if _, err := l.Erase(t.Context(), lake.EraseOptions{Table: eraseTable, Rows: eraseIDs{t: t, ids: ids}}); err != nil {
			t.Fatal(err)
		}
		a, b := things(t, l, "a"), things(t, l, "b")
		for _, want := range []bool{true, false} {
			did, err := l.Sweep(t.Context(), eraseTable, "r1", "run")
			if err != nil || did != want {
				t.Fatalf("sweep: %t, %v, want %t", did, err, want)
			}
		}
		if diff := cmp.Diff([][]string{a, b}, [][]string{things(t, l, "a"), things(t, l, "b")}); diff != "" {
			t.Error(diff)
		}
	}
	addThings(t, l, "a", 2)
	if got := things(t, l, "a"); len(got) != 2 {
		t.Errorf("after an append to the empty table: %v", got)
	}
}

func TestErasures(t *testing.T) {
	l := eraseLake(t)
	none, err := l.Erasures(t.Context())
	if err != nil || none.Len() != 0 || none.Post(&feedlake.Post{Source: "s", ID: "1"}) || none.Mentions("s", "1") || none.Label("d", "1") {
		t.Fatalf("without a table: %v, %v", none, err)
	}
	if err := l.Ensure(t.Context(), lake.Erased()); err != nil {
		t.Fatal(err)
	}
	list := []lake.Erasure{
		{Kind: lake.ErasedPost, Source: "s", Hash: lake.ErasedHash("s", "1"), At: time.Now(), RunID: "run"},
		{Kind: lake.ErasedPost, Source: "s", Hash: lake.ErasedHash("s", "at://did:plc:x/app.post/rk1"), At: time.Now(), RunID: "run"},
		{Kind: lake.ErasedAuthor, Source: "s", Hash: lake.ErasedHash("s", "au"), At: time.Now(), RunID: "run"},
		{Kind: lake.ErasedLabel, Source: "set", Hash: lake.ErasedHash("set", "l1"), At: time.Now(), RunID: "run"},
	}
	for i, want := range []int{4, 0} {
		n, err := l.AddErasures(t.Context(), append(list, list[0]))
		if err != nil || n != want {
			t.Fatalf("time %d: %d new, %v", i, n, err)
		}
	}
	e, err := l.Erasures(t.Context())
	if err != nil || e.Len() != 4 {
		t.Fatalf("%d, %v", e.Len(), err)
	}
	for _, c := range []struct {
		post feedlake.Post
		want bool
	}{
		{feedlake.Post{Source: "s", ID: "1"}, true},
		{feedlake.Post{Source: "x", ID: "1"}, false},
		{feedlake.Post{Source: "s", ID: "2", AuthorID: "au"}, true},
		{feedlake.Post{Source: "s", ID: "2", RepostOf: "1"}, true},
		{feedlake.Post{Source: "s", ID: "au", AuthorID: "1", ReplyTo: "1"}, false},
	} {
		if got := e.Post(&c.post); got != c.want {
			t.Errorf("%+v: %t, want %t", c.post, got, c.want)
		}
	}
	for text, want := range map[string]bool{
		`{"id":1,"x":2}`: true, `{"id":"1"}`: true, `{"id":12}`: false, "a,1,b": true, "1": true, "post s/1 created at": true, "id=au;": true,
		`{"uri":"at://did:plc:x/app.post/rk1"}`: true, `{"uri":"at://did:plc:x/app.post/rk2"}`: false, "": false, "a1 1a": false,
	} {
		if got := e.Mentions("s", text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
		if e.Mentions("x", text) {
			t.Errorf("%q of another source", text)
		}
	}
	if !e.Label("set", "l1") || e.Label("other", "l1") {
		t.Error("labels are told apart by their set")
	}
}
