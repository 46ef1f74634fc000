package lake_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/objects"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/serving/postgres/pgtest"
)

// home makes the place of a new, empty lake.
type home func(t *testing.T) lake.Config

func folderHome(t *testing.T) lake.Config { t.Helper(); return lake.Config{Dir: t.TempDir()} }

// postgresHome keeps catalogs on a server, each in a database of its own.
func postgresHome(t *testing.T) home {
	t.Helper()
	pg := pgtest.Start(t)
	var n atomic.Int64
	return func(t *testing.T) lake.Config {
		t.Helper()
		name := fmt.Sprintf("lake%d", n.Add(1))
		pg.CreateDatabase(name)
		return lake.Config{Dir: t.TempDir(), Catalog: pg.DSN(name)}
	}
}

// keepsPromises is what a lake promises wherever it lies.
func keepsPromises(t *testing.T, h home) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, home){
		"replaces whole partitions": replacesWholePartitions,
		"guards the cursor":         guardsTheCursor,
		"survives crashes":          survivesCrashes,
		"travels in time":           travelsInTime,
	} {
		t.Run(name, func(t *testing.T) { test(t, h) })
	}
}

func TestLakeInFolder(t *testing.T) {
	t.Parallel()
	keepsPromises(t, folderHome)
}

func TestLakeWithPostgresCatalog(t *testing.T) {
	t.Parallel()
	keepsPromises(t, postgresHome(t))
}

func replacesWholePartitions(t *testing.T, h home) {
	l := openAt(t, h(t), nil)
	ctx := t.Context()
	if err := l.Ensure(ctx, lake.RawPosts()); err != nil {
		t.Fatal(err)
	}
	day2 := noon.AddDate(0, 0, 1)
	base, err := l.Commit(ctx, lake.Commit{Table: "raw.posts", ID: "1", Add: []string{write(t, l, "a", noon, "1", "2"), write(t, l, "b", noon, "1"), write(t, l, "a", day2, "9")}})
	if err != nil {
		t.Fatal(err)
	}
	p := lake.MakePartition("source", "a", "day", "2026-01-10")
	for range 2 { // the second time it is a no-op: same ID
		if _, err := l.Commit(ctx, lake.Commit{Table: "raw.posts", ID: "2", Replace: []lake.Partition{p}, Base: base.ID, Add: []string{write(t, l, "a", noon, "3")}}); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff([]string{"a/3", "a/9", "b/1"}, ids(t, l)); d != "" {
		t.Error(d)
	}
	_, err = l.Commit(ctx, lake.Commit{Table: "raw.posts", ID: "3", Replace: []lake.Partition{p}, Base: base.ID})
	if !errors.Is(err, feedlake.ErrConflict) {
		t.Errorf("replace computed from an older snapshot: %v, want a conflict", err)
	}
	cur, err := l.Current(ctx, "raw.posts")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(ctx, lake.Commit{Table: "raw.posts", ID: "4", Replace: []lake.Partition{p}, Base: cur.ID}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"a/9", "b/1"}, ids(t, l)); d != "" {
		t.Error("emptied partition:", d)
	}
	before, err := l.Files(ctx, "raw.posts", base.ID)
	if err != nil {
		t.Fatal(err)
	}
	cur, err = l.Current(ctx, "raw.posts")
	if err != nil {
		t.Fatal(err)
	}
	after, err := l.Files(ctx, "raw.posts", cur.ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]lake.Partition{p}, lake.Diff(before, after)); d != "" {
		t.Error(d)
	}
}

