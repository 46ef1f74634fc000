package lake

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake/objects"
)

// notes are small files of the warehouse that stand beside the tables' own: who
// is in charge of it, what was erased, which metadata is committed. They outlive
// a catalog. Names are relative to the warehouse, with slashes.
type notes interface {
	// read returns a note; feedlake.ErrNotFound when there is none.
	read(ctx context.Context, name string) ([]byte, error)
	// write makes a note. Without over one that is there already stays, and is
	// feedlake.ErrConflict where it differs.
	write(ctx context.Context, name string, text []byte, over bool) error
	// list names what lies directly in a folder: files, and folders with a slash
	// at their end. A folder that is missing is empty.
	list(ctx context.Context, folder string) ([]string, error)
	// modified is when a note was written, by the storage's clock;
	// feedlake.ErrNotFound when there is none.
	modified(ctx context.Context, name string) (time.Time, error)
	// remove deletes a note; a missing one is no error.
	remove(ctx context.Context, name string) error
	// now is the clock of the storage, by the time it gives to a new file.
	now(ctx context.Context) (time.Time, error)
}

// ownFolder is where in the warehouse feedlake keeps what belongs to no table.
const ownFolder = "_feedlake"

// probeName is the note whose time is that of the storage.
const probeName = ownFolder + "/clock"

// folderNotes are notes in a local folder.
type folderNotes string

func (f folderNotes) path(name string) string {
	return filepath.Join(string(f), filepath.FromSlash(name))
}

func (f folderNotes) read(ctx context.Context, name string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", name, feedlake.ErrNotFound)
	}
	return text, err
}

func (f folderNotes) write(ctx context.Context, name string, text []byte, over bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	to := f.path(name)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	tmp := filepath.Join(filepath.Dir(to), "."+rand.Text()+".tmp")
	defer removeQuietly(tmp)
	if err := os.WriteFile(tmp, text, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if over {
		return os.Rename(tmp, to)
	}
	if err := syncFile(tmp); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	err := os.Link(tmp, to)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if have, err := os.ReadFile(to); err != nil || bytes.Equal(have, text) {
		return err
	}
	return fmt.Errorf("write %s: it is there already: %w", name, feedlake.ErrConflict)
}

func (f folderNotes) list(ctx context.Context, folder string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(f.path(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() {
			name += "/"
		}
		names = append(names, name)
	}
	return names, err
}

func (f folderNotes) now(ctx context.Context) (time.Time, error) {
	name := ownFolder + "/." + rand.Text() + ".clock"
	defer removeQuietly(f.path(name))
	if err := f.write(ctx, name, nil, true); err != nil {
		return time.Time{}, err
	}
	return f.modified(ctx, name)
}

func (f folderNotes) modified(ctx context.Context, name string) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	info, err := os.Stat(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, fmt.Errorf("look at %s: %w", name, feedlake.ErrNotFound)
	}
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

func (f folderNotes) remove(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Remove(f.path(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// bucketNotes are notes in a bucket.
type bucketNotes struct{ s3 *objects.S3 }

func (b bucketNotes) key(name string) string { return warehouseFolder + "/" + name }

func (b bucketNotes) read(ctx context.Context, name string) ([]byte, error) {
	return b.s3.GetBytes(ctx, b.key(name))
}

func (b bucketNotes) write(ctx context.Context, name string, text []byte, over bool) error {
	_, err := b.s3.PutBytes(ctx, b.key(name), text, over)
	return err
}

func (b bucketNotes) list(ctx context.Context, folder string) ([]string, error) {
	below := b.key(folder)
	if !strings.HasSuffix(below, "/") {
		below += "/"
	}
	return b.s3.Names(ctx, below)
}

func (b bucketNotes) now(ctx context.Context) (time.Time, error) {
	if err := b.write(ctx, probeName, []byte(rand.Text()), true); err != nil {
		return time.Time{}, err
	}
	return b.modified(ctx, probeName)
}

func (b bucketNotes) modified(ctx context.Context, name string) (time.Time, error) {
	o, err := b.s3.Stat(ctx, b.key(name))
	return o.Modified, err
}

func (b bucketNotes) remove(ctx context.Context, name string) error {
	return b.s3.Remove(ctx, b.key(name))
}
