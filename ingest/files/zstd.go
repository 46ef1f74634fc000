package files

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// zstdHead passes a zstd file on, and lowers the window that its first frame
// asks for to the bound. A file is then read as far as it does without the longer
// one: whole, when it unpacks to less, as most dumps made with --long do.
type zstdHead struct {
	r      io.Reader
	most   int64  // bytes of a window
	head   []byte // read and not passed on yet
	begun  bool
	window int64 // that the first frame is read with
	asks   int64 // the window that was lowered to it; 0: none was
}

// zstdMagic begins a frame (RFC 8878, section 3.1.1).
const zstdMagic = 0xFD2FB528

func (z *zstdHead) Read(p []byte) (int, error) {
	if !z.begun {
		z.begun = true
		head := make([]byte, 6)
		n, err := io.ReadFull(z.r, head)
		z.head = head[:n]
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, err
		}
		z.lower()
	}
	if len(z.head) > 0 {
		n := copy(p, z.head)
		z.head = z.head[n:]
		return n, nil
	}
	return z.r.Read(p)
}

// lower rewrites the window descriptor (section 3.1.1.1.2).
func (z *zstdHead) lower() {
	const single, least = 1 << 5, 10
	if len(z.head) < 6 || binary.LittleEndian.Uint32(z.head) != zstdMagic || z.head[4]&single != 0 {
		return
	}
	exponent, eighths := z.head[5]>>3, int64(z.head[5]&7)
	asks := int64(1) << (least + exponent)
	if asks += asks / 8 * eighths; asks <= z.most {
		z.window = asks
		return
	}
	for z.asks = asks; int64(1)<<(least+exponent) > z.most; {
		exponent--
	}
	z.head[5], z.window = exponent<<3, int64(1)<<(least+exponent)
}

// explain tells an error of the unpacker that comes from the bound.
func (z *zstdHead) explain(err error) error {
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return withinWindow(-1, z.most)
	case err != nil && z.asks > 0 && strings.Contains(err.Error(), "match offset"):
		return withinWindow(z.asks, z.most)
	}
	return err
}

// zstdReader unpacks a zstd file within the bounds.
type zstdReader struct {
	*zstd.Decoder
	head *zstdHead
}

func newZstdReader(r io.Reader, most int64) (*zstdReader, error) {
	z := &zstdReader{head: &zstdHead{r: r, most: most}}
	var err error
	z.Decoder, err = zstd.NewReader(z.head, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(uint64(most))) //nolint:gosec // checked by checkBounds
	if err != nil {
		return nil, fmt.Errorf("open zstd: %w", err)
	}
	return z, nil
}

// Close lets a long window go at once: the next file may want one as well.
func (z *zstdReader) Close() {
	z.Decoder.Close()
	if z.Decoder = nil; z.head.window > longWindow {
		runtime.GC()
	}
}

func (z *zstdReader) Read(p []byte) (int, error) {
	n, err := z.Decoder.Read(p)
	return n, z.head.explain(err)
}
