package objects

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/feedlake/feedlake"
)

// CacheConfig says where copies are kept.
type CacheConfig struct {
	Dir     string       // made when missing; several processes of one user, and several lakes, may share it
	Limit   int64        // bytes; 0 = no limit
	Workers int          // downloads at a time; 0 = 8
	Log     *slog.Logger // nil: nothing is logged
}

// Cache keeps copies of immutable objects in a folder. It is safe for several
// goroutines and processes; none of them leaves anything that hinders the
// others when it is killed.
//
//	files/   the copies, read-only, last use in the access time
//	leases/  one file per Fetch that is not released: the names it uses, locked by its process
//	work/    one folder per download, locked by its process
//	lock     shared by who leases and exclusive to who evicts
//
// A copy is whole when it has the wanted size and the time of change that it was
// given at the end of the download: any later write changes that.
type Cache struct {
	config CacheConfig
	added  atomic.Int64 // bytes adopted since the last look at the limit
}

// sealed is the time of change of every whole copy. Whole and even seconds are
// what every file system can keep.
func sealed() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

// OpenCache makes the folder. A folder that cannot be used wraps feedlake.ErrConfig.
func OpenCache(c CacheConfig) (*Cache, error) {
	c.Workers = cmp.Or(max(c.Workers, 0), 8)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Dir == "" || c.Limit < 0 {
		return nil, fmt.Errorf("open cache: want a folder, and a limit that is not negative: %w", feedlake.ErrConfig)
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("open cache %s: %w", c.Dir, err)
	}
	c.Dir = dir
	cache := &Cache{config: c}
	if err := cache.makeFolders(); err != nil {
		return nil, cache.fault("open cache "+dir, err)
	}
	if err := cache.tidy(context.Background()); err != nil {
		return nil, cache.fault("open cache "+dir, err)
	}
	return cache, nil
}

func (c *Cache) makeFolders() error {
	var err error
	for _, d := range []string{"files", "leases", "work"} {
		err = errors.Join(err, os.MkdirAll(filepath.Join(c.config.Dir, d), 0o777))
	}
	return err
}

// fault adds what a person can do.
func (c *Cache) fault(what string, err error) error {
	err = fmt.Errorf("%s: %w", what, err)
	switch {
	case full(err):
		return feedlake.Hint(err, "the disk of the cache %s is full: free space, choose another folder by lake.cache.dir, or a lake.cache.limit (now %s) that fits", c.config.Dir, limitText(c.config.Limit))
	case errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOTDIR):
		return feedlake.Hint(fmt.Errorf("%w: %w", err, feedlake.ErrConfig), "choose a folder that may be written by lake.cache.dir")
	}
	return err
}

// full reports whether there is no room on a disk.
func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

func limitText(n int64) string {
	if n == 0 {
		return "none"
	}
	return fmt.Sprintf("%d MB", n/1_000_000)
}

func (c *Cache) lockPath() string            { return filepath.Join(c.config.Dir, "lock") }
func (c *Cache) filePath(name string) string { return filepath.Join(c.config.Dir, "files", name) }
func (c *Cache) workPath(name string) string { return filepath.Join(c.config.Dir, "work", name) }

// nameOf is the file that holds an object: the end of its key to be read, and a
// hash of the whole key, so that no two keys meet. Neither '=' nor a glob's
// characters stay, which DuckDB would take for a meaning.
func nameOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	ext := filepath.Ext(key)
	if len(ext) > 12 || strings.ContainsAny(ext, "/ ") {
		ext = ""
	}
	tail := strings.TrimSuffix(key, ext)
	tail = tail[strings.LastIndexByte(tail, '/')+1:]
	tail = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, tail)
	return tail[:min(len(tail), 80)] + "-" + hex.EncodeToString(sum[:12]) + ext
}

// Want is an object that has to be in the cache.
type Want struct {
	Key  string // unique among all lakes that share the folder, such as the URL
	Size int64  // bytes; negative when it is not known
}

// Getter downloads an object to path, whole or not at all.
type Getter interface {
	Get(ctx context.Context, key, path string, size int64) error
}