func guardsTheCursor(t *testing.T, h home) {
	l := openAt(t, h(t), nil)
	ctx := t.Context()
	if err := l.Ensure(ctx, lake.RawPosts()); err != nil {
		t.Fatal(err)
	}
	step := func(from, to string, add ...string) error {
		_, err := l.Commit(ctx, lake.Commit{Table: "raw.posts", ID: from + ">" + to, Add: add, Set: map[string]string{"feedlake.cursor.x": to}, Expect: map[string]string{"feedlake.cursor.x": from}})
		return err
	}
	if err := step("", "1", write(t, l, "a", noon, "1")); err != nil {
		t.Fatal(err)
	}
	if err := step("", "1b", write(t, l, "a", noon, "1")); !errors.Is(err, feedlake.ErrConflict) {
		t.Errorf("second writer from the same cursor: %v, want a conflict", err)
	}
	if err := step("1", "2"); err != nil { // no rows: the cursor moves alone
		t.Fatal(err)
	}
	if err := step("1", "3"); !errors.Is(err, feedlake.ErrConflict) {
		t.Errorf("stale move without rows: %v, want a conflict", err)
	}
	if got, err := l.Property(ctx, "raw.posts", "feedlake.cursor.x"); got != "2" || err != nil {
		t.Errorf("cursor %q, %v", got, err)
	}
	if d := cmp.Diff([]string{"a/1"}, ids(t, l)); d != "" {
		t.Error(d)
	}
}

// survivesCrashes stops a replacing commit at every storage operation, before
// and after its effect, repeats it, and wants it to have happened once.
func survivesCrashes(t *testing.T, h home) {
	points := 0
	for _, after := range []bool{false, true} {
		for i, more := 0, true; more; i++ {
			t.Run(fmt.Sprintf("operation %d, after %v", i, after), func(t *testing.T) { more = crashAt(t, h, i, after) })
			if more {
				points++
			}
		}
	}
	if points < 4 {
		t.Errorf("only %d crash points: the interceptor sees too little", points)
	}
}

// crashAt stops the commit at operation i and repeats it; false when the commit
// has no such operation.
func crashAt(t *testing.T, h home, i int, after bool) bool {
	where := h(t)
	l := openAt(t, where, nil)
	if err := l.Ensure(t.Context(), lake.RawPosts()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(t.Context(), lake.Commit{Table: "raw.posts", ID: "1", Add: []string{write(t, l, "a", noon, "1"), write(t, l, "b", noon, "1")}}); err != nil {
		t.Fatal(err)
	}
	c := lake.Commit{
		Table: "raw.posts", ID: "2", Replace: []lake.Partition{lake.MakePartition("source", "a", "day", "2026-01-10")},
		Add: []string{write(t, l, "a", noon, "2")}, Set: map[string]string{"feedlake.cursor.x": "2"}, Expect: map[string]string{"feedlake.cursor.x": ""},
	}
	var hit atomic.Bool
	broken := openAt(t, where, failAt(i, after, &hit))
	_, err := broken.Commit(t.Context(), c)
	if !hit.Load() {
		if err != nil {
			t.Fatal(err)
		}
		return false
	}
	if _, err := l.Commit(t.Context(), c); err != nil {
		t.Fatalf("again: %v", err)
	}
	if d := cmp.Diff([]string{"a/2", "b/1"}, ids(t, l)); d != "" {
		t.Error(d)
	}
	return true
}

// commitsEach is how often each of three processes commits: a hundred times on
// a server, where writers of several machines meet.
func commitsEach(c lake.Config) int {
	if c.Catalog != "" && c.S3 == nil {
		return 100
	}
	return 25
}

// writerConfig passes a lake's place to a child process.
const writerConfig = "FEEDLAKE_TEST_WRITER"

// place is a lake's place as JSON; objects.S3Config keeps its secret to itself.
type place struct {
	Dir, Catalog                          string
	Endpoint, Bucket, Prefix, Key, Secret string
}

func placeOf(c lake.Config) place {
	p := place{Dir: c.Dir, Catalog: c.Catalog}
	if c.S3 != nil {
		p.Endpoint, p.Bucket, p.Prefix, p.Key, p.Secret = c.S3.Endpoint, c.S3.Bucket, c.S3.Prefix, c.S3.Key, c.S3.Secret
	}
	return p
}

func (p place) config() lake.Config {
	c := lake.Config{Dir: p.Dir, Catalog: p.Catalog}
	if p.Bucket != "" {
		c.S3 = &objects.S3Config{Endpoint: p.Endpoint, Bucket: p.Bucket, Prefix: p.Prefix, Key: p.Key, Secret: p.Secret}
	}
	return c
}

// TestWriter is the child process of severalProcesses.
func TestWriter(t *testing.T) {
	text := os.Getenv(writerConfig)
	if text == "" {
		return // not a child
	}
	var c place
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	l := openAt(t, c.config(), nil)
	for i := range commitsEach(c.config()) {
		id := fmt.Sprintf("%s-%d", os.Getenv("FEEDLAKE_TEST_WRITER_ID"), i)
		if _, err := l.Commit(t.Context(), lake.Commit{Table: "raw.posts", ID: id, Add: []string{write(t, l, "a", noon, id)}}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWholeSeveralProcesses lets programs meet in a folder and on a server.
func TestWholeSeveralProcesses(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]home{"folder": folderHome, "postgres": postgresHome(t)} {
		t.Run(name, func(t *testing.T) { severalProcesses(t, h) })
	}
}

// severalProcesses starts this test binary three times; each appends to one
// table, and nothing is lost or doubled.
func severalProcesses(t *testing.T, h home) {
	c := h(t)
	l := openAt(t, c, nil)
	if err := l.Ensure(t.Context(), lake.RawPosts()); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(placeOf(c))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWriter$")
			cmd.Env = append(os.Environ(), writerConfig+"="+string(text), fmt.Sprintf("FEEDLAKE_TEST_WRITER_ID=w%d", w))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("writer %d: %v\n%s", w, err, out)
			}
		})
	}
	wg.Wait()
	got := ids(t, l)
	want := 3 * commitsEach(c)
	if n := len(slices.Compact(slices.Clone(got))); len(got) != want || n != want {
		t.Errorf("%d rows, %d different, want %d", len(got), n, want)
	}
}

