package files_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/files"
)

// TestSilentS3 wants a server that takes a request and says nothing, or stops in
// the middle of an object, to be an error that is tried again, not a wait for
// ever.
func TestSilentS3(t *testing.T) {
	t.Parallel()
	const listing = `<ListBucketResult><Name>data</Name><KeyCount>1</KeyCount><IsTruncated>false</IsTruncated>` +
		`<Contents><Key>a.ndjson</Key><Size>1000</Size><ETag>"x"</ETag><LastModified>2026-01-01T00:00:00Z</LastModified></Contents></ListBucketResult>`
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	hang := func(r *http.Request) {
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}
	for name, object := range map[string]func(w http.ResponseWriter, r *http.Request){
		"before the listing": nil,
		"in the listing":     func(http.ResponseWriter, *http.Request) {},
		"in an object": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.Header().Set("ETag", `"x"`)
			w.Header().Set("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
			if r.Method == http.MethodHead {
				return
			}
			_, _ = io.WriteString(w, `{"id":"1",`)
			_ = http.NewResponseController(w).Flush()
			hang(r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case object == nil:
					hang(r)
				case r.URL.Query().Has("list-type"):
					if name == "in the listing" {
						_, _ = io.WriteString(w, listing[:40])
						_ = http.NewResponseController(w).Flush()
						hang(r)
						return
					}
					_, _ = io.WriteString(w, listing)
				default:
					object(w, r)
				}
			}))
			t.Cleanup(server.Close)
			config := fmt.Sprintf("path: s3://data/*.ndjson\ns3: {endpoint: %s, key: k, secret: s, region: us-east-1, path_style: true}\n%s", server.URL, plain)
			src, err := files.Impatient(openSource(t, "", config), 30*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err = src.Fetch(ctx, "")
			var again *feedlake.RetryError
			if !errors.As(err, &again) || ctx.Err() != nil {
				t.Errorf("%v, want an error that is tried again", err)
			}
		})
	}
}
