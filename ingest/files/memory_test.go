package files_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/files"
	"github.com/feedlake/feedlake/lake"
)

// maxMemory is what reading any file may take.
const maxMemory = 1 << 30

// repeats packs with gzip: a begin, a piece many times, an end.
func repeats(begin, piece string, times int, end string) func(t *testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		var b bytes.Buffer
		w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []io.Reader{strings.NewReader(begin), &looped{piece: piece, left: times}, strings.NewReader(end)} {
			if _, err := io.Copy(w, r); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
}

// looped reads a piece many times.
type looped struct {
	piece string
	at    int
	left  int
}

func (l *looped) Read(p []byte) (n int, err error) {
	for n < len(p) && l.left > 0 {
		k := copy(p[n:], l.piece[l.at:])
		n += k
		if l.at += k; l.at == len(l.piece) {
			l.at, l.left = 0, l.left-1
		}
	}
	if n == 0 {
		err = io.EOF
	}
	return n, err
}

// zeros is a zstd frame of so many blocks of 128 KiB, each of four bytes, with a
// window given by its exponent (RFC 8878, 3.1.1).
func zeros(blocks int, exponent byte) string {
	frame := binary.LittleEndian.AppendUint32(nil, 0xFD2FB528)
	frame = append(frame, 0, exponent<<3)
	for i := range blocks {
		head := uint32(128<<10)<<3 | 1<<1
		if i == blocks-1 {
			head |= 1
		}
		frame = append(frame, byte(head), byte(head>>8), byte(head>>16), 'x')
	}
	return string(frame)
}

// parquetPage is a Parquet file in which one column of the first row group has
// one page that make gives, packed with codec.
func parquetPage(column int, codec format.CompressionCodec, rows int64, page func(h *format.PageHeader) string) func(*testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		file := parquetFile(t, 0, 4, 2, parquet.Compression(&parquet.Uncompressed))
		data, _ := footer(t, file)
		h := format.PageHeader{Type: format.DataPageV2}
		body := page(&h)
		h.CompressedPageSize = int32(len(body))
		if h.UncompressedPageSize == 0 {
			h.UncompressedPageSize = int32(len(body))
		}
		head, err := thrift.Marshal(new(thrift.CompactProtocol), h)
		if err != nil {
			t.Fatal(err)
		}
		return refoot(func(m *format.FileMetaData) {
			m.RowGroups[0].NumRows = rows
			for i := range m.RowGroups[0].Columns {
				m.RowGroups[0].Columns[i].MetaData.NumValues = rows
			}
			c := &m.RowGroups[0].Columns[column].MetaData
			c.DataPageOffset, c.TotalCompressedSize, c.Codec = int64(len(data)), int64(len(head)+len(body)), codec
			c.TotalUncompressedSize = int64(len(head)) + int64(h.UncompressedPageSize)
		})(t, closed(data+string(head)+body, file[len(data):len(file)-8]))
	}
}

// v2 is the header of a data page of the second form.
func v2(encoding format.Encoding, values, defines int) thrift.Null[format.DataPageHeaderV2] {
	return thrift.New(format.DataPageHeaderV2{NumValues: int32(values), NumRows: int32(values), Encoding: encoding, DefinitionLevelsByteLength: int32(defines)})
}

// varints spells numbers as a run's head or DELTA_BINARY_PACKED has them.
func varints(n ...uint64) string {
	var b []byte
	for _, v := range n {
		b = binary.AppendUvarint(b, v)
	}
	return string(b)
}

