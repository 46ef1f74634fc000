package files_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/files"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// TestBadInput feeds every kind of broken file: the good records are kept, and
// each fault is one reject with its place and a reason.
func TestBadInput(t *testing.T) {
	long := func(n int) string { return `{"id":"1","at":1,"t":"` + strings.Repeat("x", n) + `"}` + "\n" }
	noise := func(n int) string {
		r := rand.New(rand.NewPCG(1, 2))
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return string(b)
	}
	pq := parquetFile(t, 0, 10, 5)
	crossed := func(s string, from, to int) string { return s[:from] + noise(to-from) + s[to:] }
	tests := []struct {
		name, file, content, config string
		want                        []string // ids
		bad                         []string // beginnings of "position: reason"
	}{
		{"broken line", "a.ndjson", line(0) + "\n{\"id\":\n" + ndjson(1, 2), "", numbers(0, 2), []string{"a.ndjson:2 (byte 59): broken JSON: unexpected end of JSON input (byte 6 of the record)"}},
		{"ids alone", "a.ndjson", "1577934245000\n\"1577934245001\"\n", "", nil, []string{"a.ndjson:1 (byte 0): an id alone: there is nothing to land", "a.ndjson:2 (byte 14): an id alone"}},
		{"no JSON at all", "a.ndjson", "hello\n", "", nil, []string{"a.ndjson:1 (byte 0): broken JSON: invalid character 'h'"}},
		{"wrong types", "a.ndjson", `{"id":[1],"at":1577934245}` + "\n" + `{"id":"1","at":1577934245,"n":"lots"}` + "\n" + ndjson(5, 6), "", []string{"1", "5"}, []string{
			"a.ndjson:1 (byte 0): id: want text, got a list", `a.ndjson:2 (byte 27): likes: want a whole number, got "lots"`,
		}},
		{"long line", "a.ndjson", ndjson(0, 1) + long(5000) + ndjson(1, 2), "max_record_bytes: 1000\n", numbers(0, 2), []string{"a.ndjson:2 (byte 59): record of 5024 bytes is longer than max_record_bytes, 1000"}},
		{"long last line", "a.ndjson", ndjson(0, 1) + strings.TrimSpace(long(5000)), "max_record_bytes: 1000\n", numbers(0, 1), []string{"a.ndjson:2 (byte 59): record of 5024 bytes"}},
		{"long element", "a.json", "[" + line(0) + "," + long(5000) + "," + line(1) + "]", "max_record_bytes: 1000\n", numbers(0, 2), []string{"a.json:1 (byte 60): record of 5024 bytes is longer"}},
		{"long CSV record", "a.csv", "id,at,t\n1,1577934245,x\n2,1577934245," + strings.Repeat("x", 5000) + "\n3,1577934245,x\n", "max_record_bytes: 1000\n", []string{"1", "3"}, []string{"a.csv:3 (byte 23): record of 50"}},
		{"long quoted CSV record", "a.csv", "id,at,t\n1,1577934245,x\n2,1577934245,\"" + strings.Repeat("x", 5000) + "\"\n3,1577934245,x\n", "max_record_bytes: 1000\n", []string{"1", "3"}, []string{"a.csv:3 (byte 23): "}},
		{"invalid UTF-8", "a.ndjson", "{\"id\":\"1\",\"at\":1577934245,\"t\":\"caf\xe9\"}\n" + ndjson(2, 3), "", numbers(2, 3), []string{"a.ndjson:1 (byte 0): not valid UTF-8 at byte 34 of the record"}},
		{"invalid UTF-8 in CSV", "a.csv", "id,at,t\n1,1577934245,caf\xe9\n2,1577934245,x\n", "", []string{"2"}, []string{"a.csv:2 (byte 8): not valid UTF-8"}},
		{"zero bytes", "a.ndjson", "\x00\x00\n" + ndjson(0, 1), "", numbers(0, 1), []string{"a.ndjson:1 (byte 0): broken JSON: invalid character '\\x00'"}},
		{"absurd dates", "a.ndjson", `{"id":"1","at":-62135596800}` + "\n" + `{"id":"2","at":253402300799}` + "\n" + ndjson(3, 4), "", numbers(3, 4), []string{
			"a.ndjson:1 (byte 0): created_at: the record has no at", "a.ndjson:2 (byte 29): post src/2 created at 9999-12-31T23:59:59Z, outside 1990-01-01",
		}},
		{"key twice", "a.ndjson", `{"id":"1","at":1577934245,"id":"2"}` + "\n", "", nil, []string{`a.ndjson:1 (byte 0): key "id" stands twice`}},
		{"BSON cut off", "a.bson", dump(t, 0, 3)[:120], "", numbers(0, 2), []string{"a.bson (byte 98): last document is incomplete"}},
		{"BSON without an end", "a.bson", dump(t, 0, 1) + "\x08\x00\x00\x00abcd" + dump(t, 1, 2), "", numbers(0, 1), []string{"a.bson (byte 49): no document: one of 8 bytes does not end as it should; the documents before it are kept"}},
		{"BSON with a negative length", "a.bson", dump(t, 0, 1) + "\xff\xff\xff\xff", "", numbers(0, 1), []string{"a.bson (byte 49): no document: its length would be -1"}},
		{"BSON broken inside", "a.bson", dump(t, 0, 1) + "\x0a\x00\x00\x00\x02abc\x00\x00" + dump(t, 1, 2), "", numbers(0, 2), []string{"a.bson (byte 49): broken BSON: "}},
		{"long document", "a.bson", dump(t, 0, 1) + document(t, bson.D{{Key: "id", Value: strings.Repeat("x", 5000)}}) + dump(t, 1, 2), "max_record_bytes: 1000\n", numbers(0, 2), []string{"a.bson (byte 49): record of 5014 bytes is longer than max_record_bytes, 1000"}},
		{"long document cut off", "a.bson", dump(t, 0, 1) + document(t, bson.D{{Key: "id", Value: strings.Repeat("x", 5000)}})[:3000], "max_record_bytes: 1000\n", numbers(0, 1), []string{"a.bson (byte 49): last document is incomplete"}},
		{"archive of mongodump", "a.bson", "\x6d\xe2\x99\x81" + dump(t, 0, 1), "", nil, []string{"a.bson (byte 0): an archive of mongodump: write folders instead"}},
		{"gzip with a wrong checksum", "a.ndjson.gz", flip(gz(t, ndjson(0, 5)), -6), "", numbers(0, 5), []string{"a.ndjson.gz:6 (byte 296): file is damaged: gzip: invalid checksum at line 6"}},
		{"gzip with text behind", "a.ndjson.gz", gz(t, ndjson(0, 5)) + "text", "", numbers(0, 5), []string{"a.ndjson.gz:6 (byte 296): file is "}},
		{"no gzip but text", "a.ndjson.gz", ndjson(0, 5), "", numbers(0, 5), nil},
		{"no gzip", "a.ndjson.gz", "\x01\x02\x03 and more", "", nil, []string{"a.ndjson.gz:1 (byte 0): file is damaged: gzip: invalid header at line 1"}},
		{"no zstd", "a.ndjson.zst", "no zstd at all\x00", "", nil, []string{"a.ndjson.zst:1 (byte 0): file is damaged: "}},
		{"half a Parquet file", "a.parquet", pq[:len(pq)/2], "", nil, []string{"a.parquet:1: file is no whole Parquet file"}},
		{"Parquet of noise", "a.parquet", "PAR1" + noise(3000) + "PAR1", "", nil, []string{"a.parquet:1: file is no whole Parquet file"}},
		{"Parquet with a damaged row group", "a.parquet", crossed(pq, 10, 80), "", numbers(5, 10), []string{"a.parquet:1: row group 0 is damaged, its last 5 rows are lost"}},
		{"Parquet without the column", "a.parquet", pq, "map: {id: {path: nr, optional: true}, created_at: {path: at, time: unix}}\n", nil, []string{`a.parquet:1: file has no column "nr" for id; its columns: id, at, t, n; no record of the file can be read`}},
		{"empty file", "a.ndjson", "", "", nil, nil},
		{"empty gzip", "a.ndjson.gz", "", "", nil, nil},
		{"empty zstd", "a.ndjson.zst", "", "", nil, nil},
		{"empty JSON", "a.json", " \n", "", nil, nil},
		{"empty CSV", "a.csv", "\n", "", nil, nil},
		{"CSV of a header", "a.csv", "id,at,t\n", "", nil, nil},
		{"empty Parquet", "a.parquet", "", "", nil, nil},
		{"broken element", "a.json", `[` + line(0) + `,{"id":1,},` + line(1) + `,7,"x",` + line(2) + `]`, "", numbers(0, 3), []string{"a.json:1 (byte 60): broken JSON: invalid character '}'", "a.json:1 (byte 129): want an object, got a number", "a.json:1 (byte 131): want an object, got text"}},
		{"array not closed", "a.json", "[" + line(0) + ",\n", "", numbers(0, 1), []string{"a.json:2 (byte 61): array is not closed"}},
		{"array cut in a record", "a.json", "[" + line(0) + ",\n{\"id\"", "", numbers(0, 1), []string{"a.json:2 (byte 61): last record is incomplete"}},
		{"array closed twice", "a.json", "[" + line(0) + "]]", "", numbers(0, 1), []string{"a.json:1 (byte 60): text after the end of the array"}},
		{"stray brackets", "a.json", line(0) + "}" + line(1), "", numbers(0, 2), []string{"a.json:1 (byte 58): broken JSON"}},
		{"quote never closed in JSON", "a.json", `[{"id":"1","at":1577934245,"t":"x},` + line(1) + "]", "", nil, []string{"a.json:1 (byte 1): "}},
		{"CSV with a field too many", "a.csv", "id,at,t\n1,1577934245,x,y\n2,1577934245,x\n", "", []string{"2"}, []string{"a.csv:2 (byte 8): record has 4 fields, the header names 3"}},
		{"CSV quote never closed", "a.csv", "id,at,t\n1,1577934245,\"x\n2,1577934245,x\n3,1577934245,y\n", "", []string{"2", "3"}, []string{"a.csv:2 (byte 8): broken CSV: a quoted field is never closed"}},
		{"CSV text behind a quote", "a.csv", "id,at,t\n1,1577934245,\"x\"y\n2,1577934245,x\n", "", []string{"2"}, []string{"a.csv:2 (byte 8): broken CSV: text behind the closing quote"}},
		{"CSV cut in its last record", "a.csv", "id,at,t\n1,1577934245,x\n2,15779", "", []string{"1"}, []string{"a.csv:3 (byte 23): last record is incomplete"}},
		{"CSV without the column", "a.csv", "nr,at,t\n1,1577934245,x\n", "", nil, []string{`a.csv:1 (byte 0): file has no column "id" for id; its columns: nr, at, t; no record`}},
		{"CSV with a column twice", "a.csv", "id,at,id\n1,1577934245,x\n", "", nil, []string{`a.csv:1 (byte 0): header names column "id" twice`}},
	}
	for _, tt := range tests {
		for _, small := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/small=%v", tt.name, small), func(t *testing.T) {
				f := newFolder(t)
				f.write(tt.file, tt.content)
				f.write("z.ndjson", ndjson(90, 91)) // what stands behind a bad file is read
				mapped := plain
				if strings.Contains(tt.config, "map:") {
					mapped = ""
				}
				config := "path: '*'\n" + tt.config + mapped
				if strings.Contains(tt.config, "nr") {
					config = "path: a.*\n" + tt.config
				}
				src := openSource(t, f.dir, config)
				if small {
					src = files.Small(src)
				}
				got, bad, end := sourcetest.Drain(t, src, "")
				want := append(append([]string{}, tt.want...), "90")
				if strings.Contains(tt.config, "nr") {
					want = []string{}
				}
				if d := cmp.Diff(want, ids(got)); d != "" {
					t.Errorf("posts: %s", d)
				}
				reasons := sourcetest.Reasons(bad)
				if len(reasons) != len(tt.bad) {
					t.Fatalf("rejects %q, want %q", reasons, tt.bad)
				}
				for i, r := range reasons {
					if !strings.HasPrefix(r, tt.bad[i]) {
						t.Errorf("reject %d\n got %s\nwant %s…", i, r, tt.bad[i])
					}
					if !utf8.ValidString(bad[i].Payload) || len(bad[i].Payload) > feedlake.MaxRejectPayload {
						t.Errorf("payload of %d bytes is not fit for the lake", len(bad[i].Payload))
					}
				}
				again, bad, _ := sourcetest.Drain(t, openSource(t, f.dir, config), end)
				if len(again)+len(bad) > 0 {
					t.Errorf("second run: %d posts, rejects %q", len(again), sourcetest.Reasons(bad))
				}
			})
		}
	}
}

