package training_test

import (
	"log/slog"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/objects"
	"github.com/feedlake/feedlake/training"
)

// machines opens one lake in a bucket from several machines: each has a folder of
// its own, the catalog is one file.
func machines(t *testing.T, n int) []*lake.Lake {
	t.Helper()
	server := httptest.NewServer(gofakes3.New(s3mem.New(), gofakes3.WithoutVersioning()).Server())
	t.Cleanup(server.Close)
	s3 := &objects.S3Config{Endpoint: server.URL, Bucket: "models", Key: "key", Secret: "secret"}
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	c, err := minio.New(u.Host, &minio.Options{Creds: credentials.NewStaticV4(s3.Key, s3.Secret, ""), Region: "us-east-1"})
	if err == nil {
		err = c.MakeBucket(t.Context(), s3.Bucket, minio.MakeBucketOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []*lake.Lake
	for i := range n {
		dir := t.TempDir()
		if i > 0 {
			if err := os.Symlink(filepath.Join(all[0].Dir(), "catalog.db"), filepath.Join(dir, "catalog.db")); err != nil {
				t.Fatal(err)
			}
		}
		l, err := lake.Open(t.Context(), lake.Config{Dir: dir, S3: s3, Now: clock, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		if i == 0 {
			for _, s := range []lake.Spec{lake.Champions(), lake.Confusion()} {
				if err := l.Ensure(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
		}
		all = append(all, l)
	}
	return all
}

// TestBucketsChampionIsTheTruth changes versions on one machine while another
// holds what it read before: what the other does next follows the change, and
// undoes nothing.
func TestBucketsChampionIsTheTruth(t *testing.T) {
	t.Parallel()
	lakes := machines(t, 2)
	a, b := training.NewRegistry(lakes[0], clock), training.NewRegistry(lakes[1], clock)
	ctx := t.Context()
	inUse := func(r *training.Registry) int {
		t.Helper()
		c, err := r.Champion("m")
		if err != nil {
			t.Fatal(err)
		}
		return c.Version
	}
	champion := func() string {
		t.Helper()
		s, err := lakes[0].Property(ctx, "ml.champions", "feedlake.champions")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	one, two := addVersion(t, a, "m"), addVersion(t, a, "m")
	for _, v := range []int{one, two} {
		if err := a.Promote(ctx, "m", v, "", ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Pull(ctx); err != nil || inUse(b) != two {
		t.Fatalf("the other machine uses %d, %v", inUse(b), err)
	}
	if _, err := a.Rollback(ctx, "m", "", ""); err != nil {
		t.Fatal(err)
	}
	if err := b.Sync(ctx, "night"); err != nil || inUse(b) != one || champion() != "m@1" {
		t.Errorf("after a rollback elsewhere a night uses %d, ml.champions says %s, %v", inUse(b), champion(), err)
	}
	// The other machine's folder is older than the bucket, and it changes back.
	if err := b.Promote(ctx, "m", two, "", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Rollback(ctx, "m", "", ""); err != nil || inUse(a) != one {
		t.Errorf("a rollback of what another promoted leaves %d, %v", inUse(a), err)
	}
	trail, err := a.Audit("m")
	if err != nil || len(trail) != 5 {
		t.Errorf("trail of both machines: %+v, %v", trail, err)
	}
	// A promotion that was cut off before it reached the bucket is none elsewhere,
	// and is not lost here.
	if err := os.Remove(filepath.Join(lakes[1].Dir(), "models", "m", "champion")); err != nil {
		t.Fatal(err)
	}
	if err := b.Sync(ctx, "night"); err != nil || inUse(b) != one {
		t.Errorf("a machine that lost its file uses %d, %v", inUse(b), err)
	}
}
