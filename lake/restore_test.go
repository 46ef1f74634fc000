package lake_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

func property(t testing.TB, l *lake.Lake, key string) string {
	t.Helper()
	v, err := l.Property(t.Context(), "raw.posts", key)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// step lands a post as ingest does: with the cursor behind it.
func step(t testing.TB, l *lake.Lake, source, id, from, to string) lake.Snapshot {
	t.Helper()
	key := "feedlake.cursor." + source
	path, err := lake.WriteRows(t.Context(), l, "raw.posts", partitionOfDay(source, noon), posts(source, noon, id))
	if err != nil {
		t.Fatal(err)
	}
	return commit(t, l, lake.Commit{
		ID: source + to, Add: []string{path}, Set: map[string]string{key: to, "feedlake.rejects." + source: to},
		Expect: map[string]string{key: from}, Summary: map[string]string{lake.SummaryModel: "m@" + to},
	})
}

func TestRestoreBringsCursorsBack(t *testing.T) {
	l := lakeWithPosts(t, t.TempDir(), nil)
	ctx := t.Context()
	step(t, l, "a", "1", "", "1")
	two := step(t, l, "a", "2", "1", "2")
	commit(t, l, lake.Commit{Set: map[string]string{"feedlake.cursor.a": "2b"}}) // nothing new there
	step(t, l, "b", "1", "", "1")
	if _, err := l.Compact(ctx, lake.CompactOptions{Rewrite: rewriter(t), MinFiles: 2}); err != nil {
		t.Fatal(err)
	}
	last := step(t, l, "a", "3", "2b", "3")

	got, err := l.Restore(ctx, "raw.posts", two.ID, lake.RestoreOptions{RunID: "restore-1"})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"a/1", "a/2"}, ids(t, l)); d != "" {
		t.Error(d)
	}
	if got.ID == two.ID || got.Parent != last.ID || got.Summary[lake.SummaryRunID] != "restore-1" || got.Summary[lake.SummaryModel] != "m@2" {
		t.Errorf("snapshot %+v", got)
	}
	for key, want := range map[string]string{"feedlake.cursor.a": "2b", "feedlake.cursor.b": "", "feedlake.rejects.a": "3", "feedlake.key": "source,id,observed_at"} {
		if v := property(t, l, key); v != want {
			t.Errorf("%s is %q, want %q", key, v, want)
		}
	}
	changed, err := l.Changed(ctx, "raw.posts", two.ID, got.ID)
	if err != nil || len(changed) != 0 {
		t.Errorf("changed %v, %v", changed, err)
	}
	step(t, l, "a", "3", "2b", "3") // the source brings it again, under the same commit id
	step(t, l, "a", "3", "2b", "3") // and asks after an unknown outcome
	if d := cmp.Diff([]string{"a/1", "a/2", "a/3"}, ids(t, l)); d != "" {
		t.Error("landed again:", d)
	}
	// And forward: what the restore took away comes back, with its cursors.
	if _, err := l.Restore(ctx, "raw.posts", last.ID, lake.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"a/1", "a/2", "a/3", "b/1"}, ids(t, l)); d != "" {
		t.Error(d)
	}
	if a, b := property(t, l, "feedlake.cursor.a"), property(t, l, "feedlake.cursor.b"); a != "3" || b != "1" {
		t.Errorf("cursors %q and %q, want 3 and 1", a, b)
	}
	n := len(snapshotIDs(t, l, "raw.posts"))
	if _, err := l.Restore(ctx, "raw.posts", last.ID, lake.RestoreOptions{}); err != nil || len(snapshotIDs(t, l, "raw.posts")) != n {
		t.Errorf("restored what is there: %v, %d snapshots after %d", err, len(snapshotIDs(t, l, "raw.posts")), n)
	}
}

