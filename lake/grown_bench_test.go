package lake_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/feedlake/feedlake/lake"
)

// cpu is the time that this process has computed for.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// grownLake is a lake with a table of so many files and snapshots.
func grownLake(b *testing.B, files, snapshots int) *lake.Lake {
	b.Helper()
	l := benchLake(b)
	benchLand(b, l, 1, 1, 1)
	path, err := l.NewPath("raw.posts", "")
	if err != nil {
		b.Fatal(err)
	}
	lake.GrowFiles(b, l, "raw.posts", path, files)
	if snapshots > 0 {
		lake.GrowSnapshots(b, l, "raw.posts", snapshots)
	}
	return l
}

// commitCost is what one more commit of a file costs, in CPU time, and with it
// what it costs a reader to learn what changed.
func commitCost(b *testing.B, l *lake.Lake, n int) (commitTime, planTime time.Duration) {
	b.Helper()
	for i := range n + 1 {
		path, err := lake.WriteRows(b.Context(), l, "raw.posts", partitionOfDay("bench", noon), benchRows(i, 1))
		if err != nil {
			b.Fatal(err)
		}
		before := current(b, l, "raw.posts")
		start := cpu(b)
		s := commit(b, l, lake.Commit{ID: fmt.Sprint("n ", i), Add: []string{path}, Set: map[string]string{"feedlake.cursor.bench": fmt.Sprint(i)}})
		mid := cpu(b)
		changed, err := l.Changed(b.Context(), "raw.posts", before.ID, s.ID)
		if err != nil || len(changed) != 1 {
			b.Fatal(changed, err)
		}
		if i > 0 { // the first reads what the others remember
			commitTime, planTime = commitTime+mid-start, planTime+cpu(b)-mid
		}
	}
	return commitTime / time.Duration(n), planTime / time.Duration(n)
}

// BenchmarkGrownTable compares a commit, and the plan after it, into a table of
// many files and snapshots with the same into a small one.
func BenchmarkGrownTable(b *testing.B) {
	for range b.N {
		smallCommit, smallPlan := commitCost(b, grownLake(b, 1000, 0), 20)
		b.ReportMetric(smallCommit.Seconds()*1000, "ms/commit-1k-files")
		b.ReportMetric(smallPlan.Seconds()*1000, "ms/plan-1k-files")
		for _, size := range [][2]int{{100_000, 0}, {1000, 1000}, {1000, 60_000}, {1000, 300}} {
			if os.Getenv("GROWN_SKIP") != "" && size[1] == 60_000 {
				continue
			}
			c, p := commitCost(b, grownLake(b, size[0], size[1]), 20)
			name := fmt.Sprintf("%d-files-%d-snapshots", size[0], size[1])
			b.ReportMetric(c.Seconds()/smallCommit.Seconds(), "x-commit-"+name)
			b.ReportMetric(p.Seconds()/smallPlan.Seconds(), "x-plan-"+name)
		}
	}
}
