package spark

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/parquet-go/parquet-go"

	"github.com/feedlake/feedlake/lake"
)

// Storage is the place that this process and Spark share: Spark writes a
// folder of Parquet files there, this process looks what it wrote.
type Storage interface {
	// Location spells a path of the lake as the URI that Spark reads and writes.
	Location(path string) string
	// List returns the Parquet files below the folder at path with their
	// paths, rows and bytes, made durable. It removes what else Spark left
	// there, and files without rows. No such folder: no files.
	List(ctx context.Context, path string) ([]lake.File, error)
	// Remove deletes the folder at path and everything below it.
	Remove(ctx context.Context, path string) error
}

// Folder is the Storage of a lake on a file system that Spark's executors see
// under the same paths.
type Folder struct{}

var _ Storage = Folder{}

// Location spells a file URI as Hadoop reads it: nothing in it is escaped.
func (Folder) Location(path string) string { return "file://" + filepath.ToSlash(path) }

// List walks the folder and reads the files' footers.
func (f Folder) List(ctx context.Context, path string) ([]lake.File, error) {
	var names []string
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, name)
		}
		return errors.Join(err, ctx.Err())
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list what spark wrote: %w", err)
	}
	var files []lake.File
	for _, name := range names {
		var file lake.File
		if base := filepath.Base(name); filepath.Ext(base) == ".parquet" && base[0] != '.' && base[0] != '_' {
			if file, err = f.settle(name); err != nil {
				return nil, fmt.Errorf("list what spark wrote: %w", err)
			}
		}
		if file.Rows > 0 {
			files = append(files, file)
		} else if err := os.Remove(name); err != nil { // such as a checksum of Hadoop's
			return nil, fmt.Errorf("list what spark wrote: %w", err)
		}
	}
	if len(files) == 0 {
		return nil, f.Remove(ctx, path)
	}
	return files, nil
}

// settle reads a file's footer and makes the file durable.
func (Folder) settle(name string) (file lake.File, err error) {
	h, err := os.Open(name)
	if err != nil {
		return file, err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	info, err := h.Stat()
	if err != nil {
		return file, err
	}
	p, err := parquet.OpenFile(h, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return file, fmt.Errorf("%s: %w", name, err)
	}
	return lake.File{Path: name, Rows: p.NumRows(), Bytes: info.Size()}, h.Sync()
}

// Remove deletes the folder.
func (Folder) Remove(_ context.Context, path string) error { return os.RemoveAll(path) }
