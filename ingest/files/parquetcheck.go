package files

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/snappy"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// The Parquet library believes every length that it reads and allocates what it
// asks for, before it looks whether so much is there. One wrong bit could end the
// process for want of memory, which no recover holds. So lengths are checked first.

// parquetTail is how many bytes follow a footer: its length and "PAR1".
const parquetTail = 8

// footerFault says why a file's footer is damaged.
func footerFault(raw io.ReaderAt, size int64) error {
	var tail [parquetTail]byte
	if size < parquetTail {
		return fmt.Errorf("%d bytes", size)
	}
	if _, err := raw.ReadAt(tail[:], size-parquetTail); err != nil {
		return fmt.Errorf("read its end: %w", err)
	}
	length := int64(binary.LittleEndian.Uint32(tail[:]))
	if length > size-parquetTail {
		return fmt.Errorf("its footer of %d bytes is longer than the file", length)
	}
	footer := make([]byte, length)
	if _, err := raw.ReadAt(footer, size-parquetTail-length); err != nil {
		return fmt.Errorf("read its footer: %w", err)
	}
	var nothing struct{} // decoded into it, every value is passed over as it comes
	if _, err := unthrift(footer, &nothing); err != nil {
		return fmt.Errorf("its footer: %w", err)
	}
	return nil
}

// unthrift decodes a value that b begins with and tells its length.
func unthrift(b []byte, v any) (int, error) {
	r := new(thrift.CompactProtocol).NewReaderFromBytes(b)
	err := thrift.NewDecoder(r).Decode(v)
	return r.BytesRead(), err
}

// groupFault says why the pages of a row group are damaged. Each row has a value
// in each column, a null at least: the library takes those of the next column for
// what is missing. And it unpacks all groups as the first one is packed.
func groupFault(raw io.ReaderAt, size int64, schema *parquet.Schema, first, g *format.RowGroup) error {
	for i, path := range schema.Columns() {
		c := &g.Columns[i].MetaData
		err := chunkFault(raw, size, c)
		leaf, _ := schema.Lookup(path...)
		switch codec := first.Columns[i].MetaData.Codec; {
		case err != nil:
		case c.NumValues < g.NumRows || leaf.MaxRepetitionLevel == 0 && c.NumValues > g.NumRows:
			err = fmt.Errorf("%d values for %d rows", c.NumValues, g.NumRows)
		case c.Codec != codec:
			err = fmt.Errorf("packed as %s, but as %s in the first row group", c.Codec, codec)
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", strings.Join(path, "."), err)
		}
	}
	return nil
}

// chunkFault goes over the headers of a column's pages.
func chunkFault(raw io.ReaderAt, size int64, c *format.ColumnMetaData) error {
	at := c.DataPageOffset
	if c.DictionaryPageOffset > 0 {
		at = c.DictionaryPageOffset
	}
	if at < 0 || c.TotalCompressedSize < 0 || c.TotalCompressedSize > size-at {
		return fmt.Errorf("%d bytes from %d are outside the file", c.TotalCompressedSize, at)
	}
	left := c.NumValues
	for end := at + c.TotalCompressedSize; at < end && left > 0; {
		h, n, err := pageHeader(raw, at, end)
		if err != nil {
			return fmt.Errorf("page at %d: %w", at, err)
		}
		if err := pageFault(io.NewSectionReader(raw, at+n, end-at-n), h, c, left); err != nil {
			return fmt.Errorf("page at %d: %w", at, err)
		}
		at, left = at+n+int64(h.CompressedPageSize), left-pageValues(h)
	}
	if left != 0 {
		return fmt.Errorf("%d of %d values are missing", left, c.NumValues)
	}
	return nil
}

// pageValues counts the values of a data page; other pages have none.
func pageValues(h *format.PageHeader) int64 {
	switch h.Type {
	case format.DataPage:
		return int64(h.DataPageHeader.V.NumValues)
	case format.DataPageV2:
		return int64(h.DataPageHeaderV2.V.NumValues)
	}
	return 0
}

// pageHeader reads a header of unknown length, which statistics can make long.
func pageHeader(raw io.ReaderAt, at, end int64) (*format.PageHeader, int64, error) {
	for want := int64(4 << 10); ; want *= 16 {
		b := make([]byte, min(want, end-at))
		if _, err := raw.ReadAt(b, at); err != nil {
			return nil, 0, fmt.Errorf("read its header: %w", err)
		}
		h := new(format.PageHeader)
		n, err := unthrift(b, h)
		if err == nil {
			return h, int64(n), nil
		}
		if int64(len(b)) == end-at || !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			return nil, 0, fmt.Errorf("its header: %w", err)
		}
	}
}

// plainPage is the size up to which a page's word on its size is taken.
const plainPage = 64 << 20

// pageFault checks one page; body is what follows its header, left how many
// values of the column are still to come.
func pageFault(body *io.SectionReader, h *format.PageHeader, c *format.ColumnMetaData, left int64) error {
	packed, whole := int64(h.CompressedPageSize), int64(h.UncompressedPageSize)
	dict := h.DictionaryPageHeader.V
	var v2 format.DataPageHeaderV2
	if h.Type == format.DataPageV2 { // the library heeds it in no other page
		v2 = h.DataPageHeaderV2.V
	}
	levels := int64(v2.RepetitionLevelsByteLength) + int64(v2.DefinitionLevelsByteLength) // not packed
	switch values := pageValues(h); {
	case packed < 0 || packed > body.Size():
		return fmt.Errorf("%d bytes, the column has %d", packed, body.Size())
	case whole < 0 || whole > plainPage && whole > c.TotalUncompressedSize:
		return fmt.Errorf("%d bytes unpacked, the column has %d", whole, c.TotalUncompressedSize)
	case values < 0 || values > left:
		return fmt.Errorf("%d values, the column has %d left", values, left)
	case dict.NumValues < 0 || int64(dict.NumValues) > whole:
		return fmt.Errorf("%d values in %d bytes", dict.NumValues, whole)
	case v2.NumNulls < 0 || v2.NumNulls > v2.NumValues:
		return fmt.Errorf("%d nulls in %d values", v2.NumNulls, v2.NumValues)
	case v2.RepetitionLevelsByteLength < 0 || v2.DefinitionLevelsByteLength < 0 || levels > packed:
		return fmt.Errorf("%d bytes of levels in %d", levels, packed)
	}
	if v2.IsCompressed.Valid && !v2.IsCompressed.V {
		return nil
	}
	return packFault(io.NewSectionReader(body, levels, packed-levels), c.Codec, whole)
}

// packFault checks what is packed with a codec that the library gives as much
// memory as the bytes ask for: Snappy's begin with it, LZ4's show it in unpacking.
func packFault(body *io.SectionReader, codec format.CompressionCodec, whole int64) error {
	need := body.Size()
	switch {
	case codec == format.Snappy:
		need = min(need, binary.MaxVarintLen64)
	case codec != format.Lz4Raw:
		return nil
	}
	if need == 0 {
		return nil
	}
	packed := make([]byte, need)
	if _, err := io.ReadFull(body, packed); err != nil {
		return fmt.Errorf("read it: %w", err)
	}
	if codec == format.Snappy {
		if n, err := snappy.DecodedLen(packed); err != nil || int64(n) > whole {
			return fmt.Errorf("unpacks to %d bytes instead of %d", n, whole)
		}
		return nil
	}
	if _, err := lz4.UncompressBlock(packed, make([]byte, whole)); err != nil {
		return fmt.Errorf("unpack it: %w", err)
	}
	return nil
}
