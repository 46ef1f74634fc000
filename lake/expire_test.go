package lake_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/lake"
)

// openLater opens a lake whose clock is ahead: what was committed just now is
// old there.
func openLater(t testing.TB, dir string, ahead time.Duration, ic lake.Interceptor) *lake.Lake {
	t.Helper()
	return openLaterAt(t, lake.Config{Dir: dir, Intercept: ic}, ahead)
}

func openLaterAt(t testing.TB, c lake.Config, ahead time.Duration) *lake.Lake {
	t.Helper()
	c.Now, c.Log = func() time.Time { return time.Now().Add(ahead) }, slog.New(slog.DiscardHandler)
	c.StorageNow = func(context.Context) (time.Time, error) { return c.Now(), nil }
	l, err := lake.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

const month = 30 * 24 * time.Hour

// diskFiles lists the files below the warehouse.
func diskFiles(t testing.TB, l *lake.Lake) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(filepath.Join(l.Dir(), "warehouse"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func snapshotIDs(t testing.TB, l *lake.Lake, table string) []int64 {
	t.Helper()
	list, err := l.Snapshots(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	out := []int64{}
	for _, s := range list {
		out = append(out, s.ID)
	}
	return out
}

func expire(t testing.TB, l *lake.Lake, o lake.ExpireOptions) lake.ExpiredTable {
	t.Helper()
	rep, err := l.Expire(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(rep.Tables, func(e lake.ExpiredTable) bool { return e.Table == "raw.posts" })
	return rep.Tables[i]
}

// readsEverywhere reads every snapshot that is kept, whole.
func readsEverywhere(t testing.TB, l *lake.Lake, table string) {
	t.Helper()
	db := openQuery(t)
	for _, id := range snapshotIDs(t, l, table) {
		files, err := l.Files(t.Context(), table, id)
		if err != nil {
			t.Fatalf("snapshot %d: %v", id, err)
		}
		var rows int64
		for _, f := range files {
			rows += f.Rows
		}
		if err := db.PinTable(t.Context(), l, table, id); err != nil {
			t.Fatal(err)
		}
		if got := texts(t, db, "select count(hash(t))::varchar from "+table+" as t"); got[0] != strconv.FormatInt(rows, 10) {
			t.Errorf("snapshot %d: %v rows, want %d", id, got, rows)
		}
	}
}

func TestExpireByAgeAndCount(t *testing.T) {
	dir := t.TempDir()
	l := lakeWithPosts(t, dir, nil)
	for i := range 6 { // every commit replaces the one before
		commit(t, l, lake.Commit{Replace: []lake.Partition{partitionOfDay("a", noon)}, Add: []string{write(t, l, "a", noon, fmt.Sprint(i))}})
	}
	all := snapshotIDs(t, l, "raw.posts")
	if e := expire(t, openLater(t, dir, time.Hour, nil), lake.ExpireOptions{KeepLast: 1}); len(e.Expired) != 0 || e.Kept != 6 {
		t.Errorf("young snapshots: %+v", e)
	}
	later := openLater(t, dir, month, nil)
	if e := expire(t, later, lake.ExpireOptions{}); len(e.Expired) != 0 {
		t.Errorf("fewer than ten: %+v", e)
	}
	disk := diskFiles(t, l)
	dry := expire(t, later, lake.ExpireOptions{KeepLast: 2, DryRun: true})
	if d := cmp.Diff(all, snapshotIDs(t, l, "raw.posts")); d != "" || !slices.Equal(disk, diskFiles(t, l)) {
		t.Error("a dry run changed the lake:", d)
	}
	got := expire(t, later, lake.ExpireOptions{KeepLast: 2})
	if d := cmp.Diff(all[:4], got.Expired); d != "" {
		t.Error("expired:", d)
	}
	if d := cmp.Diff(dry, got); d != "" {
		t.Error("dry run (-dry +real):", d)
	}
	if d := cmp.Diff(all[4:], snapshotIDs(t, l, "raw.posts")); d != "" {
		t.Error("kept:", d)
	}
	// The first file of all is in no snapshot any more: nor are 4 lists and their manifests.
	parquets := 0
	for _, f := range diskFiles(t, l) {
		if strings.HasSuffix(f, ".parquet") {
			parquets++
		}
	}
	if parquets != 2 || got.Files < 4+4 || got.Bytes == 0 {
		t.Errorf("%d data files left, %d files removed of %d bytes", parquets, got.Files, got.Bytes)
	}
	readsEverywhere(t, l, "raw.posts")
	if d := cmp.Diff([]string{"a/5"}, ids(t, l)); d != "" {
		t.Error(d)
	}
	commit(t, l, lake.Commit{Add: []string{write(t, l, "a", noon, "more")}})
	if d := cmp.Diff([]string{"a/5", "a/more"}, ids(t, l)); d != "" {
		t.Error(d)
	}
}

func TestExpireKeepsWhatIsNamed(t *testing.T) {
	dir := t.TempDir()
	l := lakeWithPosts(t, dir, nil)
	if err := l.Ensure(t.Context(), lake.Champions()); err != nil {
		t.Fatal(err)
	}
	var made []lake.Snapshot
	for i := range 7 {
		made = append(made, commit(t, l, lake.Commit{Replace: []lake.Partition{partitionOfDay("a", noon)}, Add: []string{write(t, l, "a", noon, fmt.Sprint(i))}}))
	}
	commit(t, l, lake.Commit{Table: "ml.champions", Set: map[string]string{
		"feedlake.inputs":        fmt.Sprintf(`{"raw.posts":%d,"x.y":3}`, made[1].ID),
		"feedlake.scored.model":  fmt.Sprintf(`{"version":2,"snapshot":%d}`, made[3].ID),
		"other.property":         fmt.Sprint(made[2].ID),
		"feedlake.scored-ticket": fmt.Sprint(made[4].ID) + "1",
	}})
	later := openLater(t, dir, month, nil)
	got := expire(t, later, lake.ExpireOptions{KeepLast: 1, Keep: map[string][]int64{"raw.posts": {made[5].ID}}})
	if d := cmp.Diff([]int64{made[0].ID, made[2].ID, made[4].ID}, got.Expired); d != "" {
		t.Error("expired:", d)
	}
	want := []lake.HeldSnapshot{{made[5].ID, "asked to keep"}, {made[3].ID, "named by ml.champions"}, {made[1].ID, "named by ml.champions"}}
	if d := cmp.Diff(want, got.Held); d != "" {
		t.Error("held:", d)
	}
	readsEverywhere(t, l, "raw.posts")
	got = expire(t, later, lake.ExpireOptions{All: true, Keep: map[string][]int64{"raw.posts": {made[5].ID}}})
	if d := cmp.Diff([]int64{made[1].ID, made[3].ID}, got.Expired); d != "" {
		t.Error("all expired:", d)
	}
	readsEverywhere(t, l, "raw.posts")
}

// TestExpireKeepsTheWay keeps the compactions that a reader from long ago needs
// to see that nothing changed.
func TestExpireKeepsTheWay(t *testing.T) {
	dir := t.TempDir()
	l := lakeWithPosts(t, dir, nil)
	manyFiles(t, l, "a", noon, 3)
	manyFiles(t, l, "b", noon, 3)
	seen := current(t, l, "raw.posts")
	commit(t, l, lake.Commit{Set: map[string]string{"feedlake.inputs": fmt.Sprintf(`{"raw.posts":%d}`, seen.ID)}})
	for range 2 {
		manyFiles(t, l, "a", noon, 2)
		if _, err := l.Compact(t.Context(), lake.CompactOptions{Rewrite: rewriter(t), MinFiles: 2}); err != nil {
			t.Fatal(err)
		}
	}
	got := expire(t, openLater(t, dir, month, nil), lake.ExpireOptions{KeepLast: 1})
	if len(got.Expired) != 5+2 { // before seen, and between
		t.Errorf("expired %d of 12", len(got.Expired))
	}
	changed, err := l.Changed(t.Context(), "raw.posts", seen.ID, current(t, l, "raw.posts").ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]lake.Partition{partitionOfDay("a", noon)}, changed); d != "" {
		t.Error(d)
	}
}
