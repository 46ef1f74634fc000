// Package objects keeps the lake's immutable files in a bucket of any
// S3-compatible store, and copies of them in a local cache.
package objects

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/feedlake/feedlake"
)

const (
	requestTries = 10               // of one request, with growing waits up to a second: about five seconds
	checkTries   = 5                // of the first request of all, where a person waits for the message
	bodyTries    = 6                // of a transfer that was cut or stood still, without any progress in between
	stallAfter   = 60 * time.Second // a transfer that moves no byte for so long is given up and begun again
	partSize     = 16 << 20         // of a multipart upload; a larger file takes larger parts beyond maxParts
	maxParts     = 10_000           // a limit of S3
	partsAtOnce  = 4
)

// S3 is a bucket, or the part of one below a prefix. Keys are relative to the
// prefix; where one is wanted its URL will do, too. It is safe for concurrent use.
type S3 struct {
	config S3Config
	client *minio.Client
	creds  *credentials.Credentials
	clock  *clockWatch
	stall  time.Duration
	part   int64

	unconditional atomic.Bool // the server does not know If-None-Match
}

// OpenS3 checks that the server answers, that the credentials are good and that
// the bucket exists. A fault that a person must mend wraps feedlake.ErrConfig,
// one that may pass is a *feedlake.RetryError.
func OpenS3(ctx context.Context, c S3Config) (*S3, error) {
	c, u, err := c.checked()
	if err != nil {
		return nil, err
	}
	base := c.Transport
	if base == nil {
		if base, err = Transport(u.Scheme == "https", c.Silence); err != nil {
			return nil, fmt.Errorf("open %s: %w", c, err)
		}
	}
	s := &S3{config: c, creds: Credentials(c.Key, c.Secret, c.Token, false), clock: &clockWatch{base: base}, stall: cmp.Or(c.Silence, stallAfter), part: partSize}
	if _, err := s.creds.GetWithContext(&credentials.CredContext{Context: ctx}); err != nil {
		return nil, fmt.Errorf("open %s: %w", c, err)
	}
	check, err := s.connect(u, checkTries)
	if err != nil {
		return nil, err
	}
	if s.client, err = s.connect(u, requestTries); err != nil {
		return nil, err
	}
	// A listing, because the answer to HEAD has no body to say what is wrong.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for o := range check.ListObjectsIter(ctx, c.Bucket, minio.ListObjectsOptions{Prefix: s.full(""), MaxKeys: 1}) {
		if o.Err != nil {
			return nil, s.fault("open "+c.String(), o.Err)
		}
		break
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open %s: %w", c, err)
	}
	return s, nil
}

func (s *S3) connect(u *url.URL, tries int) (*minio.Client, error) {
	client, err := minio.New(u.Host, &minio.Options{
		Creds:  s.creds,
		Secure: u.Scheme == "https", Region: s.config.Region, Transport: s.clock, MaxRetries: tries,
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w: %w", s.config, err, feedlake.ErrConfig)
	}
	return client, nil
}

// full is the key, or the URL, as the server knows it.
func (s *S3) full(key string) string {
	if k, ok := s.Key(key); ok {
		key = k
	}
	if s.config.Prefix == "" {
		return key
	}
	return s.config.Prefix + "/" + key
}

// URL is the global address of a key: s3://bucket/prefix/key.
func (s *S3) URL(key string) string { return "s3://" + s.config.Bucket + "/" + s.full(key) }

// Key is the reverse of URL; false says that the address lies elsewhere. The
// schemes s3a and s3n, which Spark writes, mean the same.
func (s *S3) Key(address string) (string, bool) {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok || (scheme != "s3" && scheme != "s3a" && scheme != "s3n") {
		return "", false
	}
	key, ok := strings.CutPrefix(rest, s.config.Bucket+"/"+s.full(""))
	return key, ok && key != ""
}

// Object is what the server says of an object.
type Object struct {
	Key      string // as it was asked for; relative to the prefix when it was listed
	Size     int64  // bytes
	ETag     string
	Modified time.Time // zero in the answer of Put and PutBytes
}

// Stat describes an object, or returns feedlake.ErrNotFound.
func (s *S3) Stat(ctx context.Context, key string) (Object, error) {
	o, err := s.client.StatObject(ctx, s.config.Bucket, s.full(key), minio.StatObjectOptions{})
	if err != nil {
		return Object{}, s.fault("stat "+s.URL(key), err)
	}
	return Object{Key: key, Size: o.Size, ETag: o.ETag, Modified: o.LastModified}, nil
}

// List yields the objects whose keys begin with prefix, in the order of the
// server, which for most is that of the keys. An error ends it.
func (s *S3) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		ctx, stop := context.WithCancel(ctx) // ends the listing when it is left early
		defer stop()
		what := "list " + s.URL(prefix)
		for o := range s.client.ListObjectsIter(ctx, s.config.Bucket, minio.ListObjectsOptions{Prefix: s.full(prefix), Recursive: true}) {
			if o.Err != nil {
				yield(Object{}, s.fault(what, o.Err))
				return
			}
			key := strings.TrimPrefix(o.Key, s.full(""))
			if key == "" || strings.HasSuffix(key, "/") { // what some tools leave to mark a folder
				continue
			}
			if !yield(Object{Key: key, Size: o.Size, ETag: o.ETag, Modified: o.LastModified}, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(Object{}, fmt.Errorf("%s: %w", what, err))
		}
	}
}

