package files_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// footer takes a Parquet file's last part off it.
func footer(t *testing.T, file string) (data string, m format.FileMetaData) {
	t.Helper()
	n := len(file) - 8 - int(binary.LittleEndian.Uint32([]byte(file[len(file)-8:])))
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), []byte(file[n:len(file)-8]), &m); err != nil {
		t.Fatal(err)
	}
	return file[:n], m
}

// closed ends a Parquet file with a footer.
func closed(data, footer string) string {
	return data + footer + string(binary.LittleEndian.AppendUint32(nil, uint32(len(footer)))) + "PAR1"
}

// refoot writes a Parquet file's footer anew.
func refoot(change func(*format.FileMetaData)) func(*testing.T, string) string {
	return func(t *testing.T, file string) string {
		t.Helper()
		data, m := footer(t, file)
		change(&m)
		b, err := thrift.Marshal(new(thrift.CompactProtocol), m)
		if err != nil {
			t.Fatal(err)
		}
		return closed(data, string(b))
	}
}

// codec says that the first row group's texts are packed otherwise.
func codec(c format.CompressionCodec) func(*testing.T, string) string {
	return refoot(func(m *format.FileMetaData) { m.RowGroups[0].Columns[2].MetaData.Codec = c })
}

// repage changes the first page of texts. The page moves to
// the end of the data, where its header may have any length.
func repage(change func(h *format.PageHeader, body []byte)) func(*testing.T, string) string {
	return func(t *testing.T, file string) string {
		t.Helper()
		data, m := footer(t, file)
		c := &m.RowGroups[0].Columns[2].MetaData
		pages := data[c.DataPageOffset:][:c.TotalCompressedSize]
		var h format.PageHeader
		r := new(thrift.CompactProtocol).NewReaderFromBytes([]byte(pages))
		if err := thrift.NewDecoder(r).Decode(&h); err != nil {
			t.Fatal(err)
		}
		body := []byte(pages[r.BytesRead():])
		change(&h, body)
		b, err := thrift.Marshal(new(thrift.CompactProtocol), h)
		if err != nil {
			t.Fatal(err)
		}
		return refoot(func(m *format.FileMetaData) {
			c := &m.RowGroups[0].Columns[2].MetaData
			c.DataPageOffset, c.TotalCompressedSize = int64(len(data)), int64(len(b)+len(body))
		})(t, closed(data+string(b)+string(body), file[len(data):len(file)-8]))
	}
}

