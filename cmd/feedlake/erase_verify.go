package main

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
	"github.com/feedlake/feedlake/schedules"
)

// verify searches every live table for what ops.erasures lists, by hash and so
// without trust in what was found before, for the texts, and the files beside
// the tables. What is found stands in the report and is feedlake.ErrPartial.
func (e *erasure) verify(ctx context.Context) error {
	if err := e.openSession(ctx); err != nil {
		return err
	}
	if err := e.db.Define(ctx, "erase_says", 1, func(s []string) bool { return e.match.in(s[0]) }); err != nil {
		return err
	}
	if err := e.pin(ctx, lake.Erased().Name); err != nil {
		return err
	}
	if err := e.exec(ctx, "CREATE OR REPLACE TABLE erase.tombs AS SELECT DISTINCT kind, hash FROM ops.erasures"); err != nil {
		return err
	}
	tables, err := e.a.lake.Tables(ctx)
	if err != nil {
		return err
	}
	e.rep.Left = []eraseLeft{}
	for _, t := range tables {
		if err := e.verifyTable(ctx, t); err != nil {
			return err
		}
	}
	if err := e.verifyFiles(ctx); err != nil {
		return err
	}
	if len(e.rep.Left) == 0 {
		schedules.Report(ctx, schedules.Counts{Detail: "nothing is left in " + plural(int64(len(tables)), "table")})
		return nil
	}
	var parts []string
	for _, l := range e.rep.Left {
		parts = append(parts, fmt.Sprintf("%s: %s (%s): %s", l.Where, l.What, count(l.Count), l.Why))
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

func (e *erasure) verifyTable(ctx context.Context, table string) error {
	cur, err := e.a.lake.Current(ctx, table)
	if err != nil {
		return err
	}
	files, err := e.a.lake.Files(ctx, table, cur.ID)
	if err != nil {
		return err
	}
	cols, err := e.a.lake.Columns(ctx, table)
	if err != nil {
		return err
	}
	why := "a writer brought it while the erasure ran"
	switch held := e.held[table]; {
	case len(held) > 0:
		slices.Sort(held)
		why = "a check holds back " + strings.Join(slices.Compact(held), ", ")
	case len(e.held) > 0:
		why = "built from what a check holds back: " + strings.Join(slices.Sorted(maps.Keys(e.held)), ", ")
	}
	wanted := searches(table, cols)
	for _, what := range slices.Sorted(maps.Keys(wanted)) {
		where := wanted[what]
		if what == "texts" && e.match.empty() {
			continue
		}
		var n int64
		for batch := range slices.Chunk(files, 64) {
			local, release, err := e.a.lake.Local(ctx, batch)
			if err != nil {
				return err
			}
			rows, err := query.Rows{DB: e.db, Remove: where}.Find(ctx, cols, local)
			release()
			if err != nil {
				return err
			}
			for _, a := range rows {
				n += a.Removed
			}
		}
		if n > 0 {
			e.rep.Left = append(e.rep.Left, eraseLeft{Where: table, What: what, Count: n, Why: why})
		}
	}
	hit, err := e.affected(ctx, table)
	if err != nil {
		return err
	}
	list, err := e.a.lake.Snapshots(ctx, table)
	if err != nil {
		return err
	}
	if order, err := e.expireOrder(ctx); err != nil || !hit || len(list) < 2 || !slices.Contains(order, table) {
		return err
	}
	e.rep.Left = append(e.rep.Left, eraseLeft{Where: table, What: "old snapshots", Count: int64(len(list) - 1), Why: "a branch or a tag of another engine holds them"})
	return nil
}

// verifyFiles searches the files beside the tables' data for the texts: the
// tables' metadata, the history of runs, models, exports.
func (e *erasure) verifyFiles(ctx context.Context) error {
	if e.match.empty() {
		return nil
	}
	roots := []string{e.a.lake.Dir()}
	for _, p := range e.a.cfg.Publish {
		if p.Dir != "" {
			roots = append(roots, e.a.cfg.path(p.Dir))
		}
	}
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
			hit, err := e.inFile(path)
			found[path] = hit
			return err
		})
		if err != nil {
			return fmt.Errorf("search files: %w", err)
		}
	}
	if err := e.verifyObjects(ctx, found); err != nil {
		return err
	}
	for path, hit := range found {
		if hit {
			e.rep.Left = append(e.rep.Left, eraseLeft{Where: path, What: "text", Count: 1, Why: "a file beside the tables"})
		}
	}
	return nil
}

// verifyObjects searches the files beside the tables' data in a bucket. Models
// are here as well, and searched as files.
func (e *erasure) verifyObjects(ctx context.Context, found map[string]bool) error {
	s3 := e.a.lake.Objects()
	if s3 == nil {
		return nil
	}
	for o, err := range bothOf(s3.List(ctx, "warehouse/"), s3.List(ctx, erasuresFolder+"/")) { // other things may share the bucket
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
		found[s3.URL(o.Key)] = e.match.in(string(text))
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
func (e *erasure) inFile(path string) (hit bool, err error) {
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
		if e.match.in(string(buf)) {
			return true, nil
		}
		buf = slices.Clone(buf[max(0, len(buf)-overlap):])
		if rerr != nil {
			return false, nil // the end; a file that cannot be read on is searched as far as it goes
		}
	}
}
