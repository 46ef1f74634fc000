package objects

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"

	"github.com/feedlake/feedlake/lake/filelock"
)

// Prune removes the copies of objects that are not among live, which yields the
// keys of a listing that begins no sooner than it is ranged over. Copies that a
// living process leases stay, as do downloads of theirs; held counts these. What
// enters the cache meanwhile is not looked at. The copies of other lakes that
// share the folder go too, unless they are leased: they are fetched again.
func (c *Cache) Prune(ctx context.Context, live iter.Seq2[string, error]) (removed, held int, err error) {
	gone, err := c.names(ctx) // before the listing: an object is in the bucket before its copy is here
	if err != nil {
		return 0, 0, c.fault("prune cache", err)
	}
	if len(gone) == 0 {
		return 0, 0, nil
	}
	for key, err := range live {
		if err != nil {
			return 0, 0, fmt.Errorf("prune cache: %w", err)
		}
		delete(gone, nameOf(key))
	}
	lock, err := filelock.Open(ctx, c.lockPath(), filelock.Exclusive)
	if err != nil {
		return 0, 0, c.fault("prune cache", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	leased, err := c.leased()
	if err != nil {
		return 0, 0, c.fault("prune cache", err)
	}
	for name := range gone {
		if _, ok := leased[name]; ok {
			held++
			continue
		}
		err := os.Remove(c.filePath(name))
		switch {
		case err == nil:
			removed++
		case !errors.Is(err, os.ErrNotExist):
			return removed, held, c.fault("prune cache", err)
		}
	}
	return removed, held, nil
}

// names lists what is in the cache or on its way there.
func (c *Cache) names(ctx context.Context) (map[string]bool, error) {
	lock, err := filelock.Open(ctx, c.lockPath(), filelock.Exclusive)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	leased, err := c.leased()
	for name := range maps.Keys(leased) {
		out[name] = true
	}
	entries, rerr := os.ReadDir(filepath.Join(c.config.Dir, "files"))
	for _, e := range entries {
		out[e.Name()] = true
	}
	return out, errors.Join(err, rerr, lock.Close())
}

// Note reads what SetNote kept under a key; "" when there is nothing.
func (c *Cache) Note(key string) (string, error) {
	b, err := os.ReadFile(c.notePath(key))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", c.fault("read note of the cache", err)
	}
	return string(b), nil
}

// SetNote keeps a word about the copies as long as they are there: a folder that
// is emptied loses both.
func (c *Cache) SetNote(key, text string) error {
	path := c.notePath(key)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return c.fault("keep note of the cache", err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil { // cut short, it is a note that nobody wrote
		return c.fault("keep note of the cache", err)
	}
	return nil
}

func (c *Cache) notePath(key string) string {
	return filepath.Join(c.config.Dir, "notes", nameOf(key))
}
