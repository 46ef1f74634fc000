// Package wiretest gives tests the recorded answers of the platforms, which lie
// beside the repository.
package wiretest

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/feedlake/feedlake"
)

// Path is where a recorded file or folder lies, by its path below data/api of
// $FEEDLAKE_SHARED, or of the folder shared beside the repository. Where there is
// none the test is skipped, but in CI it fails.
func Path(t testing.TB, parts ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{shared(t), "data", "api"}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("recorded answers are missing: %v", err)
		}
		t.Skipf("recorded answers are not here; set FEEDLAKE_SHARED: %v", err)
	}
	return path
}

// Read is the content of a recorded file.
func Read(t testing.TB, parts ...string) string {
	t.Helper()
	b, err := os.ReadFile(Path(t, parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Glob reads the recorded files of a folder whose names match a pattern, by name.
// There is one at least.
func Glob(t testing.TB, folder, pattern string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(Path(t, folder), pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no recorded answers %s in %s: %v", pattern, folder, err)
	}
	out := map[string]string{}
	for _, p := range paths {
		out[filepath.Base(p)] = Read(t, folder, filepath.Base(p))
	}
	return out
}

// Of is posts as a decoder of a network gives them.
func Of(network string, posts []feedlake.Post) []feedlake.Post {
	out := slices.Clone(posts)
	for i := range out {
		out[i].Network = network
	}
	return out
}

// shared is the folder of shared data: beside that which holds go.mod.
func shared(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("FEEDLAKE_SHARED"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "..", "shared")
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = filepath.Dir(dir)
	}
}
