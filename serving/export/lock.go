package export

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake/filelock"
)

// lock waits until no other publisher, of any process, works in the folder. The
// system gives the lock back when its holder dies.
func (p *Publisher) lock(ctx context.Context) (unlock func() error, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return nil, feedlake.Hint(fmt.Errorf("export: make folder: %w: %w", err, feedlake.ErrConfig), "choose a folder that you may write, under publish: dir")
	}
	f, err := filelock.Open(ctx, filepath.Join(p.dir, lockFile), filelock.Exclusive)
	if ctx.Err() != nil && err != nil {
		return nil, fmt.Errorf("export: wait for another publisher: %w", err)
	}
	if err != nil {
		return nil, feedlake.Hint(fmt.Errorf("export: lock folder: %w: %w", err, feedlake.ErrConfig), "choose a folder that you may write, under publish: dir")
	}
	return f.Close, nil
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