// TestTruncated cuts packed files everywhere: all whole records are kept, one
// reject says where the file ends, and the file is read on once it is whole.
func TestTruncated(t *testing.T) {
	text := noisy(0, 3000)
	for name, packed := range map[string]string{"a.ndjson.gz": gz(t, text), "a.ndjson.zst": zst(t, text)} {
		for _, part := range []int{5, 20, 40, 60, 80, 95} {
			f := newFolder(t)
			f.write(name, packed[:len(packed)*part/100])
			open := func() ingest.Source { return openSource(t, f.dir, "path: '*'\n"+plain) }
			got, bad, end := sourcetest.Drain(t, open(), "")
			if d := cmp.Diff(numbers(0, len(got)), ids(got)); d != "" {
				t.Fatal(d)
			}
			want := fmt.Sprintf("%s:%d (byte %d): file is truncated: its %s data ends too early at line %[2]d", name, len(got)+1, len(noisy(0, len(got))), strings.TrimPrefix(filepath.Ext(name), "."))
			if len(bad) != 1 || !strings.HasPrefix(sourcetest.Reasons(bad)[0], want) {
				t.Errorf("rejects %q, want %q", sourcetest.Reasons(bad), want)
			}
			if again, bad, same := sourcetest.Drain(t, open(), end); len(again)+len(bad) > 0 || same != end {
				t.Errorf("an unchanged file was read again: %d posts, %q", len(again), sourcetest.Reasons(bad))
			}
			f.write(name, packed)
			rest, bad, _ := sourcetest.Drain(t, open(), end)
			if d := cmp.Diff(numbers(len(got), 3000), ids(rest)); d != "" || len(bad) > 0 {
				t.Errorf("%d%% and then whole: %s, %q", part, d, sourcetest.Reasons(bad))
			}
			if part == 95 && len(got) < 1500 {
				t.Errorf("%s: only %d of 3000 records kept at %d%%", name, len(got), part)
			}
		}
	}
}

