package enginetest

import (
	"os"
	"path/filepath"
	"testing"
)

// Shared is the folder of real data: $FEEDLAKE_SHARED, or ../shared beside the
// repository. A test without it is skipped, which CI does not allow.
func Shared(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("FEEDLAKE_SHARED")
	if dir == "" {
		root, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for !isModule(root) && root != filepath.Dir(root) {
			root = filepath.Dir(root)
		}
		dir = filepath.Join(filepath.Dir(root), "shared")
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "posts")); err != nil {
		t.Skipf("no real data: %v (set FEEDLAKE_SHARED)", err)
	}
	return dir
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}
