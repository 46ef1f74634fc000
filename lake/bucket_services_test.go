//go:build services

package lake_test

import (
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/objects"
	"github.com/feedlake/feedlake/lake/query"
)

// setting reads what infra/dev/services.sh env tells.
func setting(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s is not set: make services-up, then make test-services", name)
	}
	return v
}

// newBucket makes a bucket on a server.
func newBucket(t *testing.T, endpoint string) *objects.S3Config {
	t.Helper()
	c := &objects.S3Config{
		Endpoint: setting(t, endpoint), Key: setting(t, "FEEDLAKE_TEST_S3_KEY"), Secret: setting(t, "FEEDLAKE_TEST_S3_SECRET"),
		Bucket: fmt.Sprintf("lake-test-%x", mathrand.Uint64()),
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	client, err := minio.New(u.Host, &minio.Options{Creds: credentials.NewStaticV4(c.Key, c.Secret, ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.MakeBucket(t.Context(), c.Bucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	return c
}

// bucketHome keeps warehouses in a bucket, each below a prefix of its own, and
// their catalogs in PostgreSQL.
func bucketHome(t *testing.T, endpoint string) home {
	t.Helper()
	bucket, catalogs := newBucket(t, endpoint), postgresHome(t)
	return func(t *testing.T) lake.Config {
		t.Helper()
		c := catalogs(t)
		own := *bucket
		own.Prefix = filepath.Base(c.Dir) + fmt.Sprintf("-%x", mathrand.Uint32())
		c.S3 = &own
		return c
	}
}

func keepsPromisesInBucket(t *testing.T, endpoint string) {
	t.Helper()
	h := bucketHome(t, endpoint)
	keepsPromises(t, h)
	t.Run("several processes", func(t *testing.T) { severalProcesses(t, h) })
}

func TestServiceLakeOnMinIO(t *testing.T) {
	t.Parallel()
	keepsPromisesInBucket(t, "FEEDLAKE_TEST_S3")
}

func TestServiceLakeOnVersityGW(t *testing.T) {
	t.Parallel()
	keepsPromisesInBucket(t, "FEEDLAKE_TEST_S3_OTHER")
}

// TestServiceSecondMachine opens one lake from two folders: what one commits the
// other reads, and neither keeps anything that the other would need.
func TestServiceSecondMachine(t *testing.T) {
	t.Parallel()
	place := bucketHome(t, "FEEDLAKE_TEST_S3")(t)
	one := openAt(t, place, nil)
	place.Dir = t.TempDir()
	other := openAt(t, place, nil)
	if err := one.Ensure(t.Context(), lake.RawPosts()); err != nil {
		t.Fatal(err)
	}
	path := write(t, one, "a", noon, "1", "2")
	if !strings.HasPrefix(path, "s3://") {
		t.Errorf("a finished file lies in %s, want it in the bucket", path)
	}
	if _, err := one.Commit(t.Context(), lake.Commit{Table: "raw.posts", ID: "1", Add: []string{path}}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"a/1", "a/2"}, ids(t, other)); d != "" {
		t.Error(d)
	}
	for _, dir := range []string{one.Dir(), other.Dir()} {
		left, err := filepath.Glob(filepath.Join(dir, "staging", "*", "*", "*", "*", "*", "*.parquet"))
		if err != nil || len(left) > 0 {
			t.Errorf("staged files stay behind: %v, %v", left, err)
		}
	}
}

// TestServiceMirror brings files of one machine to another and lets only one
// claim a name.
func TestServiceMirror(t *testing.T) {
	t.Parallel()
	place := bucketHome(t, "FEEDLAKE_TEST_S3")(t)
	one := openAt(t, place, nil)
	place.Dir = t.TempDir()
	other := openAt(t, place, nil)
	put := func(l *lake.Lake, name, text string) {
		t.Helper()
		file := filepath.Join(l.Dir(), name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	large := strings.Repeat("weights ", 100_000)
	put(one, "models/m/v0001/variables", large)
	put(one, "models/m/champion", "1\n")
	if err := one.Push(t.Context(), "models/m"); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"models/m/v0001/variables": large, "models/m/champion": "1\n"}
	pulled := func(l *lake.Lake) map[string]string {
		t.Helper()
		if err := l.Pull(t.Context(), "models"); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for name := range want {
			text, err := os.ReadFile(filepath.Join(l.Dir(), name))
			if err != nil {
				t.Fatal(err)
			}
			got[name] = string(text)
		}
		return got
	}
	if d := cmp.Diff(want, pulled(other)); d != "" {
		t.Error(d)
	}
	put(other, "models/m/champion", "2\n")
	if err := other.Push(t.Context(), "models/m/champion"); err != nil {
		t.Fatal(err)
	}
	want["models/m/champion"] = "2\n"
	if d := cmp.Diff(want, pulled(one)); d != "" {
		t.Errorf("a changed file did not come back: %s", d)
	}
	if ok, err := one.Claim(t.Context(), "models/m/v0002"); !ok || err != nil {
		t.Errorf("first claim: %v, %v", ok, err)
	}
	if ok, err := other.Claim(t.Context(), "models/m/v0002"); ok || err != nil {
		t.Errorf("second claim: %v, %v", ok, err)
	}
}

// TestServiceDirect lets DuckDB read the bucket itself, with its extension.
func TestServiceDirect(t *testing.T) {
	t.Parallel()
	place := bucketHome(t, "FEEDLAKE_TEST_S3")(t)
	place.Direct = true
	l := openAt(t, place, nil)
	if err := l.Ensure(t.Context(), lake.RawPosts()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(t.Context(), lake.Commit{Table: "raw.posts", ID: "1", Add: []string{write(t, l, "a", noon, "1", "2")}}); err != nil {
		t.Fatal(err)
	}
	db, err := query.Open(t.Context(), query.Options{Setup: query.BucketSetup(setting(t, "FEEDLAKE_TEST_HTTPFS"), l.S3())})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Pin(t.Context(), l, nil); err != nil {
		t.Fatal(err)
	}
	var n int
	var file string
	if err := db.SQL().QueryRowContext(t.Context(), "select count(*) from raw.posts").Scan(&n); err != nil || n != 2 {
		t.Errorf("%d rows, %v", n, err)
	}
	if err := db.SQL().QueryRowContext(t.Context(), "select sql from duckdb_views() where view_name = 'posts'").Scan(&file); err != nil || !strings.Contains(file, "s3://") {
		t.Errorf("the view reads %s, %v", file, err)
	}
}

// TestServiceCareInBucket compacts, expires, sweeps and restores a table whose
// files are objects: rows stay, and only what nobody names goes.
func TestServiceCareInBucket(t *testing.T) {
	t.Parallel()
	place := bucketHome(t, "FEEDLAKE_TEST_S3")(t)
	l := openAt(t, place, nil)
	if err := l.Ensure(t.Context(), lake.RawPosts()); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 6 {
		id := fmt.Sprint(i)
		want = append(want, "a/"+id)
		if _, err := l.Commit(t.Context(), lake.Commit{Table: "raw.posts", ID: id, Add: []string{write(t, l, "a", noon, id)}}); err != nil {
			t.Fatal(err)
		}
	}
	before := current(t, l, "raw.posts").ID
	rep, err := l.Compact(t.Context(), lake.CompactOptions{Rewrite: rewriter(t)})
	if err != nil || len(rep.Partitions) != 1 || rep.Partitions[0].FilesBefore != 6 || rep.Partitions[0].FilesAfter != 1 {
		t.Fatalf("compaction %+v, %v", rep, err)
	}
	if changed, err := l.Changed(t.Context(), "raw.posts", before, current(t, l, "raw.posts").ID); err != nil || len(changed) != 0 {
		t.Errorf("compaction changed %v, %v", changed, err)
	}
	if _, err := l.Restore(t.Context(), "raw.posts", before, lake.RestoreOptions{}); err != nil {
		t.Errorf("restore: %v", err)
	}
	if _, err := l.Expire(t.Context(), lake.ExpireOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	const planted = "warehouse/raw/posts/data/source=a/lost.parquet"
	if _, err := l.Objects().PutBytes(t.Context(), planted, []byte("nobody names me"), false); err != nil {
		t.Fatal(err)
	}
	place.Dir = t.TempDir()
	later := openLaterAt(t, place, month)
	orphans, err := later.Orphans(t.Context(), lake.OrphanOptions{})
	if err != nil || len(orphans.Files) != 1 || !strings.HasSuffix(orphans.Files[0].Path, planted) {
		t.Errorf("orphans %+v, %v", orphans, err)
	}
	if _, err := l.Objects().Stat(t.Context(), planted); !errors.Is(err, feedlake.ErrNotFound) {
		t.Errorf("the orphan is still there: %v", err)
	}
	check, err := later.Check(t.Context(), lake.CheckOptions{})
	if err != nil || len(check.Problems) != 0 || check.Rows != 6 {
		t.Errorf("check %+v, %v", check, err)
	}
	if d := cmp.Diff(want, ids(t, later)); d != "" {
		t.Error(d)
	}
	var data int
	for o, err := range l.Objects().List(t.Context(), "warehouse/raw/") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(o.Key, ".parquet") {
			data++
		}
	}
	if data != 6 {
		t.Errorf("%d data files are left, want the 6 of the restored snapshot", data)
	}
	if err := l.Objects().Remove(t.Context(), keyOf(t, later)); err != nil {
		t.Fatal(err)
	}
	if check, err = later.Check(t.Context(), lake.CheckOptions{}); err != nil || len(check.Problems) == 0 {
		t.Errorf("a missing file was not seen: %+v, %v", check, err)
	}
}

// keyOf names one live data file.
func keyOf(t *testing.T, l *lake.Lake) string {
	t.Helper()
	files, err := l.Files(t.Context(), "raw.posts", current(t, l, "raw.posts").ID)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := l.Objects().Key(files[0].Path)
	return key
}