// noisy is NDJSON that does not pack well, so that half a packed file still
// holds records.
func noisy(from, to int) string {
	r := rand.New(rand.NewPCG(3, 4))
	var b strings.Builder
	for i := range to {
		s := fmt.Sprintf(`{"id":"%d","at":1577934245,"t":"%x%x"}`, i, r.Uint64(), r.Uint64()) + "\n"
		if i >= from {
			b.WriteString(s)
		}
	}
	return b.String()
}

// flip changes one byte, counted from the end.
func flip(s string, at int) string {
	b := []byte(s)
	b[len(b)+at] ^= 0xff
	return string(b)
}

// TestHugeLine reads past a line of 100 MB without holding it.
func TestHugeLine(t *testing.T) {
	for _, name := range []string{"a.ndjson", "a.csv", "a.json"} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			head, tail := ndjson(0, 1)+`{"id":"`, `"}`+"\n"+ndjson(1, 2)
			if name == "a.csv" {
				head, tail = "id,at,t\n0,1577934245,x\n9,1577934245,", "\n1,1577934245,x\n"
			}
			f.write(name, head)
			file, err := os.OpenFile(filepath.Join(f.dir, name), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			chunk := []byte(strings.Repeat("x", 1<<20))
			for range 100 {
				if _, err := file.Write(chunk); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := file.WriteString(tail); err != nil {
				t.Fatal(err)
			}
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, bad, _ := sourcetest.Drain(t, openSource(t, f.dir, "path: a.*\n"+plain), "")
			runtime.ReadMemStats(&after)
			if d := cmp.Diff(numbers(0, 2), ids(got)); d != "" {
				t.Error(d)
			}
			if len(bad) != 1 || !strings.Contains(bad[0].Reason, "longer than max_record_bytes, 8388608") || len(bad[0].Payload) != feedlake.MaxRejectPayload {
				t.Errorf("rejects %q", sourcetest.Reasons(bad))
			}
			if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 64 {
				t.Errorf("%d MB were allocated for a line that is skipped", used)
			}
		})
	}
}

