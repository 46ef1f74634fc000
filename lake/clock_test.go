package lake_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// skewed opens a lake on a machine whose clock is wrong.
func skewed(t *testing.T, dir string, by time.Duration) *lake.Lake {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{Dir: dir, Now: func() time.Time { return time.Now().Add(by) }, Log: slog.New(slog.DiscardHandler)})
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

const year = 365 * 24 * time.Hour

// TestCareWithAWrongClock runs orphans and expire on a machine whose clock is
// wrong, at every storage operation of another machine's commit: no file that
// the commit or a kept snapshot needs goes.
func TestCareWithAWrongClock(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]time.Duration{
		"an hour ahead": time.Hour, "a day ahead": 24*time.Hour + time.Minute, "a year ahead": year,
		"an hour behind": -time.Hour, "a day behind": -24 * time.Hour, "a year behind": -year,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			lakeWithPosts(t, dir, nil)
			carer := skewed(t, dir, by)
			var one sync.Mutex // a commit reads several files at once
			calls := 0
			writer := open(t, dir, func(_, _ string, do func() error) error {
				err := do()
				one.Lock()
				defer one.Unlock()
				calls++
				if rep, cerr := carer.Orphans(t.Context(), lake.OrphanOptions{}); cerr != nil || len(rep.Files) > 0 {
					t.Errorf("orphans removed %v, %v", rep.Files, cerr)
				}
				if rep, cerr := carer.Expire(t.Context(), lake.ExpireOptions{KeepLast: 1}); cerr != nil || len(rep.Tables[0].Expired) > 0 {
					t.Errorf("expire: %+v, %v", rep.Tables, cerr)
				}
				return err
			})
			for _, id := range []string{"1", "2", "3"} {
				commit(t, writer, lake.Commit{Replace: []lake.Partition{partitionOfDay("a", noon)}, Add: []string{write(t, writer, "a", noon, id)}})
			}
			if calls < 9 {
				t.Errorf("only %d operations were seen", calls)
			}
			readsEverywhere(t, writer, "raw.posts")
			if n := len(snapshotIDs(t, writer, "raw.posts")); n != 3 {
				t.Errorf("%d snapshots, want 3", n)
			}
		})
	}
}

// TestExpireByTheStoragesTimes wants age told by the files, not by what the
// writers' clocks put into the snapshots.
func TestExpireByTheStoragesTimes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := lakeWithPosts(t, dir, nil)
	for _, id := range []string{"1", "2", "3"} {
		commit(t, l, lake.Commit{Replace: []lake.Partition{partitionOfDay("a", noon)}, Add: []string{write(t, l, "a", noon, id)}})
	}
	ageMetadata(t, dir, month)
	if e := expire(t, skewed(t, dir, -year), lake.ExpireOptions{KeepLast: 1}); len(e.Expired) != 2 {
		t.Errorf("%+v, want two that are a month old by their files", e)
	}
	readsEverywhere(t, l, "raw.posts")
}

func ageMetadata(t *testing.T, dir string, by time.Duration) {
	t.Helper()
	lists, err := filepath.Glob(filepath.Join(dir, "warehouse", "raw.db", "posts", "metadata", "*"))
	if err != nil || len(lists) == 0 {
		t.Fatal(lists, err)
	}
	for _, f := range lists {
		age(t, f, by)
	}
}

// TestCareBesideALongRun spares what is as young as a run that is under way,
// however old it is.
func TestCareBesideALongRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := lakeWithPosts(t, dir, nil)
	if err := l.MarkRun(t.Context(), "long/1"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"1", "2", "3"} {
		commit(t, l, lake.Commit{Replace: []lake.Partition{partitionOfDay("a", noon)}, Add: []string{write(t, l, "a", noon, id)}})
	}
	waiting := write(t, l, "a", noon, "waits")
	spilled := put(t, filepath.Join(dir, "tmp", "spill-1", "x.tmp"))
	before := put(t, filepath.Join(dir, "warehouse", "raw", "posts", "data", "source=a", "before.parquet"))
	marks, err := filepath.Glob(filepath.Join(dir, "warehouse", "_feedlake", "runs", "*"))
	if err != nil || len(marks) != 1 {
		t.Fatal(marks, err)
	}
	age(t, marks[0], month)
	ageMetadata(t, dir, month-time.Hour)
	age(t, waiting, month-time.Hour)
	age(t, spilled, month-time.Hour)
	age(t, before, month+time.Hour)

	running := []string{"long/1"}
	if _, err := l.Orphans(t.Context(), lake.OrphanOptions{Running: []string{"unmarked"}}); !errors.Is(err, feedlake.ErrBusy) {
		t.Errorf("orphans beside a run of unknown age: %v", err)
	}
	if _, err := l.Expire(t.Context(), lake.ExpireOptions{Running: []string{"unmarked"}}); !errors.Is(err, feedlake.ErrBusy) {
		t.Errorf("expire beside a run of unknown age: %v", err)
	}
	if d := cmp.Diff([]string{before}, orphans(t, l, lake.OrphanOptions{OlderThan: time.Nanosecond, Force: true, Running: running})); d != "" {
		t.Error("beside the run:", d)
	}
	if e := expire(t, l, lake.ExpireOptions{KeepLast: 1, Running: running}); len(e.Expired) != 0 {
		t.Errorf("beside the run: %+v", e)
	}
	if fileGone(marks[0]) {
		t.Error("the mark of a living run is gone")
	}
	if got := orphans(t, l, lake.OrphanOptions{}); len(got) != 2 {
		t.Errorf("after the run: %v", got)
	}
	if e := expire(t, l, lake.ExpireOptions{KeepLast: 1}); len(e.Expired) != 2 {
		t.Errorf("after the run: %+v", e)
	}
	if !fileGone(marks[0]) {
		t.Error("the mark of a run that ended stays")
	}
}

func fileGone(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}
