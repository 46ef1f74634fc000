package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake/objects"
)

// bucket is an S3 bucket.
type bucket struct {
	client  *minio.Client
	name    string
	pattern string
}

func newBucket(c Config) (*bucket, error) { return newBucketWith(c, 0) }

// newBucketWith is newBucket with another bound of a server's silence than the
// usual.
func newBucketWith(c Config, silence time.Duration) (*bucket, error) {
	name, pattern, _ := strings.Cut(strings.TrimPrefix(c.Path, "s3://"), "/")
	if name == "" || pattern == "" || !doublestar.ValidatePattern(pattern) {
		return nil, fmt.Errorf("path: %q is no s3://bucket/glob: %w", c.Path, feedlake.ErrConfig)
	}
	if err := s3utils.CheckValidBucketName(name); err != nil {
		return nil, fmt.Errorf("path: %q: %w: %w", c.Path, err, feedlake.ErrConfig)
	}
	if c.S3 == nil || c.S3.Endpoint == "" {
		return nil, feedlake.Hint(fmt.Errorf("s3.endpoint: missing: %w", feedlake.ErrConfig), "say where the bucket is, such as \"s3: {endpoint: https://s3.eu-central-1.amazonaws.com, region: eu-central-1}\"")
	}
	u, err := url.Parse(c.S3.Endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("s3.endpoint: want http://host or https://host: %w", feedlake.ErrConfig)
	}
	if (c.S3.Key == "") != (c.S3.Secret == "") {
		return nil, fmt.Errorf("s3: give both key and secret, or none: %w", feedlake.ErrConfig)
	}
	lookup := minio.BucketLookupAuto
	if c.S3.PathStyle {
		lookup = minio.BucketLookupPath
	}
	transport, err := objects.Transport(u.Scheme == "https", silence)
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds: objects.Credentials(c.S3.Key, c.S3.Secret.Reveal(), "", true), Secure: u.Scheme == "https",
		Region: c.S3.Region, BucketLookup: lookup, Transport: transport,
	})
	if err != nil {
		return nil, fmt.Errorf("s3: %w: %w", err, feedlake.ErrConfig)
	}
	return &bucket{client: client, name: name, pattern: pattern}, nil
}

func (b *bucket) list(ctx context.Context) ([]object, error) {
	ctx, stop := context.WithCancel(ctx) // ends the listing when it is left early
	defer stop()
	fixed, _ := doublestar.SplitPattern(b.pattern)
	prefix := fixed
	if prefix == "." {
		prefix = ""
	} else {
		prefix += "/"
	}
	if !strings.ContainsAny(b.pattern, `*?[{\`) {
		prefix = b.pattern
	}
	where := "s3://" + b.name + "/" + b.pattern
	var out []object
	for o := range b.client.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return nil, s3Error("list "+where, o.Err)
		}
		if ok, err := doublestar.Match(b.pattern, o.Key); err != nil || !ok || strings.HasSuffix(o.Key, "/") {
			continue
		}
		out = append(out, object{name: "s3://" + b.name + "/" + o.Key, id: strings.TrimPrefix(o.Key, fixed+"/"), key: o.Key, size: o.Size, mark: fmt.Sprintf("%d %s %d", o.Size, o.ETag, o.LastModified.UnixNano())})
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, nothing(where)
	}
	slices.SortFunc(out, func(a, b object) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

func (b *bucket) open(ctx context.Context, o object) (io.ReadCloser, error) {
	obj, err := b.client.GetObject(ctx, b.name, o.key, minio.GetObjectOptions{})
	if err != nil {
		return nil, s3Error("open "+o.name, err)
	}
	if _, err := obj.Stat(); err != nil {
		return nil, errors.Join(s3Error("open "+o.name, err), obj.Close())
	}
	return s3Reader{obj, o.name}, nil
}

// s3Reader gives the faults of a connection their kind.
type s3Reader struct {
	*minio.Object
	name string
}

func (r s3Reader) Read(p []byte) (int, error) {
	n, err := r.Object.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = s3Error("read "+r.name, err)
	}
	return n, err
}

// random fetches the object into a temporary file: the many small reads that
// Parquet needs would each be a request.
func (b *bucket) random(ctx context.Context, o object) (randomFile, error) {
	src, err := b.open(ctx, o)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp("", "feedlake-*.parquet")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("fetch %s: %w", o.name, err), src.Close())
	}
	t := tempFile{f}
	_, err = io.Copy(f, src)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err = errors.Join(err, src.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("fetch %s: %w", o.name, err), t.Close())
	}
	return t, nil
}

// tempFile is removed when it is closed.
type tempFile struct{ *os.File }

func (t tempFile) Close() error { return errors.Join(t.File.Close(), os.Remove(t.Name())) }

// s3Error sorts an error: a missing object is gone, another refusal of the
// request is final, and whatever else the network does may pass.
func s3Error(what string, err error) error {
	err = fmt.Errorf("%s: %w", what, err)
	if objects.Silent(err) {
		return feedlake.Hint(&feedlake.RetryError{Err: err}, "the server takes the connection but does not answer: look at its load and its log")
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var r minio.ErrorResponse
	errors.As(err, &r)
	switch {
	case r.Code == minio.NoSuchKey:
		return fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	case r.Code == minio.NoSuchBucket, r.StatusCode/100 == 4 && r.StatusCode != http.StatusRequestTimeout && r.StatusCode != http.StatusTooManyRequests:
		return feedlake.Hint(fmt.Errorf("%w: %w", err, feedlake.ErrConfig), "check s3.endpoint, s3.region, s3.key and s3.secret, and the bucket's name")
	}
	return &feedlake.RetryError{Err: err}
}
