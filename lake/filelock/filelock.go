// Package filelock locks files between processes. The operating system gives a
// lock back when its holder dies, however it dies.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"github.com/feedlake/feedlake"
)

// How a file is locked.
const (
	Exclusive = syscall.LOCK_EX
	Shared    = syscall.LOCK_SH
)

// Try takes the lock of an open file or folder, and says whether it could.
// Closing f gives it back.
func Try(f *os.File, how int) (bool, error) {
	for {
		switch err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		default:
			return false, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}

// lastWait bounds the pause between two tries.
const lastWait = 50 * time.Millisecond

// Wait takes the lock, or fails when ctx ends before. The system's own waiting
// cannot be ended, so that it asks again and again, less and less often, and
// those who wait for one lock not in step.
func Wait(ctx context.Context, f *os.File, how int) error {
	for wait := time.Millisecond; ; wait = min(2*wait, lastWait) {
		if ok, err := Try(f, how); ok || err != nil {
			return err
		}
		if err := feedlake.Sleep(ctx, wait/2+rand.N(wait)); err != nil {
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}

// Open opens a file, makes it if need be, and waits for its lock.
// Nobody may remove the file: two holders could then lock two files of one name.
func Open(ctx context.Context, path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	if err := Wait(ctx, f, how); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
