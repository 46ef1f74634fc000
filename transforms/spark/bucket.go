package spark

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/parquet-go/parquet-go"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// Bucket is the Storage of a lake whose paths are "s3://bucket/key". Spark
// reaches it through Hadoop's S3A, with the settings of Catalog.S3.
type Bucket struct {
	Client *minio.Client
}

var _ Storage = Bucket{}

// Location spells an S3A URI.
func (Bucket) Location(path string) string {
	if rest, ok := strings.CutPrefix(path, "s3://"); ok {
		return "s3a://" + rest
	}
	return path
}

// split parts "s3://bucket/key".
func (Bucket) split(path string) (bucket, key string, err error) {
	rest, ok := strings.CutPrefix(path, "s3://")
	bucket, key, found := strings.Cut(rest, "/")
	if !ok || !found || bucket == "" || key == "" {
		return "", "", fmt.Errorf("%s is not of the form s3://bucket/key: %w", path, feedlake.ErrConfig)
	}
	return bucket, key, nil
}

// List lists the objects below path and reads the files' footers.
func (b Bucket) List(ctx context.Context, path string) ([]lake.File, error) {
	bucket, key, err := b.split(path)
	if err != nil {
		return nil, err
	}
	var files []lake.File
	for o := range b.Client.ListObjectsIter(ctx, bucket, minio.ListObjectsOptions{Prefix: key + "/", Recursive: true}) {
		if o.Err != nil {
			return nil, fmt.Errorf("list what spark wrote: %w", o.Err)
		}
		name := o.Key[strings.LastIndexByte(o.Key, '/')+1:]
		f := lake.File{Path: "s3://" + bucket + "/" + o.Key, Bytes: o.Size}
		if strings.HasSuffix(name, ".parquet") && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "_") {
			if f.Rows, err = b.rows(ctx, bucket, o.Key, o.Size); err != nil {
				return nil, fmt.Errorf("list what spark wrote: %w", err)
			}
		}
		if f.Rows > 0 {
			files = append(files, f)
		} else if err := b.Client.RemoveObject(ctx, bucket, o.Key, minio.RemoveObjectOptions{}); err != nil {
			return nil, fmt.Errorf("list what spark wrote: %w", err)
		}
	}
	return files, nil
}

// rows reads the number of rows from a file's footer.
func (b Bucket) rows(ctx context.Context, bucket, key string, size int64) (n int64, err error) {
	o, err := b.Client.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	p, err := parquet.OpenFile(o, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", key, err)
	}
	return p.NumRows(), nil
}

// Remove deletes the objects below path.
func (b Bucket) Remove(ctx context.Context, path string) error {
	bucket, key, err := b.split(path)
	if err != nil {
		return err
	}
	list, cancel := context.WithCancel(ctx)
	defer cancel()
	var errs []error
	for o := range b.Client.ListObjectsIter(list, bucket, minio.ListObjectsOptions{Prefix: key + "/", Recursive: true}) {
		if o.Err != nil {
			return errors.Join(append(errs, o.Err)...)
		}
		if err := b.Client.RemoveObject(ctx, bucket, o.Key, minio.RemoveObjectOptions{}); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("remove what spark wrote: %w", errors.Join(errs...))
	}
	return nil
}
