package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/feedlake/feedlake"
)

// newStore chooses where the path lies and checks its pattern.
func newStore(base string, c Config) (store, error) {
	if strings.HasPrefix(c.Path, "s3://") {
		return newBucket(c)
	}
	if c.S3 != nil {
		return nil, fmt.Errorf("s3: the path %q does not begin with s3://: %w", c.Path, feedlake.ErrConfig)
	}
	if !doublestar.ValidatePathPattern(c.Path) {
		return nil, fmt.Errorf("path: %q is no glob: %w", c.Path, feedlake.ErrConfig)
	}
	pattern := filepath.ToSlash(c.Path)
	if filepath.IsAbs(c.Path) {
		dir, rest := doublestar.SplitPattern(path.Clean(pattern))
		return &local{dir: dir, pattern: rest, prefix: dir}, nil
	}
	dir, err := filepath.Abs(base)
	if err != nil {
		return nil, fmt.Errorf("path: %w: %w", err, feedlake.ErrConfig)
	}
	// A pattern may climb out of the folder of the configuration.
	pattern = path.Clean(pattern)
	prefix := ""
	for strings.HasPrefix(pattern, "../") {
		pattern, prefix, dir = pattern[3:], prefix+"../", filepath.Dir(dir)
	}
	return &local{dir: dir, pattern: pattern, prefix: strings.TrimSuffix(prefix, "/")}, nil
}

// local is a folder of the local disk.
type local struct {
	dir     string // absolute
	pattern string // in dir
	prefix  string // shown before names: the way from the configuration to dir
}

func (l *local) list(ctx context.Context) ([]object, error) {
	where := filepath.Join(l.dir, filepath.FromSlash(l.pattern))
	names, err := doublestar.Glob(os.DirFS(l.dir), l.pattern, doublestar.WithFilesOnly(), doublestar.WithFailOnIOErrors())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list %s: %w", where, err)
	}
	if len(names) == 0 {
		return nil, nothing(where)
	}
	slices.Sort(names)
	fixed, _ := doublestar.SplitPattern(l.pattern)
	out := make([]object, 0, len(names))
	for _, n := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		key := filepath.Join(l.dir, filepath.FromSlash(n))
		info, err := os.Stat(key)
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone since it was listed
		}
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", where, err)
		}
		out = append(out, object{name: path.Join(l.prefix, n), id: strings.TrimPrefix(n, fixed+"/"), key: key, size: info.Size(), mark: fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())})
	}
	return out, nil
}

func nothing(where string) error {
	return feedlake.Hint(fmt.Errorf("no file matches the path: %w", feedlake.ErrConfig), "looked for %s", where)
}

func (l *local) open(_ context.Context, o object) (io.ReadCloser, error) {
	f, err := os.Open(o.key)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", o.name, err)
	}
	return f, nil
}

func (l *local) random(_ context.Context, o object) (randomFile, error) {
	f, err := os.Open(o.key)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", o.name, err)
	}
	return f, nil
}
