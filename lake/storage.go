package lake

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake/objects"
)

// storage is where the files of a lake's tables lie. A file has two names: its
// location, a URL that stands in table metadata and is the same for everybody,
// and the path by which this program speaks of it. In a folder the path is the
// local file; in a bucket a file that is in the table has its location as path,
// and one that waits for its commit lies in a staging folder of this machine.
type storage interface {
	// root is the warehouse's URL.
	root() string
	// stage is the local folder that new files are written below.
	stage() string
	// location turns a path into a location, pathOf a location into a path.
	location(path string) string
	pathOf(location string) string
	// land makes staged files durable where the table will look for them. It may
	// be repeated.
	land(ctx context.Context, paths []string) error
	// landed lets go of the staged copies of files that are in the table now.
	landed(paths []string)
	// remove deletes files that no snapshot names; what stays is an orphan.
	remove(paths []string)
	// forget lets go of copies of files that are removed.
	forget(paths []string) error
	// local gives files that this machine can open, in the same order, until
	// release is called.
	local(ctx context.Context, files []File) (_ []File, release func(), err error)
	// notes are the small files beside the tables.
	notes() notes
}

// DefaultCacheLimit bounds the local copies of a bucket's files where no limit
// is set, in bytes.
const DefaultCacheLimit = 20 << 30

// withRegion fills in the region that a signature needs.
func withRegion(c *objects.S3Config) *objects.S3Config {
	if c == nil {
		return nil
	}
	full := *c
	full.Region = cmp.Or(full.Region, "us-east-1")
	return &full
}

// folder keeps the warehouse in a local folder.
type folder struct{ dir string }

func (f folder) root() string                         { return fileURL(f.dir) }
func (f folder) stage() string                        { return f.dir }
func (f folder) location(path string) string          { return fileURL(path) }
func (f folder) pathOf(location string) string        { return localPath(location) }
func (f folder) land(context.Context, []string) error { return nil }
func (f folder) landed([]string)                      {}
func (f folder) remove(paths []string)                { removeQuietly(paths...) }
func (f folder) forget([]string) error                { return nil }
func (f folder) notes() notes                         { return folderNotes(f.dir) }

func (f folder) local(_ context.Context, files []File) ([]File, func(), error) {
	return files, func() {}, nil
}

// bucket keeps the warehouse in an S3 bucket.
type bucket struct {
	s3      *objects.S3
	cache   *objects.Cache
	staging string
	ic      Interceptor
}

const s3Scheme = "s3://"

func (b *bucket) root() string  { return b.s3.URL(warehouseFolder) }
func (b *bucket) stage() string { return b.staging }
func (b *bucket) notes() notes  { return bucketNotes{b.s3} }

func (b *bucket) key(location string) string {
	key, _ := b.s3.Key(location)
	return key
}

func (b *bucket) location(path string) string {
	if strings.HasPrefix(path, s3Scheme) {
		return path
	}
	rel, err := filepath.Rel(b.staging, path)
	if err != nil {
		return fileURL(path)
	}
	return b.s3.URL(warehouseFolder + "/" + filepath.ToSlash(rel))
}

func (b *bucket) pathOf(location string) string { return location }

// uploads bounds how many files are on their way at once.
const uploads = 8

func (b *bucket) land(ctx context.Context, paths []string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(uploads)
	for _, p := range paths {
		if strings.HasPrefix(p, s3Scheme) {
			continue
		}
		g.Go(func() error {
			return b.ic("upload", p, func() error {
				_, err := b.s3.Put(ctx, b.key(b.location(p)), p)
				return err
			})
		})
	}
	return g.Wait()
}

// landed moves staged copies into the cache: whoever reads the table next on
// this machine need not download what it has just uploaded.
func (b *bucket) landed(paths []string) {
	for _, p := range paths {
		if strings.HasPrefix(p, s3Scheme) {
			continue
		}
		_ = b.cache.Adopt(b.location(p), p) // without a copy here it is fetched when it is read
		removeQuietly(p)
	}
}

func (b *bucket) remove(paths []string) {
	var staged []string
	for _, p := range paths {
		if !strings.HasPrefix(p, s3Scheme) {
			staged = append(staged, p)
		}
	}
	removeQuietly(staged...)
}