func travelsInTime(t *testing.T, h home) {
	l := openAt(t, h(t), nil)
	ctx := context.Background()
	for _, s := range lake.Fixed() {
		if err := l.Ensure(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	names, err := l.Tables(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(names) || len(names) != len(lake.Fixed()) {
		t.Errorf("tables %v", names)
	}
	if _, err := l.Current(ctx, "raw.nothing"); !errors.Is(err, feedlake.ErrNotFound) {
		t.Errorf("missing table: %v", err)
	}
	if s, err := l.Current(ctx, "raw.posts"); err != nil || s.ID != 0 {
		t.Errorf("empty table: %+v, %v", s, err)
	}
	first, err := l.Commit(ctx, lake.Commit{Table: "raw.posts", Add: []string{write(t, l, "a", noon, "1")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(ctx, lake.Commit{Table: "raw.posts", Add: []string{write(t, l, "a", noon, "2")}}); err != nil {
		t.Fatal(err)
	}
	db, err := query.Open(ctx, query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for at, want := range map[int64]int{first.ID: 1, 0: 0} {
		if _, err := db.Pin(ctx, l, map[string]int64{"raw.posts": at}); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := db.SQL().QueryRowContext(ctx, "select count(*) from raw.posts").Scan(&n); err != nil || n != want {
			t.Errorf("at %d: %d rows, %v, want %d", at, n, err, want)
		}
	}
	if _, err := l.Files(ctx, "raw.posts", 12345); !errors.Is(err, feedlake.ErrNotFound) {
		t.Errorf("missing snapshot: %v", err)
	}
	snaps, err := l.Snapshots(ctx, "raw.posts")
	if err != nil || len(snaps) != 2 || snaps[0].ID != first.ID {
		t.Errorf("snapshots %+v, %v", snaps, err)
	}
}
