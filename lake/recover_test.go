package lake_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/serving/postgres/pgtest"
)

// cursorStep lands one post with a cursor that moves on.
func cursorStep(t *testing.T, l *lake.Lake, from, to string) {
	t.Helper()
	_, err := l.Commit(t.Context(), lake.Commit{
		Table: "raw.posts", ID: from + ">" + to, Add: []string{write(t, l, "a", noon, to)},
		Set: map[string]string{"feedlake.cursor.x": to}, Expect: map[string]string{"feedlake.cursor.x": from},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// filledLake makes a lake with three commits, a second table and an erasure.
func filledLake(t *testing.T, c lake.Config) {
	t.Helper()
	l := openAt(t, c, nil)
	for _, s := range []lake.Spec{lake.RawPosts(), lake.RawRejects(), lake.Erased()} {
		if err := l.Ensure(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range [][2]string{{"", "1"}, {"1", "2"}, {"2", "3"}} {
		cursorStep(t, l, step[0], step[1])
	}
	if _, err := l.AddErasures(t.Context(), []lake.Erasure{erasedPost("gone")}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func erasedPost(id string) lake.Erasure {
	return lake.Erasure{Kind: lake.ErasedPost, Source: "a", Hash: lake.ErasedHash("a", id), At: noon, RunID: "r"}
}

func isErased(t *testing.T, l *lake.Lake, id string) bool {
	t.Helper()
	e, err := l.Erasures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e.Post(&feedlake.Post{Source: "a", ID: id})
}

// wantFilled wants a lake as filledLake left it, and that it goes on like one
// that was never broken.
func wantFilled(t *testing.T, c lake.Config) {
	t.Helper()
	l := openAt(t, c, nil)
	if d := cmp.Diff([]string{"a/1", "a/2", "a/3"}, ids(t, l)); d != "" {
		t.Error(d)
	}
	if !isErased(t, l, "gone") || isErased(t, l, "1") {
		t.Error("what was erased is not what it was")
	}
	if snaps, err := l.Snapshots(t.Context(), "raw.posts"); err != nil || len(snaps) != 3 {
		t.Errorf("%d snapshots, %v, want 3", len(snaps), err)
	}
	cursorStep(t, l, "3", "4")
	if d := cmp.Diff([]string{"a/1", "a/2", "a/3", "a/4"}, ids(t, l)); d != "" {
		t.Error(d)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	openAt(t, c, nil)
}

func recoverLake(t *testing.T, c lake.Config, o lake.RecoverOptions) (lake.RecoverReport, error) {
	t.Helper()
	c.Now, c.Log = func() time.Time { return noon }, slog.New(slog.DiscardHandler)
	return lake.Recover(t.Context(), c, o)
}

func states(rep lake.RecoverReport) map[string]string {
	out := map[string]string{}
	for _, r := range rep.Tables {
		out[r.Table] = r.State
	}
	return out
}

func execSQLite(t *testing.T, file, text string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// allBack are the states of filledLake's tables after a catalog was lost whole.
var allBack = map[string]string{"raw.posts": lake.TableBack, "raw.rejects": lake.TableBack, "ops.erasures": lake.TableBack}

// TestLostCatalog damages catalog.db in every way: nobody opens the lake anew
// over its old files, and Recover brings everything back.
func TestLostCatalog(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, file string, text []byte) {
		t.Helper()
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(t *testing.T, file string) []byte {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, test := range map[string]struct {
		damage func(t *testing.T, file string)
		want   string            // of the refusal
		states map[string]string // of the tables
	}{
		"deleted": {func(t *testing.T, file string) {
			t.Helper()
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}, "it is empty", allBack},
		"zero bytes": {func(t *testing.T, file string) { t.Helper(); write(t, file, nil) }, "it is empty", allBack},
		"half": {func(t *testing.T, file string) {
			t.Helper()
			text := read(t, file)
			write(t, file, text[:len(text)/2])
		}, "damaged", allBack},
		"garbage": {func(t *testing.T, file string) {
			t.Helper()
			write(t, file, bytes.Repeat([]byte("garbage "), 4096))
		}, "damaged", allBack},
		"one table missing": {
			func(t *testing.T, file string) {
				t.Helper()
				execSQLite(t, file, "DELETE FROM iceberg_tables WHERE table_name = 'posts'")
			}, "lacks tables that the warehouse holds: raw.posts",
			map[string]string{"raw.posts": lake.TableBack, "raw.rejects": lake.TableKept, "ops.erasures": lake.TableKept},
		},
		"no table, the name kept": {func(t *testing.T, file string) {
			t.Helper()
			execSQLite(t, file, "DELETE FROM iceberg_tables")
		}, "knows no table", allBack},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := lake.Config{Dir: t.TempDir()}
			filledLake(t, c)
			file := filepath.Join(c.Dir, "catalog.db")
			test.damage(t, file)
			refused(t, c, test.want, "")
			refused(t, c, test.want, "") // the first refusal made nothing
			dry, err := recoverLake(t, c, lake.RecoverOptions{DryRun: true})
			if err != nil {
				t.Fatal(err)
			}
			refused(t, c, test.want, "")
			rep, err := recoverLake(t, c, lake.RecoverOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range []lake.RecoverReport{dry, rep} {
				if d := cmp.Diff(test.states, states(r)); d != "" {
					t.Error(d)
				}
			}
			if damaged := test.want == "damaged"; damaged != (rep.SetAside != "") || damaged && !fileThere(rep.SetAside) {
				t.Errorf("set aside: %q", rep.SetAside)
			}
			wantFilled(t, c)
		})
	}
}

func fileThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// TestLostJournal puts back a catalog.db of before the last commits, as one
// whose write-ahead log is lost.
func TestLostJournal(t *testing.T) {
	t.Parallel()
	for name, noted := range map[string]bool{"noted": true, "by an older program": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := lake.Config{Dir: t.TempDir()}
			l := openAt(t, c, nil)
			if err := l.Ensure(t.Context(), lake.RawPosts()); err != nil {
				t.Fatal(err)
			}
			cursorStep(t, l, "", "1")
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(c.Dir, "catalog.db")
			old, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			filledMore(t, c)
			if err := os.WriteFile(file, old, 0o600); err != nil {
				t.Fatal(err)
			}
			if !noted {
				if err := os.Remove(filepath.Join(metadataDir(c), "version-hint.text")); err != nil {
					t.Fatal(err)
				}
			}
			refused(t, c, "older than the warehouse", "")
			rep, err := recoverLake(t, c, lake.RecoverOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(map[string]string{"raw.posts": lake.TableNewer}, states(rep)); d != "" {
				t.Error(d)
			}
			again := openAt(t, c, nil)
			if d := cmp.Diff([]string{"a/1", "a/2", "a/3"}, ids(t, again)); d != "" {
				t.Error(d)
			}
			cursorStep(t, again, "3", "4")
		})
	}
}

func filledMore(t *testing.T, c lake.Config) {
	t.Helper()
	l := openAt(t, c, nil)
	cursorStep(t, l, "1", "2")
	cursorStep(t, l, "2", "3")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestLostSchema drops the catalog's tables in PostgreSQL.
func TestLostSchema(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	for i, text := range []string{
		"DROP SCHEMA public CASCADE; CREATE SCHEMA public", "TRUNCATE iceberg_tables",
		"DROP TABLE iceberg_tables, iceberg_namespace_properties",
	} {
		name := fmt.Sprintf("lost%d", i)
		pg.CreateDatabase(name)
		c := lake.Config{Dir: t.TempDir(), Catalog: pg.DSN(name)}
		filledLake(t, c)
		pg.Exec(name, text)
		refused(t, c, "the warehouse", "")
		rep, err := recoverLake(t, c, lake.RecoverOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(allBack, states(rep)); d != "" {
			t.Error(d)
		}
		wantFilled(t, c)
	}
}

func metadataDir(c lake.Config) string {
	return filepath.Join(c.Dir, "warehouse", "raw.db", "posts", "metadata")
}

// metadataFiles lists the metadata files of raw.posts, the oldest first.
func metadataFiles(t *testing.T, c lake.Config) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(metadataDir(c), "*.metadata.json"))
	if err != nil || len(files) < 4 {
		t.Fatalf("metadata files %v, %v", files, err)
	}
	return files
}

// sibling writes metadata that was never committed beside a committed one: of the
// same version, written an hour later, with another cursor.
func sibling(t *testing.T, file string, change func(meta map[string]any)) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var meta map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&meta); err != nil {
		t.Fatal(err)
	}
	meta["last-updated-ms"] = time.Now().Add(time.Hour).UnixMilli()
	props, ok := meta["properties"].(map[string]any)
	if !ok {
		t.Fatalf("properties: %T", meta["properties"])
	}
	props["feedlake.cursor.x"] = "never"
	if change != nil {
		change(meta)
	}
	if text, err = json.Marshal(meta); err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(file)[:6] + "ffffffff-0000-4000-8000-00000000000f.metadata.json"
	to := filepath.Join(filepath.Dir(file), name)
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(2 * time.Hour)
	if err := os.Chtimes(to, later, later); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestRecoverChooses wants the committed line, whatever lies beside it.
func TestRecoverChooses(t *testing.T) {
	t.Parallel()
	unnote := func(t *testing.T, c lake.Config) {
		t.Helper()
		if err := os.Remove(filepath.Join(metadataDir(c), "version-hint.text")); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		spoil  func(t *testing.T, c lake.Config, files []string)
		cursor string
		passed int
	}{
		"a lost race beside the newest": {func(t *testing.T, _ lake.Config, files []string) {
			t.Helper()
			sibling(t, files[len(files)-1], nil)
		}, "3", 1},
		"a lost race beside an older one": {func(t *testing.T, c lake.Config, files []string) {
			t.Helper()
			sibling(t, files[len(files)-2], nil)
			unnote(t, c)
		}, "3", 0},
		"a commit after one that lost": {func(t *testing.T, _ lake.Config, files []string) {
			t.Helper()
			other := sibling(t, files[len(files)-1], nil) // its log does not name the newest
			up := strings.Replace(other, "/0000", "/0009", 1)
			if err := os.Rename(other, up); err != nil {
				t.Fatal(err)
			}
		}, "3", 1},
		"one whose files are gone, nothing noted": {func(t *testing.T, c lake.Config, files []string) {
			t.Helper()
			unnote(t, c)
			sibling(t, files[len(files)-1], func(m map[string]any) {
				snapshots, _ := m["snapshots"].([]any)
				for _, s := range snapshots {
					if s, ok := s.(map[string]any); ok {
						s["manifest-list"] = fmt.Sprint(s["manifest-list"], ".gone")
					}
				}
			})
		}, "3", 1},
		"the newest cut in the middle": {func(t *testing.T, _ lake.Config, files []string) {
			t.Helper()
			newest := files[len(files)-1]
			text, err := os.ReadFile(newest)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(newest, text[:len(text)/2], 0o600); err != nil {
				t.Fatal(err)
			}
		}, "2", 1},
		"the note cut": {func(t *testing.T, c lake.Config, _ []string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(metadataDir(c), "version-hint.text"), []byte("0000"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "3", 0},
		"nothing noted": {func(t *testing.T, c lake.Config, _ []string) { t.Helper(); unnote(t, c) }, "3", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := lake.Config{Dir: t.TempDir()}
			filledLake(t, c)
			test.spoil(t, c, metadataFiles(t, c))
			if err := os.Remove(filepath.Join(c.Dir, "catalog.db")); err != nil {
				t.Fatal(err)
			}
			rep, err := recoverLake(t, c, lake.RecoverOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rep.Tables {
				if r.Table == "raw.posts" && len(r.Skipped) != test.passed {
					t.Errorf("passed over %v, want %d", r.Skipped, test.passed)
				}
			}
			l := openAt(t, c, nil)
			if got, err := l.Property(t.Context(), "raw.posts", "feedlake.cursor.x"); err != nil || got != test.cursor {
				t.Errorf("cursor %q, %v, want %q", got, err, test.cursor)
			}
			ids(t, l) // its rows can be read
			cursorStep(t, l, test.cursor, "next")
		})
	}
}

// TestRecoverTellsWhatStaysLost wants the other tables back, and exit in part.
func TestRecoverTellsWhatStaysLost(t *testing.T) {
	t.Parallel()
	c := lake.Config{Dir: t.TempDir()}
	filledLake(t, c)
	for _, f := range append(metadataFiles(t, c), filepath.Join(c.Dir, "catalog.db")) {
		if err := os.WriteFile(f, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rep, err := recoverLake(t, c, lake.RecoverOptions{})
	if !errors.Is(err, feedlake.ErrPartial) {
		t.Errorf("%v, want in part", err)
	}
	want := maps.Clone(allBack)
	want["raw.posts"] = lake.TableMissing
	if d := cmp.Diff(want, states(rep)); d != "" {
		t.Error(d)
	}
	refused(t, c, "raw.posts", "")
}

// TestOneCatalogPerWarehouse wants a second catalog over a warehouse refused,
// in every way that one comes about.
func TestOneCatalogPerWarehouse(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	pg.CreateDatabase("second")
	c := lake.Config{Dir: t.TempDir()}
	filledLake(t, c)
	second := lake.Config{Dir: c.Dir, Catalog: pg.DSN("second")}
	refused(t, second, "belongs to the catalog in SQLite", "")
	if _, err := recoverLake(t, second, lake.RecoverOptions{}); !errors.Is(err, feedlake.ErrConfig) {
		t.Errorf("recover beside a living catalog: %v", err)
	}
	wantFilled(t, c)
	if _, err := recoverLake(t, second, lake.RecoverOptions{TakeOver: true}); err != nil {
		t.Fatal(err)
	}
	refused(t, c, "belongs to the catalog in PostgreSQL", "")
	openAt(t, second, nil)

	copied := lake.Config{Dir: filepath.Join(t.TempDir(), "copy")}
	if err := os.CopyFS(copied.Dir, os.DirFS(c.Dir)); err != nil {
		t.Fatal(err)
	}
	refused(t, copied, "belongs to", "")
	if err := os.Remove(filepath.Join(copied.Dir, "warehouse", "_feedlake", "catalog.json")); err != nil {
		t.Fatal(err)
	}
	refused(t, copied, "not in the warehouse", "")

	link := filepath.Join(t.TempDir(), "link") // the same lake by another name
	if err := os.Symlink(c.Dir, link); err != nil {
		t.Fatal(err)
	}
	openAt(t, lake.Config{Dir: link, Catalog: second.Catalog}, nil)
}

// TestMovedCatalogInCharge wants a copy of the old catalog refused after a move.
func TestMovedCatalogInCharge(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	pg.CreateDatabase("lake")
	c := lake.Config{Dir: t.TempDir()}
	filledLake(t, c)
	file := filepath.Join(c.Dir, "catalog.db")
	backup, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	from := openAt(t, c, nil)
	service := lake.Config{Dir: c.Dir, Catalog: pg.DSN("lake")}
	to := service
	to.Receiving = true
	if _, err := from.MoveCatalog(t.Context(), openAt(t, to, nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := recoverLake(t, c, lake.RecoverOptions{}); !errors.Is(err, feedlake.ErrConfig) {
		t.Errorf("recover of a catalog that moved: %v", err)
	}
	if err := from.Close(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(file, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, c, "belongs to the catalog in PostgreSQL", "")
	wantFilled(t, service)
}

// TestErasuresOutliveTheCatalog loses ops.erasures itself, the catalog with it.
func TestErasuresOutliveTheCatalog(t *testing.T) {
	t.Parallel()
	c := lake.Config{Dir: t.TempDir()}
	filledLake(t, c)
	for _, gone := range []string{"catalog.db", "warehouse/ops.db", "warehouse/ops"} {
		if err := os.RemoveAll(filepath.Join(c.Dir, gone)); err != nil {
			t.Fatal(err)
		}
	}
	rep, err := recoverLake(t, c, lake.RecoverOptions{})
	if err != nil || rep.Erasures != 1 {
		t.Fatalf("%d erasures came back, %v", rep.Erasures, err)
	}
	wantFilled(t, c)
}

// TestErasuresOfOlderLakes wants rows that stand in the table alone written down
// beside it by whoever reads them next.
func TestErasuresOfOlderLakes(t *testing.T) {
	t.Parallel()
	c := lake.Config{Dir: t.TempDir()}
	filledLake(t, c)
	kept := filepath.Join(c.Dir, "warehouse", "_feedlake", "erasures")
	if err := os.RemoveAll(kept); err != nil {
		t.Fatal(err)
	}
	if !isErased(t, openAt(t, c, nil), "gone") {
		t.Error("the table was not read")
	}
	if names, err := os.ReadDir(kept); err != nil || len(names) != 1 {
		t.Errorf("%d files beside the table, %v", len(names), err)
	}
}

// TestWholeErasureCrash stops AddErasures at every storage operation: what it said is
// done stays done, and the second call ends it.
func TestWholeErasureCrash(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		for i, more := 0, true; more; i++ {
			c := lake.Config{Dir: t.TempDir()}
			filledLake(t, c)
			var hit atomic.Bool
			broken := openAt(t, c, failAt(i, after, &hit))
			_, err := broken.AddErasures(t.Context(), []lake.Erasure{erasedPost("late")})
			more = hit.Load()
			l := openAt(t, c, nil)
			if err == nil && !isErased(t, l, "late") {
				t.Errorf("operation %d, after %v: it is not erased", i, after)
			}
			if _, err := l.AddErasures(t.Context(), []lake.Erasure{erasedPost("late")}); err != nil {
				t.Fatal(err)
			}
			files, err := l.Files(t.Context(), "ops.erasures", current(t, l, "ops.erasures").ID)
			rows := int64(0)
			for _, f := range files {
				rows += f.Rows
			}
			if err != nil || rows != 2 || !isErased(t, l, "late") {
				t.Errorf("operation %d, after %v: %d rows, %v, want 2", i, after, rows, err)
			}
		}
	}
}

// TestRecoverNothing wants no new lake made by recover.
func TestRecoverNothing(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "nothing")
	for _, dir := range []string{missing, t.TempDir()} {
		if _, err := recoverLake(t, lake.Config{Dir: dir}, lake.RecoverOptions{}); !errors.Is(err, feedlake.ErrNotFound) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if fileThere(missing) {
		t.Error("a folder was made")
	}
}
