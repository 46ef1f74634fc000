package objects

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/feedlake/feedlake/lake/filelock"
)

// lease keeps files from eviction as long as its process lives and end was not
// called: a locked file that lists them.
type lease struct {
	cache *Cache
	file  *os.File
	over  bool // the cache went over its limit for it
	once  sync.Once
}

// lease writes down the wanted files, marks those that are there as used, and
// returns the others. It shares the lock with other fetches: an eviction sees a
// lease whole or is over before it.
func (c *Cache) lease(ctx context.Context, wanted map[string]Want) (_ *lease, missing []string, err error) {
	lock, err := filelock.Open(ctx, c.lockPath(), filelock.Shared)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	f, err := os.CreateTemp(filepath.Join(c.config.Dir, "leases"), "lease-*")
	if err != nil {
		return nil, nil, err
	}
	l := &lease{cache: c, file: f}
	now, err := l.write(wanted)
	if err != nil {
		l.end()
		return nil, nil, err
	}
	for name, w := range wanted {
		if !c.whole(name, w.Size) {
			missing = append(missing, name)
			continue
		}
		if err := os.Chtimes(c.filePath(name), now, time.Time{}); err != nil && !errors.Is(err, os.ErrPermission) { // another user's: its age counts
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	return l, missing, nil
}

// write returns the time of the lease by the clock of the file system.
func (l *lease) write(wanted map[string]Want) (time.Time, error) {
	if ok, err := filelock.Try(l.file, filelock.Exclusive); err != nil || !ok {
		return time.Time{}, cmp.Or(err, fmt.Errorf("lock %s: held by another", l.file.Name()))
	}
	w := bufio.NewWriter(l.file)
	for name, want := range wanted {
		_, _ = w.WriteString(strconv.FormatInt(want.Size, 10) + " " + name + "\n") // Flush has the error
	}
	if err := w.Flush(); err != nil {
		return time.Time{}, err
	}
	info, err := l.file.Stat()
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// end gives the files back; calls after the first do nothing.
func (l *lease) end() {
	l.once.Do(func() {
		ctx := context.Background()
		err := errors.Join(os.Remove(l.file.Name()), l.file.Close())
		if l.over {
			_, serr := l.cache.shrink(ctx, 0)
			err = errors.Join(err, serr)
		}
		if err != nil { // the caller is done, and the next eviction tries again
			l.cache.config.Log.WarnContext(ctx, "cache lease not tidied up", slog.Any("err", err))
		}
	})
}

// copied is a file of the cache as an eviction sees it.
type copied struct {
	name string
	size int64
	used time.Time
}

// shrink removes the longest unused files that no living process leases until
// the cache, with all that is leased but not there yet, is within its limit and
// free bytes more are on the disk. It returns how far the cache remains over its limit.
func (c *Cache) shrink(ctx context.Context, free int64) (over int64, err error) {
	c.added.Store(0)
	if c.config.Limit == 0 && free == 0 {
		return 0, nil
	}
	lock, err := filelock.Open(ctx, c.lockPath(), filelock.Exclusive)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	leased, err := c.leased()
	if err != nil {
		return 0, err
	}
	c.sweep(ctx)
	idle, total, err := c.survey(leased)
	if err != nil {
		return 0, err
	}
	over = -1 << 62
	if c.config.Limit > 0 {
		over = total - c.config.Limit
	}
	for _, f := range idle {
		if over <= 0 && free <= 0 {
			break
		}
		if err := os.Remove(c.filePath(f.name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return 0, err
		}
		over, free = over-f.size, free-f.size
	}
	return max(over, 0), nil
}

// survey returns the files that nobody leases, longest unused first, and the
// bytes of all, with those still to come.
func (c *Cache) survey(leased map[string]int64) (idle []copied, total int64, err error) {
	entries, err := os.ReadDir(filepath.Join(c.config.Dir, "files"))
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // forgotten meanwhile
		}
		total += info.Size()
		if _, ok := leased[e.Name()]; ok {
			delete(leased, e.Name())
			continue
		}
		idle = append(idle, copied{e.Name(), info.Size(), accessed(info)})
	}
	for _, size := range leased {
		total += max(size, 0)
	}
	slices.SortFunc(idle, func(a, b copied) int {
		return cmp.Or(a.used.Compare(b.used), strings.Compare(a.name, b.name))
	})
	return idle, total, nil
}

// leased collects what living processes use, and removes the leases of dead ones.
func (c *Cache) leased() (map[string]int64, error) {
	dir := filepath.Join(c.config.Dir, "leases")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	all := map[string]int64{}
	for _, e := range entries {
		if err := addLease(all, filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func addLease(all map[string]int64, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // just ended
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // read only
	dead, err := filelock.Try(f, filelock.Shared)
	if err != nil {
		return err
	}
	if dead {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		size, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil {
			return fmt.Errorf("read lease %s: %w", path, err)
		}
		all[name] = max(all[name], n)
	}
	return nil
}

// tidy removes what dead processes left.
func (c *Cache) tidy(ctx context.Context) error {
	lock, err := filelock.Open(ctx, c.lockPath(), filelock.Exclusive)
	if err != nil {
		return err
	}
	_, err = c.leased()
	c.sweep(ctx)
	return errors.Join(err, lock.Close())
}

// sweep removes the downloads of dead processes.
func (c *Cache) sweep(ctx context.Context) {
	dir := filepath.Join(c.config.Dir, "work")
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, sweepWorkDir(filepath.Join(dir, e.Name())))
	}
	if err != nil {
		c.config.Log.WarnContext(ctx, "cache work folder not tidied up", slog.String("dir", dir), slog.Any("err", err))
	}
}
