package erasure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/objects"
	"github.com/feedlake/feedlake/lake/query"
)

// verify searches every live table for what ops.erasures lists, by hash and so
// without trust in what was found before, for the texts, and the files beside
// the tables. What is found stands in the report and is feedlake.ErrPartial.
func (w *Work) verify(ctx context.Context) error {
	if err := w.openSession(ctx); err != nil {
		return err
	}
	if err := w.db.Define(ctx, "erase_says", 1, func(s []string) bool { return w.match.in(s[0]) }); err != nil {
		return err
	}
	if err := w.pin(ctx, lake.Erased().Name); err != nil {
		return err
	}
	if err := w.exec(ctx, "CREATE OR REPLACE TABLE erase.tombs AS SELECT DISTINCT kind, hash FROM ops.erasures"); err != nil {
		return err
	}
	tables, err := w.o.Lake.Tables(ctx)
	if err != nil {
		return err
	}
	w.rep.Left = []Left{}
	for _, t := range tables {
		if err := w.verifyTable(ctx, t); err != nil {
			return err
		}
	}
	if err := w.verifyFiles(ctx); err != nil {
		return err
	}
	if len(w.rep.Left) == 0 {
		w.o.Say(ctx, 0, 0, "nothing is left in "+feedlake.Plural(int64(len(tables)), "table"))
		return nil
	}
	var parts []string
	for _, l := range w.rep.Left {
		parts = append(parts, fmt.Sprintf("%s: %s (%s): %s", l.Where, l.What, feedlake.Count(l.Count), l.Why))
	}
	return feedlake.Hint(fmt.Errorf("erase: still found: %s: %w", strings.Join(parts, "; "), feedlake.ErrPartial), "mend the cause, then run the same command again")
}

// searches lists what to look for in a table: names of findings to conditions.
func searches(table string, cols []lake.Column) map[string]string {
	has := func(name string) bool {
		return slices.ContainsFunc(cols, func(c lake.Column) bool { return c.Name == name && c.Type == "VARCHAR" })
	}
	out := map[string]string{}
	if table == lake.Erased().Name {
		return out
	}
	if has("source") && has("id") {
		out["posts"] = tombed(lake.ErasedPost, "id")
	}
	if has("source") && has("author_id") {
		out["authors"] = tombed(lake.ErasedAuthor, "author_id")
	}
	for _, c := range []string{"repost_of", "quote_of", "reply_to"} {
		if has("source") && has(c) {
			out[c] = tombed(lake.ErasedPost, c)
		}
	}
	var texts []string
	for _, c := range cols {
		if c.Type != "VARCHAR" || (c.Name == "text" && slices.Contains(rawTexts(), table)) {
			continue // the same text of another post is that post's own
		}
		term := "coalesce(erase_says(" + query.Ident(c.Name) + "), false)"
		if c.Name == "payload" && has("text") {
			term = "(" + term + " AND NOT coalesce(erase_says(text), false))"
		}
		texts = append(texts, term)
	}
	if len(texts) > 0 {
		out["texts"] = strings.Join(texts, " OR ")
	}
	return out
}

