//go:build services

package command

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"github.com/feedlake/feedlake/lake/erasure"
	"github.com/feedlake/feedlake/serving/postgres/pgtest"
)

// downloadBucket copies every object of a bucket into a folder that
// findPlanted can search, and returns their keys.
func downloadBucket(t *testing.T, bucket string) (dir string, keys []string) {
	t.Helper()
	c := storeClient(t)
	dir = t.TempDir()
	for o := range c.ListObjectsIter(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		keys = append(keys, o.Key)
		if err := c.FGetObject(t.Context(), bucket, o.Key, filepath.Join(dir, "lake", "bucket", filepath.FromSlash(o.Key)), minio.GetObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	makeFolder(t, filepath.Join(dir, "export"))
	return dir, keys
}

func makeFolder(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

// secondMachine is another folder of the same lake, with copies of every table
// as it is now.
func secondMachine(t *testing.T, first string) string {
	t.Helper()
	dir := t.TempDir()
	makeFolder(t, filepath.Join(dir, "export"))
	config, err := os.ReadFile(filepath.Join(first, "feedlake.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "feedlake.yaml"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	var tables []struct{ Table string }
	if err := json.Unmarshal([]byte(feedlakeIn(t, dir, 0, "lake", "ls")), &tables); err != nil {
		t.Fatal(err)
	}
	for _, tbl := range tables {
		feedlakeIn(t, dir, 0, "sql", "select * from "+tbl.Table)
	}
	return dir
}

// wantIn fails the test where a search that must find something is blind.
func wantIn(t *testing.T, found []string, places ...string) {
	t.Helper()
	for _, p := range places {
		if !slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, p) }) {
			t.Errorf("nothing planted is found in %s: the search is blind there", p)
		}
	}
}

// TestServiceErase takes a post and an author down in a lake whose files are in
// a bucket and whose catalog, history and marts are in one PostgreSQL, and looks
// for them in every object, every table of every schema, and every file of two
// machines.
func TestServiceErase(t *testing.T) {
	pg := pgtest.Start(t)
	pg.CreateDatabase("lake")
	bucket := makeBucket(t)
	t.Setenv("FEEDLAKE_S3_ENDPOINT", setting(t, "FEEDLAKE_TEST_S3"))
	t.Setenv("FEEDLAKE_S3_KEY", setting(t, "FEEDLAKE_TEST_S3_KEY"))
	t.Setenv("FEEDLAKE_S3_SECRET", setting(t, "FEEDLAKE_TEST_S3_SECRET"))
	t.Setenv("FEEDLAKE_S3_BUCKET", bucket)
	t.Setenv("FEEDLAKE_DSN", pg.DSN("lake"))
	dir := eraseLakeAt(t, service, pg.DSN("lake"))
	second := secondMachine(t, dir)
	feedlakeIn(t, second, 0, "lake", "expire", "features.posts", "--older-than", "1ns", "--keep-last", "1")
	pg.Exec("lake", `update feedlake_ops.steps set detail = 'stopped at quokkahandle of planted-author' where rowid = (select max(rowid) from feedlake_ops.steps)`)
	makeFolder(t, filepath.Join(dir, "lake", "staging", "raw")) // an upload that never was
	if err := os.WriteFile(filepath.Join(dir, "lake", "staging", "raw", "left.ndjson"), []byte(plantedText), 0o600); err != nil {
		t.Fatal(err)
	}

	objects, keys := downloadBucket(t, bucket)
	inBucket, _ := findPlanted(t, objects, nil, "")
	wantIn(t, inBucket, "warehouse/raw/posts/data", "warehouse/raw/rejects", "warehouse/ml/labels", "warehouse/ml/sentiment_scores", "warehouse/ml/trends",
		"warehouse/features/posts", "warehouse/features/hashtag_hourly", "warehouse/marts/trending_hashtags", ".avro (entries)")
	here, _ := findPlanted(t, dir, pg, "lake")
	wantIn(t, here, "lake/cache/files", "lake/staging", "export/marts.duckdb", "postgres marts.trending_hashtags", "postgres feedlake_ops.steps")
	there, _ := findPlanted(t, second, nil, "")
	wantIn(t, there, "lake/cache/files")
	unnamed := copiesWithout(t, dir, keys)
	if unnamed == 0 {
		t.Error("no copy on the first machine is of a file that the second removed: the test is blind there")
	}
	t.Logf("before: %d in %d objects, %d here, %d on the second machine, %d copies of removed objects here", len(inBucket), len(keys), len(here), len(there), unnamed)
	kept := others(t, dir)

	var rep erasure.Report
	if err := json.Unmarshal([]byte(feedlakeIn(t, dir, 0, eraseArgs...)), &rep); err != nil {
		t.Fatal(err)
	}
	objects, keys = downloadBucket(t, bucket)
	after, looked := findPlanted(t, objects, nil, "")
	local, n := findPlanted(t, dir, pg, "lake")
	for _, f := range append(after, local...) {
		t.Errorf("after: %s", f)
	}
	if looked < 100 || n < 50 {
		t.Errorf("looked at %d things in the bucket and %d here only", looked, n)
	}
	snapshots, files := 0, 0
	for _, x := range rep.Expired {
		snapshots, files = snapshots+x.Snapshots, files+x.Files
	}
	if rep.State != erasure.Done || rep.Rows != 10 || len(rep.Left) != 0 || len(rep.Places) != 2 || snapshots < 10 || files < 20 || rep.Dropped != unnamed || rep.InUse != 0 {
		t.Errorf("report: %+v", rep)
	}
	if n := copiesWithout(t, dir, keys); n != 0 {
		t.Errorf("%d copies of removed objects are here", n)
	}
	t.Logf("after: %d snapshots and %d files expired, %d more copies dropped; looked at %d things in %d objects and %d here", snapshots, files, rep.Dropped, looked, len(keys), n)

	if found, _ := findPlanted(t, second, nil, ""); len(found) == 0 {
		t.Error("the second machine lost its copies without a command: the test is blind there")
	}
	feedlakeIn(t, second, 0, "status")
	found, _ := findPlanted(t, second, nil, "")
	for _, f := range found {
		t.Errorf("on the second machine: %s", f)
	}
	if n := copiesWithout(t, second, keys); n != 0 {
		t.Errorf("%d copies of removed objects are on the second machine", n)
	}
	for _, d := range []string{dir, second} {
		if diff := cmp.Diff(kept, others(t, d)); diff != "" {
			t.Errorf("%s: other posts changed (-before +after):\n%s", d, diff)
		}
	}
}

// copiesWithout counts the files in a machine's cache whose object is not in
// the bucket. A copy's name begins with that of its object.
func copiesWithout(t *testing.T, dir string, keys []string) int {
	t.Helper()
	stems := map[string]bool{}
	for _, k := range keys {
		base := filepath.Base(k)
		stems[strings.TrimSuffix(base, filepath.Ext(base))] = true
	}
	copies, err := os.ReadDir(filepath.Join(dir, "lake", "cache", "files"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range copies {
		name := strings.TrimSuffix(c.Name(), filepath.Ext(c.Name()))
		if i := strings.LastIndexByte(name, '-'); i < 0 || !stems[name[:i]] {
			n++
		}
	}
	return n
}
