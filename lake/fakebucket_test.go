package lake_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/objects"
)

// fakeBucket is a place for a lake in a bucket that is served from memory.
func fakeBucket(t *testing.T) lake.Config {
	t.Helper()
	backend := s3mem.New()
	s := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(s.Close)
	if err := backend.CreateBucket("data"); err != nil {
		t.Fatal(err)
	}
	return lake.Config{Dir: t.TempDir(), S3: &objects.S3Config{Endpoint: s.URL, Bucket: "data", Prefix: "lake", Key: "k", Secret: "s"}}
}

// TestLostCatalogOfABucket loses the catalog of a lake in a bucket; a second
// machine with a catalog of its own is refused, too.
func TestLostCatalogOfABucket(t *testing.T) {
	t.Parallel()
	c := fakeBucket(t)
	filledLake(t, c)
	second := c
	second.Dir = t.TempDir()
	refused(t, second, "belongs to the catalog in SQLite", "")
	if err := os.Remove(filepath.Join(c.Dir, "catalog.db")); err != nil {
		t.Fatal(err)
	}
	refused(t, c, "it is empty", "")
	rep, err := recoverLake(t, c, lake.RecoverOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(allBack, states(rep)); d != "" {
		t.Error(d)
	}
	wantFilled(t, c)
}

// TestCareOfABucket tells ages by the bucket's clock, and by the disk's for what
// is still on this machine.
func TestCareOfABucket(t *testing.T) {
	t.Parallel()
	c := fakeBucket(t)
	filledLake(t, c)
	l := openAt(t, c, nil) // its clock stands still in January 2026
	if err := l.MarkRun(t.Context(), "run"); err != nil {
		t.Fatal(err)
	}
	waiting := write(t, l, "a", noon, "waits")
	staged := put(t, filepath.Join(c.Dir, "staging", "raw", "posts", "data", "lost.parquet"))
	running := lake.OrphanOptions{OlderThan: time.Nanosecond, Force: true, Running: []string{"run"}}
	if got := orphans(t, l, lake.OrphanOptions{}); len(got) != 0 {
		t.Errorf("young files went: %v", got)
	}
	if got := orphans(t, l, running); len(got) != 0 {
		t.Errorf("files of a living run went: %v", got)
	}
	age(t, staged, 25*time.Hour)
	if d := cmp.Diff([]string{staged}, orphans(t, l, lake.OrphanOptions{})); d != "" {
		t.Error(d)
	}
	commit(t, l, lake.Commit{Add: []string{waiting}})
	readsEverywhere(t, l, "raw.posts")
}

// TestBucketWithTheMachinesCredentials gives none in the config: Iceberg's own
// client takes them from the same place.
func TestBucketWithTheMachinesCredentials(t *testing.T) {
	c := fakeBucket(t)
	c.S3.Key, c.S3.Secret = "", ""
	t.Setenv("AWS_ACCESS_KEY_ID", "k")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
	filledLake(t, c)
	wantFilled(t, c)
	signed, err := openAt(t, c, nil).SignedS3(t.Context())
	if err != nil || signed.Key != "k" || signed.Secret != "s" {
		t.Errorf("for other engines: %v, %v", signed, err)
	}
}
