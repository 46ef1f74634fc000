package decode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// pageFault checks one page; body is what follows its header, left how many
// values of the column are still to come.
func (c *chunkCheck) pageFault(body *io.SectionReader, h *format.PageHeader, left int64) error {
	packed, whole := int64(h.CompressedPageSize), int64(h.UncompressedPageSize)
	dict := h.DictionaryPageHeader.V
	var v2 format.DataPageHeaderV2
	if h.Type == format.DataPageV2 { // the library heeds it in no other page
		v2 = h.DataPageHeaderV2.V
	}
	levels := int64(v2.RepetitionLevelsByteLength) + int64(v2.DefinitionLevelsByteLength) // not packed
	values := pageValues(h)
	switch {
	case packed < 0 || packed > body.Size():
		return fmt.Errorf("%d bytes, the column has %d", packed, body.Size())
	case whole < 0 || whole > leastPart && whole > c.m.TotalUncompressedSize:
		return fmt.Errorf("%d bytes unpacked, the column has %d", whole, c.m.TotalUncompressedSize)
	case values < 0 || values > left:
		return fmt.Errorf("%d values, the column has %d left", values, left)
	case dict.NumValues < 0 || int64(dict.NumValues) > whole:
		return fmt.Errorf("%d values in %d bytes", dict.NumValues, whole)
	case v2.NumNulls < 0 || v2.NumNulls > v2.NumValues:
		return fmt.Errorf("%d nulls in %d values", v2.NumNulls, v2.NumValues)
	case v2.RepetitionLevelsByteLength < 0 || v2.DefinitionLevelsByteLength < 0 || levels > packed:
		return fmt.Errorf("%d bytes of levels in %d", levels, packed)
	}
	takes := whole + values*c.valueSize()
	if h.Type == format.DictionaryPage {
		takes = whole + 4*int64(dict.NumValues)
		c.dictionary = max(c.dictionary, takes+whole) // it is copied once
	} else {
		c.page = max(c.page, takes+packed)
	}
	if err := Within("a page", max(takes, packed), maxPart, ""); err != nil {
		return err
	}
	plain := v2.IsCompressed.Valid && !v2.IsCompressed.V
	data, err := c.unpack.page(io.NewSectionReader(body, 0, packed), levels, c.m.Codec, whole, plain)
	if err != nil || data == nil {
		return err
	}
	return c.contentFault(h, data, levels)
}

// leastPart is the size up to which a page's word on its size is taken.
const leastPart = 64 << 20

// valueSize is what a value of an unpacked page takes beside its bytes: levels,
// and a number, an index or a place.
func (c *chunkCheck) valueSize() int64 {
	size := int64(8)
	if c.leaf.MaxDefinitionLevel > 0 {
		size++
	}
	if c.leaf.MaxRepetitionLevel > 0 {
		size++
	}
	return size
}

// contentFault says why an unpacked data page, the first bytes of which are
// levels, stands for more values than its header tells: runs of equal values, and
// texts that repeat the begin of the one before, are a few bytes each and any
// number of values.
func (c *chunkCheck) contentFault(h *format.PageHeader, data []byte, levels int64) error {
	var repeats, defines []byte
	var encodings [2]format.Encoding
	var encoding format.Encoding
	switch h.Type {
	case format.DataPageV2:
		v2 := &h.DataPageHeaderV2.V
		repeats, defines, data = data[:v2.RepetitionLevelsByteLength], data[v2.RepetitionLevelsByteLength:levels], data[levels:]
		encoding, encodings = v2.Encoding, [2]format.Encoding{format.RLE, format.RLE}
	case format.DataPage:
		v1 := &h.DataPageHeader.V
		encoding, encodings = v1.Encoding, [2]format.Encoding{v1.RepetitionLevelEncoding, v1.DefinitionLevelEncoding}
		var err error
		if repeats, data, err = cutLevels(data, c.leaf.MaxRepetitionLevel); err != nil {
			return err
		}
		if defines, data, err = cutLevels(data, c.leaf.MaxDefinitionLevel); err != nil {
			return err
		}
	default:
		return nil
	}
	values := pageValues(h)
	if c.leaf.MaxRepetitionLevel > 0 {
		if err := c.rowsFault(repeats, encodings[0], values); err != nil {
			return fmt.Errorf("repetition levels: %w", err)
		}
	}
	if c.leaf.MaxDefinitionLevel > 0 {
		if err := levelsFault(defines, encodings[1], c.leaf.MaxDefinitionLevel, values); err != nil {
			return fmt.Errorf("definition levels: %w", err)
		}
	}
	if err := valuesFault(data, encoding, c.leaf.Node.Type().Kind(), values, maxPart); err != nil {
		return fmt.Errorf("values: %w", err)
	}
	return nil
}

