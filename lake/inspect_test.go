package lake_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/lake"
)

func check(t testing.TB, l *lake.Lake, o lake.CheckOptions) lake.CheckReport {
	t.Helper()
	rep, err := l.Check(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func TestCheckOfASoundLake(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	for _, s := range lake.Fixed() {
		if err := l.Ensure(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	manyFiles(t, l, "a source of more than sixteen letters/ä", noon, 3)
	manyFiles(t, l, "b", noon.AddDate(-60, 0, 0), 2) // before 1970
	commit(t, l, lake.Commit{Table: "ml.sentiment_scores", Add: []string{scoreFile(t, l, "2026-01-10", 20463)}})
	if _, err := l.Compact(t.Context(), lake.CompactOptions{Rewrite: rewriter(t), MinFiles: 2}); err != nil {
		t.Fatal(err)
	}
	rep := check(t, l, lake.CheckOptions{})
	if d := cmp.Diff(lake.CheckReport{Tables: len(lake.Fixed()), Snapshots: 7, Files: 8, Rows: 6, Problems: []lake.Problem{}}, rep); d != "" {
		t.Error(d)
	}
}

type scoreRow struct {
	Source string `parquet:"source,optional"`
	Day    int32  `parquet:"day,date"`
}

func scoreFile(t testing.TB, l *lake.Lake, day string, days int32) string {
	t.Helper()
	path, err := lake.WriteRows(t.Context(), l, "ml.sentiment_scores", lake.MakePartition("source", "a", "day", day), []scoreRow{{"a", days}})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCheckFindsWhatIsBroken breaks a lake of two snapshots in every way and
// wants each told with its file, its snapshot and the way back.
func TestCheckFindsWhatIsBroken(t *testing.T) {
	type broken struct {
		l           *lake.Lake
		dir         string
		first, last lake.Snapshot
		old, young  string // data files: of both snapshots, of the last
	}
	overwrite := func(t *testing.T, path string, f func([]byte) []byte) {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		do       func(t *testing.T, b broken) (file string)
		what     string
		snapshot func(b broken) int64
		hint     string // "%d" stands for the first snapshot
	}{
		"file of the last snapshot is gone": {
			func(t *testing.T, b broken) string {
				if err := os.Remove(b.young); err != nil {
					t.Fatal(err)
				}
				return b.young
			}, "is missing", func(b broken) int64 { return b.last.ID }, "lake restore raw.posts %d",
		},
		"file of both snapshots is gone": {
			func(t *testing.T, b broken) string {
				if err := os.Remove(b.old); err != nil {
					t.Fatal(err)
				}
				return b.old
			}, "is missing", func(b broken) int64 { return b.last.ID }, "no older snapshot is sound",
		},
		"file is cut": {
			func(t *testing.T, b broken) string {
				overwrite(t, b.young, func(b []byte) []byte { return b[:len(b)-1] })
				return b.young
			}, "recorded are", func(b broken) int64 { return b.last.ID }, "lake restore raw.posts %d",
		},
		"footer is broken": {
			func(t *testing.T, b broken) string {
				overwrite(t, b.young, func(b []byte) []byte { copy(b[len(b)-8:], "\xff\xff\xff\x7fPAR1"); return b })
				return b.young
			}, "is not readable", func(b broken) int64 { return b.last.ID }, "lake restore raw.posts %d",
		},
		"file of another partition": {
			func(t *testing.T, b broken) string {
				overwrite(t, b.young, func(b []byte) []byte { // its footer tells the bounds of columns
					micros := func(at time.Time) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(at.UnixMicro())) }
					start := len(b) - 8 - int(binary.LittleEndian.Uint32(b[len(b)-8:]))
					foot := bytes.ReplaceAll(b[start:], []byte("\x01a"), []byte("\x01z"))
					return append(b[:start:start], bytes.ReplaceAll(foot, micros(noon), micros(noon.AddDate(0, 0, 3)))...)
				})
				return b.young
			}, "has rows of source=z, recorded is a; has rows of day=2026-01-13, recorded is 2026-01-10", func(b broken) int64 { return b.last.ID }, "lake restore raw.posts %d",
		},
		"manifest list of the first snapshot": {
			func(t *testing.T, b broken) string {
				lists, err := filepath.Glob(filepath.Join(b.dir, "warehouse", "raw.db", "posts", "metadata", fmt.Sprintf("snap-%d-*.avro", b.first.ID)))
				if err != nil || len(lists) != 1 {
					t.Fatal(lists, err)
				}
				if err := os.Remove(lists[0]); err != nil {
					t.Fatal(err)
				}
				return lists[0]
			}, "manifest list is not readable", func(b broken) int64 { return b.first.ID }, "the current snapshot does not need it",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := broken{dir: t.TempDir()}
			b.l = lakeWithPosts(t, b.dir, nil)
			b.old = write(t, b.l, "a", noon, "1")
			b.first = commit(t, b.l, lake.Commit{Add: []string{b.old}})
			b.young = write(t, b.l, "a", noon, "2")
			b.last = commit(t, b.l, lake.Commit{Add: []string{b.young}})
			file := c.do(t, b)
			rep := check(t, b.l, lake.CheckOptions{})
			if len(rep.Problems) != 1 {
				t.Fatalf("problems %+v", rep.Problems)
			}
			p := rep.Problems[0]
			if p.Table != "raw.posts" || p.File != file || p.Snapshot != c.snapshot(b) || !strings.Contains(p.What, c.what) {
				t.Errorf("%+v, want %q of %s in snapshot %d", p, c.what, file, c.snapshot(b))
			}
			if hint := strings.ReplaceAll(c.hint, "%d", fmt.Sprint(b.first.ID)); !strings.Contains(p.Hint, hint) {
				t.Errorf("hint %q, want %q", p.Hint, hint)
			}
			if !strings.Contains(c.hint, "restore") {
				return
			}
			if _, err := b.l.Restore(t.Context(), "raw.posts", b.first.ID, lake.RestoreOptions{}); err != nil {
				t.Fatalf("the hint does not help: %v", err)
			}
			if d := cmp.Diff([]string{"a/1"}, ids(t, b.l)); d != "" {
				t.Error("restored:", d)
			}
		})
	}
}

func TestCheckMetadataAndKeys(t *testing.T) {
	dir := t.TempDir()
	l := lakeWithPosts(t, dir, nil)
	if err := l.Ensure(t.Context(), lake.Champions()); err != nil {
		t.Fatal(err)
	}
	commit(t, l, lake.Commit{Add: []string{write(t, l, "a", noon, "1"), write(t, l, "a", noon, "1")}})
	metas, err := filepath.Glob(filepath.Join(dir, "warehouse", "ml.db", "champions", "metadata", "*.metadata.json"))
	if err != nil || len(metas) != 1 {
		t.Fatal(metas, err)
	}
	if err := os.WriteFile(metas[0], []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	rep := check(t, l, lake.CheckOptions{Duplicates: func(_ context.Context, table string, key []string, cols []lake.Column, files []lake.File) (int64, error) {
		if table != "raw.posts" || !slices.Equal(key, []string{"source", "id", "observed_at"}) || len(files) != 2 || len(cols) == 0 {
			t.Errorf("asked for %s, key %v, %d files", table, key, len(files))
		}
		return 1, nil
	}})
	if len(rep.Problems) != 1 || !strings.Contains(rep.Problems[0].What, "metadata is not readable") || rep.Repeated != 1 {
		t.Errorf("%d repeated, problems %+v", rep.Repeated, rep.Problems)
	}
}

// TestCheckKeysByTable wants a key that stands twice to be a problem only where
// it may not, and no advice that takes rows away.
func TestCheckKeysByTable(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), nil)
	derived := lake.Spec{Name: "features.x", Columns: []lake.Column{{Name: "source", Type: "VARCHAR"}}, Key: []string{"source"}}
	specs := append(lake.Fixed(), derived)
	type row struct {
		Source string `parquet:"source,optional"`
	}
	for _, s := range specs {
		s.Partition, s.Columns = nil, derived.Columns // one file serves all
		if err := l.Ensure(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		path, err := lake.WriteRows(t.Context(), l, s.Name, "", []row{{"a"}, {"a"}})
		if err != nil {
			t.Fatal(err)
		}
		commit(t, l, lake.Commit{Table: s.Name, Add: []string{path}})
	}
	rep := check(t, l, lake.CheckOptions{Duplicates: func(context.Context, string, []string, []lake.Column, []lake.File) (int64, error) { return 1, nil }})
	problem := map[string]lake.Problem{}
	for _, p := range rep.Problems {
		problem[p.Table] = p
	}
	landed := int64(0)
	for _, s := range specs {
		p, bad := problem[s.Name]
		if s.Landed {
			landed++
		}
		if bad == s.Landed || strings.Contains(p.Hint, "restore") || bad && p.Hint == "" {
			t.Errorf("%s, landed %v: problem %v, hint %q", s.Name, s.Landed, bad, p.Hint)
		}
	}
	if rep.Repeated != landed || landed == 0 || !strings.Contains(problem["features.x"].Hint, "transform --full features.x") {
		t.Errorf("%d repeated, want %d; %+v", rep.Repeated, landed, problem["features.x"])
	}
}
