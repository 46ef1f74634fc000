package x_test

import (
	"testing"

	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/wiretest"
	"github.com/feedlake/feedlake/ingest/wire/x"
)

// BenchmarkPage reads the recorded search pages. Posts are those of data, those
// that they refer to are copied into payloads but not counted.
func BenchmarkPage(b *testing.B) {
	decode := func(page string, batch *wire.Batch) { x.Page(page, now, "page", batch) }
	var all []string
	for _, name := range []string{"noflat", "kpop", "brexit"} {
		raw := recorded(b, "x_v2/"+name+".jsonl")
		all = append(all, raw)
		b.Run(name, func(b *testing.B) { wiretest.Bench(b, decode, raw) })
	}
	b.Run("all", func(b *testing.B) { wiretest.Bench(b, decode, all...) })
}

// BenchmarkStatus reads the recorded search answers of version 1.1.
func BenchmarkStatus(b *testing.B) {
	decode := func(page string, batch *wire.Batch) { x.Record(page, now, "page", batch) }
	for name, raw := range searches(b) {
		b.Run(name, func(b *testing.B) { wiretest.Bench(b, decode, string(raw)) })
	}
}
