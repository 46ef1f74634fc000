package decode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/bitpacked"
	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/format"
)

// spare is how many values more than a page has may stand in its runs: runs of
// packed bits are filled up to whole bytes.
const spare = 1 << 10

// errRuns says that runs stand for more values than there are.
var errRuns = errors.New("runs of more values than there are")

// runsFault says why runs (the hybrid of run lengths and packed bits) are more
// than so many values.
func runsFault(src []byte, width int, values int64) error {
	most := uint64(values) + spare //nolint:gosec // checked before
	for n := uint64(0); len(src) > 0; {
		head, k := binary.Uvarint(src)
		if k <= 0 {
			return fmt.Errorf("run: %w", io.ErrUnexpectedEOF)
		}
		src = src[k:]
		count, size := head>>1, uint64(width+7)/8 //nolint:gosec // a width of bits
		if head&1 != 0 {
			if count > most {
				return errRuns
			}
			count, size = 8*count, count*uint64(width) //nolint:gosec // as above
		}
		if count > most || n+count > most {
			return errRuns
		}
		n += count
		src = src[min(size, uint64(len(src))):]
	}
	return nil
}

// levelsFault checks levels up to most.
func levelsFault(src []byte, encoding format.Encoding, most int, values int64) error {
	width := bits.Len(uint(most))
	if encoding == format.BitPacked {
		if int64(len(src))*8/int64(width) > values+spare {
			return errRuns
		}
		return nil
	}
	return runsFault(src, width, values)
}

// rowsFault checks repetition levels and finds the longest row: one begins where
// the level is 0.
func (c *chunkCheck) rowsFault(src []byte, encoding format.Encoding, values int64) error {
	if err := levelsFault(src, encoding, c.leaf.MaxRepetitionLevel, values); err != nil {
		return err
	}
	width := bits.Len(uint(c.leaf.MaxRepetitionLevel))
	var levels []byte
	var err error
	if encoding == format.BitPacked {
		levels, err = (&bitpacked.Encoding{BitWidth: width}).DecodeLevels(nil, src)
	} else {
		levels, err = (&rle.Encoding{BitWidth: width}).DecodeLevels(nil, src)
	}
	if err != nil {
		return err
	}
	for _, level := range levels[:min(int64(len(levels)), values)] {
		if level == 0 {
			c.row = 0
		}
		c.row++
		c.longest = max(c.longest, c.row)
	}
	return nil
}

// valuesFault checks what stands behind the levels.
func valuesFault(src []byte, encoding format.Encoding, kind parquet.Kind, values, most int64) error {
	switch encoding {
	case format.RLEDictionary, format.PlainDictionary: //nolint:staticcheck // old files have it
		if len(src) == 0 {
			return nil
		}
		return runsFault(src[1:], int(src[0]), values)
	case format.RLE: // of booleans, led by its length
		return runsFault(src[min(4, len(src)):], 1, values)
	case format.DeltaBinaryPacked, format.DeltaLengthByteArray:
		n, _, err := deltas(src, kindWidth(kind) == 8)
		if err == nil && n > values+spare {
			err = errRuns
		}
		return err
	case format.DeltaByteArray:
		return prefixFault(src, values, most)
	}
	return nil
}

// prefixFault adds up the lengths of texts that begin as the one before does.
func prefixFault(src []byte, values, most int64) error {
	n, end, err := deltas(src, false)
	if err != nil {
		return err
	}
	if n > values+spare {
		return errRuns
	}
	lengths, err := new(delta.BinaryPackedEncoding).DecodeInt32(nil, src[:end])
	if err != nil {
		return err
	}
	if n, _, err = deltas(src[end:], false); err != nil {
		return err
	}
	if n > values+spare {
		return errRuns
	}
	sum := int64(len(src))
	for _, l := range lengths {
		sum += int64(max(l, 0))
	}
	return Within("its texts", sum, most, "")
}

// deltas reads over numbers that are stored as differences (DELTA_BINARY_PACKED):
// how many there are, and where they end.
func deltas(src []byte, wide bool) (values int64, end int, err error) {
	at, short := 0, false
	next := func() uint64 {
		v, k := binary.Uvarint(src[at:])
		if k <= 0 {
			short = true
			return 0
		}
		at += k
		return v
	}
	block, parts, total := next(), next(), next()
	next() // the first value
	widest := uint64(32)
	if wide {
		widest = 64
	}
	switch {
	case short:
		return 0, 0, fmt.Errorf("differences: %w", io.ErrUnexpectedEOF)
	case total > math.MaxInt32 || parts == 0 || block > 1<<20 || block/parts == 0:
		return 0, 0, fmt.Errorf("differences: %d values in blocks of %d by %d", total, block, parts)
	}
	each := block / parts
	for left := total; left > 1 && !short && at < len(src); {
		next()                                                        // the least difference
		widths := src[min(at, len(src)):min(at+int(parts), len(src))] //nolint:gosec // not above block
		at += len(widths)
		for _, width := range widths {
			if left <= 1 {
				break
			}
			at = min(at+int(each*min(uint64(width), widest)/8), len(src)) //nolint:gosec // a block's part
			left -= min(left-1, each)
		}
	}
	return int64(total), at, nil
}
