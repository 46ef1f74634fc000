package lake

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/feedlake/feedlake"
)

// NewPath returns a local path for a new Parquet file of a table's partition. No
// two calls return the same path, in any process, so a file is never written
// twice. Where the warehouse is a bucket, Commit brings the file there.
func (l *Lake) NewPath(name string, p Partition) (string, error) {
	id, err := identifier(name)
	if err != nil {
		return "", err
	}
	// The folder's name is for people only. A percent sign in it would be escaped
	// once more in the file's URL, which not every engine undoes.
	folder := strings.ReplaceAll(string(p), "%", "~")
	dir := filepath.Join(l.store.stage(), id[0], id[1], "data", filepath.FromSlash(folder))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make folder of %s: %w", name, err)
	}
	return filepath.Join(dir, strings.ToLower(rand.Text())+".parquet"), nil
}

// RowsPerGroup is the length of a row group in the files that the lake writes.
const RowsPerGroup = 128 << 10

// RowWriter streams rows of T (a struct with parquet tags) into one new file of
// a partition. It is the one place that makes Parquet of rows, and NULL stays
// NULL there: see blockWriter.
type RowWriter[T any] struct {
	l      *Lake
	path   string
	file   *os.File
	buf    *bufio.Writer
	w      *parquet.GenericWriter[T]
	blocks *blockWriter
}

// NewRowWriter starts a file in partition p of a table.
func NewRowWriter[T any](l *Lake, name string, p Partition) (*RowWriter[T], error) {
	blocks, err := newBlockWriter(reflect.TypeFor[T]())
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	path, err := l.NewPath(name, p)
	if err != nil {
		return nil, err
	}
	w := &RowWriter[T]{l: l, path: path, blocks: blocks}
	err = l.ic("create", path, func() (err error) {
		w.file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		return err
	})
	if err != nil {
		if w.file != nil {
			err = errors.Join(err, w.file.Close())
		}
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	w.buf = bufio.NewWriterSize(w.file, 256<<10)
	w.w = parquet.NewGenericWriter[T](w.buf,
		parquet.Compression(l.codec),
		parquet.MaxRowsPerRowGroup(RowsPerGroup),
		parquet.DataPageStatistics(false),                                 // four times the least or greatest value in each page's header, which no engine reads
		parquet.SkipPageBounds("text"), parquet.SkipPageBounds("payload")) // as long as a record, and nobody looks for them by value
	return w, nil
}

// Write adds rows; it does not keep them.
func (w *RowWriter[T]) Write(rows []T) error {
	err := w.blocks.write(reflect.ValueOf(rows), func(from, to int) error {
		_, err := w.w.Write(rows[from:to])
		return err
	})
	if err != nil {
		return w.fail(err)
	}
	return nil
}

// Close finishes the file, makes it durable in the warehouse and returns its
// path. The file belongs to the table only after a Commit that adds it.
func (w *RowWriter[T]) Close(ctx context.Context) (string, error) {
	err := w.l.ic("close", w.path, func() error {
		return errors.Join(w.w.Close(), w.buf.Flush(), w.file.Sync(), w.file.Close())
	})
	if err != nil {
		return "", w.fail(err)
	}
	paths, err := w.l.Land(ctx, w.path)
	if err != nil {
		return "", err
	}
	return paths[0], nil
}

// Abort throws the file away.
func (w *RowWriter[T]) Abort() {
	_ = w.file.Close()
	removeQuietly(w.path)
}

func (w *RowWriter[T]) fail(err error) error {
	return feedlake.Hint(fmt.Errorf("write %s: %w", w.path, err), "is the disk full? free space, then run again: nothing is lost")
}

// WriteRows writes rows as one new file of a partition and returns its path.
func WriteRows[T any](ctx context.Context, l *Lake, name string, p Partition, rows []T) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	w, err := NewRowWriter[T](l, name, p)
	if err != nil {
		return "", err
	}
	if err := w.Write(rows); err != nil {
		w.Abort()
		return "", err
	}
	return w.Close(ctx)
}
