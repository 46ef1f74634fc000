package wiring

import (
	"context"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/transforms/spark"
)

// sparkBucket is what feedlake and Spark share where the warehouse is a bucket:
// Spark writes where a path of the lake will lie once it is committed.
type sparkBucket struct {
	spark.Bucket
	lake *lake.Lake
}

var _ spark.Storage = sparkBucket{}

// Location spells the place of a path as Spark's file system knows it.
func (b sparkBucket) Location(path string) string { return b.Bucket.Location(b.lake.Location(path)) }

// List tells what Spark wrote below a path.
func (b sparkBucket) List(ctx context.Context, path string) ([]lake.File, error) {
	return b.Bucket.List(ctx, b.lake.Location(path))
}

// Remove deletes what lies below a path.
func (b sparkBucket) Remove(ctx context.Context, path string) error {
	return b.Bucket.Remove(ctx, b.lake.Location(path))
}
