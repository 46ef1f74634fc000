package wiretest

import (
	"syscall"
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest/wire"
)

// Bench decodes pages, all of them in each round, and reports the posts a second,
// of the clock and of the processor.
func Bench(b *testing.B, decode func(page string, batch *wire.Batch), pages ...string) {
	b.Helper()
	size := 0
	for _, p := range pages {
		size += len(p)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	posts, before := 0, worked(b)
	for b.Loop() {
		for _, p := range pages {
			var batch wire.Batch
			decode(p, &batch)
			posts += len(batch.Posts)
		}
	}
	b.ReportMetric(float64(posts)/(worked(b)-before).Seconds(), "posts/cpu-s")
	b.ReportMetric(float64(posts)/b.Elapsed().Seconds(), "posts/s")
}

// worked is the user time of this process on all cores: the honest figure where
// others use the machine too. The collector's part of it is counted.
func worked(b *testing.B) time.Duration {
	b.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano())
}