// wide is a file of rows that a few bytes stand for: one long text, which every
// row and every element of a list refers to.
func wide(text, elements, rows int) func(*testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		type wideRow struct {
			ID string   `parquet:"id"`
			At int64    `parquet:"at"`
			D  string   `parquet:"d,dict"`
			L  []string `parquet:"l,list,dict"`
		}
		var b bytes.Buffer
		w := parquet.NewGenericWriter[wideRow](&b, parquet.Compression(&parquet.Zstd), parquet.SkipPageBounds("d"))
		r := wideRow{At: 1577934245, D: strings.Repeat("x", text)}
		for range elements {
			r.L = append(r.L, "y")
		}
		for i := range rows {
			r.ID = fmt.Sprint(i)
			if _, err := w.Write([]wideRow{r}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
}

// hostile are files that stand for far more than they hold: what they are named,
// and what rejects say of them.
var hostile = []struct {
	name string
	make func(*testing.T) string
	says string // "": they can be read
}{
	{"line.ndjson.gz", repeats(`{"id":"1","at":1577934245,"t":"`, "xxxxxxxx", 12<<20, `"}`), "is longer than max_record_bytes"},
	{"element.json.gz", repeats(`[{"id":"1","at":1577934245,"t":"`, "xxxxxxxx", 4<<20, `"}]`), "is longer than max_record_bytes"},
	{"nested.json.gz", repeats("", "[", 9<<20, ""), "last record is incomplete"},
	{"nested.ndjson.gz", repeats("", "[", 7<<20, ""), "last record is incomplete"},
	{"text-before-the-list.json.gz", repeats(`{"items":"`, "xxxxxxxx", 4<<20, `"}`), "a value of the document would take"},
	{"depth-before-the-list.json.gz", repeats(`{"other":`, "[", 2<<20, ""), "more than 10000 deep"},
	{"list-again.json.gz", repeats(`{`, `"items":[],`, 1<<20, `"items":[{"id":"1","at":1577934245}]}`), ""},
	{"field.csv.gz", repeats("id,at\n1,\"", "xxxxxxxx", 4<<20, ""), "is longer than max_record_bytes"},
	{"header.csv.gz", repeats("id,at", ",a", 3<<20, "\n1,2\n"), "header names more than 10000 columns"},
	{"document.bson.gz", repeats("\x00\x00\x00\x04", "xxxxxxxx", 8<<20, ""), "is longer than max_record_bytes"},
	{"lists.ndjson.gz", repeats("", `{"id":"1","at":1577934245,"h":[`+strings.Repeat(`"",`, 2<<20)+`""]}`+"\n", 4, ""), ""},
	{"window.ndjson.zst", func(*testing.T) string { return zeros(2600, 21) }, "is longer than max_record_bytes"},
	{"window-of-terabytes.ndjson.zst", func(*testing.T) string { return zeros(3, 31) }, "last record is incomplete"},
	{"long-text.parquet", func(t *testing.T) string {
		texts := append(binary.LittleEndian.AppendUint32(nil, 64<<20), strings.Repeat("x", 64<<20)+"\x01\x00\x00\x00y"...)
		body := zst(t, string(texts))
		return parquetPage(2, format.Zstd, 2, func(h *format.PageHeader) string {
			run := varints(2<<1) + "\x01"
			h.DataPageHeaderV2, h.UncompressedPageSize = v2(format.Plain, 2, len(run)), int32(len(run)+len(texts))
			return run + body
		})(t)
	}, "1 posts, 2 rejects"},
	{"text-again.parquet", wide(7<<20, 1, 20), ""},
	{"long-list.parquet", wide(1, 3<<20, 2), "max_record_bytes allows"},
	{"page.zstd.parquet", parquetPage(2, format.Zstd, 2, func(h *format.PageHeader) string {
		h.DataPageHeaderV2, h.UncompressedPageSize = v2(format.Plain, 2, 0), 1000
		return zeros(16000, 13)
	}), "unpack it: "},
	{"page.gzip.parquet", func(t *testing.T) string {
		body := repeats("", "xxxxxxxx", 8<<20, "")(t)
		return parquetPage(2, format.Gzip, 2, func(h *format.PageHeader) string {
			h.DataPageHeaderV2, h.UncompressedPageSize = v2(format.Plain, 2, 0), 1000
			return body
		})(t)
	}, "unpack it: to more than 1000 bytes"},
	{"page-of-a-gigabyte.parquet", parquetPage(2, format.Zstd, 2, func(h *format.PageHeader) string {
		h.DataPageHeaderV2, h.UncompressedPageSize = v2(format.Plain, 2, 0), 1<<30
		return zeros(8192, 13)
	}), "a page would take"},
	{"levels.parquet", parquetPage(2, format.Uncompressed, 2, func(h *format.PageHeader) string {
		run := varints(math.MaxInt32<<1) + "\x01"
		h.DataPageHeaderV2 = v2(format.Plain, 2, len(run))
		return run + "\x01\x00\x00\x00a"
	}), "definition levels: runs of more values"},
	{"levels-first-form.parquet", parquetPage(2, format.Uncompressed, 2, func(h *format.PageHeader) string {
		run := varints(math.MaxInt32<<1) + "\x01"
		h.Type, h.DataPageHeader = format.DataPage, thrift.New(format.DataPageHeader{NumValues: 2, Encoding: format.Plain, DefinitionLevelEncoding: format.RLE})
		return string(binary.LittleEndian.AppendUint32(nil, uint32(len(run)))) + run
	}), "definition levels: runs of more values"},
	{"many-rows.parquet", parquetPage(0, format.Uncompressed, math.MaxInt32, func(h *format.PageHeader) string {
		h.DataPageHeaderV2 = v2(format.RLEDictionary, math.MaxInt32, 0)
		return "\x01" + varints(math.MaxInt32<<1) + "\x00"
	}), "a page would take"},
	{"indexes.parquet", parquetPage(1, format.Uncompressed, 2, func(h *format.PageHeader) string {
		h.DataPageHeaderV2 = v2(format.RLEDictionary, 2, 0)
		return "\x01" + strings.Repeat(varints(math.MaxInt32<<1)+"\x00", 3)
	}), "values: runs of more values"},
	{"differences.parquet", parquetPage(1, format.Uncompressed, 2, func(h *format.PageHeader) string {
		h.DataPageHeaderV2 = v2(format.DeltaBinaryPacked, 2, 0)
		return varints(128, 4, math.MaxInt32, 0)
	}), "values: runs of more values"},
	{"prefixes.parquet", parquetPage(0, format.Uncompressed, 2, func(h *format.PageHeader) string {
		h.DataPageHeaderV2 = v2(format.DeltaByteArray, 2, 0)
		return varints(128, 4, 3, 1<<31, 0, 0, 0, 0, 0) + varints(128, 4, 3, 0, 0, 0, 0, 0, 0)
	}), "its texts would take"},
	{"columns.parquet", func(t *testing.T) string {
		data, m := footer(t, parquetFile(t, 0, 4, 2))
		for range 4 << 10 {
			m.RowGroups = append(m.RowGroups, format.RowGroup{Columns: make([]format.ColumnChunk, 60)})
		}
		b, err := thrift.Marshal(new(thrift.CompactProtocol), m)
		if err != nil {
			t.Fatal(err)
		}
		return closed(data, string(b))
	}, "its footer "},
	{"schema.parquet", func(t *testing.T) string {
		data, m := footer(t, parquetFile(t, 0, 4, 2))
		m.Schema = slices.Repeat([]format.SchemaElement{{Name: "g", NumChildren: thrift.New(int32(1))}}, 400_000)
		b, err := thrift.Marshal(new(thrift.CompactProtocol), m)
		if err != nil {
			t.Fatal(err)
		}
		return closed(data, string(b))
	}, "its footer has 400000 columns"},
}

// hostileMaps end the mapping of some of the files, and their configuration.
var hostileMaps = map[string]string{
	"lists.ndjson.gz":               ", hashtags: h, mentions: h}",
	"long-list.parquet":             ", hashtags: l}",
	"text-again.parquet":            ", text: d}",
	"text-before-the-list.json.gz":  "}\nrecords: items",
	"depth-before-the-list.json.gz": "}\nrecords: items",
	"list-again.json.gz":            "}\nrecords: items",
}

// childFolder names the folder whose files the test process's child reads.
const childFolder = "FEEDLAKE_TEST_HOSTILE"

// TestWholeMemory reads hostile files of every format in a process of its own, one
// after the other, and asks after each how much memory the process ever had.
func TestWholeMemory(t *testing.T) {
	if dir := os.Getenv(childFolder); dir != "" {
		readHostile(t, dir)
		return
	}
	t.Parallel()
	dir := t.TempDir()
	for i, h := range hostile {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d-%s", i, h.name)), []byte(h.make(t)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWholeMemory$")
	cmd.Env = append(os.Environ(), childFolder+"="+dir)
	out, err := cmd.CombinedOutput()
	told := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if name, rest, ok := strings.Cut(lines.Text(), ": "); ok {
			told[name] = rest
		}
	}
	for i, h := range hostile {
		got, ok := told[fmt.Sprintf("%02d-%s", i, h.name)]
		if t.Logf("%s: %s", h.name, got); !ok || !strings.Contains(got, h.says) || h.says == "" && !strings.Contains(got, " 0 rejects") {
			t.Errorf("%s: %q, want %q", h.name, got, h.says)
		}
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// readHostile reads each file of a folder, and fails after the first that took
// too much memory.
func readHostile(t *testing.T, dir string) {
	t.Helper()
	took := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.Sys
	}
	go func() { // the machine's memory is not the test's
		for range time.Tick(20 * time.Millisecond) {
			if took() > 3*maxMemory {
				fmt.Println("stopped at", took()>>20, "MiB")
				os.Exit(3)
			}
		}
	}()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	into, err := lake.Open(t.Context(), lake.Config{Dir: t.TempDir(), Now: clock, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		_, name, _ := strings.Cut(f.Name(), "-")
		config := "path: " + f.Name() + "\nmap: {id: id, created_at: {path: at, time: unix}" + cmp.Or(hostileMaps[name], "}") + "\n"
		src, err := registry().Open(t.Context(), files.Kind, ingest.Env{Name: "src", Base: dir, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}, decodeYAML(config))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ingest.Run(t.Context(), ingest.Options{Name: name, RunID: "r", Source: src, Lake: into, Now: clock, Log: slog.New(slog.DiscardHandler)}); err != nil {
			t.Fatal(f.Name(), err)
		}
		posts, rejects := 0, 0
		var reasons []string
		for at, done := feedlake.Cursor(""), false; !done; {
			p, err := src.Fetch(t.Context(), at)
			if err != nil {
				t.Fatal(f.Name(), err)
			}
			for _, r := range p.Rejects[:min(len(p.Rejects), 5)] {
				reasons = append(reasons, r.Reason[:min(len(r.Reason), 200)])
			}
			posts, rejects, at, done = posts+len(p.Posts), rejects+len(p.Rejects), p.Next, p.Done
		}
		sum := took()
		fmt.Printf("%s: %d posts, %d rejects, %d MiB: %s\n", f.Name(), posts, rejects, sum>>20, strings.Join(reasons[:min(len(reasons), 5)], "; "))
		if sum > maxMemory {
			t.Fatalf("%s took %d MiB", f.Name(), sum>>20)
		}
	}
	if err := into.Close(); err != nil {
		t.Error(err)
	}
}
