package export

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/feedlake/feedlake"
)

// lockPoll is the pause between two tries at a lock that another publisher holds.
const lockPoll = 20 * time.Millisecond

// lock waits until no other publisher, of any process, works in the folder. The
// system gives the lock back when its holder dies.
func (p *Publisher) lock(ctx context.Context) (unlock func() error, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return nil, feedlake.Hint(fmt.Errorf("export: make folder: %w: %w", err, feedlake.ErrConfig), "choose a folder that you may write, under publish: dir")
	}
	f, err := os.OpenFile(filepath.Join(p.dir, lockFile), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, feedlake.Hint(fmt.Errorf("export: lock folder: %w: %w", err, feedlake.ErrConfig), "choose a folder that you may write, under publish: dir")
	}
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f.Close, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("export: lock folder %s: %w", p.dir, err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("export: wait for another publisher: %w", ctx.Err()), f.Close())
		case <-tick.C:
		}
	}
}

// makeWork makes a fresh folder to build in, on the same disk, and sweeps those
// that a killed process left. The caller holds the lock.
func (p *Publisher) makeWork() (string, error) {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), workPrefix) {
			if err := os.RemoveAll(filepath.Join(p.dir, e.Name())); err != nil {
				return "", err
			}
		}
	}
	return os.MkdirTemp(p.dir, workPrefix)
}
