package decode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unsafe"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// The Parquet library believes every length that it reads and allocates what it
// asks for, before it looks whether so much is there. One wrong bit could end the
// process for want of memory, which no recover holds. So lengths are checked
// first, and what a page unpacks to is looked at (parquetpage.go).

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
	if err := Within("a footer", length, maxFooter, ""); err != nil {
		return err
	}
	footer := make([]byte, length)
	if _, err := raw.ReadAt(footer, size-parquetTail-length); err != nil {
		return fmt.Errorf("read its footer: %w", err)
	}
	var nothing struct{} // decoded into it, every value is passed over as it comes
	if _, err := unthrift(footer, &nothing); err != nil {
		return fmt.Errorf("its footer: %w", err)
	}
	var parts footerParts
	if _, err := unthrift(footer, &parts); err != nil {
		return fmt.Errorf("its footer: %w", err)
	}
	n := len(parts.Pairs) + len(parts.Orders)
	for _, g := range parts.RowGroups {
		n += len(g.Columns) + len(g.Sorting)
		for _, c := range g.Columns {
			n += len(c.Meta.Pairs) + len(c.Meta.Stats)
		}
	}
	if len(parts.Schema) > maxColumns || n > maxFooterParts {
		return fmt.Errorf("its footer has %d columns and %d parts, at most %d and %d are read", len(parts.Schema), n, maxColumns, maxFooterParts)
	}
	return nil
}

// Bounds of a footer: a byte of it can stand for a part that takes a kilobyte of
// memory.
const (
	maxFooter      = 16 << 20
	maxFooterParts = 150_000
)

// footerParts is what a footer must be counted by, almost without the memory that
// its parts take. See format.FileMetaData.
type footerParts struct {
	Schema    []struct{} `thrift:"2"`
	RowGroups []struct {
		Columns []struct {
			Meta struct {
				Pairs []struct{} `thrift:"8"`
				Stats []struct{} `thrift:"13"`
			} `thrift:"3"`
		} `thrift:"1"`
		Sorting []struct{} `thrift:"4"`
	} `thrift:"4"`
	Pairs  []struct{} `thrift:"5"`
	Orders []struct{} `thrift:"7"`
}

// unthrift decodes a value that b begins with and tells its length.
func unthrift(b []byte, v any) (int, error) {
	r := new(thrift.CompactProtocol).NewReaderFromBytes(b)
	err := thrift.NewDecoder(r).Decode(v)
	return r.BytesRead(), err
}

// groupCheck goes over the pages of a row group before the library does.
type groupCheck struct {
	raw    io.ReaderAt
	size   int64
	unpack unpacker

	takes   int64 // bytes of memory that reading the group takes
	longest int64 // most values of a row in one column
}

// fault says why the pages of a row group are damaged, or ask for too much
// memory. Each row has a value in each column, a null at least: the library takes
// those of the next column for what is missing. And it unpacks all groups as the
// first one is packed.
func (k *groupCheck) fault(schema *parquet.Schema, first, g *format.RowGroup) error {
	defer k.unpack.release()
	k.takes, k.longest = 0, 1
	for i, path := range schema.Columns() {
		m := &g.Columns[i].MetaData
		leaf, _ := schema.Lookup(path...)
		c := chunkCheck{groupCheck: k, m: m, leaf: leaf}
		err := c.fault()
		switch codec := first.Columns[i].MetaData.Codec; {
		case err != nil:
		case m.NumValues < g.NumRows || leaf.MaxRepetitionLevel == 0 && m.NumValues > g.NumRows:
			err = fmt.Errorf("%d values for %d rows", m.NumValues, g.NumRows)
		case m.Codec != codec:
			err = fmt.Errorf("packed as %s, but as %s in the first row group", m.Codec, codec)
		default:
			k.takes, k.longest = k.takes+c.takes(), max(k.longest, c.longest)
			err = Within("the columns up to this one", k.takes, maxParts, "")
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", strings.Join(path, "."), err)
		}
	}
	return nil
}

// chunkCheck goes over the pages of a column in a row group.
type chunkCheck struct {
	*groupCheck
	m    *format.ColumnMetaData
	leaf parquet.LeafColumn

	dictionary int64 // bytes of memory that it takes
	page       int64 // that the largest page takes
	longest    int64 // most values of a row
	row        int64 // values of the row at hand, which may go on in the next page
}

// valueTakes is the memory of one value of a row that is being put together.
const valueTakes = 2 * int64(unsafe.Sizeof(parquet.Value{}))

// takes is how much memory reading the column takes.
func (c *chunkCheck) takes() int64 { return c.dictionary + c.page + c.longest*valueTakes }

func (c *chunkCheck) fault() error {
	at := c.m.DataPageOffset
	if c.m.DictionaryPageOffset > 0 {
		at = c.m.DictionaryPageOffset
	}
	if at < 0 || c.m.TotalCompressedSize < 0 || c.m.TotalCompressedSize > c.size-at {
		return fmt.Errorf("%d bytes from %d are outside the file", c.m.TotalCompressedSize, at)
	}
	left := c.m.NumValues
	for end := at + c.m.TotalCompressedSize; at < end && left > 0; {
		h, n, err := pageHeader(c.raw, at, end)
		if err != nil {
			return fmt.Errorf("page at %d: %w", at, err)
		}
		if err := c.pageFault(io.NewSectionReader(c.raw, at+n, end-at-n), h, left); err != nil {
			return fmt.Errorf("page at %d: %w", at, err)
		}
		at, left = at+n+int64(h.CompressedPageSize), left-pageValues(h)
	}
	if left != 0 {
		return fmt.Errorf("%d of %d values are missing", left, c.m.NumValues)
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

// maxHeader bounds the header of a page.
const maxHeader = 64 << 20

// pageHeader reads a header of unknown length, which statistics can make long.
func pageHeader(raw io.ReaderAt, at, end int64) (*format.PageHeader, int64, error) {
	for want := int64(4 << 10); ; want *= 16 {
		b := make([]byte, min(want, maxHeader, end-at))
		if _, err := raw.ReadAt(b, at); err != nil {
			return nil, 0, fmt.Errorf("read its header: %w", err)
		}
		h := new(format.PageHeader)
		n, err := unthrift(b, h)
		if err == nil {
			return h, int64(n), nil
		}
		if len(b) == maxHeader {
			return nil, 0, Within("its header", -1, maxHeader, "")
		}
		if int64(len(b)) == end-at || !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			return nil, 0, fmt.Errorf("its header: %w", err)
		}
	}
}
