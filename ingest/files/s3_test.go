package files_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/files"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// fakeS3 serves an in-memory bucket "data"; broken makes every answer a fault of
// the server.
type fakeS3 struct {
	t       *testing.T
	backend *s3mem.Backend
	server  *httptest.Server
	broken  atomic.Bool
}

func newFakeS3(t *testing.T) *fakeS3 {
	t.Helper()
	f := &fakeS3{t: t, backend: s3mem.New()}
	inner := gofakes3.New(f.backend).Server()
	f.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.broken.Load() {
			w.WriteHeader(http.StatusNotImplemented) // which the client does not retry by itself
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(f.server.Close)
	if err := f.backend.CreateBucket("data"); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fakeS3) put(key, content string) {
	f.t.Helper()
	c, err := minio.New(strings.TrimPrefix(f.server.URL, "http://"), &minio.Options{Creds: credentials.NewStaticV4("k", "s", ""), Region: "us-east-1", BucketLookup: minio.BucketLookupPath})
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := c.PutObject(f.t.Context(), "data", key, strings.NewReader(content), int64(len(content)), minio.PutObjectOptions{}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeS3) config(path string) string {
	return "path: s3://data/" + path + "\ns3: {endpoint: " + f.server.URL + ", key: AKIAKEY, secret: hush-hush, region: us-east-1, path_style: true}\n" + plain
}

func TestS3(t *testing.T) {
	f := newFakeS3(t)
	f.put("x/2020/a.ndjson.gz", gz(t, ndjson(0, 9)+"{\n"))
	f.put("x/2021/b.csv", table(9, 12))
	f.put("x/2021/c.parquet", parquetFile(t, 12, 15, 2))
	f.put("x/2021/d.txt", "not matched")
	f.put("y/a.ndjson", ndjson(90, 99))
	open := func(t *testing.T) ingest.Source {
		return files.Small(openSource(t, "", f.config("x/**/*.{ndjson.gz,csv,parquet}")))
	}
	sourcetest.Run(t, open)
	got, bad, end := sourcetest.Drain(t, open(t), "")
	if d := cmp.Diff(numbers(0, 15), ids(got)); d != "" || len(bad) != 1 {
		t.Errorf("%s, rejects %q", d, sourcetest.Reasons(bad))
	}
	if want := "s3://data/x/2020/a.ndjson.gz:10 (byte "; !strings.HasPrefix(bad[0].Position, want) || got[0].Query != "s3://data/x/2020/a.ndjson.gz" {
		t.Errorf("position %q, query %q", bad[0].Position, got[0].Query)
	}
	f.put("x/2021/b.csv", table(9, 13))
	more, bad, _ := sourcetest.Drain(t, open(t), end)
	if d := cmp.Diff(numbers(12, 13), ids(more)); d != "" || len(bad) > 0 {
		t.Errorf("grown object: %s, %q", d, sourcetest.Reasons(bad))
	}
	one, _, _ := sourcetest.Drain(t, openSource(t, "", f.config("y/a.ndjson")), "")
	if d := cmp.Diff(numbers(90, 99), ids(one)); d != "" {
		t.Errorf("path without glob: %s", d)
	}
}

func TestS3Errors(t *testing.T) {
	f := newFakeS3(t)
	f.put("a.ndjson", ndjson(0, 3))
	var hint *feedlake.HintError
	_, err := openSource(t, "", f.config("none/*")).Fetch(t.Context(), "")
	if !errors.Is(err, feedlake.ErrConfig) || !errors.As(err, &hint) || !strings.Contains(hint.Hint, "s3://data/none/*") {
		t.Errorf("nothing matches: %v", err)
	}
	_, err = openSource(t, "", strings.Replace(f.config("*"), "s3://data/", "s3://other/", 1)).Fetch(t.Context(), "")
	if !errors.Is(err, feedlake.ErrConfig) || !errors.As(err, &hint) {
		t.Errorf("no such bucket: %v", err)
	}
	src := openSource(t, "", f.config("*"))
	f.broken.Store(true)
	_, err = src.Fetch(t.Context(), "")
	if _, again := errors.AsType[*feedlake.RetryError](err); !again {
		t.Errorf("server out of order: %v, want a retry", err)
	}
	f.broken.Store(false)
	if got, _, _ := sourcetest.Drain(t, src, ""); len(got) != 3 {
		t.Errorf("after the fault: %d posts", len(got))
	}
	for _, err := range []error{err} {
		if s := fmt.Sprintf("%v %+v", err, err); strings.Contains(s, "hush") {
			t.Errorf("the secret stands in %s", s)
		}
	}
}

func TestSecretIsNotShown(t *testing.T) {
	c := files.Config{S3: &files.S3Config{Key: "k", Secret: "hush-hush"}}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", c.S3.Secret, "all", c.S3)
	for _, s := range []string{fmt.Sprint(c.S3), fmt.Sprintf("%+v %#v %q %s", c.S3, *c.S3, c.S3.Secret, c.S3.Secret), log.String()} {
		if strings.Contains(s, "hush") {
			t.Errorf("the secret stands in %s", s)
		}
	}
	if c.S3.Secret.Reveal() != "hush-hush" {
		t.Error("the secret is lost")
	}
}

// TestS3ConnectionBreaks cuts the connection in the middle of an object.
func TestS3ConnectionBreaks(t *testing.T) {
	text := noisy(0, 60000)
	var cut atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("list-type") {
			_, _ = io.WriteString(w, `<ListBucketResult><Name>data</Name><IsTruncated>false</IsTruncated><Contents><Key>a.ndjson</Key><Size>`+fmt.Sprint(len(text))+`</Size><LastModified>2020-01-01T00:00:00Z</LastModified><ETag>"e"</ETag></Contents></ListBucketResult>`)
			return
		}
		w.Header().Set("ETag", `"e"`)
		w.Header().Set("Last-Modified", "Wed, 01 Jan 2020 00:00:00 GMT")
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		if r.Method == http.MethodHead {
			return
		}
		n := len(text)
		if cut.Add(-1) >= 0 {
			n /= 2
		}
		_, _ = io.WriteString(w, text[:n])
	}))
	defer srv.Close()
	src := openSource(t, "", "path: s3://data/a.ndjson\ns3: {endpoint: "+srv.URL+", region: us-east-1, path_style: true}\n"+plain)
	cut.Store(1)
	var got []string
	retries := 0
	for cur := feedlake.Cursor(""); ; {
		p, err := src.Fetch(t.Context(), cur)
		if _, again := errors.AsType[*feedlake.RetryError](err); again {
			if retries++; retries > 3 {
				t.Fatal(err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ids(p.Posts)...)
		if len(p.Rejects) > 0 {
			t.Fatalf("rejects %q", sourcetest.Reasons(p.Rejects))
		}
		if cur = p.Next; p.Done {
			break
		}
	}
	if d := cmp.Diff(numbers(0, 60000), got); d != "" || retries != 1 {
		t.Errorf("%d records, %d retries", len(got), retries)
	}
}

func TestS3Cancel(t *testing.T) {
	f := newFakeS3(t)
	f.put("a.ndjson", ndjson(0, 3))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := openSource(t, "", f.config("*")).Fetch(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
