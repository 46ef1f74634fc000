package dashboard

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/filelock"
)

// months keeps one file of each month of the tables that are shown, made from the
// month's files in the lake. A mart has a small file of each day, because a day is
// what is computed anew; opening them costs more than their rows, at every question.
//
// A file's name is made of the names of what it holds, which never change: one that
// is there is right, and a month is written again when a day of it was.
type months struct {
	dir  string
	lock *os.File
}

// openMonths takes the folder for itself, or a new one beside it while another
// dashboard has it. Without a folder every file is read where it lies.
func openMonths(dir string) (*months, error) {
	if dir == "" {
		return nil, nil //nolint:nilnil // nothing is kept
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open folder of the dashboard: %w", err)
	}
	m := &months{dir: dir}
	var err error
	if m.lock, err = os.Open(dir); err != nil {
		return nil, fmt.Errorf("open folder of the dashboard: %w", err)
	}
	ours, err := filelock.Try(m.lock, filelock.Exclusive)
	if err == nil && ours {
		return m, nil
	}
	if err := errors.Join(err, m.lock.Close()); err != nil {
		return nil, fmt.Errorf("open folder of the dashboard: %w", err)
	}
	m.lock = nil
	if m.dir, err = os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+"-"); err != nil {
		return nil, fmt.Errorf("open folder of the dashboard: %w", err)
	}
	return m, nil
}

// close lets go of the folder, and removes it when no other dashboard will find it.
func (m *months) close() error {
	if m == nil {
		return nil
	}
	if m.lock != nil {
		return m.lock.Close()
	}
	return os.RemoveAll(m.dir)
}

// view is what a view of a table reads.
type view struct {
	cols  []lake.Column
	files []lake.File
	own   map[string]bool // of files: those of months
}

// there reports whether the files of months are.
func (v *view) there() bool {
	for path := range v.own {
		if _, err := os.Stat(path); err != nil {
			return false
		}
	}
	return true
}

// view plans a table at a snapshot and makes what is missing of its months.
func (s *server) view(ctx context.Context, table string, snapshot int64) (v view, err error) {
	if v.files, err = s.o.Lake.Files(ctx, table, snapshot); err != nil {
		return v, err
	}
	if v.cols, err = s.o.Lake.Columns(ctx, table); err != nil || s.months == nil {
		return v, err
	}
	byMonth, names := map[string][]lake.File{}, []string{}
	for _, f := range v.files {
		day, _ := f.Partition.Value("day")
		month := day[:min(len("2006-01"), len(day))]
		if byMonth[month] == nil {
			names = append(names, month)
		}
		byMonth[month] = append(byMonth[month], f)
	}
	v.files, v.own = nil, map[string]bool{}
	for _, month := range names {
		files := byMonth[month]
		if len(files) == 1 {
			v.files = append(v.files, files[0])
			continue
		}
		f, err := s.month(ctx, table, month, v.cols, files)
		if err != nil {
			return v, err
		}
		v.files, v.own[f.Path] = append(v.files, f), true
	}
	return v, nil
}

// month is the file of a month, made when it is not there.
func (s *server) month(ctx context.Context, table, month string, cols []lake.Column, files []lake.File) (lake.File, error) {
	sum := sha256.New()
	for _, c := range cols {
		_, _ = fmt.Fprintf(sum, "%q %q\n", c.Name, c.Type) // a hash takes everything
	}
	for _, f := range slices.SortedFunc(slices.Values(files), func(a, b lake.File) int { return cmp.Compare(a.Path, b.Path) }) {
		_, _ = fmt.Fprintf(sum, "%q\n", f.Path)
	}
	out := lake.File{Path: filepath.Join(s.months.dir, table, month+"-"+hex.EncodeToString(sum.Sum(nil)[:12])+".parquet")}
	for _, f := range files {
		out.Rows += f.Rows
	}
	if _, err := os.Stat(out.Path); err == nil {
		return out, nil
	}
	if err := os.MkdirAll(filepath.Dir(out.Path), 0o700); err != nil {
		return out, err
	}
	local, release, err := s.o.Lake.Readable(ctx, files)
	if err != nil {
		return out, err
	}
	defer release()
	half := out.Path + ".half"
	if err := s.o.DB.Rewrite(ctx, cols, local, half); err != nil {
		return out, errors.Join(err, os.RemoveAll(half))
	}
	return out, os.Rename(half, out.Path)
}

// sweep removes the files of a table that its view does not read.
func (s *server) sweep(table string, v *view) {
	if s.months == nil {
		return
	}
	found, err := filepath.Glob(filepath.Join(s.months.dir, table, "*"))
	if err != nil {
		return
	}
	for _, path := range found {
		if !v.own[path] && (strings.HasSuffix(path, ".parquet") || strings.HasSuffix(path, ".half")) {
			_ = os.Remove(path) // it is tried again the next time
		}
	}
}

// readable gives the files of a view to DuckDB: those of months as they are, others
// as the lake does.
type readable struct {
	lake *lake.Lake
	own  map[string]bool
}

// Readable is that of query.Files.
func (r readable) Readable(ctx context.Context, files []lake.File) ([]lake.File, func(), error) {
	var own, rest []lake.File
	for _, f := range files {
		if r.own[f.Path] {
			own = append(own, f)
		} else {
			rest = append(rest, f)
		}
	}
	local, release, err := r.lake.Readable(ctx, rest)
	return append(own, local...), release, err
}
