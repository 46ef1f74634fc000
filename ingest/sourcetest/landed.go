package sourcetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"golang.org/x/text/language"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/lake"
)

// Tap is a source that remembers the posts of another one's pages, as they were
// before a run took them over.
type Tap struct {
	ingest.Source
	Posts []feedlake.Post
}

// Fetch reads a page of the other source.
func (t *Tap) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	p, err := t.Source.Fetch(ctx, from)
	if err == nil {
		t.Posts = append(t.Posts, p.Posts...)
	}
	return p, err
}

// Slice is a source of one page.
type Slice []feedlake.Post

// Fetch returns the page.
func (s Slice) Fetch(context.Context, feedlake.Cursor) (ingest.Page, error) {
	return ingest.Page{Posts: slices.Clone(s), Next: "end", Done: true}, nil
}

// Land lands a source in a lake of its own and checks what Landed does.
func Land(t *testing.T, src ingest.Source, now func() time.Time) *lake.Lake {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{Dir: t.TempDir(), Now: now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	tap := &Tap{Source: src}
	if _, err := ingest.Run(t.Context(), ingest.Options{Name: "source", RunID: "r", Source: tap, Lake: l, Now: now, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	Landed(t, l, "source", tap.Posts, now())
	return l
}

// Landed checks that what a run of a source landed, in an empty lake or one
// without the source, is what its pages said, column by column: what they did not
// say is NULL, and never an empty text or a zero. It reads values and NULLs of the
// data files one by one, as no writer has them.
func Landed(t *testing.T, l *lake.Lake, name string, said []feedlake.Post, now time.Time) {
	t.Helper()
	var want []feedlake.Post
	for _, p := range said {
		if p.Source == "" {
			p.Source = name
		}
		if p.Validate(now) != nil {
			continue
		}
		p.Own()
		if p.Deleted && p.ObservedAt.IsZero() {
			p.ObservedAt = now
		}
		p.Seq = int64(len(want)) + 1
		want = append(want, p)
	}
	sources := map[string]bool{}
	for i := range want {
		sources[want[i].Source] = true
	}
	seen := make([]bool, len(want))
	faults := 0
	EachRow(t, l, func(row map[string][]parquet.Value) {
		if !sources[row["source"][0].String()] || faults > 20 {
			return
		}
		seq := row["seq"][0].Int64()
		if seq < 1 || seq > int64(len(want)) || seen[seq-1] {
			t.Errorf("post %s has place %d of %d, or one that another has", row["id"][0], seq, len(want))
			faults++
			return
		}
		seen[seq-1] = true
		for _, diff := range differences(&want[seq-1], row) {
			t.Errorf("post %s: %s", want[seq-1].Key(), diff)
			faults++
		}
	})
	if i := slices.Index(seen, false); i >= 0 && faults <= 20 {
		t.Errorf("post %s did not land", want[i].Key())
	}
}

// EachRow calls do for every row of raw.posts, with its values by column.
func EachRow(t *testing.T, l *lake.Lake, do func(row map[string][]parquet.Value)) {
	t.Helper()
	s, err := l.Current(t.Context(), lake.RawPosts().Name)
	if err != nil {
		t.Fatal(err)
	}
	files, err := l.Files(t.Context(), lake.RawPosts().Name, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := eachRow(f.Path, do); err != nil {
			t.Fatal(err)
		}
	}
}

func eachRow(path string, do func(row map[string][]parquet.Value)) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	p, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		return err
	}
	var names []string
	for _, path := range p.Schema().Columns() {
		names = append(names, path[0])
	}
	row, buf := make(map[string][]parquet.Value, len(names)), make([]parquet.Row, 64)
	for _, g := range p.RowGroups() {
		rows := g.Rows()
		for done := false; !done; {
			n, err := rows.ReadRows(buf)
			if err != nil && !errors.Is(err, io.EOF) {
				return errors.Join(err, rows.Close())
			}
			for _, r := range buf[:n] {
				r.Range(func(column int, values []parquet.Value) bool {
					row[names[column]] = values
					return true
				})
				do(row)
			}
			done = err != nil
		}
		if err := rows.Close(); err != nil {
			return err
		}
	}
	return nil
}

// differences lists the columns of a row that are not as a post says. The run
// fills in run_id and reading, and makes a canonical tag of a language, or none.
func differences(p *feedlake.Post, row map[string][]parquet.Value) (out []string) {
	post := reflect.ValueOf(p).Elem()
	for i := range post.NumField() {
		column, _, _ := strings.Cut(post.Type().Field(i).Tag.Get("parquet"), ",")
		got, ok := row[column]
		if column == "run_id" || column == "reading" {
			continue
		}
		if column == "lang" && ok {
			if want := reflect.ValueOf(canonical(p.Lang)); !same(want, got) {
				out = append(out, fmt.Sprintf("lang is %+v, its page says %q, which is %q", got, p.Lang, want))
			}
			continue
		}
		if !ok || !same(post.Field(i), got) {
			out = append(out, fmt.Sprintf("%s is %+v, its page says %+v", column, got, reflect.Indirect(post.Field(i))))
		}
	}
	return out
}

// replaced is the code of today for one that was replaced; "" for others.
func replaced(code string) string {
	return map[string]string{"in": "id", "iw": "he", "ji": "yi", "jw": "jv", "mo": "ro-MD", "sh": "sr-Latn", "tl": "fil"}[code]
}

// canonical is the tag of a language by the rules of BCP 47, section 2.1.1 and 4.5,
// read plainly, beside the library that a run leaves them to: the register of
// languages alone is that one's. What names no language is "".
func canonical(said string) string {
	parts := strings.Split(strings.ReplaceAll(said, "_", "-"), "-")
	base, err := language.ParseBase(strings.ToLower(parts[0]))
	code := strings.ToLower(parts[0])
	if slices.Contains([]string{"", "und", "zxx", "mul", "mis", "art", "root"}, code) || len(code) == 3 && code >= "qaa" && code <= "qtz" || err != nil {
		return ""
	}
	out := []string{cmp.Or(replaced(code), base.String())} // of two codes the shorter one
	for _, part := range parts[1:] {
		switch {
		case len(part) == 4 && part[0] > '9': // a script
			out = append(out, strings.ToUpper(part[:1])+strings.ToLower(part[1:]))
		case len(part) == 2: // a region
			out = append(out, strings.ToUpper(part))
		default:
			out = append(out, strings.ToLower(part))
		}
	}
	return strings.Join(out, "-")
}

// same reports whether the values of a column are what a field says.
func same(field reflect.Value, got []parquet.Value) bool {
	if at, ok := reflect.TypeAssert[time.Time](field); ok {
		return at.IsZero() && got[0].IsNull() || !at.IsZero() && !got[0].IsNull() && got[0].Int64() == at.UnixMicro()
	}
	switch field.Kind() {
	case reflect.Slice: // optional list of texts: NULL at level 0, empty at level 1
		texts, _ := reflect.TypeAssert[[]string](field)
		if len(texts) == 0 {
			return len(got) == 1 && got[0].IsNull() && (got[0].DefinitionLevel() == 0) == (texts == nil)
		}
		return slices.EqualFunc(texts, got, func(s string, v parquet.Value) bool { return !v.IsNull() && string(v.ByteArray()) == s })
	case reflect.Pointer:
		return field.IsNil() && got[0].IsNull() || !field.IsNil() && !got[0].IsNull() && got[0].Int64() == field.Elem().Int()
	case reflect.Bool:
		return !got[0].IsNull() && got[0].Boolean() == field.Bool()
	case reflect.Int64:
		return field.Int() == 0 && got[0].IsNull() || field.Int() != 0 && !got[0].IsNull() && got[0].Int64() == field.Int()
	}
	return field.Len() == 0 && got[0].IsNull() || field.Len() > 0 && !got[0].IsNull() && string(got[0].ByteArray()) == field.String()
}