// Names lists what lies directly below a prefix that ends with a slash: names of
// objects, and of folders with a slash at their end.
func (s *S3) Names(ctx context.Context, prefix string) ([]string, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	what, below := "list "+s.URL(prefix), s.full(prefix)
	var names []string
	for o := range s.client.ListObjectsIter(ctx, s.config.Bucket, minio.ListObjectsOptions{Prefix: below}) {
		if o.Err != nil {
			return nil, s.fault(what, o.Err)
		}
		if name := strings.TrimPrefix(o.Key, below); name != "" {
			names = append(names, name)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return names, nil
}

// Remove deletes objects, a thousand in one request; those that are not there
// are no error. What can be deleted is, whatever becomes of the others.
func (s *S3) Remove(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	objects := func(yield func(minio.ObjectInfo) bool) {
		for _, k := range keys {
			if !yield(minio.ObjectInfo{Key: s.full(k)}) {
				return
			}
		}
	}
	what := "remove " + s.URL(keys[0])
	if len(keys) > 1 {
		what = fmt.Sprintf("remove %d objects of %s", len(keys), s.URL(""))
	}
	results, err := s.client.RemoveObjectsWithIter(ctx, s.config.Bucket, objects, minio.RemoveObjectsOptions{})
	if err != nil {
		return s.fault(what, err)
	}
	var first error
	failed := 0
	for r := range results {
		if r.Err == nil || minio.ToErrorResponse(r.Err).Code == minio.NoSuchKey {
			continue
		}
		failed++
		if first == nil {
			first = s.fault(what, r.Err)
		}
	}
	switch {
	case failed > 1:
		return fmt.Errorf("%d were not removed, the first of them: %w", failed, first)
	case first != nil:
		return first
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
	return nil
}

// errStalled is the cause of a transfer's end when nothing moved.
var errStalled = errors.New("no byte moved")

// watched returns a context that ends with errStalled unless moved is called
// now and then.
func (s *S3) watched(ctx context.Context) (_ context.Context, moved, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	t := time.AfterFunc(s.stall, func() { cancel(fmt.Errorf("%w for %s", errStalled, s.stall)) })
	return ctx, func() { t.Reset(s.stall) }, func() {
		t.Stop()
		cancel(nil)
	}
}

// pause waits before try n, counted from 1, or until ctx ends.
func pause(ctx context.Context, n int) error {
	return feedlake.Sleep(ctx, min(100*time.Millisecond<<n, 2*time.Second))
}

// Signed is the configuration with the credentials that hold at this moment: for
// others who read the bucket and can take only static ones. Those of a role
// expire.
func (s *S3) Signed(ctx context.Context) (S3Config, error) {
	c := s.config
	v, err := s.creds.GetWithContext(&credentials.CredContext{Context: ctx})
	if err != nil {
		return c, fmt.Errorf("get credentials of %s: %w", s.config, err)
	}
	c.Key, c.Secret, c.Token = v.AccessKeyID, v.SecretAccessKey, v.SessionToken
	return c, nil
}

// Expires is when the credentials of this moment end; zero: never.
func (s *S3) Expires(ctx context.Context) (time.Time, error) {
	v, err := s.creds.GetWithContext(&credentials.CredContext{Context: ctx})
	return v.Expiration, err
}

// Client is the connection itself, for what this package does not do.
func (s *S3) Client() *minio.Client { return s.client }
