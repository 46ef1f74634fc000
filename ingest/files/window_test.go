package files_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// TestZstdWindow reads a file that wants a window of 2 GiB, as Reddit's dumps do
// (zstd --long=31), and that unpacks to less: it takes the usual window.
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
	if took := after.TotalAlloc - before.TotalAlloc; took > 256<<20+64<<20 {
		t.Errorf("reading it took %d MB", took>>20)
	}
}

// zstWindow packs with a long window.
func zstWindow(t testing.TB, s string, window int) string {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestZstdWindowOverTheBound has files that repeat what stands farther back than
// the bound: they are read up to there, said to be, and read on, from there, once
// the bound is raised. Other files are read.
func TestZstdWindowOverTheBound(t *testing.T) {
	text := noisy(0, 40000)
	if len(text) < 2<<20 {
		t.Fatalf("%d bytes are no longer than the bound", len(text))
	}
	again := strings.ReplaceAll(text, `{"id":"`, `{"id":"9`)
	for name, packed := range map[string]string{
		"match":        zstWindow(t, text+again, 16<<20),
		"second frame": zstWindow(t, text, 1<<20) + zstWindow(t, again, 16<<20),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.write("a.ndjson.zst", packed)
			f.write("z.ndjson", ndjson(90, 91))
			config := func(window int) string { return fmt.Sprintf("path: '*'\nmax_window_bytes: %d\n", window) + plain }
			got, bad, end := sourcetest.Drain(t, openSource(t, f.dir, config(1<<20)), "")
			n := len(got) - 1
			if n <= 0 || n >= 80000 || got[n].ID != "90" {
				t.Fatalf("%d posts of the file, then %q", n, got[n].ID)
			}
			if reasons := sourcetest.Reasons(bad); len(bad) != 1 || !strings.Contains(reasons[0], "max_window_bytes allows 1048576") || !strings.Contains(reasons[0], "the rest is read once max_window_bytes is raised") {
				t.Errorf("rejects %q", reasons)
			}
			more, bad, same := sourcetest.Drain(t, openSource(t, f.dir, config(1<<20)), end)
			if len(more)+len(bad) > 0 || same != end {
				t.Errorf("second run: %d posts, rejects %q", len(more), sourcetest.Reasons(bad))
			}
			more, bad, _ = sourcetest.Drain(t, openSource(t, f.dir, config(16<<20)), end)
			if len(more)+n != 80000 || len(bad) > 0 {
				t.Errorf("%d posts and then %d, rejects %q", n, len(more), sourcetest.Reasons(bad))
			}
		})
	}
}