// cutLevels cuts levels, led by their length, off a page of the first form.
func cutLevels(data []byte, most int) (levels, rest []byte, err error) {
	if most == 0 {
		return nil, data, nil
	}
	const lead = 4
	if len(data) < lead || int64(binary.LittleEndian.Uint32(data)) > int64(len(data)-lead) {
		return nil, nil, fmt.Errorf("levels: %w", io.ErrUnexpectedEOF)
	}
	end := lead + int(binary.LittleEndian.Uint32(data))
	return data[lead:end], data[end:], nil
}

// unpacker unpacks pages into memory that it uses again.
type unpacker struct {
	packed, whole []byte
	zstd          *zstd.Decoder
}

// release gives the memory back.
func (u *unpacker) release() {
	if u.zstd != nil {
		u.zstd.Close()
	}
	*u = unpacker{}
}

// page returns what a page unpacks to, after its first bytes, levels, which are
// not packed. It takes no more memory than the page says it does, whatever it
// holds. A codec that is not known is nil.
func (u *unpacker) page(body *io.SectionReader, levels int64, codec format.CompressionCodec, whole int64, plain bool) ([]byte, error) {
	u.packed = sized(u.packed, int(body.Size()))
	if _, err := io.ReadFull(body, u.packed); err != nil {
		return nil, fmt.Errorf("read it: %w", err)
	}
	if plain || codec == format.Uncompressed || int64(len(u.packed)) == levels {
		return u.packed, nil
	}
	u.whole = append(sized(u.whole, int(max(levels, whole)))[:0], u.packed[:levels]...)
	room := u.whole[levels:max(levels, whole)]
	data, known, err := u.decode(room, u.packed[levels:], codec)
	switch {
	case !known:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("unpack it: %w", err)
	}
	return append(u.whole, data...), nil // where it is already
}

// decode unpacks packed into room.
func (u *unpacker) decode(room, packed []byte, codec format.CompressionCodec) (data []byte, known bool, err error) {
	var r io.Reader
	switch codec {
	case format.Snappy:
		if n, err := snappy.DecodedLen(packed); err != nil || n > len(room) {
			return nil, true, fmt.Errorf("to %d bytes instead of %d", n, len(room))
		}
		data, err = snappy.Decode(room, packed)
		return data, true, err
	case format.Lz4Raw:
		n, err := lz4.UncompressBlock(packed, room)
		return room[:max(n, 0)], true, err
	case format.Zstd:
		if u.zstd == nil {
			if u.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPart)); err != nil {
				return nil, true, err
			}
		}
		data, err = u.zstd.DecodeAll(packed, room[:0:len(room)])
		if err == nil && len(data) > len(room) {
			err = fmt.Errorf("to %d bytes instead of %d", len(data), len(room))
		}
		return data, true, err
	case format.Gzip:
		if r, err = gzip.NewReader(bytes.NewReader(packed)); err != nil {
			return nil, true, err
		}
	case format.Brotli:
		r = brotli.NewReader(bytes.NewReader(packed))
	default:
		return nil, false, nil
	}
	n, err := io.ReadFull(r, room)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) { // less than it says, which the library takes
		return room[:n], true, nil
	}
	if m, more := r.Read(make([]byte, 1)); err == nil && (m > 0 || !errors.Is(more, io.EOF)) {
		err = fmt.Errorf("to more than %d bytes", len(room))
	}
	return room[:n], true, err
}

// sized returns b with a length, and new memory where it has too little.
func sized(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// kindWidth is the width of the numbers of a kind in bytes; 0 where values have
// any length.
func kindWidth(k parquet.Kind) int64 {
	switch k {
	case parquet.Int32, parquet.Float:
		return 4
	case parquet.Int64, parquet.Double:
		return 8
	}
	return 0
}
