package transforms_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/transforms"
)

// manyDays fills raw.posts with two weeks of posts of two months.
func manyDays(r *rig) {
	r.t.Helper()
	r.ensure(lake.Fixed()...)
	var posts []feedlake.Post
	for day := 1; day <= 14; day++ {
		for _, month := range []string{"01", "02"} {
			at := fmt.Sprintf("%s-%02d", month, day)
			posts = append(posts, post("c"+at, at, ""), post("a"+at, at, "hello #go @bob https://x.example"), post("b"+at, at, "again #go #rust"))
		}
	}
	r.land(posts...)
}

// ordered reads the live files of every table, each as it lies: its rows in their
// order, without the snapshots that they were made from.
func ordered(r *rig) map[string]string {
	r.t.Helper()
	db, done := r.pinned()
	defer done()
	out := map[string]string{}
	for _, m := range r.graph.Models() {
		for _, f := range liveFiles(r, m.Name) {
			rows := r.rowsOf(db, "SELECT * EXCLUDE (_inputs) FROM read_parquet("+query.Quote(f.Path)+", file_row_number = true) ORDER BY file_row_number")
			out[m.Name+" "+string(f.Partition)] += strings.Join(rows, "\n") + "\n"
		}
	}
	return out
}

func liveFiles(r *rig, table string) []lake.File {
	r.t.Helper()
	cur, err := r.lake.Current(r.t.Context(), table)
	if errors.Is(err, feedlake.ErrNotFound) {
		return nil
	}
	if err != nil {
		r.t.Fatal(err)
	}
	files, err := r.lake.Files(r.t.Context(), table, cur.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	return files
}

// TestParallelMakesTheSame builds a lake with 1, 2 and 7 queries at once: the
// files, their rows and the order of these, and what is reported are the same.
func TestParallelMakesTheSame(t *testing.T) {
	t.Parallel()
	type result struct {
		Files     map[string]string
		Report    []string
		Snapshots map[string]int
	}
	build := func(parallel int) (got result) {
		r := newRig(t)
		manyDays(r)
		r.opts.Parallel, r.opts.MaxRows, r.opts.RunID = parallel, 12, "same"
		for _, m := range r.mustTransform().Models {
			got.Report = append(got.Report, fmt.Sprint(m.Model, m.State, m.Rows, m.Files, m.Partitions, m.InputFiles, m.InputRows))
		}
		got.Files, got.Snapshots = ordered(r), r.snapshots()
		return got
	}
	want := build(1)
	if len(want.Files) < 100 {
		t.Fatalf("%d files: too few to say anything", len(want.Files))
	}
	for _, parallel := range []int{2, 7} {
		if diff := cmp.Diff(want, build(parallel)); diff != "" {
			t.Errorf("1 and %d at once (-1 +%d):\n%s", parallel, parallel, diff)
		}
	}
}

// TestParallelWritesTheSameBytes makes one table of one snapshot again and again.
func TestParallelWritesTheSameBytes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	manyDays(r)
	r.opts.Only, r.opts.MaxRows, r.opts.RunID, r.opts.Full = []string{"features.posts"}, 12, "same", true
	build := func(parallel int) map[lake.Partition]string {
		r.opts.Parallel, r.run = parallel, r.run+1
		r.mustTransform()
		out := map[lake.Partition]string{}
		for _, f := range liveFiles(r, "features.posts") {
			text, err := os.ReadFile(f.Path)
			if err != nil {
				t.Fatal(err)
			}
			out[f.Partition] += fmt.Sprintf("%x ", sha256.Sum256(text))
		}
		return out
	}
	want := build(1)
	for _, parallel := range []int{2, 7} {
		if diff := cmp.Diff(want, build(parallel)); diff != "" || len(want) != 28 {
			t.Errorf("%d files; 1 and %d at once (-1 +%d):\n%s", len(want), parallel, parallel, diff)
		}
	}
}

// TestFailedQueryEndsTheOthers fails one query of several: the model fails, those
// that run are cancelled, and no file of any stays.
func TestFailedQueryEndsTheOthers(t *testing.T) {
	t.Parallel()
	for _, parallel := range []int{1, 2, 7} {
		r := newRig(t)
		manyDays(r)
		r.models(fmt.Sprintf(longPosts, "not_null(id)", "text"))
		r.opts.Parallel, r.opts.MaxRows = parallel, 12
		boom := errors.New("boom")
		var queries atomic.Int64
		r.engine.hook(func(ctx context.Context, _ transforms.Query) error {
			switch n := queries.Add(1); {
			case n < 4 || n > 4 && parallel == 1:
				return nil
			case n == 4:
				return boom
			}
			<-ctx.Done() // a query that runs on until somebody ends it
			return ctx.Err()
		})
		_, err := r.transform()
		if !errors.Is(err, boom) || errors.Is(err, context.Canceled) {
			t.Errorf("%d at once: got %v, want the fault of the query alone", parallel, err)
		}
		r.engine.hook(nil)
		if files := staged(r, "features", "long"); len(files) > 0 {
			t.Errorf("%d at once: %d files stay, such as %s", parallel, len(files), files[0])
		}
		r.mustTransform()
		if n := len(r.rows("SELECT id FROM features.long")); n != 84 {
			t.Errorf("%d at once: %d rows afterwards, want 84", parallel, n)
		}
	}
}

// staged lists the data files of a table, of a snapshot or not.
func staged(r *rig, schema, table string) (files []string) {
	r.t.Helper()
	err := filepath.WalkDir(r.lake.Dir(), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".parquet" && strings.Contains(path, filepath.Join(schema, table, "data")) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return files
}
