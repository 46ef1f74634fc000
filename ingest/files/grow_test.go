package files_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/files"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// TestFilesChange lets files appear, grow, be replaced and be touched between two
// runs, and wants exactly the new records, each time from the cursor alone.
func TestFilesChange(t *testing.T) {
	half := func(s string) string { return s[:len(s)-20] }
	tests := []struct {
		name          string
		before, after func(*folder)
		want          []string
		bad           int // rejects of the second run
		logged        string
	}{
		{"nothing", func(f *folder) { f.write("a.ndjson", ndjson(0, 9)) }, func(*folder) {}, nil, 0, ""},
		{"touched", func(f *folder) { f.write("a.ndjson", ndjson(0, 9)) }, func(f *folder) { f.touch("a.ndjson") }, nil, 0, ""},
		{"new file", func(f *folder) { f.write("b.ndjson", ndjson(0, 9)) }, func(f *folder) { f.write("a.ndjson", ndjson(20, 22)) }, numbers(20, 22), 0, ""},
		{"grown", func(f *folder) { f.write("a.ndjson", ndjson(0, 9)) }, func(f *folder) { f.write("a.ndjson", ndjson(0, 12)) }, numbers(9, 12), 0, ""},
		{"grown behind a line without newline", func(f *folder) { f.write("a.ndjson", strings.TrimSpace(ndjson(0, 9))) }, func(f *folder) { f.write("a.ndjson", ndjson(0, 12)) }, numbers(9, 12), 0, ""},
		{"half a line becomes whole", func(f *folder) { f.write("a.ndjson", half(ndjson(0, 9))) }, func(f *folder) { f.write("a.ndjson", ndjson(0, 9)) }, numbers(8, 9), 0, ""},
		{"replaced", func(f *folder) { f.write("a.ndjson", ndjson(0, 9)) }, func(f *folder) { f.write("a.ndjson", ndjson(5, 20)) }, numbers(5, 20), 0, "file changed before the place already read"},
		{"replaced by as many bytes", func(f *folder) { f.write("a.ndjson", ndjson(0, 4)) }, func(f *folder) { f.write("a.ndjson", ndjson(4, 8)) }, numbers(4, 8), 0, "file changed before"},
		{"shrunk", func(f *folder) { f.write("a.ndjson", ndjson(0, 9)) }, func(f *folder) { f.write("a.ndjson", ndjson(0, 3)) }, numbers(0, 3), 0, "file changed before"},
		{"emptied", func(f *folder) { f.write("a.ndjson", ndjson(0, 9)) }, func(f *folder) { f.write("a.ndjson", "") }, nil, 0, "file changed before"},
		{"filled", func(f *folder) { f.write("a.ndjson", "") }, func(f *folder) { f.write("a.ndjson", ndjson(0, 3)) }, numbers(0, 3), 0, ""},
		{"gzip with a second member", func(f *folder) { f.write("a.ndjson.gz", gz(f.t, ndjson(0, 9))) }, func(f *folder) { f.write("a.ndjson.gz", gz(f.t, ndjson(0, 9))+gz(f.t, ndjson(9, 12))) }, numbers(9, 12), 0, ""},
		{"packed anew", func(f *folder) { f.write("a.ndjson.gz", gz(f.t, ndjson(0, 9))) }, func(f *folder) { f.write("a.ndjson.gz", gz(f.t, ndjson(0, 4))+gz(f.t, ndjson(4, 9))) }, nil, 0, ""},
		{"CSV grown", func(f *folder) { f.write("a.csv", table(0, 9)) }, func(f *folder) { f.write("a.csv", table(0, 12)) }, numbers(9, 12), 0, ""},
		{"CSV with another header", func(f *folder) { f.write("a.csv", "id,at\n1,1577934245\n") }, func(f *folder) { f.write("a.csv", "at,id\n1577934245,1\n1577934245,2\n") }, numbers(1, 3), 0, "file changed before"},
		{"CSV with a usable header at last", func(f *folder) { f.write("a.csv", "nr,at,t,n\n1,1577934245,,\n") }, func(f *folder) { f.write("a.csv", "id,at,t,n\n1,1577934245,,\n") }, numbers(1, 2), 0, ""},
		{"array grown in place", func(f *folder) { f.write("a.json", array(0, 9)) }, func(f *folder) { f.write("a.json", strings.TrimSuffix(array(0, 9), "\n]\n")+"\n,"+array(9, 12)[1:]) }, numbers(9, 12), 0, ""},
		{"array closed at last", func(f *folder) { f.write("a.json", half(array(0, 9))) }, func(f *folder) { f.write("a.json", array(0, 9)) }, numbers(8, 9), 0, ""},
		{"records one after another grown", func(f *folder) { f.write("a.json", ndjson(0, 9)) }, func(f *folder) { f.write("a.json", ndjson(0, 12)) }, numbers(9, 12), 0, ""},
		{"Parquet replaced", func(f *folder) { f.write("a.parquet", parquetFile(f.t, 0, 9, 4)) }, func(f *folder) { f.write("a.parquet", parquetFile(f.t, 0, 12, 4)) }, numbers(0, 12), 0, "file changed before"},
		{"Parquet touched", func(f *folder) { f.write("a.parquet", parquetFile(f.t, 0, 9, 4)) }, func(f *folder) { f.touch("a.parquet") }, nil, 0, ""},
		{"Parquet whole at last", func(f *folder) { f.write("a.parquet", half(parquetFile(f.t, 0, 9, 4))) }, func(f *folder) { f.write("a.parquet", parquetFile(f.t, 0, 9, 4)) }, numbers(0, 9), 0, ""},
		{"BSON grown", func(f *folder) { f.write("a.bson", dump(f.t, 0, 9)) }, func(f *folder) { f.write("a.bson", dump(f.t, 0, 12)) }, numbers(9, 12), 0, ""},
		{"half a document becomes whole", func(f *folder) { f.write("a.bson", half(dump(f.t, 0, 9))) }, func(f *folder) { f.write("a.bson", dump(f.t, 0, 9)) }, numbers(8, 9), 0, ""},
		{"still broken", func(f *folder) { f.write("a.ndjson.gz", "no gzip") }, func(f *folder) { f.write("a.ndjson.gz", "no gzip either") }, nil, 1, ""},
		{"gone", func(f *folder) { f.write("a.ndjson", ndjson(0, 9)); f.write("b.ndjson", ndjson(9, 10)) }, func(f *folder) {
			if err := os.Remove(filepath.Join(f.dir, "a.ndjson")); err != nil {
				f.t.Fatal(err)
			}
		}, nil, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFolder(t)
			tt.before(f)
			_, _, end := sourcetest.Drain(t, files.Small(openSource(t, f.dir, "path: '*'\n"+plain)), "")
			tt.after(f)
			var log bytes.Buffer
			env := ingest.Env{Name: "src", Base: f.dir, Now: clock, Log: slog.New(slog.NewTextHandler(&log, nil))}
			src, err := registry().Open(t.Context(), files.Kind, env, decodeYAML("path: '*'\n"+plain))
			if err != nil {
				t.Fatal(err)
			}
			got, bad, again := sourcetest.Drain(t, src, end)
			if d := cmp.Diff(append([]string{}, tt.want...), ids(got)); d != "" || len(bad) != tt.bad {
				t.Errorf("second run: %s; rejects %q", d, sourcetest.Reasons(bad))
			}
			if !strings.Contains(log.String(), tt.logged) || (tt.logged == "" && strings.Contains(log.String(), "level=WARN")) {
				t.Errorf("log %q, want %q", log.String(), tt.logged)
			}
			if third, bad, last := sourcetest.Drain(t, src, again); len(third)+len(bad) > 0 || last != again {
				t.Errorf("third run: %v, %q, cursor moved %v", ids(third), sourcetest.Reasons(bad), last != again)
			}
		})
	}
}

