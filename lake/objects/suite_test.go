package objects

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sync/errgroup"

	"github.com/feedlake/feedlake"
)

// server is a store to test against.
type server struct {
	url, key, secret string
	strict           bool // it verifies signatures, and keeps the condition when parts are put together
}

func TestFake(t *testing.T) { suite(t, fakeServer(t)) }

// fakeServer serves S3 from memory.
func fakeServer(t testing.TB) server {
	t.Helper()
	s := httptest.NewServer(gofakes3.New(s3mem.New(), gofakes3.WithoutVersioning()).Server())
	t.Cleanup(s.Close)
	return server{url: s.URL, key: "key", secret: "hush-hush"}
}

// bucket makes an empty bucket and removes it in the end.
func (s server) bucket(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	c, err := minio.New(u.Host, &minio.Options{Creds: credentials.NewStaticV4(s.key, s.secret, ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("feedlake-test-%x", rand.Uint64())
	if err := c.MakeBucket(t.Context(), name, minio.MakeBucketOptions{}); err != nil {
		t.Fatalf("%s: %v", s.url, err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		for o := range c.ListObjectsIter(ctx, name, minio.ListObjectsOptions{Recursive: true}) {
			if err := c.RemoveObject(ctx, name, o.Key, minio.RemoveObjectOptions{}); err != nil {
				t.Error(err)
			}
		}
		for o := range c.ListIncompleteUploads(ctx, name, "", true) {
			if minio.ToErrorResponse(o.Err).Code == minio.NoSuchUpload { // gofakes3 says so when there is none
				continue
			}
			t.Errorf("an incomplete upload was left: %s, %v", o.Key, o.Err)
			if err := c.RemoveIncompleteUpload(ctx, name, o.Key); err != nil {
				t.Error(err)
			}
		}
		if err := c.RemoveBucket(ctx, name); err != nil {
			t.Error(err)
		}
	})
	return name
}

func (s server) config(bucket string) S3Config {
	return S3Config{Endpoint: s.url, Bucket: bucket, Prefix: "lakes/one", Key: s.key, Secret: s.secret}
}

// open opens a bucket of its own for the test.
func (s server) open(t testing.TB) *S3 {
	t.Helper()
	return openS3(t, s.config(s.bucket(t)))
}

func openS3(t testing.TB, c S3Config) *S3 {
	t.Helper()
	s, err := OpenS3(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	s.part = 5 << 20 // the least that S3 takes
	return s
}

// noise is content that nothing compresses, the same for the same seed.
func noise(size int, seed uint64) []byte {
	b := make([]byte, size)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func write(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// same fails the test unless the object holds b, read in both ways.
func same(t testing.TB, s *S3, key string, b []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "got")
	if err := s.Get(t.Context(), key, path, int64(len(b))); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, b) {
		t.Errorf("%s: %d bytes came back, and not those that were put", key, len(got))
	}
	if got, err = s.GetBytes(t.Context(), key); err != nil || !bytes.Equal(got, b) {
		t.Errorf("%s: GetBytes returns %d bytes and %v, want the %d that were put", key, len(got), err, len(b))
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); err != nil || len(left) != 1 {
		t.Errorf("beside the file there is %q", left)
	}
}

// hinted fails the test unless err is of the kind and its hint holds the words.
func hinted(t testing.TB, err, kind error, words string) {
	t.Helper()
	var hint *feedlake.HintError
	if !errors.Is(err, kind) || !errors.As(err, &hint) || !strings.Contains(hint.Hint, words) {
		text := ""
		if hint != nil {
			text = hint.Hint
		}
		t.Errorf("error %v, hint %q; want %v with a hint of %q", err, text, kind, words)
	}
	if err != nil && strings.Contains(fmt.Sprintf("%+v %v", err, hint), "hush") {
		t.Errorf("the secret shows: %v", err)
	}
}

// suite is what every store must do.
func suite(t *testing.T, srv server) {
	t.Run("round trip", func(t *testing.T) {
		s := srv.open(t)
		for i, key := range []string{"raw/posts/data/day=2026-01-01/part 1+2%20&ü.parquet", "a", "b/c/metadata.json", "d", "e"} {
			b := noise([]int{0, 1, 1 << 20, 5<<20 + 1, 12 << 20}[i], uint64(i))
			o, err := s.Put(t.Context(), key, write(t, b))
			if err != nil {
				t.Fatal(err)
			}
			stat, err := s.Stat(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if stat.Modified.IsZero() {
				t.Error("no time of change")
			}
			stat.Modified = time.Time{}
			if !srv.strict { // gofakes3 gives two for an object of parts
				o.ETag = stat.ETag
			}
			if d := cmp.Diff(Object{Key: key, Size: int64(len(b)), ETag: stat.ETag}, o); d != "" || o.ETag == "" || stat != o {
				t.Errorf("put and stat: %s, stat %v", d, stat)
			}
			same(t, s, key, b)
		}
	})
	t.Run("written once", func(t *testing.T) { writtenOnce(t, srv.open(t)) })
	t.Run("one of many wins", func(t *testing.T) { oneWins(t, srv) })
	t.Run("bytes", func(t *testing.T) {
		s := srv.open(t)
		for _, text := range []string{"first", "second"} {
			if _, err := s.PutBytes(t.Context(), "hint.text", []byte(text), true); err != nil {
				t.Fatal(err)
			}
			same(t, s, "hint.text", []byte(text))
			same(t, s, s.URL("hint.text"), []byte(text))
		}
		if _, err := s.PutBytes(t.Context(), "hint.text", []byte("secont"), false); !errors.Is(err, feedlake.ErrConflict) {
			t.Errorf("error %v, want a conflict", err)
		}
		same(t, s, "hint.text", []byte("second"))
	})
	t.Run("missing", func(t *testing.T) {
		s := srv.open(t)
		path := filepath.Join(t.TempDir(), "file")
		_, err1 := s.Stat(t.Context(), "none")
		_, err2 := s.GetBytes(t.Context(), "none")
		for _, err := range []error{err1, err2, s.Get(t.Context(), "none", path, 3)} {
			if !errors.Is(err, feedlake.ErrNotFound) {
				t.Errorf("error %v, want not found", err)
			}
		}
		if _, err := s.PutBytes(t.Context(), "four", []byte("1234"), false); err != nil {
			t.Fatal(err)
		}
		if err := s.Get(t.Context(), "four", path, 3); !errors.Is(err, feedlake.ErrRejected) || !strings.Contains(err.Error(), "4 bytes, not 3") {
			t.Errorf("error %v, want one of the size", err)
		}
		if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	t.Run("list and remove", func(t *testing.T) { listAndRemove(t, srv.open(t)) })
	t.Run("faults of the settings", func(t *testing.T) { badSettings(t, srv) })
	t.Run("faults of the network", func(t *testing.T) { faults(t, srv) })
}

func writtenOnce(t *testing.T, s *S3) {
	for _, size := range []int{1000, 11 << 20} {
		key, b := fmt.Sprint("size-", size), noise(size, 1)
		path := write(t, b)
		for range 2 { // the second is a retry after a lost answer
			if o, err := s.Put(t.Context(), key, path); err != nil || o.Size != int64(size) {
				t.Fatalf("%v, %v", o, err)
			}
		}
		other := slices.Clone(b)
		other[size-1]++
		for _, c := range [][]byte{other, b[1:], append(slices.Clone(b), 0)} {
			if _, err := s.Put(t.Context(), key, write(t, c)); !errors.Is(err, feedlake.ErrConflict) {
				t.Errorf("%d bytes over %d: error %v, want a conflict", len(c), size, err)
			}
		}
		same(t, s, key, b)
	}
}

// oneWins lets writers of different contents race for one key.
func oneWins(t *testing.T, srv server) {
	s := srv.open(t)
	for _, size := range []int{1000, 6 << 20} {
		if size > 5<<20 && !srv.strict {
			continue
		}
		var won atomic.Int64
		var g errgroup.Group
		key := fmt.Sprint("size-", size)
		paths := make([]string, 6)
		for i := range paths {
			paths[i] = write(t, noise(size, uint64(i)))
		}
		for i, path := range paths {
			g.Go(func() error {
				_, err := s.Put(t.Context(), key, path)
				if err == nil {
					if n := won.Swap(int64(i) + 1); n != 0 {
						return fmt.Errorf("%d and %d both won", n-1, i)
					}
				} else if !errors.Is(err, feedlake.ErrConflict) {
					return err
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if won.Load() == 0 {
			t.Fatal("nobody won")
		}
		same(t, s, key, noise(size, uint64(won.Load()-1)))
	}
}

func listAndRemove(t *testing.T, s *S3) {
	const n = 1100 // more than one answer holds
	want := make([]string, n)
	var g errgroup.Group
	g.SetLimit(16)
	for i := range want {
		want[i] = fmt.Sprintf("t/%04d.parquet", i)
		g.Go(func() error {
			_, err := s.PutBytes(t.Context(), want[i], []byte("x"), false)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutBytes(t.Context(), "u/1", []byte("yy"), false); err != nil {
		t.Fatal(err)
	}
	keys := func(prefix string) (got []string) {
		for o, err := range s.List(t.Context(), prefix) {
			if err != nil {
				t.Fatal(err)
			}
			if o.Size == 0 || o.ETag == "" || o.Modified.IsZero() {
				t.Fatalf("listed without its facts: %+v", o)
			}
			got = append(got, o.Key)
		}
		slices.Sort(got)
		return got
	}
	if d := cmp.Diff(want, keys("t/")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(append(slices.Clone(want), "u/1"), keys("")); d != "" {
		t.Error(d)
	}
	seen := 0
	for _, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == 3 {
			break
		}
	}
	if err := s.Remove(t.Context(), append(want, "t/none", "v")...); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), "t/none"); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"u/1"}, keys("")); d != "" {
		t.Error(d)
	}
}

func badSettings(t *testing.T, srv server) {
	good := srv.config(srv.bucket(t))
	try := func(change func(*S3Config)) error {
		c := good
		change(&c)
		_, err := OpenS3(t.Context(), c)
		return err
	}
	hinted(t, try(func(c *S3Config) { c.Bucket = "feedlake-test-none" }), feedlake.ErrConfig, `create the bucket "feedlake-test-none"`)
	hinted(t, try(func(c *S3Config) { c.Endpoint = strings.Replace(c.Endpoint, "http:", "https:", 1) }), feedlake.ErrConfig, "write http://")
	hinted(t, try(func(c *S3Config) { c.Endpoint += "/" + c.Bucket }), feedlake.ErrConfig, "the server alone")
	hinted(t, try(func(c *S3Config) { c.Secret = "" }), feedlake.ErrConfig, "give both")
	if !srv.strict {
		return
	}
	hinted(t, try(func(c *S3Config) { c.Key = "someone-else" }), feedlake.ErrConfig, `does not know the access key "someone-else"`)
	hinted(t, try(func(c *S3Config) { c.Secret = "hush-another" }), feedlake.ErrConfig, "correct the secret")
	for _, by := range []time.Duration{-time.Hour, time.Hour} {
		hinted(t, try(func(c *S3Config) { c.Transport = skewed{by} }), feedlake.ErrConfig, map[bool]string{true: "behind", false: "ahead of"}[by < 0])
	}
}

// skewed sends requests as a machine does whose clock is wrong. It changes them
// in place on purpose: what signed them is what the wrong clock would have signed.
type skewed struct{ by time.Duration }

func (s skewed) RoundTrip(r *http.Request) (*http.Response, error) {
	const layout = "20060102T150405Z"
	at, err := time.Parse(layout, r.Header.Get("X-Amz-Date"))
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Amz-Date", at.Add(s.by).Format(layout))
	return http.DefaultTransport.RoundTrip(r)
}
