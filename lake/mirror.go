package lake

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/feedlake/feedlake"
)

// Some things beside the tables belong to a lake as well, such as models. They
// are files in folders of Dir; where the warehouse is a bucket, the bucket holds
// them and the folder is a copy of it, so that every machine sees the same.

// Pull brings what the bucket has of a folder of Dir into that folder. Where
// the warehouse is a folder there is nothing to bring.
func (l *Lake) Pull(ctx context.Context, folder string) error {
	b, ok := l.store.(*bucket)
	if !ok {
		return nil
	}
	for o, err := range b.s3.List(ctx, folder+"/") {
		if err != nil {
			return fmt.Errorf("pull %s: %w", folder, err)
		}
		if err := b.pull(ctx, filepath.Join(l.dir, filepath.FromSlash(o.Key)), o.Key, o.Size); err != nil {
			return fmt.Errorf("pull %s: %w", folder, err)
		}
	}
	return nil
}

// PullFiles brings single files of the bucket to this machine and lists those
// that the bucket does not have. Where the warehouse is a folder there is
// nothing to bring, and nothing is missing.
func (l *Lake) PullFiles(ctx context.Context, paths ...string) (missing []string, err error) {
	b, ok := l.store.(*bucket)
	if !ok {
		return nil, nil
	}
	for _, p := range paths {
		text, err := b.s3.GetBytes(ctx, p)
		if errors.Is(err, feedlake.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, p)
			continue
		}
		if err == nil {
			err = keep(filepath.Join(l.dir, filepath.FromSlash(p)), text)
		}
		if err != nil {
			return nil, fmt.Errorf("pull %s: %w", p, err)
		}
	}
	return missing, nil
}

// keep writes a small file unless it is there with the same content.
func keep(local string, text []byte) error {
	if have, err := os.ReadFile(local); err == nil && bytes.Equal(have, text) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(local), 0o755); err != nil {
		return err
	}
	return os.WriteFile(local, text, 0o644)
}

// Touch does one change of a file below Dir that is no table's, under the
// lake's Interceptor.
func (l *Lake) Touch(op, name string, do func() error) error { return l.ic(op, name, do) }

// smallFile is the size up to which a file is compared by its content: pointers
// and logs change, models do not.
const smallFile = 64 << 10

func (b *bucket) pull(ctx context.Context, local, key string, size int64) error {
	info, err := os.Stat(local)
	switch {
	case err == nil && info.Size() == size && size > smallFile:
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := os.MkdirAll(filepath.Dir(local), 0o755); err != nil {
		return err
	}
	if size > smallFile {
		return b.s3.Get(ctx, key, local, size)
	}
	text, err := b.s3.GetBytes(ctx, key)
	if err != nil {
		return err
	}
	return keep(local, text)
}

// Push brings files below Dir, or folders with all that is in them, to the
// bucket, over what is there. Paths are relative to Dir, with slashes.
func (l *Lake) Push(ctx context.Context, paths ...string) error {
	b, ok := l.store.(*bucket)
	if !ok {
		return nil
	}
	for _, p := range paths {
		err := fs.WalkDir(os.DirFS(l.dir), p, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			return b.push(ctx, l.dir, name)
		})
		if err != nil {
			return fmt.Errorf("push %s: %w", p, err)
		}
	}
	return nil
}

func (b *bucket) push(ctx context.Context, dir, name string) error {
	local := filepath.Join(dir, filepath.FromSlash(name))
	info, err := os.Stat(local)
	if err != nil {
		return err
	}
	if info.Size() > smallFile {
		_, err = b.s3.Put(ctx, name, local)
		return err
	}
	text, err := os.ReadFile(local)
	if err != nil {
		return err
	}
	_, err = b.s3.PutBytes(ctx, name, text, true)
	return err
}

// Claim takes a name below Dir for this machine; false when another has it. In
// a folder the file system decides, so Claim always grants.
func (l *Lake) Claim(ctx context.Context, name string) (bool, error) {
	b, ok := l.store.(*bucket)
	if !ok {
		return true, nil
	}
	_, err := b.s3.PutBytes(ctx, path.Join(name, ".claim"), []byte(rand.Text()), false)
	if errors.Is(err, feedlake.ErrConflict) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("claim %s: %w", name, err)
	}
	return true, nil
}
