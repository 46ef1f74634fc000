package x_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/x"
)

// BenchmarkPage reads the recorded search pages. Posts are those of data, those
// that they refer to are copied into payloads but not counted.
func BenchmarkPage(b *testing.B) {
	for _, name := range []string{"noflat", "kpop", "brexit"} {
		raw := recorded(b, "x_v2/"+name+".jsonl")
		b.Run(name, func(b *testing.B) {
			posts := 0
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			before := worked(b)
			for b.Loop() {
				var batch wire.Batch
				x.Page(raw, now, "page", &batch)
				posts += len(batch.Posts)
			}
			b.ReportMetric(float64(posts)/(worked(b)-before).Seconds(), "posts/cpu-s")
			b.ReportMetric(float64(posts)/b.Elapsed().Seconds(), "posts/s")
		})
	}
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

// BenchmarkStatus reads a recorded search answer of version 1.1.
func BenchmarkStatus(b *testing.B) {
	for name, raw := range searches(b) {
		b.Run(name, func(b *testing.B) {
			posts := 0
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				var batch wire.Batch
				x.Record(string(raw), now, "page", &batch)
				posts += len(batch.Posts)
			}
			b.ReportMetric(float64(posts)/b.Elapsed().Seconds(), "posts/s")
		})
	}
}
