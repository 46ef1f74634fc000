package lake_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// age makes a file or folder look older.
func age(t testing.TB, path string, by time.Duration) {
	t.Helper()
	at := time.Now().Add(-by)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, path string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("left behind"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func orphans(t testing.TB, l *lake.Lake, o lake.OrphanOptions) []string {
	t.Helper()
	rep, err := l.Orphans(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, f := range rep.Files {
		out = append(out, f.Path)
	}
	slices.Sort(out)
	return out
}

func gone(t testing.TB, path string) bool {
	t.Helper()
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}

func TestOrphans(t *testing.T) {
	dir := t.TempDir()
	l := openLater(t, dir, 0, nil)
	for _, s := range []lake.Spec{lake.RawPosts(), lake.RawRejects()} {
		if err := l.Ensure(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	manyFiles(t, l, "a/ä b", noon, 5)
	if _, err := l.Compact(t.Context(), lake.CompactOptions{Rewrite: rewriter(t)}); err != nil {
		t.Fatal(err)
	}
	for range 25 { // beyond the metadata log
		commit(t, l, lake.Commit{Set: map[string]string{"feedlake.cursor.x": rand()}})
	}
	box, err := lake.WriteRows(t.Context(), l, "raw.rejects", "", []feedlake.Reject{{Source: "x", Reason: "r"}})
	if err != nil {
		t.Fatal(err)
	}
	value, err := json.Marshal(map[string]any{"id": "1", "files": []string{box}})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, l, lake.Commit{Set: map[string]string{"feedlake.rejects.x": string(value)}})
	live := diskFiles(t, l)
	for _, f := range live {
		age(t, f, month)
	}

	data := filepath.Join(dir, "warehouse", "raw", "posts", "data")
	old := []string{
		put(t, filepath.Join(data, "source=a", "lost.parquet")),
		put(t, filepath.Join(data, "abc.parquet.staging", "day=2026-01-01", "data_0.parquet")),
		put(t, filepath.Join(dir, "warehouse", "raw.db", "posts", "metadata", "00001-lost.metadata.json")),
		put(t, filepath.Join(dir, "tmp", "spill-123", "duckdb_temp_storage-0.tmp")),
	}
	young := []string{
		put(t, filepath.Join(data, "source=a", "young.parquet")),
		put(t, filepath.Join(data, "def.parquet.staging", "data_0.parquet")),
		put(t, filepath.Join(dir, "tmp", "spill-456", "duckdb_temp_storage-0.tmp")),
	}
	strange := put(t, filepath.Join(dir, "warehouse", "other", "table", "x.parquet")) // of no table here
	for _, f := range append(old, strange, filepath.Join(data, "abc.parquet.staging", "day=2026-01-01"), filepath.Join(data, "abc.parquet.staging"), filepath.Join(dir, "tmp", "spill-123")) {
		age(t, f, 25*time.Hour)
	}
	slices.Sort(old)

	if d := cmp.Diff(old, orphans(t, l, lake.OrphanOptions{DryRun: true})); d != "" {
		t.Error("dry run:", d)
	}
	if gone(t, old[0]) {
		t.Error("a dry run removed files")
	}
	if d := cmp.Diff([]string{}, orphans(t, l, lake.OrphanOptions{OlderThan: 26 * time.Hour})); d != "" {
		t.Error("floor of 26 hours:", d)
	}
	if d := cmp.Diff(old, orphans(t, l, lake.OrphanOptions{})); d != "" {
		t.Error("removed:", d)
	}
	for _, f := range append(old, filepath.Join(data, "abc.parquet.staging"), filepath.Join(dir, "tmp", "spill-123")) {
		if !gone(t, f) {
			t.Errorf("%s stays", f)
		}
	}
	for _, f := range slices.Concat(live, young, []string{strange}) {
		if gone(t, f) {
			t.Errorf("%s is gone", f)
		}
	}
	readsEverywhere(t, l, "raw.posts")
	var none *feedlake.HintError
	if _, err := l.Orphans(t.Context(), lake.OrphanOptions{OlderThan: time.Minute}); !errors.Is(err, feedlake.ErrConfig) || !errors.As(err, &none) {
		t.Errorf("a floor of a minute: %v", err)
	}
	if got := orphans(t, l, lake.OrphanOptions{OlderThan: time.Nanosecond, Force: true}); len(got) != len(young) {
		t.Errorf("forced: %v", got)
	}
	readsEverywhere(t, l, "raw.posts")
}

func rand() string { return fmt.Sprint(time.Now().UnixNano()) }

// TestOrphansSeesACommitBetween commits a file after it was listed.
func TestOrphansSeesACommitBetween(t *testing.T) {
	dir := t.TempDir()
	setup := lakeWithPosts(t, dir, nil)
	manyFiles(t, setup, "a", noon, 1)
	path := write(t, setup, "a", noon, "late")
	lost := put(t, filepath.Join(dir, "warehouse", "raw", "posts", "data", "lost.parquet"))
	l := openLater(t, dir, month, func(op, p string, do func() error) error {
		err := do()
		if op == "list" && filepath.Base(p) == "tmp" { // the last folder
			commit(t, setup, lake.Commit{Add: []string{path}})
		}
		return err
	})
	if d := cmp.Diff([]string{lost}, orphans(t, l, lake.OrphanOptions{})); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"a/10-0", "a/late"}, ids(t, setup)); d != "" {
		t.Error(d)
	}
}

// TestOrphansStopsAtABrokenTable removes nothing when it cannot tell what a
// table names.
func TestOrphansStopsAtABrokenTable(t *testing.T) {
	dir := t.TempDir()
	l := lakeWithPosts(t, dir, nil)
	manyFiles(t, l, "a", noon, 2)
	lost := put(t, filepath.Join(dir, "warehouse", "raw", "posts", "data", "lost.parquet"))
	lists, err := filepath.Glob(filepath.Join(dir, "warehouse", "raw.db", "posts", "metadata", "snap-*.avro"))
	if err != nil || len(lists) == 0 {
		t.Fatal(lists, err)
	}
	if err := os.Remove(lists[0]); err != nil {
		t.Fatal(err)
	}
	_, err = openLater(t, dir, month, nil).Orphans(t.Context(), lake.OrphanOptions{})
	var hint *feedlake.HintError
	if err == nil || !errors.As(err, &hint) || gone(t, lost) {
		t.Errorf("%v; the file is gone: %v", err, gone(t, lost))
	}
}
