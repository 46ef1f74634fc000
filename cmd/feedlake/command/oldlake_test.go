package command

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake/lake/filelock"
)

// oldLakeAt is where the lake of testdata/lakes was made: a lake's files hold
// absolute places.
const oldLakeAt = "/tmp/feedlake-lake-of-1848268"

// unpackOldLake brings the lake to its place, and keeps other tests away from it.
func unpackOldLake(t *testing.T) {
	t.Helper()
	lock, err := filelock.Open(t.Context(), oldLakeAt+".lock", filelock.Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Close() })
	remove := func() {
		if err := os.RemoveAll(oldLakeAt); err != nil {
			t.Fatal(err)
		}
	}
	remove()
	t.Cleanup(remove)
	f, err := os.Open("testdata/lakes/1848268.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(oldLakeAt, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o755)
		} else {
			var text []byte
			if text, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(path, text, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestWholeOldLake opens a lake that commit 1848268 made, with a post whose time moved to
// another day, a repost with the counts of the original, a deletion on another day
// and languages as networks spell them. The next run brings its tables to the shape
// of today, with the right rows, and one more finds nothing new.
func TestWholeOldLake(t *testing.T) {
	t.Parallel()
	unpackOldLake(t)
	c := newCLI(t, "")
	c.dir, c.now = oldLakeAt, time.Date(2026, 12, 1, 13, 0, 0, 0, time.UTC)
	rows := "select string_agg(concat_ws('|', id, day, lang, coalesce(lang_tag, '-'), text, coalesce(likes::varchar, '-'), versions, copy), chr(10) order by id) " +
		"from features.posts where source = 'archive'"
	c.run(0, "run")
	want := strings.Join([]string{
		"1|2026-01-01|he|he|שלום #one|3|1|false",
		"2|2026-01-01|en|en|RT: a famous text|-|1|false",
		"3|2026-01-02|en|en-US|the time is right #two|2|2|false",
	}, "\n")
	if got := strings.Trim(c.value(rows), `"`); got != want {
		t.Errorf("posts of the old lake:\n%s\nwant:\n%s", got, want)
	}
	if got := c.value("select count(*) from features.posts where source <> 'archive'"); got != "120" {
		t.Errorf("%s made-up posts, want 120", got)
	}
	if got := c.value("select sum(posts) || ' ' || sum(originals) from marts.volume where not copy"); got != "123 115" {
		t.Errorf("marts.volume counts %s, want 123 115", got)
	}
	out, _ := c.run(0, "run")
	if !strings.Contains(out, "nothing new") {
		t.Errorf("one more run:\n%s", out)
	}
}