// Fetch makes sure that all objects are in the cache and returns their local
// paths in the order of want, and a function that must be called when they are
// no longer read. Until then no process evicts them, even beyond the limit,
// which is logged then. Each object is downloaded once, also when several
// processes want it; a copy that was damaged is downloaded anew.
func (c *Cache) Fetch(ctx context.Context, from Getter, want []Want) (paths []string, release func(), err error) {
	paths = make([]string, len(want))
	wanted := make(map[string]Want, len(want))
	for i, w := range want {
		name := nameOf(w.Key)
		paths[i], wanted[name] = c.filePath(name), w
	}
	if len(want) == 0 {
		return paths, func() {}, nil
	}
	l, missing, err := c.lease(ctx, wanted)
	switch {
	case errors.Is(err, os.ErrNotExist): // somebody removed the folder
		if err = c.makeFolders(); err == nil {
			l, missing, err = c.lease(ctx, wanted)
		}
	case full(err): // a disk smaller than the limit: give up what is not in use
		if _, serr := c.shrink(ctx, 1<<20); serr == nil {
			l, missing, err = c.lease(ctx, wanted)
		}
	}
	if err != nil {
		return nil, nil, c.fault(fmt.Sprintf("fetch %d objects", len(wanted)), err)
	}
	if len(missing) > 0 {
		if err = c.download(ctx, from, l, wanted, missing); err != nil {
			l.end()
			return nil, nil, err
		}
	}
	return paths, l.end, nil
}

func (c *Cache) download(ctx context.Context, from Getter, l *lease, wanted map[string]Want, missing []string) error {
	over, err := c.shrink(ctx, 0)
	if err != nil {
		return c.fault("make room in the cache", err)
	}
	if l.over = over > 0; l.over {
		c.config.Log.WarnContext(ctx, "cache over its limit: what is in use does not fit", slog.String("dir", c.config.Dir), slog.Int64("limit_bytes", c.config.Limit), slog.Int64("over_bytes", over))
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.config.Workers)
	for _, name := range missing {
		g.Go(func() error {
			w := wanted[name]
			err := c.fetchOne(ctx, from, name, w)
			if full(err) {
				if _, serr := c.shrink(ctx, max(w.Size, 1)); serr == nil {
					err = c.fetchOne(ctx, from, name, w)
				}
			}
			if err != nil {
				return c.fault("fetch "+w.Key, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// fetchOne downloads an object unless another goroutine or process has done so
// while it waited.
func (c *Cache) fetchOne(ctx context.Context, from Getter, name string, w Want) (err error) {
	dir, err := openWorkDir(ctx, c.workPath(name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.close()) }()
	if c.whole(name, w.Size) {
		return nil
	}
	path := filepath.Join(c.workPath(name), "object")
	if err := from.Get(ctx, w.Key, path, w.Size); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if w.Size >= 0 && info.Size() != w.Size {
		return fmt.Errorf("%d bytes came, not %d", info.Size(), w.Size)
	}
	return c.enter(path, name)
}

// enter seals a whole file and gives it its name in the cache.
func (c *Cache) enter(path, name string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := os.Chmod(path, info.Mode().Perm()&^0o222); err != nil {
		return err
	}
	if err := os.Chtimes(path, time.Time{}, sealed()); err != nil {
		return err
	}
	return os.Rename(path, c.filePath(name))
}

// whole reports whether a copy is there and as it was when it was made.
func (c *Cache) whole(name string, size int64) bool {
	info, err := os.Lstat(c.filePath(name))
	return err == nil && info.Mode().IsRegular() && info.ModTime().Equal(sealed()) && (size < 0 || info.Size() == size)
}

// Adopt takes a local file, which was just uploaded under key, into the cache.
// The file at path may be removed afterwards but not changed.
func (c *Cache) Adopt(key, path string) (err error) {
	what, name := "adopt "+key, nameOf(key)
	dir, err := openWorkDir(context.Background(), c.workPath(name))
	if err != nil {
		return c.fault(what, err)
	}
	defer func() {
		if cerr := dir.close(); cerr != nil {
			err = errors.Join(err, c.fault(what, cerr))
		}
	}()
	copied := filepath.Join(c.workPath(name), "object")
	if err := os.Link(path, copied); err != nil {
		if err := copyFile(path, copied); err != nil { // another disk
			return c.fault(what, err)
		}
	}
	size, err := syncFile(copied)
	if err == nil {
		err = c.enter(copied, name)
	}
	if err != nil {
		return c.fault(what, err)
	}
	if c.config.Limit > 0 && c.added.Add(size) > c.config.Limit/8 { // a look at all files is dear
		if _, err := c.shrink(context.Background(), 0); err != nil {
			return c.fault(what, err)
		}
	}
	return nil
}

// syncFile returns the size of what is on the disk now.
func syncFile(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	info, err := f.Stat()
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // read only
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// Forget removes the copies of objects that were erased, also those in use. A
// download of one that runs is waited for.
func (c *Cache) Forget(keys ...string) error {
	for _, k := range keys {
		if err := c.forget(nameOf(k)); err != nil {
			return c.fault("forget "+k, err)
		}
	}
	return nil
}

func (c *Cache) forget(name string) error {
	var dir *workDir
	if _, err := os.Lstat(c.workPath(name)); err == nil {
		if dir, err = openWorkDir(context.Background(), c.workPath(name)); err != nil {
			return err
		}
	}
	err := os.Remove(c.filePath(name))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if dir != nil {
		err = errors.Join(err, dir.close())
	}
	return err
}