func TestRestoreRefusesUnknownState(t *testing.T) {
	dir := t.TempDir()
	l := lakeWithPosts(t, dir, nil)
	ctx := t.Context()
	first := step(t, l, "a", "1", "", "1")
	long := strings.Repeat("x", 4000)
	second := step(t, l, "a", "2", "1", long)
	step(t, l, "a", "3", long, "3") // its undo is a file
	for _, f := range undoFiles(t, dir) {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Restore(ctx, "raw.posts", second.ID, lake.RestoreOptions{}); err != nil {
		t.Fatalf("the metadata log still knows the state: %v", err)
	}
	if v := property(t, l, "feedlake.cursor.a"); v != long {
		t.Errorf("cursor %.10q", v)
	}
	for _, f := range undoFiles(t, dir) {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 25 { // it forgets
		commit(t, l, lake.Commit{Set: map[string]string{"feedlake.cursor.b": fmt.Sprint(i)}})
	}
	before := current(t, l, "raw.posts")
	_, err := l.Restore(ctx, "raw.posts", first.ID, lake.RestoreOptions{})
	var hint *feedlake.HintError
	if !errors.Is(err, feedlake.ErrConflict) || !errors.As(err, &hint) || !strings.Contains(hint.Hint, "--keep-state") || current(t, l, "raw.posts").ID != before.ID {
		t.Errorf("unknown state: %v", err)
	}
	if _, err := l.Restore(ctx, "raw.posts", first.ID, lake.RestoreOptions{KeepState: true}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"a/1"}, ids(t, l)); d != "" || property(t, l, "feedlake.cursor.a") != long {
		t.Error("kept state:", d)
	}
	if _, err := l.Restore(ctx, "raw.posts", 12345, lake.RestoreOptions{}); !errors.Is(err, feedlake.ErrNotFound) {
		t.Errorf("unknown snapshot: %v", err)
	}
}

func undoFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "warehouse", "raw.db", "posts", "metadata", "undo-*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestRestoreWithLongCursors goes back beyond what the metadata log remembers
// with sources whose cursors have a megabyte each; what keeps them lives as long
// as the snapshots, through orphans and expiry.
func TestRestoreWithLongCursors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := lakeWithPosts(t, dir, nil)
	cursor := func(source string, n int) string {
		return fmt.Sprintf("%s-%d-", source, n) + strings.Repeat("c", 64<<10) // far more than a summary may hold
	}
	sources := []string{"a", "b"}
	was := map[string]string{}
	var second lake.Snapshot
	for n := 1; n <= 3; n++ {
		for _, source := range sources {
			s := step(t, l, source, fmt.Sprint(n), was[source], cursor(source, n))
			was[source] = cursor(source, n)
			if n == 2 {
				second = s
			}
		}
	}
	metas := metadataFiles(t, lake.Config{Dir: dir})
	for _, f := range metas[:len(metas)-1] { // the metadata log forgets
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	if got := orphans(t, openLater(t, dir, month, nil), lake.OrphanOptions{}); len(got) != 0 {
		t.Errorf("orphans took %v", got)
	}
	if _, err := l.Restore(t.Context(), "raw.posts", second.ID, lake.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		if got := property(t, l, "feedlake.cursor."+source); got != cursor(source, 2) {
			t.Errorf("cursor of %s: %.10q", source, got)
		}
	}
	if d := cmp.Diff([]string{"a/1", "a/2", "b/1", "b/2"}, ids(t, l)); d != "" {
		t.Error(d)
	}
	kept := len(undoFiles(t, dir))
	expire(t, openLater(t, dir, month, nil), lake.ExpireOptions{KeepLast: 2})
	if left := len(undoFiles(t, dir)); left == 0 || left >= kept {
		t.Errorf("%d files of cursors after expiry, %d before", left, kept)
	}
}

// TestRestoreBesideWriters lets a writer come between: the restore starts over
// and takes its post away too, whose cursor goes back.
func TestRestoreBesideWriters(t *testing.T) {
	dir := t.TempDir()
	l := lakeWithPosts(t, dir, nil)
	first := step(t, l, "a", "1", "", "1")
	step(t, l, "a", "2", "1", "2")
	done := false
	slow := open(t, dir, func(op, _ string, do func() error) error {
		if op == "commit" && !done {
			done = true
			step(t, l, "a", "3", "2", "3")
		}
		return do()
	})
	if _, err := slow.Restore(t.Context(), "raw.posts", first.ID, lake.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"a/1"}, ids(t, l)); d != "" || property(t, l, "feedlake.cursor.a") != "1" {
		t.Errorf("cursor %s %s", property(t, l, "feedlake.cursor.a"), d)
	}
}

func TestAt(t *testing.T) {
	dir := t.TempDir()
	l := lakeWithPosts(t, dir, nil)
	start := time.Now().Add(-time.Minute)
	var made []lake.Snapshot
	for i := range 3 {
		s := commit(t, l, lake.Commit{Add: []string{write(t, l, "a", noon, fmt.Sprint(i))}})
		if i > 0 && !s.At.After(made[i-1].At) {
			t.Fatalf("two commits in one millisecond")
		}
		made = append(made, s)
	}
	at := func(when time.Time) int64 {
		t.Helper()
		s, err := l.At(t.Context(), "raw.posts", when)
		if errors.Is(err, feedlake.ErrNotFound) {
			return 0
		}
		if err != nil {
			t.Fatal(err)
		}
		return s.ID
	}
	expect := func(when time.Time, want int64) {
		t.Helper()
		if got := at(when); got != want {
			t.Errorf("at %s: %d, want %d", when, got, want)
		}
	}
	expect(start, 0)
	for i, s := range made {
		expect(s.At, s.ID)
		if i > 0 {
			expect(s.At.Add(-time.Millisecond), made[i-1].ID)
		}
	}
	expect(time.Now().Add(month), made[2].ID)
	expire(t, openLater(t, dir, month, nil), lake.ExpireOptions{KeepLast: 2})
	expect(made[0].At, 0)
	expect(made[1].At, made[1].ID)
}

// TestWholeRestoreCrash stops a restore at every storage operation: the table holds
// all of it or nothing, and a second try ends the work.
func TestWholeRestoreCrash(t *testing.T) {
	t.Parallel()
	points := 0
	for _, after := range []bool{false, true} {
		for i := 0; ; i++ {
			dir := t.TempDir()
			l := lakeWithPosts(t, dir, nil)
			first := step(t, l, "a", "1", "", "1")
			commit(t, l, lake.Commit{Replace: []lake.Partition{partitionOfDay("a", noon)}, Add: []string{write(t, l, "a", noon, "2")}, Set: map[string]string{"feedlake.cursor.a": "2"}})
			var hit atomic.Bool
			_, err := open(t, dir, failAt(i, after, &hit)).Restore(t.Context(), "raw.posts", first.ID, lake.RestoreOptions{})
			if !hit.Load() {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			points++
			rows, cursor := strings.Join(ids(t, l), " "), property(t, l, "feedlake.cursor.a")
			if state := rows + " " + cursor; state != "a/1 1" && state != "a/2 2" {
				t.Errorf("operation %d, after %v: %s", i, after, state)
			}
			if _, err := l.Restore(t.Context(), "raw.posts", first.ID, lake.RestoreOptions{}); err != nil {
				t.Fatalf("operation %d, after %v: again: %v", i, after, err)
			}
			if d := cmp.Diff([]string{"a/1"}, ids(t, l)); d != "" || property(t, l, "feedlake.cursor.a") != "1" {
				t.Errorf("operation %d, after %v: %s", i, after, d)
			}
		}
	}
	if points < 8 {
		t.Errorf("only %d crash points", points)
	}
}
