package files_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	cmp2 "cmp"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ulikunitz/xz"

	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/files"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// bz2Lines is ndjson(0, 30), packed by bzip2, for which Go has no packer.
const bz2Lines = "QlpoOTFBWSZTWXBvUEsAA4JbgAAQUAR/8AAEJiEmSjABhrKmw2qEep7Smo1P1QNPUxDaU0NKaIADCaqUAAA0Gn+gPSApAcKXWyxzm3jz1s4cWbbmLtRpAVVb" +
	"VVVVNttttttttt9IDSA+kB5QHusQxJ5hnDEO8MQ2Q20OWbWznOta1rhu7bbbiIiIj7225veq57QG80gO6h8vjOc5nOwSASAImZAgEki++3vF41purvOUshsE" +
	"tzHTbmcKbt1VRMATAMvLc774xO8ceEBZekA5l3u25zzlAYmUr2tgqHuuVxmry50olVEzJMLRpmtacWtqEpVlGY5WItUVi8VWCrLbFkBhoCJicXjiZVp3ibzi" +
	"8zxwgN8cwnEpIDtAUkBdAdoDqGUNMizhiGcMQyh5hnE+u0l18+3wh4ikPFIcIaH5F3JFOFCQcG9QSw=="

func bz2(t testing.TB) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(bz2Lines)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func xzOf(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := xz.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// zipOf packs files, given as name, content, name, content.
func zipOf(t testing.TB, named ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(named); i += 2 {
		f, err := w.Create(named[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, named[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func tarOf(t testing.TB, named ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(named); i += 2 {
		h := tar.Header{Name: named[i], Mode: 0o600, Size: int64(len(named[i+1])), Typeflag: tar.TypeReg}
		if strings.HasSuffix(named[i], "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, named[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// members are files in three formats, some packed, beside what is not read.
func members(t testing.TB) []string {
	t.Helper()
	return []string{
		"x/", "", "x/b.ndjson", ndjson(0, 10), "x/README.txt", "read me", "a.csv", table(10, 15), "x/c.json.gz", gz(t, array(15, 20)), "__MACOSX/x/._b.ndjson", "junk", "x/.hidden.ndjson", "junk",
		"d.parquet", parquetFile(t, 20, 25, 2), "e.json", array(25, 30),
	}
}

// TestPacked reads packed files and archives, in small pages, and by another run
// from any place.
func TestPacked(t *testing.T) {
	all := members(t)
	for name, content := range map[string]string{
		"a.ndjson.bz2": bz2(t), "a.ndjson.xz": xzOf(t, ndjson(0, 30)), "a.json.xz": xzOf(t, array(0, 30)), "a.zip": zipOf(t, all...), "a.tar": tarOf(t, all...), "a.tar.gz": gz(t, tarOf(t, all...)),
		"a.tgz": gz(t, tarOf(t, all...)), "a.tar.xz": xzOf(t, tarOf(t, all...)), "a.tar.zst": zst(t, tarOf(t, all...)),
		"in.zip": zipOf(t, "a.ndjson.bz2", bz2(t)), "wrong.ndjson.gz": ndjson(0, 30), "wrong.ndjson": gz(t, ndjson(0, 30)), "wrong.ndjson.zst": xzOf(t, ndjson(0, 30)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFolder(t)
			f.write(name, content)
			open := func() ingest.Source { return openSource(t, f.dir, "path: '*'\n"+plain) }
			for _, src := range []ingest.Source{open(), files.Small(open())} {
				got, bad, _ := sourcetest.Drain(t, src, "")
				if d := cmp.Diff(numbers(0, 30), sorted(ids(got))); d != "" || len(bad) > 0 {
					t.Errorf("%s; rejects %q", d, sourcetest.Reasons(bad))
				}
			}
			sourcetest.Run(t, func(*testing.T) ingest.Source { return named{files.Small(open())} })
		})
	}
}

// TestPackedAgain reads an archive once: also when it is touched, or holds a file
// more than before.
func TestPackedAgain(t *testing.T) {
	for name, pack := range map[string]func(...string) string{
		"a.zip": func(s ...string) string { return zipOf(t, s...) }, "a.tar": func(s ...string) string { return tarOf(t, s...) },
	} {
		f := newFolder(t)
		open := func() ingest.Source { return files.Small(openSource(t, f.dir, "path: '*'\n"+plain)) }
		f.write(name, pack("a.ndjson", ndjson(0, 9), "b.ndjson", ndjson(9, 12)))
		_, _, end := sourcetest.Drain(t, open(), "")
		f.touch(name)
		got, bad, end := sourcetest.Drain(t, open(), end)
		if len(got)+len(bad) > 0 {
			t.Errorf("%s: touched: %v, %q", name, ids(got), sourcetest.Reasons(bad))
		}
		f.write(name, pack("a.ndjson", ndjson(0, 9), "b.ndjson", ndjson(9, 15), "c.ndjson", ndjson(15, 16)))
		got, bad, end = sourcetest.Drain(t, open(), end)
		if d := cmp.Diff(numbers(12, 16), ids(got)); d != "" || len(bad) > 0 {
			t.Errorf("%s: grown: %s, %q", name, d, sourcetest.Reasons(bad))
		}
		if p, err := open().Fetch(t.Context(), end); err != nil || !p.Done || p.Next != end {
			t.Errorf("%s: at the end: %v, %+v", name, err, p)
		}
	}
}

// TestPackedBad tells what is wrong with an archive, keeps what is sound, and does
// not tell it again.
func TestPackedBad(t *testing.T) {
	t.Parallel()
	sound := zipOf(t, "a.ndjson", ndjson(0, 9))
	tarred := tarOf(t, "a.ndjson", ndjson(0, 9), "b.ndjson", ndjson(9, 200))
	damagedZip := strings.Replace(zipOf(t, "a.ndjson", ndjson(0, 9), "b.ndjson", ndjson(9, 12)), "PK\x03\x04", "PK\x03\x05", 1)
	for _, c := range []struct {
		name, content, config string
		want                  []string
		reason                string
	}{
		{"cut.zip", sound[:len(sound)-30], "", nil, "the archive cannot be read"},
		{"no.zip", "no archive", "", nil, "the archive cannot be read"},
		{"other.zip", zipOf(t, "README.txt", "a", "b.exe", "b"), "", nil, "holds no file to read; its files: README.txt, b.exe"},
		{"header.zip", damagedZip, "", numbers(9, 12), "a.ndjson:1 (byte 0): file is damaged"},
		{"cut.tar", tarred[:len(tarred)/2], "", nil, "truncated"},
		{"no.tar.gz", "no archive", "", nil, "the archive is damaged"},
		{"globs.zip", zipOf(t, "a/x.ndjson", ndjson(0, 3), "b/x.ndjson", ndjson(3, 5)), "members: b/*\n", numbers(3, 5), ""},
		{"twice.tar", tarOf(t, "a.ndjson", ndjson(0, 3), "a.ndjson", ndjson(3, 5)), "", numbers(0, 5), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFolder(t)
			f.write(c.name, c.content)
			open := func() ingest.Source { return openSource(t, f.dir, "path: '*'\n"+c.config+plain) }
			got, bad, end := sourcetest.Drain(t, open(), "")
			reasons := strings.Join(sourcetest.Reasons(bad), "\n")
			if c.name != "cut.tar" {
				if d := cmp.Diff(append([]string{}, c.want...), ids(got)); d != "" {
					t.Errorf("%s; rejects %q", d, reasons)
				}
			} else if len(got) < 9 {
				t.Errorf("of a cut archive: %v", ids(got))
			}
			if (c.reason == "") != (reasons == "") || !strings.Contains(reasons, c.reason) {
				t.Errorf("rejects %q, want %q", reasons, c.reason)
			}
			if got, bad, _ := sourcetest.Drain(t, open(), end); len(got)+len(bad) > 0 {
				t.Errorf("again: %v, %q", ids(got), sourcetest.Reasons(bad))
			}
		})
	}
}

// TestWholePackedBombs refuses what unpacks to hundreds of megabytes of nothing.
func TestWholePackedBombs(t *testing.T) {
	nothing := strings.Repeat(" ", 300<<20)
	for name, content := range map[string]string{"bomb.zip": zipOf(t, "a.ndjson", nothing), "bomb.ndjson.gz": gz(t, nothing)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFolder(t)
			f.write(name, content)
			open := func() ingest.Source { return openSource(t, f.dir, "path: '*'\n"+plain) }
			got, bad, end := sourcetest.Drain(t, open(), "")
			if reasons := strings.Join(sourcetest.Reasons(bad), "\n"); len(got) > 0 || !strings.Contains(reasons, "refused as a bomb") {
				t.Errorf("%d posts, rejects %q", len(got), reasons)
			}
			if got, bad, _ := sourcetest.Drain(t, open(), end); len(got)+len(bad) > 0 {
				t.Errorf("again: %v, %q", ids(got), sourcetest.Reasons(bad))
			}
		})
	}
}

// TestXArchive reads the archive that X gives people, as downloaded and unpacked.
func TestXArchive(t *testing.T) {
	post := func(id int, text string) string {
		return fmt.Sprintf(`{"tweet":{"id_str":"%d","created_at":"Thu Oct 13 23:08:00 +0000 2022","full_text":%q,"favorite_count":"3"}}`, id, text)
	}
	first := "window.YTD.tweets.part0 = [ " + post(1, "a = [b]") + ",\n" + post(2, "RT @x: y") + " ]"
	second := "window.YTD.tweets.part1 = [\n" + post(3, "c") + "\n]\n"
	f := newFolder(t)
	f.write("zip/twitter-2024.zip", zipOf(t, "data/tweets.js", first, "data/tweets-part1.js", second, "data/like.js", `window.YTD.like.part0 = [{"like":{"tweetId":"9"}}]`, "Your archive.html", "<html>"))
	f.write("unpacked/data/tweets.js", first)
	f.write("unpacked/data/tweets-part1.js", second)
	for _, path := range []string{"zip/*.zip", "unpacked/data/tweets*.js"} {
		open := func() ingest.Source { return files.Small(openSource(t, f.dir, "path: "+path+"\nshape: x-archive\n")) }
		got, bad, _ := sourcetest.Drain(t, open(), "")
		if d := cmp.Diff([]string{"1", "2", "3"}, sorted(ids(got))); d != "" || len(bad) > 0 {
			t.Errorf("%s: %s; rejects %q", path, d, sourcetest.Reasons(bad))
		}
		sourcetest.Run(t, func(*testing.T) ingest.Source { return named{open()} })
	}
}

// TestPackedLeavesNothing removes what it unpacked.
func TestPackedLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	f := newFolder(t)
	f.write("a.tar", tarOf(t, members(t)...))
	if _, bad, _ := sourcetest.Drain(t, files.Small(openSource(t, f.dir, "path: '*'\n"+plain)), ""); len(bad) > 0 {
		t.Error(sourcetest.Reasons(bad))
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}

// sorted orders ids by their numbers.
func sorted(ids []string) []string {
	return slices.SortedFunc(slices.Values(ids), func(a, b string) int { return cmp2.Or(cmp2.Compare(len(a), len(b)), strings.Compare(a, b)) })
}
