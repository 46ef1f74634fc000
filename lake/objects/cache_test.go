package objects

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/feedlake/feedlake"
)

// maker is a Getter that makes the content up from the key.
type maker struct {
	gets atomic.Int64
	fail func(key string) error
	long int // bytes more than were wanted
}

func content(key string, size int64) []byte {
	return bytes.Repeat([]byte(key), int(size)/len(key)+1)[:size]
}

func (m *maker) Get(_ context.Context, key, path string, size int64) error {
	m.gets.Add(1)
	if m.fail != nil {
		if err := m.fail(key); err != nil {
			return err
		}
	}
	return os.WriteFile(path, content(key, size+int64(m.long)), 0o600)
}

func openCache(t testing.TB, dir string, limit int64) *Cache {
	t.Helper()
	c, err := OpenCache(CacheConfig{Dir: dir, Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wants(size int64, keys ...string) []Want {
	w := make([]Want, len(keys))
	for i, k := range keys {
		w[i] = Want{Key: "s3://bucket/" + k, Size: size}
	}
	return w
}

// fetch fails the test unless every path holds what its object holds.
func fetch(t testing.TB, c *Cache, from Getter, want ...Want) (release func()) {
	t.Helper()
	paths, release, err := c.Fetch(t.Context(), from, want)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		if got, err := os.ReadFile(paths[i]); err != nil || !bytes.Equal(got, content(w.Key, w.Size)) {
			t.Fatalf("%s: %d bytes, %v", w.Key, len(got), err)
		}
	}
	return release
}

// has lists what is in a folder of the cache, without the hashes.
func has(t testing.TB, dir, sub string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, sub))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		name, _, _ := strings.Cut(e.Name(), "-")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// tidy fails the test when work or leases of the dead are left.
func tidy(t testing.TB, dir string) {
	t.Helper()
	if left := append(has(t, dir, "work"), has(t, dir, "leases")...); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

// tick waits until the clock of the file system has moved on, so that uses have an order.
func tick(t testing.TB, dir string) {
	t.Helper()
	path := filepath.Join(dir, "tick")
	stamp := func() time.Time {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime()
	}
	for first := stamp(); stamp().Equal(first); {
		time.Sleep(time.Millisecond)
	}
}

func TestFetch(t *testing.T) {
	dir, m := t.TempDir(), &maker{}
	c := openCache(t, dir, 0)
	w := append(wants(100, "a.parquet", "b.parquet", "a.parquet"), Want{Key: "s3://other/a.parquet", Size: 100})
	for range 2 {
		paths, release, err := c.Fetch(t.Context(), m, w)
		if err != nil {
			t.Fatal(err)
		}
		if paths[0] != paths[2] || paths[0] == paths[1] || paths[0] == paths[3] {
			t.Errorf("paths %q", paths)
		}
		for i, p := range paths {
			if got, err := os.ReadFile(p); err != nil || !bytes.Equal(got, content(w[i].Key, 100)) || !strings.HasSuffix(p, ".parquet") {
				t.Errorf("%s: %v", p, err)
			}
		}
		release()
		release() // harmless
	}
	if m.gets.Load() != 3 {
		t.Errorf("%d downloads, want 3", m.gets.Load())
	}
	paths, release, err := c.Fetch(t.Context(), m, nil)
	if err != nil || len(paths) != 0 {
		t.Errorf("%q, %v", paths, err)
	}
	release()
	tidy(t, dir)
}

func TestNames(t *testing.T) {
	for key, want := range map[string]string{
		"s3://b/raw/posts/data/day=2026-01-01/00000-0-ab.parquet": "00000-0-ab-",
		"s3://b/x/part 1+2%20&ü*?[.parquet":                       "part_1_2_20____",
		"s3://b/x/" + strings.Repeat("y", 300) + ".parquet":       strings.Repeat("y", 80) + "-",
		"../../etc/passwd": "passwd-",
		"":                 "-",
		"/":                "-",
		"a.b/c":            "c-",
		"x.tar gz/..":      "_-",
	} {
		got := nameOf(key)
		if !strings.HasPrefix(got, want) || strings.ContainsAny(got, "/=*?[] ") || len(got) > 120 || strings.HasSuffix(key, ".parquet") != strings.HasSuffix(got, ".parquet") {
			t.Errorf("%q is kept as %q", key, got)
		}
	}
	if nameOf("a/x.parquet") == nameOf("b/x.parquet") {
		t.Error("two keys meet")
	}
}

func TestFetchTogether(t *testing.T) {
	dir, m := t.TempDir(), &maker{}
	var w []Want
	for i := range 50 {
		w = append(w, wants(1000, fmt.Sprintf("%d.parquet", i))...)
	}
	var g errgroup.Group
	for range 4 {
		c := openCache(t, dir, 20_000) // far below: all are in use
		for range 4 {
			g.Go(func() error {
				_, release, err := c.Fetch(t.Context(), m, w)
				if err == nil {
					defer release()
				}
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := m.gets.Load(); n < 50 || n > 200 { // once each, and again only what was evicted between two uses
		t.Errorf("%d downloads of 50 objects", n)
	}
	fetch(t, openCache(t, dir, 20_000), m, wants(1000, "last.parquet")...)()
	if n := len(has(t, dir, "files")); n > 20 {
		t.Errorf("%d files of 1,000 bytes with a limit of 20,000", n)
	}
	tidy(t, dir)
}

func TestOnceForAll(t *testing.T) {
	dir, m := t.TempDir(), &maker{}
	var g errgroup.Group
	for range 8 {
		c := openCache(t, dir, 0)
		g.Go(func() error {
			_, release, err := c.Fetch(t.Context(), m, wants(10, "a", "b", "c", "d", "e", "f", "g", "h"))
			if err == nil {
				release()
			}
			return err
		})
	}
	if err := g.Wait(); err != nil || m.gets.Load() != 8 {
		t.Errorf("%d downloads of 8 objects, %v", m.gets.Load(), err)
	}
}

func TestDamagedCopies(t *testing.T) {
	dir := t.TempDir()
	for name, damage := range map[string]func(path string) error{
		"truncated": func(path string) error { return os.Truncate(path, 50) },
		"lost blocks": func(path string) error { // as by a crash of the machine: the times are kept
			return errors.Join(os.Truncate(path, 50), os.Chtimes(path, time.Time{}, sealed()))
		},
		"longer":  func(path string) error { return os.Truncate(path, 150) },
		"removed": os.Remove,
		"changed": func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte("!"), 20)
			return errors.Join(err, f.Close())
		},
		"link": func(path string) error {
			return errors.Join(os.Remove(path), os.Symlink("/dev/null", path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, c := &maker{}, openCache(t, dir, 0)
			w := wants(100, name+"1.parquet", name+"2.parquet")
			fetch(t, c, m, w...)()
			path := c.filePath(nameOf(w[0].Key))
			if err := os.Chmod(path, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := damage(path); err != nil {
				t.Fatal(err)
			}
			fetch(t, c, m, w...)()
			if m.gets.Load() != 3 {
				t.Errorf("%d downloads, want the two and one of them again", m.gets.Load())
			}
		})
	}
}

func TestLongestUnusedGoFirst(t *testing.T) {
	dir, m := t.TempDir(), &maker{}
	c := openCache(t, dir, 350)
	for _, key := range []string{"a", "b", "c", "a", "d"} {
		fetch(t, c, m, wants(100, key)...)()
		tick(t, dir)
	}
	if d := cmp.Diff([]string{"a", "c", "d"}, has(t, dir, "files")); d != "" {
		t.Error(d)
	}
}

func TestOverTheLimit(t *testing.T) {
	dir, m := t.TempDir(), &maker{}
	var log bytes.Buffer
	c, err := OpenCache(CacheConfig{Dir: dir, Limit: 350, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	first := fetch(t, c, m, wants(100, "a", "b")...)
	tick(t, dir)
	if log.Len() != 0 {
		t.Errorf("log: %s", log.String())
	}
	second := fetch(t, openCache(t, dir, 350), m, wants(100, "b", "c", "d")...)
	tick(t, dir)
	third := fetch(t, c, m, wants(100, "e")...)
	if d := cmp.Diff([]string{"a", "b", "c", "d", "e"}, has(t, dir, "files")); d != "" {
		t.Errorf("leased files went: %s", d)
	}
	if !strings.Contains(log.String(), "over_bytes=150") {
		t.Errorf("no warning: %s", log.String())
	}
	first()
	second() // it saw that the limit was passed, so that its end makes room
	if d := cmp.Diff([]string{"c", "d", "e"}, has(t, dir, "files")); d != "" {
		t.Errorf("not shrunk: %s", d)
	}
	third()
	tidy(t, dir)
}

func TestFailedDownload(t *testing.T) {
	dir := t.TempDir()
	c := openCache(t, dir, 0)
	broken := errors.New("broken")
	m := &maker{fail: func(key string) error {
		if strings.HasSuffix(key, "b") {
			return broken
		}
		return nil
	}}
	if _, _, err := c.Fetch(t.Context(), m, wants(10, "a", "b")); !errors.Is(err, broken) || !strings.Contains(err.Error(), "s3://bucket/b") {
		t.Errorf("error %v", err)
	}
	if _, _, err := c.Fetch(t.Context(), &maker{long: 3}, wants(10, "c")); err == nil || !strings.Contains(err.Error(), "13 bytes came, not 10") {
		t.Errorf("error %v", err)
	}
	if slices.Contains(has(t, dir, "files"), "c") {
		t.Error("a wrong file is kept")
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, _, err := c.Fetch(ctx, &S3{}, wants(10, "d")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	tidy(t, dir)
}

func TestAdoptAndForget(t *testing.T) {
	dir, m := t.TempDir(), &maker{}
	c := openCache(t, dir, 1000)
	w := wants(100, "a.parquet", "b.parquet")
	for _, one := range w {
		path := write(t, content(one.Key, 100))
		for range 2 {
			if err := c.Adopt(one.Key, path); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	release := fetch(t, c, m, w...)
	if m.gets.Load() != 0 {
		t.Errorf("%d downloads of adopted files", m.gets.Load())
	}
	if err := c.Forget(w[0].Key, "s3://bucket/never"); err != nil {
		t.Fatal(err)
	}
	if got := has(t, dir, "files"); len(got) != 1 {
		t.Errorf("after Forget: %q", got)
	}
	release()
	for i := range 30 { // adopted files count, too
		w := wants(100, fmt.Sprintf("%d.parquet", i))[0]
		if err := c.Adopt(w.Key, write(t, content(w.Key, 100))); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(has(t, dir, "files")); got > 12 {
		t.Errorf("%d files of 100 bytes with a limit of 1,000", got)
	}
	if err := c.Adopt("x", filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	tidy(t, dir)
}

// TestForgetDuringDownload wants an erased object not to come back with a
// download that had begun.
func TestForgetDuringDownload(t *testing.T) {
	dir, begun, goOn := t.TempDir(), make(chan struct{}), make(chan struct{})
	c := openCache(t, dir, 0)
	m := &maker{fail: func(string) error {
		close(begun)
		<-goOn
		return nil
	}}
	var g errgroup.Group
	g.Go(func() error {
		_, release, err := c.Fetch(t.Context(), m, wants(10, "a"))
		if err == nil {
			release()
		}
		return err
	})
	<-begun
	g.Go(func() error { return c.Forget("s3://bucket/a") })
	close(goOn)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := has(t, dir, "files"); len(got) != 0 {
		t.Errorf("it is back: %q", got)
	}
}

func TestRemovedFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	c := openCache(t, dir, 1000)
	fetch(t, c, &maker{}, wants(10, "a")...)()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	fetch(t, c, &maker{}, wants(10, "a")...)()
}

func TestUnusableFolder(t *testing.T) {
	file := write(t, nil)
	for _, dir := range []string{file, filepath.Join(file, "below"), ""} {
		_, err := OpenCache(CacheConfig{Dir: dir})
		if !errors.Is(err, feedlake.ErrConfig) {
			t.Errorf("%q: error %v", dir, err)
		}
		if dir != "" {
			hinted(t, err, feedlake.ErrConfig, "cache.dir")
		}
	}
}

// TestFullCacheDisk lets a cache meet a disk that is smaller than its limit.
func TestFullCacheDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=2m"); err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	srv := fakeServer(t)
	s := srv.open(t)
	c := openCache(t, disk, 100<<20)
	size := map[string]int64{"a": 900_000, "b": 900_000, "c": 900_000, "d": 5_000_000}
	want := func(key string) []Want {
		w := Want{Key: key, Size: size[key]}
		if _, err := s.PutBytes(t.Context(), key, content(key, w.Size), false); err != nil {
			t.Fatal(err)
		}
		return []Want{w}
	}
	release := fetch(t, c, s, want("a")...)
	fetch(t, c, s, want("b")...)()
	fetch(t, c, s, want("c")...)() // there is room for it without b
	if d := cmp.Diff([]string{"a", "c"}, has(t, disk, "files")); d != "" {
		t.Error(d)
	}
	_, _, err := c.Fetch(t.Context(), s, want("d"))
	hinted(t, err, syscall.ENOSPC, "cache.dir")
	hinted(t, err, syscall.ENOSPC, "cache.limit")
	if d := cmp.Diff([]string{"a"}, has(t, disk, "files")); d != "" {
		t.Errorf("after a full disk: %s", d)
	}
	if left := has(t, disk, "work"); len(left) != 0 {
		t.Errorf("half written: %q", left)
	}
	release()
	path := write(t, content("e", 500_000))
	if err := c.Adopt("e", path); err != nil { // from another disk
		t.Fatal(err)
	}
	fetch(t, c, &maker{}, Want{Key: "e", Size: 500_000})()
	tidy(t, disk)
}

// TestLeasesOfOneProcess wants the leases of one process to end one by one.
func TestLeasesOfOneProcess(t *testing.T) {
	dir, m := t.TempDir(), &maker{}
	c := openCache(t, dir, 100)
	var wg sync.WaitGroup
	releases := make([]func(), 20)
	for i := range releases {
		releases[i] = fetch(t, c, m, wants(100, "a", fmt.Sprintf("b%d", i))...)
	}
	if got := len(has(t, dir, "files")); got != 21 {
		t.Errorf("%d files, want 21 that are in use", got)
	}
	for _, release := range releases {
		wg.Go(release)
	}
	wg.Wait()
	if got := len(has(t, dir, "files")); got > 1 {
		t.Errorf("%d files after the last release, want 1", got)
	}
}
