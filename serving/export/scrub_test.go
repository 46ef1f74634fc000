package export_test

import (
	"bytes"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/serving/export"
)

// TestScrub replaces a word that nobody else says and wants it out of the file,
// with all else as it was.
func TestScrub(t *testing.T) {
	dir := t.TempDir()
	p := newPublisher(t, dir)
	if err := p.Scrub(t.Context()); err != nil {
		t.Fatalf("an empty folder: %v", err)
	}
	path := filepath.Join(dir, export.Database)
	const word = "zanzibarian-quokka"
	for snapshot, lang := range []string{word, "en"} {
		b := batch(int64(snapshot+1), 1)
		for i, c := range b.Columns {
			if c.Type == "VARCHAR" {
				rows := b.Rows
				b.Rows = replaced(rows, i, lang)
			}
		}
		b.WindowColumn, b.Windows = "", nil
		if err := p.Publish(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	look := func() [][]any {
		t.Helper()
		rows, err := read(t.Context(), path, "select t::varchar, (select string_agg(comment, ';') from duckdb_tables() where comment is not null), (select string_agg(l::varchar, ';') from feedlake_published l) from volume t", 3)
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	want := look()
	if b, err := os.ReadFile(path); err != nil || !bytes.Contains(b, []byte(word)) {
		t.Fatalf("the word is not in the file before: the test is blind (%v)", err)
	}
	if err := p.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, look()); diff != "" {
		t.Error(diff)
	}
	if b, err := os.ReadFile(path); err != nil || bytes.Contains(b, []byte(word)) {
		t.Errorf("the word is still in the file (%v)", err)
	}
	held, err := p.Published(t.Context(), "marts.volume")
	if err != nil || held.Snapshot != 2 {
		t.Errorf("held: %+v, %v", held, err)
	}
	if err := p.Publish(t.Context(), batch(3, 5)); err != nil {
		t.Errorf("publish after it: %v", err)
	}
}

// replaced yields rows with another value in one column.
func replaced(rows iter.Seq2[[]any, error], at int, value any) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		for row, err := range rows {
			row = append([]any(nil), row...)
			row[at] = value
			if !yield(row, err) {
				return
			}
		}
	}
}