func FuzzNDJSON(f *testing.F) { fuzzFormat(f, "a.ndjson", ndjson(0, 2)+"{\"id\":\n\"\xff\n[[") }

func FuzzArray(f *testing.F) { fuzzFormat(f, "a.json", array(0, 2)+"]{\"a\":\"\\\"}") }

func FuzzBSON(f *testing.F) {
	fuzzFormat(f, "a.bson", dump(f, 0, 4), dump(f, 0, 1)+"\x05\x00\x00\x00\x00")
}

func FuzzCSV(f *testing.F) {
	fuzzFormat(f, "a.csv", table(0, 2)+"1,\"x\"y\n,,\"\n\xff", "at,id\n1577934245,\"a\r\nb\"\n")
}

func FuzzParquet(f *testing.F) {
	fuzzFormat(f, "a.parquet", parquetFile(f, 0, 4, 2), parquetFile(f, 0, 4, 2, parquet.Compression(&parquet.Lz4Raw), parquet.DataPageVersion(1)),
		parquetFile(f, 0, 4, 2, parquet.Compression(&parquet.Uncompressed)))
}

// fuzzFormat reads arbitrary bytes as a file: reading ends, repeats itself, never
// fails, and pages of any size give the same records.
func fuzzFormat(f *testing.F, name string, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
		f.Add([]byte(s[:len(s)/2]))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > 1<<16 {
			return
		}
		dir := newFolder(t)
		dir.write(name, string(content))
		open := func() ingest.Source { return openSource(t, dir.dir, "path: a.*\nmax_record_bytes: 4096\n"+plain) }
		got, bad, end := sourcetest.Drain(t, open(), "")
		small, smallBad, smallEnd := sourcetest.Drain(t, files.Small(open()), "")
		if d := cmp.Diff(got, small); d != "" || end != smallEnd {
			t.Errorf("small pages give other posts: %s", d)
		}
		if d := cmp.Diff(sourcetest.Reasons(bad), sourcetest.Reasons(smallBad)); d != "" {
			t.Errorf("small pages give other rejects: %s", d)
		}
		if more, moreBad, _ := sourcetest.Drain(t, open(), end); len(more)+len(moreBad) > 0 {
			t.Errorf("behind the end: %d posts, %q", len(more), sourcetest.Reasons(moreBad))
		}
	})
}
