package objects

import (
	"context"
	"errors"
	"os"

	"github.com/feedlake/feedlake/lake/filelock"
)

// workDir is a folder that belongs to one process at a time and is removed by it.
type workDir struct{ lock *os.File }

// openWorkDir waits for the folder. What a dead process left in it is removed.
func openWorkDir(ctx context.Context, path string) (*workDir, error) {
	for {
		if err := os.Mkdir(path, 0o777); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // removed by its last owner
		}
		if err != nil {
			return nil, err
		}
		if err := filelock.Wait(ctx, f, filelock.Exclusive); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if current(f, path) {
			w := &workDir{f}
			if err := w.empty(); err != nil {
				return nil, errors.Join(err, f.Close())
			}
			return w, nil
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

// current reports whether f is still what lies at path.
func current(f *os.File, path string) bool {
	ours, err1 := f.Stat()
	theirs, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(ours, theirs)
}

func (w *workDir) empty() error {
	entries, err := os.ReadDir(w.lock.Name())
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(w.lock.Name()+"/"+e.Name()))
	}
	return err
}

// close removes the folder before it gives the lock back.
func (w *workDir) close() error {
	return errors.Join(os.RemoveAll(w.lock.Name()), w.lock.Close())
}

// sweepWorkDir removes a folder that a dead process left, and leaves one in use.
func sweepWorkDir(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	ok, err := filelock.Try(f, filelock.Exclusive)
	if ok && current(f, path) {
		err = os.RemoveAll(path)
	}
	return errors.Join(err, f.Close())
}
