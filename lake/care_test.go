package lake_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// careOperation is one operation of lake care, and what must hold after it.
type careOperation struct {
	do    func(l *lake.Lake) error
	after func(t *testing.T, l *lake.Lake)
}

// TestWholeCareCrash stops every care operation at every storage operation, before
// and after its effect: the table reads the same, and the operation goes
// through afterwards.
func TestWholeCareCrash(t *testing.T) {
	t.Parallel()
	rewrite, db := rewriter(t), openQuery(t)
	for name, op := range map[string]careOperation{
		"compact": {
			func(l *lake.Lake) error {
				_, err := l.Compact(context.Background(), lake.CompactOptions{Rewrite: rewrite})
				return err
			},
			func(t *testing.T, l *lake.Lake) {
				t.Helper()
				if files, err := l.Files(t.Context(), "raw.posts", current(t, l, "raw.posts").ID); err != nil || len(files) != 2 {
					t.Errorf("%d files, %v, want 2", len(files), err)
				}
			},
		},
		"expire": {
			func(l *lake.Lake) error {
				_, err := l.Expire(context.Background(), lake.ExpireOptions{KeepLast: 1})
				return err
			},
			func(t *testing.T, l *lake.Lake) {
				t.Helper()
				if n := len(snapshotIDs(t, l, "raw.posts")); n != 1 {
					t.Errorf("%d snapshots, want 1", n)
				}
			},
		},
		"orphans": {
			func(l *lake.Lake) error {
				_, err := l.Orphans(context.Background(), lake.OrphanOptions{})
				return err
			},
			func(t *testing.T, _ *lake.Lake) { t.Helper() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, keep := t.TempDir(), t.TempDir()
			want := landPosts(t, dir)
			copyTree(t, dir, keep)
			points := 0
			for _, after := range []bool{false, true} {
				for i := 0; crash(t, dir, op, i, after, want, db); i++ {
					copyTree(t, keep, dir)
					points++
				}
				copyTree(t, keep, dir)
			}
			if points < 8 {
				t.Errorf("only %d crash points", points)
			}
		})
	}
}