// TestChangeWhileReading replaces and grows the file that is being read.
func TestChangeWhileReading(t *testing.T) {
	f := newFolder(t)
	f.write("a.ndjson", ndjson(0, 50))
	src := files.Small(openSource(t, f.dir, "path: '*'\n"+plain))
	first, err := src.Fetch(t.Context(), "")
	if err != nil || first.Done {
		t.Fatal(err, first.Done)
	}
	n := len(first.Posts)
	f.write("a.ndjson", ndjson(0, 60))
	rest, _, _ := sourcetest.Drain(t, files.Small(openSource(t, f.dir, "path: '*'\n"+plain)), first.Next)
	if d := cmp.Diff(numbers(n, 60), ids(rest)); d != "" {
		t.Errorf("grown: %s", d)
	}
	f.write("a.ndjson", ndjson(70, 130))
	rest, _, _ = sourcetest.Drain(t, files.Small(openSource(t, f.dir, "path: '*'\n"+plain)), first.Next)
	if d := cmp.Diff(numbers(70, 130), ids(rest)); d != "" {
		t.Errorf("replaced: %s", d)
	}
}

// TestManyFiles keeps the cursor of 10,000 files small.
func TestManyFiles(t *testing.T) {
	f := newFolder(t)
	for i := range 10_000 {
		f.write(fmt.Sprintf("%02d/%04d.ndjson", i%100, i), ndjson(i, i+1))
	}
	src := openSource(t, f.dir, "path: '**/*.ndjson'\n"+plain)
	got, bad, end := sourcetest.Drain(t, src, "")
	if len(got) != 10_000 || len(bad) > 0 {
		t.Fatalf("%d posts, %q", len(got), sourcetest.Reasons(bad))
	}
	if len(end) > 256<<10 {
		t.Errorf("cursor of 10,000 files has %d bytes", len(end))
	}
	t.Logf("cursor of 10,000 files: %d bytes", len(end))
	if again, _, same := sourcetest.Drain(t, src, end); len(again) > 0 || same != end {
		t.Errorf("second run: %d posts", len(again))
	}
	f.write("00/late.ndjson", ndjson(0, 1))
	if late, _, _ := sourcetest.Drain(t, src, end); len(late) != 1 {
		t.Errorf("late file: %d posts", len(late))
	}
}

