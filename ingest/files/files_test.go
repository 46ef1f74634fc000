package files_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/files"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// plain maps the records that the tests write, and lets files lack any field:
// TestPaths has those that must not.
const plain = "map: {id: {path: id, optional: true}, created_at: {path: at, time: unix, optional: true}, text: {path: t, optional: true}, likes: {path: n, optional: true}}\n"

func line(i int) string {
	return fmt.Sprintf(`{"id":"%d","at":%d,"t":"text %d \u00e4 \"q\"","n":%d}`, i, 1577934245+i, i, i*i)
}

func ndjson(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		b.WriteString(line(i) + "\n")
	}
	return b.String()
}

func array(from, to int) string {
	return "[\n" + strings.Join(strings.Split(strings.TrimSpace(ndjson(from, to)), "\n"), ",\n") + "\n]\n"
}

func table(from, to int) string {
	var b strings.Builder
	b.WriteString("at,id,t,n\r\n")
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "%d,%d,\"text %d ä \"\"q\"\",\nnext\",\"1,%03d\"\r\n", 1577934245+i, i, i, i)
	}
	return b.String()
}

type row struct {
	ID string `parquet:"id"`
	At int64  `parquet:"at"`
	T  string `parquet:"t,optional"`
	N  *int64 `parquet:"n,optional"`
}