// TestParquetDamage reads files with a wrong length or type. What is damaged is
// told and costs its row group at most, and no memory is taken for what a wrong
// length asks for.
func TestParquetDamage(t *testing.T) {
	v1 := []parquet.WriterOption{parquet.DataPageVersion(1)}
	first := "row group 0 is damaged, its last 2 rows are lost: column t: page at "
	whole := "file is no whole Parquet file: "
	tests := []struct {
		name    string
		options []parquet.WriterOption
		damage  func(*testing.T, string) string
		want    []string
		bad     []string // parts of what rejects say
	}{
		{"no damage", nil, refoot(func(*format.FileMetaData) {}), numbers(0, 4), nil},
		{"no damage to a page", nil, repage(func(*format.PageHeader, []byte) {}), numbers(0, 4), nil},
		{"length of the footer", nil, func(_ *testing.T, file string) string { return file[:len(file)-8] + "\xff\xff\xff\xffPAR1" }, nil, []string{whole + "its footer of 4294967295 bytes is longer than the file"}},
		{"list in the footer", nil, func(t *testing.T, file string) string {
			data, _ := footer(t, file)
			return closed(data, "\x15\x02\x19\xfc\xff\xff\xff\x7f")
		}, nil, []string{whole + "its footer: "}},
		{"a few bytes", nil, func(*testing.T, string) string { return "PAR1" }, nil, []string{whole + "4 bytes"}},
		{"rows of a group", nil, refoot(func(m *format.FileMetaData) { m.RowGroups[1].NumRows = -1 }), nil, []string{whole + "invalid file metadata: row group 1 num_rows=-1 is negative"}},
		{"rows of all groups", nil, refoot(func(m *format.FileMetaData) { m.RowGroups[1].NumRows = math.MaxInt64 }), nil, []string{whole + "row group 1 has 9223372036854775807 rows"}},
		{"more rows than values", nil, refoot(func(m *format.FileMetaData) { m.RowGroups[0].NumRows = math.MaxInt32 }), numbers(2, 4), []string{"its last 2147483647 rows are lost: column id: 2 values for 2147483647 rows"}},
		{"fewer rows than values", nil, refoot(func(m *format.FileMetaData) { m.RowGroups[0].NumRows = 1 }), numbers(2, 4), []string{"column id: 2 values for 1 rows"}},
		{"place of a column", nil, refoot(func(m *format.FileMetaData) { m.RowGroups[0].Columns[2].MetaData.DataPageOffset = 1 << 40 }), numbers(2, 4), []string{" bytes from 1099511627776 are outside the file"}},
		{"negative place of a column", nil, refoot(func(m *format.FileMetaData) { m.RowGroups[0].Columns[2].MetaData.DataPageOffset = -1 }), numbers(2, 4), []string{" bytes from -1 are outside the file"}},
		{"size of a column", nil, refoot(func(m *format.FileMetaData) { m.RowGroups[0].Columns[2].MetaData.TotalCompressedSize = 1 << 40 }), numbers(2, 4), []string{"1099511627776 bytes from "}},
		{"small size of a column", nil, refoot(func(m *format.FileMetaData) { m.RowGroups[0].Columns[2].MetaData.TotalCompressedSize = 5 }), numbers(2, 4), []string{first}},
		{"packed as LZ4", nil, codec(format.Lz4Raw), nil, []string{": unpack it: lz4: ", "row group 1 is damaged, its last 2 rows are lost: column t: packed as ZSTD, but as LZ4_RAW in the first row group"}},
		{"packed as Snappy", nil, codec(format.Snappy), nil, []string{"row group 0 is damaged", "as SNAPPY in the first"}},
		{"unpacked size of Snappy", []parquet.WriterOption{parquet.Compression(&parquet.Snappy)}, repage(func(_ *format.PageHeader, body []byte) { copy(body[2:], "\xff\xff\xff\xff\x07") }), numbers(2, 4), []string{": unpack it: to 2147483647 bytes instead of "}},
		{"unpacked size of Snappy, a second header", []parquet.WriterOption{parquet.Compression(&parquet.Snappy), parquet.DataPageVersion(1)}, repage(func(h *format.PageHeader, body []byte) {
			h.DataPageHeaderV2 = thrift.New(format.DataPageHeaderV2{IsCompressed: thrift.New(false)})
			copy(body, "\xff\xff\xff\xff\x07")
		}), numbers(2, 4), []string{": unpack it: to 2147483647 bytes instead of "}},
		{"matches of LZ4", []parquet.WriterOption{parquet.Compression(&parquet.Lz4Raw)}, repage(func(_ *format.PageHeader, body []byte) { copy(body[2:], "\x0f\xff\xff\xff\xff\xff") }), numbers(2, 4), []string{": unpack it: lz4: "}},
		{"packed as nothing known", nil, codec(99), nil, []string{"row group 0 is damaged", "row group 1 is damaged"}},
		{"packed size", nil, repage(func(h *format.PageHeader, _ []byte) { h.CompressedPageSize = math.MaxInt32 }), numbers(2, 4), []string{"2147483647 bytes, the column has "}},
		{"negative packed size", nil, repage(func(h *format.PageHeader, _ []byte) { h.CompressedPageSize = -1 }), numbers(2, 4), []string{": -1 bytes, the column has "}},
		{"unpacked size", nil, repage(func(h *format.PageHeader, _ []byte) { h.UncompressedPageSize = math.MaxInt32 }), numbers(2, 4), []string{": 2147483647 bytes unpacked, the column has "}},
		{"negative unpacked size", nil, repage(func(h *format.PageHeader, _ []byte) { h.UncompressedPageSize = -1 }), numbers(2, 4), []string{": -1 bytes unpacked, "}},
		{"values, first form", v1, repage(func(h *format.PageHeader, _ []byte) { h.DataPageHeader.V.NumValues = math.MaxInt32 }), numbers(2, 4), []string{": 2147483647 values, the column has 2 left"}},
		{"values, second form", nil, repage(func(h *format.PageHeader, _ []byte) { h.DataPageHeaderV2.V.NumValues = math.MaxInt32 }), numbers(2, 4), []string{": 2147483647 values, the column has 2 left"}},
		{"fewer values than rows", v1, repage(func(h *format.PageHeader, _ []byte) { h.DataPageHeader.V.NumValues = 1 }), numbers(2, 4), []string{": column t: 1 of 2 values are missing"}},
		{"negative values", nil, repage(func(h *format.PageHeader, _ []byte) { h.DataPageHeaderV2.V.NumValues = -1 }), numbers(2, 4), []string{": -1 values, "}},
		{"nulls", nil, repage(func(h *format.PageHeader, _ []byte) { h.DataPageHeaderV2.V.NumNulls = 3 }), numbers(2, 4), []string{": 3 nulls in 2 values"}},
		{"levels", nil, repage(func(h *format.PageHeader, _ []byte) { h.DataPageHeaderV2.V.DefinitionLevelsByteLength = math.MaxInt32 }), numbers(2, 4), []string{": 2147483647 bytes of levels in "}},
		{"negative levels", nil, repage(func(h *format.PageHeader, _ []byte) { h.DataPageHeaderV2.V.DefinitionLevelsByteLength = -1 }), numbers(2, 4), []string{first}},
		{"values of a dictionary", nil, repage(func(h *format.PageHeader, _ []byte) {
			h.Type, h.DictionaryPageHeader = format.DictionaryPage, thrift.New(format.DictionaryPageHeader{NumValues: math.MaxInt32})
			h.DataPageHeaderV2 = thrift.Null[format.DataPageHeaderV2]{}
		}), numbers(2, 4), []string{": 2147483647 values in "}},
		{"no unit of a timestamp", nil, logical(2, &format.TimestampType{}), numbers(0, 4), nil},
		{"number as a text", nil, logical(2, &format.StringType{}), nil, []string{"row group 0 is damaged", "row group 1 is damaged"}},
		{"text as a number", nil, refoot(func(m *format.FileMetaData) { m.Schema[3].Type = thrift.New(format.Int64) }), numbers(0, 4), nil},
		{"text as a fraction", nil, refoot(func(m *format.FileMetaData) { m.Schema[3].Type = thrift.New(format.Double) }), numbers(0, 4), nil},
		{"text as a timestamp", nil, logical(3, &format.TimestampType{Unit: format.TimeUnit{Value: &format.MilliSeconds{}}}), nil, []string{"row group 0 is damaged", "row group 1 is damaged"}},
		{"scale", nil, logical(2, &format.DecimalType{Scale: math.MaxInt32, Precision: 9}), numbers(0, 4), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, bad := readParquet(t, tt.damage(t, parquetFile(t, 0, 4, 2, tt.options...)))
			if d := cmp.Diff(append([]string{}, tt.want...), ids(got)); d != "" {
				t.Errorf("posts: %s", d)
			}
			if len(bad) != len(tt.bad) {
				t.Fatalf("rejects %q, want %q", bad, tt.bad)
			}
			for i, r := range bad {
				if !strings.Contains(r, tt.bad[i]) {
					t.Errorf("reject %d\n got %s\nwant …%s…", i, r, tt.bad[i])
				}
			}
		})
	}
}