func (w *Work) verifyTable(ctx context.Context, table string) error {
	cur, err := w.o.Lake.Current(ctx, table)
	if err != nil {
		return err
	}
	files, err := w.o.Lake.Files(ctx, table, cur.ID)
	if err != nil {
		return err
	}
	cols, err := w.o.Lake.Columns(ctx, table)
	if err != nil {
		return err
	}
	why := "a writer brought it while the erasure ran"
	switch held := w.held[table]; {
	case len(held) > 0:
		slices.Sort(held)
		why = "a check holds back " + strings.Join(slices.Compact(held), ", ")
	case len(w.held) > 0:
		why = "built from what a check holds back: " + strings.Join(slices.Sorted(maps.Keys(w.held)), ", ")
	}
	wanted := searches(table, cols)
	for _, what := range slices.Sorted(maps.Keys(wanted)) {
		where := wanted[what]
		if what == "texts" && w.match.empty() {
			continue
		}
		var n int64
		for batch := range slices.Chunk(files, 64) {
			local, release, err := w.o.Lake.Local(ctx, batch)
			if err != nil {
				return err
			}
			rows, err := query.Rows{DB: w.db, Remove: where}.Find(ctx, cols, local)
			release()
			if err != nil {
				return err
			}
			for _, a := range rows {
				n += a.Removed
			}
		}
		if n > 0 {
			w.rep.Left = append(w.rep.Left, Left{Where: table, What: what, Count: n, Why: why})
		}
	}
	hit, err := w.affected(ctx, table)
	if err != nil {
		return err
	}
	list, err := w.o.Lake.Snapshots(ctx, table)
	if err != nil {
		return err
	}
	if order, err := w.expireOrder(ctx); err != nil || !hit || len(list) < 2 || !slices.Contains(order, table) {
		return err
	}
	w.rep.Left = append(w.rep.Left, Left{Where: table, What: "old snapshots", Count: int64(len(list) - 1), Why: "a branch or a tag of another engine holds them"})
	return nil
}

// verifyFiles searches the files beside the tables' data for the texts: the
// tables' metadata, the history of runs, models, exports.
func (w *Work) verifyFiles(ctx context.Context) error {
	if w.match.empty() {
		return nil
	}
	roots := append([]string{w.o.Lake.Dir()}, w.o.Folders...)
	found := map[string]bool{}
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err != nil:
				return err
			case d.IsDir() || strings.HasSuffix(path, ".parquet") || found[path]:
				return ctx.Err()
			}
			hit, err := w.inFile(path)
			found[path] = hit
			return err
		})
		if err != nil {
			return fmt.Errorf("search files: %w", err)
		}
	}
	if err := w.verifyObjects(ctx, found); err != nil {
		return err
	}
	for path, hit := range found {
		if hit {
			w.rep.Left = append(w.rep.Left, Left{Where: path, What: "text", Count: 1, Why: "a file beside the tables"})
		}
	}
	return nil
}

// verifyObjects searches the files beside the tables' data in a bucket. Models
// are here as well, and searched as files.
func (w *Work) verifyObjects(ctx context.Context, found map[string]bool) error {
	s3 := w.o.Lake.Objects()
	if s3 == nil {
		return nil
	}
	for o, err := range bothOf(s3.List(ctx, "warehouse/"), s3.List(ctx, lake.ErasuresFolder+"/")) { // other things may share the bucket
		if err != nil {
			return fmt.Errorf("search bucket: %w", err)
		}
		if strings.HasSuffix(o.Key, ".parquet") {
			continue
		}
		text, err := s3.GetBytes(ctx, o.Key)
		if errors.Is(err, feedlake.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("search bucket: %w", err)
		}
		found[s3.URL(o.Key)] = w.match.in(string(text))
	}
	return nil
}

// bothOf goes through one listing and then through the other.
func bothOf(a, b iter.Seq2[objects.Object, error]) iter.Seq2[objects.Object, error] {
	return func(yield func(objects.Object, error) bool) {
		for o, err := range a {
			if !yield(o, err) {
				return
			}
		}
		b(yield)
	}
}

// searchAtOnce bounds how much of a file is in memory.
const searchAtOnce = 16 << 20

// inFile searches a file piece by piece; the pieces overlap.
func (w *Work) inFile(path string) (hit bool, err error) {
	f, err := os.Open(filepath.Clean(path))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buf := make([]byte, 0, 64<<10)
	const overlap = 128 << 10
	for {
		piece := make([]byte, searchAtOnce)
		n, rerr := f.Read(piece)
		buf = append(buf, piece[:n]...)
		if w.match.in(string(buf)) {
			return true, nil
		}
		buf = slices.Clone(buf[max(0, len(buf)-overlap):])
		if rerr != nil {
			return false, nil // the end; a file that cannot be read on is searched as far as it goes
		}
	}
}
