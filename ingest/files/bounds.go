package files

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/feedlake/feedlake"
)

// bounds say how much memory a file may ask for. Whatever it says of itself, a
// file of any format is read in less than 1 GiB in all: a reader checks what a
// file asks for before it takes the memory, and what is over a bound is a reject
// that names it. Go's collector lets the heap grow to twice of what is in use, so
// the bounds of one format together stay below a third of that.
type bounds struct {
	record int64 // a record; max_record_bytes
	window int64 // how far back a compressed stream may refer; max_window_bytes
	part   int64 // a part that is unpacked whole, such as a page of Parquet
	parts  int64 // all parts that are held at the same time
}

// Bounds that hold unless the configuration says otherwise. A window of 256 MiB
// is twice what zstd itself unpacks unasked.
const (
	defaultMaxRecord = 8 << 20
	defaultMaxWindow = 256 << 20
	leastWindow      = 1 << 20
	mostWindow       = 2 << 30 // what "zstd --long=31" writes
	maxPart          = 128 << 20
	maxParts         = 256 << 20
	maxColumns       = 10_000 // of a table
)

func (c *Config) bounds() bounds {
	return bounds{record: int64(c.MaxRecord), window: c.MaxWindow, part: maxPart, parts: maxParts}
}

// checkBounds fills in the bounds that are not configured.
func (c *Config) checkBounds() error {
	if c.MaxRecord == 0 {
		c.MaxRecord = defaultMaxRecord
	}
	if c.MaxRecord < 0 {
		return fmt.Errorf("max_record_bytes: %d is no size: %w", c.MaxRecord, feedlake.ErrConfig)
	}
	if c.MaxWindow == 0 {
		c.MaxWindow = defaultMaxWindow
	}
	if c.MaxWindow < leastWindow || c.MaxWindow > mostWindow {
		return feedlake.Hint(fmt.Errorf("max_window_bytes: %d is not between %d and %d: %w", c.MaxWindow, leastWindow, int64(mostWindow), feedlake.ErrConfig),
			"leave it out, or take %d for what \"zstd --long=31\" wrote", int64(mostWindow))
	}
	return nil
}

// overError says that a file asks for more memory than a bound allows.
type overError struct {
	what string // for people, such as "a window of the unpacker"
	asks int64  // negative: not known
	most int64
	key  string // of the configuration, which raises the bound; "" when none does
}

func (e *overError) Error() string {
	asks := "more"
	if e.asks >= 0 {
		asks = fmt.Sprintf("%d bytes", e.asks)
	}
	if e.key == "" {
		return fmt.Sprintf("%s would take %s of memory, %d are allowed", e.what, asks, e.most)
	}
	return fmt.Sprintf("%s would take %s of memory, %s allows %d", e.what, asks, e.key, e.most)
}

// within returns an overError when what asks for more than most.
func within(what string, asks, most int64, key string) error {
	if asks >= 0 && asks <= most {
		return nil
	}
	return &overError{what: what, asks: asks, most: most, key: key}
}

// withinWindow checks the window, or dictionary, that an unpacker must hold.
func (b bounds) withinWindow(asks int64) error {
	return within("unpacking", asks, b.window, "max_window_bytes")
}

// zstdHead passes a zstd file on, and lowers the window that its first frame
// asks for to the bound. A file is then read as far as it does without the longer
// one: whole, when it unpacks to less, as most dumps made with --long do.
type zstdHead struct {
	r      io.Reader
	bounds bounds
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
	if asks += asks / 8 * eighths; asks <= z.bounds.window {
		z.window = asks
		return
	}
	for z.asks = asks; int64(1)<<(least+exponent) > z.bounds.window; {
		exponent--
	}
	z.head[5], z.window = exponent<<3, int64(1)<<(least+exponent)
}

// explain tells an error of the unpacker that comes from the bound.
func (z *zstdHead) explain(err error) error {
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return z.bounds.withinWindow(-1)
	case err != nil && z.asks > 0 && strings.Contains(err.Error(), "match offset"):
		return z.bounds.withinWindow(z.asks)
	}
	return err
}

// zstdReader unpacks a zstd file within the bounds.
type zstdReader struct {
	*zstd.Decoder
	head *zstdHead
}

func newZstdReader(r io.Reader, b bounds) (*zstdReader, error) {
	z := &zstdReader{head: &zstdHead{r: r, bounds: b}}
	var err error
	z.Decoder, err = zstd.NewReader(z.head, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(uint64(b.window))) //nolint:gosec // checked by checkBounds
	if err != nil {
		return nil, fmt.Errorf("open zstd: %w", err)
	}
	return z, nil
}

// Close lets a long window go at once: the next file may want one as well.
func (z *zstdReader) Close() {
	z.Decoder.Close()
	if z.Decoder = nil; z.head.window > maxPart/2 {
		runtime.GC()
	}
}

func (z *zstdReader) Read(p []byte) (int, error) {
	n, err := z.Decoder.Read(p)
	return n, z.head.explain(err)
}