func TestProgress(t *testing.T) {
	f := newFolder(t)
	f.write("a.ndjson.gz", gz(t, noisy(0, 20000)))
	f.write("b.ndjson", ndjson(0, 10))
	src := openSource(t, f.dir, "path: '*'\n"+plain)
	var last ingest.Progress
	for cur := feedlake.Cursor(""); ; {
		p, err := src.Fetch(t.Context(), cur)
		if err != nil {
			t.Fatal(err)
		}
		if p.Progress.Done < last.Done || p.Progress.Done > p.Progress.Total || p.Progress.Unit != "bytes" || p.Progress.Place == "" {
			t.Errorf("progress %+v after %+v", p.Progress, last)
		}
		last = p.Progress
		if p.Done {
			break
		}
		cur = p.Next
	}
	a, err := os.Stat(filepath.Join(f.dir, "a.ndjson.gz"))
	if err != nil {
		t.Fatal(err)
	}
	if want := a.Size() + int64(len(ndjson(0, 10))); last.Done != want || last.Total != want {
		t.Errorf("at the end %+v, want %d bytes", last, want)
	}
}

// TestFolderMoves reads an archive that lies elsewhere the next time, or is named
// in another way: nothing is read twice, and what is new is.
func TestFolderMoves(t *testing.T) {
	one, other := newFolder(t), newFolder(t)
	for _, f := range []*folder{one, other} {
		f.write("archive/2026/a.ndjson", ndjson(0, 9))
	}
	other.write("archive/2026/b.ndjson", ndjson(9, 12))
	_, _, end := sourcetest.Drain(t, openSource(t, one.dir, "path: 'archive/**/*.ndjson'\n"+plain), "")
	for name, path := range map[string]string{
		"moved":         "path: 'archive/**/*.ndjson'\n",
		"absolute path": "path: '" + filepath.ToSlash(other.dir) + "/archive/**/*.ndjson'\n",
	} {
		got, _, _ := sourcetest.Drain(t, openSource(t, other.dir, path+plain), end)
		if d := cmp.Diff(numbers(9, 12), ids(got)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestCursorOfWholeNames goes on from a cursor that knows files by whole names,
// as the first version wrote them.
func TestCursorOfWholeNames(t *testing.T) {
	f := newFolder(t)
	f.write("archive/a.ndjson", ndjson(0, 9))
	_, _, end := sourcetest.Drain(t, files.WholeNames(openSource(t, f.dir, "path: 'archive/*'\n"+plain)), "")
	f.write("archive/b.ndjson", ndjson(9, 12))
	got, _, _ := sourcetest.Drain(t, openSource(t, f.dir, "path: 'archive/*'\n"+plain), end)
	if d := cmp.Diff(numbers(9, 12), ids(got)); d != "" {
		t.Error(d)
	}
}

// TestGrownIsReadFromItsTail reads what was appended to a long file without its
// beginning, and finds out that the tail is not what was read: the file is another
// then. One that has not grown is compared whole.
func TestGrownIsReadFromItsTail(t *testing.T) {
	const n = 40_000 // lines of about 90 bytes
	head := "id,at,t,n\n"
	long, more := noisyTable(0, n), noisyTable(n, n+5)
	flip := func(s string, at int) string { return s[:at] + string(s[at]^1) + s[at+1:] }
	middle := strings.Index(long[len(long)/2:], "text") + len(long)/2
	tail := strings.LastIndex(long[:len(long)-200], "text")
	for name, c := range map[string]struct {
		before, after string
		posts         int
		least, most   int64 // bytes read in the second run
	}{
		"grown":                       {long, long + more, 5, 1, 2 << 20},
		"grown, another tail":         {long, flip(long, tail) + more, n + 5, int64(len(long)), 8 << 20},
		"shifted":                     {long, long[:middle] + "xx" + long[middle:] + more, n + 5, int64(len(long)), 8 << 20},
		"touched, another middle":     {long, flip(long, middle), n, int64(len(long)), 8 << 20},
		"touched":                     {long, long, 0, int64(len(long)), 8 << 20},
		"grown by a record not whole": {long + "\"7", long + "\"7\",1577934245,,\n", 1, 1, 2 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.write("a.csv", head+c.before)
			src := openSource(t, f.dir, "path: '*'\n"+plain)
			first, _, end := sourcetest.Drain(t, src, "")
			if len(first) != n {
				t.Fatalf("%d posts", len(first))
			}
			f.write("a.csv", head+c.after)
			f.touch("a.csv")
			read := new(int64)
			got, bad, again := sourcetest.Drain(t, files.Counted(openSource(t, f.dir, "path: '*'\n"+plain), read), end)
			if len(got) != c.posts || len(bad) > 0 {
				t.Errorf("%d posts, want %d; %q", len(got), c.posts, sourcetest.Reasons(bad))
			}
			if *read < c.least || *read > c.most {
				t.Errorf("%d bytes read of %d, want %d to %d", *read, len(c.after), c.least, c.most)
			}
			f.write("a.csv", head+c.after+"1,2\n")
			f.touch("a.csv")
			_, bad, _ = sourcetest.Drain(t, openSource(t, f.dir, "path: '*'\n"+plain), again)
			want := fmt.Sprintf("a.csv:%d (byte %d)", strings.Count(head+c.after, "\n")+1, len(head+c.after))
			if len(bad) != 1 || bad[0].Position != want {
				t.Errorf("rejects %+v, want one at %s", bad, want)
			}
		})
	}
}

func noisyTable(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "%d,%d,text %x and more,%d\n", i, 1577934245+i, uint64(i)*0x9e3779b97f4a7c15, i)
	}
	return b.String()
}

// TestCursorOfBefore goes on from a cursor that knew the digest of all that was read,
// and leaves one that knows tails.
func TestCursorOfBefore(t *testing.T) {
	text := "id,at,t,n\n" + noisyTable(0, 40_000)
	f := newFolder(t)
	f.write("a.csv", text+noisyTable(40_000, 40_003))
	for was, want := range map[string]int{text: 3, strings.Replace(text, "text", "next", 1): 40_003} {
		got, bad, end := sourcetest.Drain(t, openSource(t, f.dir, "path: '*'\n"+plain), files.CursorBefore("a.csv", was, 7))
		if len(got) != want || len(bad) > 0 || !strings.HasPrefix(string(end), "files2:") {
			t.Errorf("%d posts, want %d; %q, cursor %s", len(got), want, sourcetest.Reasons(bad), end)
		}
	}
}
