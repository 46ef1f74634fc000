package files_test

import (
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// TestZstdWindow reads a file that wants a window of 2 GiB, as Reddit's dumps do
// (zstd --long=31): it takes that window, and little more.
func TestZstdWindow(t *testing.T) {
	text := ndjson(0, 9)
	frame := binary.LittleEndian.AppendUint32(nil, 0xFD2FB528) // RFC 8878, 3.1.1
	frame = append(frame, 0x00, (31-10)<<3)                    // no size, no checksum; a window of 2^31
	block := uint32(len(text))<<3 | 1
	frame = append(frame, byte(block), byte(block>>8), byte(block>>16))
	f := newFolder(t)
	f.write("a.ndjson.zst", string(frame)+text)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, bad, _ := sourcetest.Drain(t, openSource(t, f.dir, "path: a.*\n"+plain), "")
	runtime.ReadMemStats(&after)
	if d := cmp.Diff(numbers(0, 9), ids(got)); d != "" || len(bad) > 0 {
		t.Errorf("%s; rejects %q", d, sourcetest.Reasons(bad))
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 2<<30+64<<20 {
		t.Errorf("reading it took %d MB", took>>20)
	}
}