// landPosts makes a lake with something for every operation to do.
func landPosts(t *testing.T, dir string) []string {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{Dir: dir, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Ensure(t.Context(), lake.RawPosts()); err != nil {
		t.Fatal(err)
	}
	manyFiles(t, l, "a", noon, 2)
	commit(t, l, lake.Commit{Replace: []lake.Partition{partitionOfDay("a", noon)}, Add: []string{write(t, l, "a", noon, "x")}})
	manyFiles(t, l, "a", noon, 3)
	manyFiles(t, l, "b", noon, 1)
	write(t, l, "b", noon, "orphan")
	return ids(t, l)
}

// copyTree makes to the same as from.
func copyTree(t testing.TB, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// crash stops op at storage operation i, looks at the lake, and lets op go
// through. It answers false when op ends before that.
func crash(t *testing.T, dir string, op careOperation, i int, after bool, want []string, db *query.DB) bool {
	t.Helper()
	name := fmt.Sprintf("operation %d, after %v", i, after)
	open := func(ic lake.Interceptor) *lake.Lake {
		l, err := lake.Open(t.Context(), lake.Config{
			Dir: dir, Now: time.Now, Log: slog.New(slog.DiscardHandler), Intercept: ic,
			StorageNow: func(context.Context) (time.Time, error) { return time.Now().Add(month), nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	var hit atomic.Bool
	broken := open(failAt(i, after, &hit))
	err := errors.Join(op.do(broken), broken.Close())
	l := open(nil)
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	sound := func(when string) {
		t.Helper()
		if rep := check(t, l, lake.CheckOptions{}); len(rep.Problems) > 0 {
			t.Fatalf("%s, %s: %+v", name, when, rep.Problems)
		}
		if err := db.PinTable(t.Context(), l, "raw.posts", current(t, l, "raw.posts").ID); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, texts(t, db, "select source || '/' || id from raw.posts order by all")); d != "" {
			t.Fatalf("%s, %s: %s", name, when, d)
		}
	}
	if !hit.Load() {
		if err != nil {
			t.Fatal(err)
		}
		return false
	}
	sound("after the crash")
	if err := op.do(l); err != nil {
		t.Fatalf("%s: again: %v", name, err)
	}
	op.after(t, l)
	if _, err := l.Orphans(t.Context(), lake.OrphanOptions{}); err != nil {
		t.Fatal(err)
	}
	sound("at the end")
	if left := orphans(t, l, lake.OrphanOptions{DryRun: true}); len(left) > 0 {
		t.Errorf("%s: orphans stay: %v", name, left)
	}
	return true
}

// TestCareBesideWriters lets two writers append and one replace for as long as
// care works: nothing is lost, nothing doubled, every snapshot that is kept
// reads.
func TestCareBesideWriters(t *testing.T) {
	const rounds = 4
	dir := t.TempDir()
	l := lakeWithPosts(t, dir, nil)
	manyFiles(t, l, "start", noon, 4)
	want := []string{"start/10-0", "start/10-1", "start/10-2", "start/10-3"}
	var mu sync.Mutex
	landed := func(ids ...string) {
		mu.Lock()
		defer mu.Unlock()
		want = append(want, ids...)
	}
	var over atomic.Bool
	var writers sync.WaitGroup
	defer writers.Wait()
	defer over.Store(true)
	for w := range 2 {
		writer, source := open(t, dir, nil), fmt.Sprintf("w%d", w)
		writers.Go(func() {
			for i := 0; i < 5 || (!over.Load() && i < 40); i++ {
				id, shared := fmt.Sprintf("%03d", i), fmt.Sprintf("%s-%03d", source, i)
				c := lake.Commit{Table: "raw.posts", ID: shared, Add: []string{write(t, writer, source, noon, id), write(t, writer, "shared", noon, shared)}}
				if _, err := writer.Commit(t.Context(), c); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				landed(source+"/"+id, "shared/"+shared)
			}
		})
	}
	replacer := open(t, dir, nil)
	writers.Go(func() { // as a model does: a partition whole, computed again after a conflict
		last := ""
		for i := 0; i < 5 || (!over.Load() && i < 40); i++ {
			id := fmt.Sprintf("%03d", i)
			c := lake.Commit{Table: "raw.posts", Replace: []lake.Partition{partitionOfDay("replaced", noon)}, Base: current(t, replacer, "raw.posts").ID, Add: []string{write(t, replacer, "replaced", noon, id)}}
			_, err := replacer.Commit(t.Context(), c)
			if err == nil {
				last = "replaced/" + id
			} else if !errors.Is(err, feedlake.ErrConflict) {
				t.Errorf("replacer: %v", err)
				break
			}
		}
		landed(last)
	})
	careRounds(t, dir, rounds)
	over.Store(true)
	writers.Wait()
	slices.Sort(want)
	if d := cmp.Diff(want, ids(t, l)); d != "" {
		t.Error(d)
	}
	readsEverywhere(t, l, "raw.posts")
	if rep := check(t, l, lake.CheckOptions{}); len(rep.Problems) > 0 {
		t.Errorf("problems %+v", rep.Problems)
	}
}

// careRounds compacts, expires and sweeps, several times, each time with an old
// file that nothing names.
func careRounds(t *testing.T, dir string, rounds int) {
	t.Helper()
	rewrite, l := rewriter(t), openLater(t, dir, month, nil)
	compacted, expired := 0, 0
	for i := range rounds {
		rep, err := l.Compact(t.Context(), lake.CompactOptions{Rewrite: rewrite, MinFiles: 2})
		if err != nil {
			t.Fatalf("compact: %v", err)
		}
		compacted += len(rep.Partitions)
		expired += len(expire(t, l, lake.ExpireOptions{KeepLast: 4}).Expired)
		lost := put(t, filepath.Join(dir, "warehouse", "raw", "posts", "data", fmt.Sprintf("lost%d.parquet", i)))
		age(t, lost, month)
		orphans(t, l, lake.OrphanOptions{OlderThan: month + 10*time.Minute}) // the writers' files are younger
		if !gone(t, lost) {
			t.Errorf("%s stays", lost)
		}
	}
	if compacted == 0 || expired == 0 {
		t.Errorf("%d partitions compacted, %d snapshots expired: care hardly worked", compacted, expired)
	}
}