func (b *bucket) forget(paths []string) error {
	var gone []string
	for _, p := range paths {
		if strings.HasPrefix(p, s3Scheme) {
			gone = append(gone, p)
		}
	}
	return b.cache.Forget(gone...)
}

func (b *bucket) local(ctx context.Context, files []File) ([]File, func(), error) {
	out := make([]File, len(files))
	copy(out, files)
	var want []objects.Want
	var at []int
	for i, f := range files {
		if strings.HasPrefix(f.Path, s3Scheme) {
			want = append(want, objects.Want{Key: f.Path, Size: f.Bytes})
			at = append(at, i)
		}
	}
	if len(want) == 0 {
		return out, func() {}, nil
	}
	paths, release, err := b.cache.Fetch(ctx, getter{b}, want)
	if err != nil {
		return nil, nil, fmt.Errorf("fetch files: %w", err)
	}
	for i, p := range paths {
		out[at[i]].Path = p
	}
	return out, sync.OnceFunc(release), nil
}

// getter fetches by location, which is what the cache knows an object by.
type getter struct{ b *bucket }

func (g getter) Get(ctx context.Context, location, path string, size int64) error {
	return g.b.ic("read", location, func() error { return g.b.s3.Get(ctx, g.b.key(location), path, size) })
}

// Local gives files of this lake as files that this machine can open, in the
// same order: those of a bucket through the cache. They stay until release is
// called. Files that are local already stay as they are.
func (l *Lake) Local(ctx context.Context, files []File) (_ []File, release func(), err error) {
	return l.store.local(ctx, files)
}

// Readable is Local for readers that can read S3 themselves where Config.Direct
// says so: they get the files as they are.
func (l *Lake) Readable(ctx context.Context, files []File) (_ []File, release func(), err error) {
	if l.direct {
		return files, func() {}, nil
	}
	return l.Local(ctx, files)
}

// Location is the URL by which others know a file of this lake: the place of a
// path from NewPath once it is committed.
func (l *Lake) Location(path string) string { return l.store.location(path) }

// Land makes new files durable where every machine finds them, before a commit
// does it anyway, and returns the paths by which Commit knows them from now on.
func (l *Lake) Land(ctx context.Context, paths ...string) ([]string, error) {
	if err := l.store.land(ctx, paths); err != nil {
		return nil, fmt.Errorf("land files: %w", err)
	}
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = l.Committed(p)
	}
	l.store.landed(paths)
	return out, nil
}

// Committed is the path of a new file once a commit has added it to its table,
// as Files tells it.
func (l *Lake) Committed(path string) string { return l.store.pathOf(l.store.location(path)) }

// Discard deletes new files that no commit will name. One that stays is an
// orphan, which is harmless.
func (l *Lake) Discard(paths ...string) { l.store.remove(paths) }

const warehouseFolder = "warehouse"

// openStorage opens the warehouse that c describes.
func openStorage(ctx context.Context, c Config, dir string, ic Interceptor) (storage, error) {
	own := func(path, name string) (string, error) {
		if path == "" {
			path = filepath.Join(dir, name)
		}
		if err := os.MkdirAll(path, 0o755); err != nil {
			return "", feedlake.Hint(err, "choose a folder that you may write with --lake, or in the config under lake.dir")
		}
		return path, nil
	}
	if c.S3 == nil {
		base, err := own("", warehouseFolder)
		return folder{base}, err
	}
	staging, err := own("", "staging")
	if err != nil {
		return nil, err
	}
	s3, err := objects.OpenS3(ctx, *c.S3)
	if err != nil {
		return nil, err
	}
	b := &bucket{s3: s3, staging: staging, ic: ic}
	cache, err := own(c.CacheDir, "cache")
	if err != nil {
		return nil, err
	}
	if b.cache, err = objects.OpenCache(objects.CacheConfig{Dir: cache, Limit: cmp.Or(c.CacheLimit, DefaultCacheLimit), Log: c.Log}); err != nil {
		return nil, err
	}
	return b, b.catchUp(ctx, c.Log)
}

// Objects is the bucket that holds the warehouse; nil where that is a folder.
func (l *Lake) Objects() *objects.S3 {
	if b, ok := l.store.(*bucket); ok {
		return b.s3
	}
	return nil
}