func parquetFile(t testing.TB, from, to, group int, options ...parquet.WriterOption) string {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b, append([]parquet.WriterOption{parquet.MaxRowsPerRowGroup(int64(group)), parquet.Compression(&parquet.Zstd)}, options...)...)
	for i := from; i < to; i++ {
		n := int64(i * i)
		if _, err := w.Write([]row{{fmt.Sprint(i), int64(1577934245 + i), fmt.Sprintf("text %d ä \"q\"", i), &n}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func gz(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zst(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b)
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

// clockwork gives each write of a file a time of its own, as seconds would.
type folder struct {
	t    testing.TB
	dir  string
	tick time.Time
}

func newFolder(t testing.TB) *folder {
	t.Helper()
	return &folder{t: t, dir: t.TempDir(), tick: now.Add(-time.Hour)}
}

func (f *folder) write(name, content string) {
	f.t.Helper()
	path := filepath.Join(f.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		f.t.Fatal(err)
	}
	f.touch(name)
}

func (f *folder) touch(name string) {
	f.t.Helper()
	f.tick = f.tick.Add(time.Second)
	if err := os.Chtimes(filepath.Join(f.dir, filepath.FromSlash(name)), f.tick, f.tick); err != nil {
		f.t.Fatal(err)
	}
}

func ids(posts []feedlake.Post) []string {
	out := []string{}
	for _, p := range posts {
		out = append(out, p.ID)
	}
	return out
}

func numbers(from, to int) []string {
	out := []string{}
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

func TestContract(t *testing.T) {
	bad := `{"id":"x"` + "\n" + `{"id":"y","at":"?"}` + "\n"
	formats := []struct {
		name, config string
		write        func(*folder)
	}{
		{"ndjson", "path: '*.ndjson'\n", func(f *folder) {
			f.write("a.ndjson", ndjson(0, 20)+bad+ndjson(20, 25))
			f.write("b.ndjson", "")
			f.write("c.ndjson", ndjson(30, 40)+`{"id":`)
		}},
		{"ndjson.gz", "path: '**/*.ndjson.gz'\n", func(f *folder) {
			f.write("d/a.ndjson.gz", gz(f.t, ndjson(0, 20))+gz(f.t, bad+ndjson(20, 25)))
			f.write("e/f/a.ndjson.gz", gz(f.t, ndjson(30, 60))[:150])
		}},
		{"ndjson.zst", "path: '*'\nformat: ndjson\n", func(f *folder) {
			f.write("a.zst", zst(f.t, ndjson(0, 20))+zst(f.t, bad))
			f.write("b.zst", zst(f.t, ndjson(20, 21)))
		}},
		{"json", "path: '*.json'\n", func(f *folder) {
			f.write("a.json", array(0, 20))
			f.write("b.json", "\n[\n]")
			f.write("c.json", "{\n"+line(20)[1:]+"\n"+line(21)+"{\"id\":}")
			f.write("d.json", array(30, 35)+"trailing")
		}},
		{"csv", "path: '*.csv'\n", func(f *folder) {
			f.write("a.csv", table(0, 20)+"1,2\n"+strings.SplitN(table(20, 22), "\n", 2)[1])
			f.write("b.csv", "t,at,id\nx,1577934245,99\nx,\"1577934245")
		}},
		{"parquet", "path: '*.parquet'\n", func(f *folder) {
			f.write("a.parquet", parquetFile(t, 0, 20, 7))
			f.write("b.parquet", parquetFile(t, 20, 24, 100)[:40])
		}},
	}
	for _, tt := range formats {
		t.Run(tt.name, func(t *testing.T) {
			f := newFolder(t)
			tt.write(f)
			sourcetest.Run(t, func(t *testing.T) ingest.Source {
				return files.Small(openSource(t, f.dir, tt.config+plain))
			})
		})
	}
}

// TestFormatsAgree reads the same records from every format.
func TestFormatsAgree(t *testing.T) {
	f := newFolder(t)
	f.write("ndjson/a.ndjson", ndjson(0, 50))
	f.write("bom/a.ndjson", "\uFEFF"+strings.ReplaceAll(ndjson(0, 50), "\n", "\r\n\r\n"))
	f.write("gz/a.jsonl.gz", gz(t, ndjson(0, 50)))
	f.write("zst/a.ndjson.zst", zst(t, ndjson(0, 50)))
	f.write("json/a.json", array(0, 50))
	f.write("jsonbom/a.json", "\uFEFF "+array(0, 50))
	f.write("csv/a.csv", strings.NewReplacer(",\nnext", "", "\"1,", "\"").Replace(table(0, 50)))
	f.write("parquet/a.parquet", parquetFile(t, 0, 50, 9))
	want, bad, _ := sourcetest.Drain(t, openSource(t, f.dir, "path: ndjson/*\n"+plain), "")
	if len(want) != 50 || len(bad) > 0 {
		t.Fatalf("%d posts, rejects %q", len(want), sourcetest.Reasons(bad))
	}
	for i := range want {
		want[i].Payload, want[i].Query, want[i].Likes = "", "", nil
	}
	for _, dir := range []string{"bom", "gz", "zst", "json", "jsonbom", "csv", "parquet"} {
		for _, small := range []bool{false, true} {
			src := openSource(t, f.dir, "path: "+dir+"/*\n"+plain)
			if small {
				src = files.Small(src)
			}
			got, bad, _ := sourcetest.Drain(t, src, "")
			for i := range got {
				got[i].Payload, got[i].Query, got[i].Likes = "", "", nil
			}
			if d := cmp.Diff(want, got); d != "" || len(bad) > 0 {
				t.Errorf("%s, small %v: rejects %q, %s", dir, small, sourcetest.Reasons(bad), d)
			}
		}
	}
}

func TestPayloadAndQuery(t *testing.T) {
	f := newFolder(t)
	f.write("a.ndjson", "  "+line(1)+" \r\n")
	f.write("b.csv", "id,at,t\n2,1577934245,\"x\"\"\t\\\r\n\u0001\"\n")
	got, _, _ := sourcetest.Drain(t, openSource(t, f.dir, "path: '*'\n"+plain), "")
	if len(got) != 2 || got[0].Payload != line(1) || got[0].Query != "a.ndjson" {
		t.Errorf("got %+v, want the line itself and the file's name", got)
	}
	if want := `{"id":"2","at":"1577934245","t":"x\"\t\\\n\u0001"}`; got[1].Payload != want {
		t.Errorf("payload of CSV\n got %s\nwant %s", got[1].Payload, want)
	}
}

func TestEncodings(t *testing.T) {
	for enc, text := range map[string]string{"latin-1": "caf\xe9 \x80", "windows-1252": "caf\xe9 \x80", "macintosh": "caf\x8e \xdb"} {
		f := newFolder(t)
		f.write("a.csv", "id;at;t\n1;1577934245;"+text+"\n")
		src := openSource(t, f.dir, "path: a.csv\ndelimiter: ;\nencoding: "+enc+"\n"+plain)
		got, bad, _ := sourcetest.Drain(t, src, "")
		want := map[string]string{"latin-1": "café \u0080", "windows-1252": "café €", "macintosh": "café €"}[enc]
		if len(got) != 1 || got[0].Text != want {
			t.Errorf("%s: %+v %q, want text %q", enc, got, sourcetest.Reasons(bad), want)
		}
	}
}

func TestCSVWithoutHeader(t *testing.T) {
	f := newFolder(t)
	f.write("a.tsv", "1\t1577934245\tx\n2\t1577934245\t5\" disk")
	got, bad, _ := sourcetest.Drain(t, openSource(t, f.dir, "path: a.tsv\ncolumns: [id, at, t]\n"+plain), "")
	if len(got) != 2 || got[0].Text != "x" || got[1].Text != `5" disk` || len(bad) > 0 {
		t.Errorf("%+v, %q", got, sourcetest.Reasons(bad))
	}
}

// TestParquetTypes reads nested and logical types as JSON.
func TestParquetTypes(t *testing.T) {
	type inner struct {
		Name string   `parquet:"name"`
		Tags []string `parquet:"tags,list"`
	}
	type rich struct {
		ID    string           `parquet:"id"`
		At    time.Time        `parquet:"at,timestamp(microsecond)"`
		Day   int32            `parquet:"day,date"`
		User  *inner           `parquet:"user,optional"`
		Links []inner          `parquet:"links"`
		M     map[string]int32 `parquet:"m"`
		F     float64          `parquet:"f"`
		B     []byte           `parquet:"b"`
		U     [16]byte         `parquet:"u,uuid"`
		D     int64            `parquet:"d,decimal(2:10)"`
		J     string           `parquet:"j,json"`
		Ok    bool             `parquet:"ok"`
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[rich](&b)
	rows := []rich{
		{
			ID: "1", At: time.Date(2020, 1, 2, 3, 4, 5, 6000, time.UTC), Day: 18263, User: &inner{"Ann", []string{"a", "b"}},
			Links: []inner{{"x", nil}, {"y", []string{"c"}}}, M: map[string]int32{"k": 1}, F: 0.5, B: []byte{0xff}, U: [16]byte{15: 1}, D: -1, J: `{"deep":[1]}`, Ok: true,
		},
		{ID: "2", At: time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC), D: 12345, J: "no json"},
	}
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f := newFolder(t)
	f.write("a.parquet", b.String())
	got, bad, _ := sourcetest.Drain(t, openSource(t, f.dir, "path: a.parquet\nmap: {id: id, created_at: at, author_name: user.name, hashtags: user.tags}\n"), "")
	if len(bad) > 0 || len(got) != 2 {
		t.Fatalf("rejects %q", sourcetest.Reasons(bad))
	}
	want := []string{
		`{"id":"1","at":"2020-01-02T03:04:05.000006Z","day":"2020-01-02","user":{"name":"Ann","tags":["a","b"]},"links":[{"name":"x","tags":[]},{"name":"y","tags":["c"]}],"m":{"k":1},"f":0.5,"b":"/w==","u":"00000000-0000-0000-0000-000000000001","d":-0.01,"j":{"deep":[1]},"ok":true}`,
		`{"id":"2","at":"2020-01-02T03:04:05Z","day":"1970-01-01","user":null,"links":[],"m":{},"f":0,"b":"","u":"00000000-0000-0000-0000-000000000000","d":123.45,"j":"no json","ok":false}`,
	}
	if d := cmp.Diff(want, []string{got[0].Payload, got[1].Payload}); d != "" {
		t.Error(d)
	}
	if got[0].AuthorName != "Ann" || !cmp.Equal(got[0].Hashtags, []string{"a", "b"}) || got[1].AuthorName != "" || !got[0].CreatedAt.Equal(rows[0].At) {
		t.Errorf("%+v", got)
	}
}

func TestConfigErrors(t *testing.T) {
	tests := []struct{ name, yaml, want, hint string }{
		{"no path", plain, "path: missing", "path: data/"},
		{"glob", "path: 'a[b'\n" + plain, `path: "a[b" is no glob`, ""},
		{"format", "path: a\nformat: xml\n" + plain, `format: "xml" is not known`, "ndjson, json, csv, parquet"},
		{"compression", "path: a\ncompression: rar\n" + plain, `compression: "rar"`, "none, gz, zst"},
		{"encoding", "path: a\nencoding: ebcdic\n" + plain, `encoding: "ebcdic"`, "latin-1"},
		{"delimiter", "path: a\ndelimiter: ', '\n" + plain, `delimiter: ", "`, ""},
		{"size", "path: a\nmax_record_bytes: -1\n" + plain, "max_record_bytes: -1", ""},
		{"mapping", "path: a\nmap: {id: id}\n", "map.created_at: missing", ""},
		{"unknown key", "path: a\nfromat: csv\n" + plain, "fromat", ""},
		{"unknown column", "path: a\nmap: {id: id, created_at: at, like: n}\n", "map.like: no such column", "likes"},
		{"s3 for a local path", "path: a\ns3: {endpoint: http://x}\n" + plain, "does not begin with s3://", ""},
		{"s3 without endpoint", "path: s3://data/*\n" + plain, "s3.endpoint: missing", "endpoint"},
		{"s3 endpoint", "path: s3://data/*\ns3: {endpoint: minio}\n" + plain, "s3.endpoint: want http", ""},
		{"s3 without glob", "path: s3://data\ns3: {endpoint: http://x}\n" + plain, "is no s3://bucket/glob", ""},
		{"s3 bucket name", "path: s3://B/*\ns3: {endpoint: http://x}\n" + plain, "Bucket name", ""},
		{"s3 key alone", "path: s3://data/*\ns3: {endpoint: http://x, key: k}\n" + plain, "both key and secret", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := registry().Open(t.Context(), files.Kind, ingest.Env{Name: "src", Now: time.Now}, decodeYAML(tt.yaml))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "source src") {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if tt.name != "unknown key" && !errors.Is(err, feedlake.ErrConfig) { // there the decoder's own error
				t.Errorf("%v is no configuration error", err)
			}
			var hint *feedlake.HintError
			if tt.hint != "" && (!errors.As(err, &hint) || !strings.Contains(hint.Hint, tt.hint)) {
				t.Errorf("hint of %v lacks %q", err, tt.hint)
			}
		})
	}
}

func TestNothingMatches(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{"none/*.ndjson", filepath.Join(dir, "*.json"), "../no-such-folder-here/*"} {
		_, err := openSource(t, dir, "path: "+path+"\n"+plain).Fetch(t.Context(), "")
		var hint *feedlake.HintError
		if !errors.Is(err, feedlake.ErrConfig) || !errors.As(err, &hint) {
			t.Fatalf("%s: %v, want a configuration error with a hint", path, err)
		}
		if want := filepath.Join(dir, path); !filepath.IsAbs(path) && !strings.Contains(hint.Hint, want) {
			t.Errorf("hint %q lacks %s", hint.Hint, want)
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	f := newFolder(t)
	f.write("a.txt", "x")
	if _, err := openSource(t, f.dir, "path: '*'\n"+plain).Fetch(t.Context(), ""); !errors.Is(err, feedlake.ErrConfig) || !strings.Contains(err.Error(), "a.txt") {
		t.Errorf("got %v", err)
	}
}
