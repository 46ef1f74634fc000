//go:build services

package spark_test

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/transforms"
	"github.com/feedlake/feedlake/transforms/spark"
)

// TestServiceWritesToS3 lets Spark write a partitioned result into a bucket.
func TestServiceWritesToS3(t *testing.T) {
	endpoint, key, secret := os.Getenv("FEEDLAKE_TEST_S3"), os.Getenv("FEEDLAKE_TEST_S3_KEY"), os.Getenv("FEEDLAKE_TEST_S3_SECRET")
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		t.Fatal("FEEDLAKE_TEST_S3 does not name an S3 server: make services-up")
	}
	client, err := minio.New(u.Host, &minio.Options{Creds: credentials.NewStaticV4(key, secret, ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	bucket := fmt.Sprintf("spark-%d", time.Now().UnixNano())
	if err := client.MakeBucket(t.Context(), bucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	e := openWith(t, spark.Options{
		Remote: address(t), Storage: spark.Bucket{Client: client},
		Catalog: &spark.Catalog{
			Name: "feedlake", URI: "jdbc:sqlite:" + dir + "/catalog.db", Warehouse: "s3://" + bucket + "/warehouse",
			S3: &spark.S3{Endpoint: endpoint, Region: "us-east-1", Key: key, Secret: secret},
		},
	})
	m, err := transforms.ParseModel("models/s3.sql", []byte("-- model: features.s3\n-- inputs: raw.t\n-- key: id\n-- partition: source\n\n"+
		"select cast(n as bigint) as id, case when n < 9 then 'a/b c' else 'd' end as source from (select explode(sequence(1, 10)) as n) x\n"))
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	q := transforms.Query{
		Model: m, Columns: map[string][]lake.Column{"raw.t": {{Name: "id", Type: "BIGINT"}}},
		Staging: func(lake.Partition) (string, error) {
			return fmt.Sprintf("s3://%s/warehouse/features/s3/data/%d.parquet", bucket, n.Add(1)), nil
		},
	}
	out, err := e.Run(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	got := map[lake.Partition]int64{}
	for _, f := range out.Files {
		got[f.Partition] += f.Rows
		o, err := client.StatObject(t.Context(), bucket, strings.TrimPrefix(f.Path, "s3://"+bucket+"/"), minio.StatObjectOptions{})
		if err != nil || o.Size != f.Bytes {
			t.Errorf("%s: %d bytes, reported as %d: %v", f.Path, o.Size, f.Bytes, err)
		}
	}
	if got[lake.MakePartition("source", "a/b c")] != 8 || got[lake.MakePartition("source", "d")] != 2 || len(got) != 2 {
		t.Errorf("rows by partition: %v", got)
	}
	var keys []string
	for o := range client.ListObjectsIter(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		keys = append(keys, o.Key)
	}
	if len(keys) != len(out.Files) {
		t.Errorf("objects %v, want the files and nothing else", keys)
	}
	q.Model.SQL = "select cast(n as bigint) as id, case when n < 9 then 'a' end as source from (select explode(sequence(1, 10)) as n) x"
	if _, err := e.Run(t.Context(), q); err == nil {
		t.Error("a NULL in a partition column passed")
	}
	for o := range client.ListObjectsIter(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true, Prefix: "warehouse/features/s3/data/2"}) {
		t.Errorf("%s was left behind", o.Key)
	}
}