// logical gives a column another logical type.
func logical(column int, lt format.LogicalTypeValue) func(*testing.T, string) string {
	return refoot(func(m *format.FileMetaData) { m.Schema[column].LogicalType = format.LogicalType{Value: lt} })
}

// TestParquetBits reads a file once for each of its bytes, with one bit of it
// wrong. It ends, and takes no more memory than the file needs.
func TestParquetBits(t *testing.T) {
	file := parquetFile(t, 0, 4, 2)
	for i := range len(file) {
		wrong := []byte(file)
		wrong[i] ^= 1 << (i % 8)
		readParquet(t, string(wrong))
	}
}

// readParquet reads a file with little memory.
func readParquet(t *testing.T, file string) ([]feedlake.Post, []string) {
	t.Helper()
	f := newFolder(t)
	f.write("a.parquet", file)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, bad, _ := sourcetest.Drain(t, openSource(t, f.dir, "path: a.parquet\n"+plain), "")
	runtime.ReadMemStats(&after)
	if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 32 {
		t.Errorf("%d MB were allocated for a file of %d bytes: %q", used, len(file), sourcetest.Reasons(bad))
	}
	return got, sourcetest.Reasons(bad)
}

// TestParquetPacked reads every way to pack pages, with statistics that make
// headers long.
func TestParquetPacked(t *testing.T) {
	for _, c := range []compress.Codec{&parquet.Uncompressed, &parquet.Snappy, &parquet.Gzip, &parquet.Brotli, &parquet.Zstd, &parquet.Lz4Raw} {
		for version := range 2 {
			t.Run(fmt.Sprintf("%s/%d", c, version+1), func(t *testing.T) {
				file := parquetFile(t, 0, 3000, 1000, parquet.Compression(c), parquet.DataPageVersion(version+1), parquet.DataPageStatistics(true), parquet.PageBufferSize(2000))
				got, bad := readParquet(t, file)
				if d := cmp.Diff(numbers(0, 3000), ids(got)); d != "" || len(bad) > 0 {
					t.Errorf("posts %s, rejects %q", d, bad)
				}
			})
		}
	}
}
