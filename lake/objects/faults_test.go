package objects

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/feedlake/feedlake"
)

// proxy stands between the client and a store and spoils requests.
type proxy struct {
	mu    sync.Mutex
	spoil func(w http.ResponseWriter, r *http.Request, next http.Handler)
}

func (p *proxy) set(spoil func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spoil = spoil
}

// behind opens a fresh bucket of the store through a proxy.
func behind(t *testing.T, srv server) (*proxy, *S3) {
	t.Helper()
	target, err := url.Parse(srv.url)
	if err != nil {
		t.Fatal(err)
	}
	next := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p := &proxy{}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		spoil := p.spoil
		p.mu.Unlock()
		if spoil != nil {
			spoil(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	c := srv.config(srv.bucket(t))
	c.Endpoint = front.URL
	s := openS3(t, c)
	s.stall = 2 * time.Second
	return p, s
}

// times lets a fault meet the first n requests that match, and counts all that do.
func times(n int64, match func(*http.Request) bool, fault func(w http.ResponseWriter, r *http.Request, next http.Handler)) (func(http.ResponseWriter, *http.Request, http.Handler), *atomic.Int64) {
	var seen atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if match(r) && seen.Add(1) <= n {
			fault(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}, &seen
}

func method(names ...string) func(*http.Request) bool {
	return func(r *http.Request) bool { return strings.Contains(strings.Join(names, " "), r.Method) }
}

// slowDown is the answer of a store that has too much to do.
func slowDown(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`)
}

// cutUp ends the connection in the middle of an upload.
func cutUp(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.CopyN(io.Discard, r.Body, 700)
	panic(http.ErrAbortHandler)
}

// cutDown ends the connection in the middle of a download.
func cutDown(after int64) func(w http.ResponseWriter, r *http.Request, next http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&cutWriter{ResponseWriter: w, left: after}, r)
	}
}

type cutWriter struct {
	http.ResponseWriter
	left  int64
	stall <-chan struct{} // at the cut it stands still until then, if not nil
}

func (c *cutWriter) Write(p []byte) (int, error) {
	if int64(len(p)) <= c.left {
		c.left -= int64(len(p))
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	if f, ok := c.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
	if c.stall != nil {
		<-c.stall
	}
	panic(http.ErrAbortHandler)
}

// loseAnswer lets the request take effect and ends the connection.
func loseAnswer(_ http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithoutCancel(r.Context())))
	panic(http.ErrAbortHandler)
}

// flipUp spoils a byte on the way to the store.
func flipUp(w http.ResponseWriter, r *http.Request, next http.Handler) {
	b, err := io.ReadAll(r.Body)
	if err != nil || len(b) == 0 {
		panic(http.ErrAbortHandler)
	}
	b[len(b)/2] ^= 1
	r.Body = io.NopCloser(bytes.NewReader(b))
	next.ServeHTTP(w, r)
}

// flipDown spoils a byte on the way back.
func flipDown(w http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(&flipWriter{ResponseWriter: w}, r)
}

type flipWriter struct {
	http.ResponseWriter
	done bool
}

func (f *flipWriter) Write(p []byte) (int, error) {
	if len(p) > 0 && !f.done {
		p = bytes.Clone(p)
		p[0] ^= 1
		f.done = true
	}
	return f.ResponseWriter.Write(p)
}

func faults(t *testing.T, srv server) {
	isPart := func(r *http.Request) bool { return r.Method == http.MethodPut && r.URL.Query().Has("partNumber") }
	isComplete := func(r *http.Request) bool {
		return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
	}
	for _, c := range []struct {
		name  string
		size  int
		n     int64
		match func(*http.Request) bool
		fault func(w http.ResponseWriter, r *http.Request, next http.Handler)
		again int64 // requests that must at least match, faults and tries after them
	}{
		{"storm, upload", 5000, 4, method("PUT"), slowDown, 5},
		{"storm, parts", 11 << 20, 4, method("PUT", "POST"), slowDown, 5},
		{"storm, download", 5000, 4, method("GET"), slowDown, 5},
		{"cut upload", 1 << 20, 2, method("PUT"), cutUp, 3},
		{"cut part", 11 << 20, 2, isPart, cutUp, 5},
		{"cut download", 1 << 20, 3, method("GET"), cutDown(100_000), 4},
		{"cut at the first byte", 5000, 3, method("GET"), cutDown(0), 4},
		{"answer of an upload lost", 5000, 1, method("PUT"), loseAnswer, 2},
		{"answer of a part lost", 11 << 20, 1, isPart, loseAnswer, 4},
		{"answer of the last request lost", 11 << 20, 1, isComplete, loseAnswer, 2},
		{"spoiled upload", 5000, 1, method("PUT"), flipUp, 2},
		{"spoiled part", 11 << 20, 1, isPart, flipUp, 4},
		{"spoiled download", 5000, 1, method("GET"), flipDown, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, s := behind(t, srv)
			fault, seen := times(c.n, c.match, c.fault)
			p.set(fault)
			b := noise(c.size, 7)
			o, err := s.Put(t.Context(), "key", write(t, b))
			if err != nil || o.Size != int64(c.size) || o.ETag == "" {
				t.Fatalf("%v, %v", o, err)
			}
			same(t, s, "key", b)
			if seen.Load() < c.again {
				t.Errorf("%d requests, want %d: the fault was not met", seen.Load(), c.again)
			}
		})
	}
	t.Run("damaged for good", func(t *testing.T) {
		t.Parallel()
		p, s := behind(t, srv)
		if _, err := s.PutBytes(t.Context(), "key", noise(5000, 1), false); err != nil {
			t.Fatal(err)
		}
		p.set(flipDown)
		_, err := s.GetBytes(t.Context(), "key")
		hinted(t, err, feedlake.ErrRejected, "damaged")
	})
	t.Run("replaced again and again", func(t *testing.T) {
		t.Parallel()
		p, s := behind(t, srv)
		if _, err := s.PutBytes(t.Context(), "key", noise(5000, 1), false); err != nil {
			t.Fatal(err)
		}
		p.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Header.Get("Range") != "" { // before every second piece
				w.WriteHeader(http.StatusPreconditionFailed)
				return
			}
			cutDown(1000)(w, r, next)
		})
		_, err := s.GetBytes(t.Context(), "key")
		hinted(t, err, feedlake.ErrRejected, "somebody writes")
	})
	t.Run("no conditions", func(t *testing.T) { noConditions(t, srv) })
	t.Run("resumes", func(t *testing.T) { resumes(t, srv) })
	t.Run("stands still", func(t *testing.T) { standsStill(t, srv) })
	t.Run("slow", func(t *testing.T) { slow(t, srv) })
	t.Run("replaced meanwhile", func(t *testing.T) { replaced(t, srv) })
	t.Run("down for good", func(t *testing.T) {
		t.Parallel()
		down(t, srv)
	})
	t.Run("answer of a removal lost", func(t *testing.T) {
		p, s := behind(t, srv)
		if _, err := s.PutBytes(t.Context(), "key", []byte("x"), false); err != nil {
			t.Fatal(err)
		}
		fault, _ := times(1, method("POST"), loseAnswer)
		p.set(fault)
		if err := s.Remove(t.Context(), "key"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Stat(t.Context(), "key"); !errors.Is(err, feedlake.ErrNotFound) {
			t.Errorf("error %v, want not found", err)
		}
	})
}

// resumes wants a download that is cut often to read each byte about once.
func resumes(t *testing.T, srv server) {
	p, s := behind(t, srv)
	b := noise(4<<20, 3)
	if _, err := s.PutBytes(t.Context(), "key", b, false); err != nil {
		t.Fatal(err)
	}
	var ranges []string
	p.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		ranges = append(ranges, r.Header.Get("Range")+" "+r.Header.Get("If-Match"))
		cutDown(1<<20)(w, r, next)
	})
	path := filepath.Join(t.TempDir(), "got")
	if err := s.Get(t.Context(), "key", path, int64(len(b))); err != nil {
		t.Fatal(err)
	}
	if len(ranges) != 4 || !strings.HasPrefix(ranges[3], "bytes=3145728- \"") {
		t.Errorf("requests: %q", ranges)
	}
}

// standsStill wants a transfer without progress to be given up and begun again.
func standsStill(t *testing.T, srv server) {
	p, s := behind(t, srv)
	s.stall = 200 * time.Millisecond
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	b := noise(1<<20, 3)
	fault, seen := times(1, method("PUT"), func(http.ResponseWriter, *http.Request, http.Handler) {
		<-end
		panic(http.ErrAbortHandler)
	})
	p.set(fault)
	if _, err := s.PutBytes(t.Context(), "key", b, false); err != nil || seen.Load() != 2 {
		t.Fatalf("after %d requests: %v", seen.Load(), err)
	}
	fault, seen = times(1, method("GET"), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&cutWriter{ResponseWriter: w, left: 1000, stall: end}, r)
	})
	p.set(fault)
	same(t, s, "key", b)
	if seen.Load() != 3 {
		t.Errorf("%d requests, want 3", seen.Load())
	}
}

// noConditions is a store that refuses If-None-Match: nothing is overwritten either.
func noConditions(t *testing.T, srv server) {
	p, s := behind(t, srv)
	fault, seen := times(100, func(r *http.Request) bool { return r.Header.Get("If-None-Match") != "" }, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNotImplemented)
		_, _ = io.WriteString(w, `<Error><Code>NotImplemented</Code><Message>A header you provided implies functionality that is not implemented.</Message></Error>`)
	})
	p.set(fault)
	writtenOnce(t, s)
	if seen.Load() != 1 {
		t.Errorf("the store was asked %d times, want it noted after the first", seen.Load())
	}
}

// slow wants a transfer that goes on, however slowly, not to be given up.
func slow(t *testing.T, srv server) {
	p, s := behind(t, srv)
	s.stall = 500 * time.Millisecond
	b := noise(12_000, 3)
	if _, err := s.PutBytes(t.Context(), "key", b, false); err != nil {
		t.Fatal(err)
	}
	fault, seen := times(1, method("GET"), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&slowWriter{w, r.Context()}, r)
	})
	p.set(fault)
	if err := s.Get(t.Context(), "key", filepath.Join(t.TempDir(), "got"), int64(len(b))); err != nil || seen.Load() != 1 {
		t.Errorf("after %d requests: %v", seen.Load(), err)
	}
}

type slowWriter struct {
	http.ResponseWriter
	ctx context.Context //nolint:containedctx // of the one request
}

func (s *slowWriter) Write(p []byte) (int, error) {
	for n := 0; n < len(p); n += 1000 {
		if _, err := s.ResponseWriter.Write(p[n:min(n+1000, len(p))]); err != nil {
			return n, err
		}
		if f, ok := s.ResponseWriter.(http.Flusher); ok {
			f.Flush()
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-s.ctx.Done():
			return n, s.ctx.Err()
		}
	}
	return len(p), nil
}

// replaced wants no mixture of two objects when the key is written anew between
// two pieces.
func replaced(t *testing.T, srv server) {
	p, s := behind(t, srv)
	before, after := noise(1<<20, 3), noise(1<<20, 4)
	if _, err := s.PutBytes(t.Context(), "key", before, false); err != nil {
		t.Fatal(err)
	}
	fault, seen := times(1, method("GET"), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		defer func() {
			cut := recover()
			if _, err := s.PutBytes(context.WithoutCancel(t.Context()), "key", after, true); err != nil {
				t.Error(err)
			}
			panic(cut)
		}()
		cutDown(300_000)(w, r, next)
	})
	p.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !srv.strict { // a store that knows no If-Match; elsewhere it is signed
			r.Header.Del("If-Match")
		}
		fault(w, r, next)
	})
	got, err := s.GetBytes(t.Context(), "key")
	if err != nil || !bytes.Equal(got, after) || seen.Load() != 3 {
		t.Errorf("after %d requests %d bytes, %v; want the new content", seen.Load(), len(got), err)
	}
}

// down wants faults that stay to end, as ones that may pass.
func down(t *testing.T, srv server) {
	p, s := behind(t, srv)
	if _, err := s.PutBytes(t.Context(), "key", noise(5000, 1), false); err != nil {
		t.Fatal(err)
	}
	p.set(cutDown(0))
	dir := t.TempDir()
	err := s.Get(t.Context(), "key", filepath.Join(dir, "got"), 5000)
	var retry *feedlake.RetryError
	if !errors.As(err, &retry) {
		t.Errorf("error %v, want one that may pass", err)
	}
	hinted(t, err, retry, "reachable")
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
	p.set(slowDown)
	_, err = s.PutBytes(t.Context(), "other", []byte("x"), false)
	if !errors.As(err, &retry) {
		t.Errorf("error %v, want one that may pass", err)
	}
	hinted(t, err, retry, "overloaded")
	c := s.config
	c.Endpoint = "http://127.0.0.1:1"
	_, err = OpenS3(t.Context(), c)
	if !errors.As(err, &retry) {
		t.Errorf("error %v, want one that may pass", err)
	}
	hinted(t, err, retry, "is the server up")
}

func TestTLSMismatch(t *testing.T) {
	tls := httptest.NewUnstartedServer(http.NotFoundHandler())
	tls.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	tls.StartTLS()
	t.Cleanup(tls.Close)
	c := S3Config{Endpoint: strings.Replace(tls.URL, "https:", "http:", 1), Bucket: "data", Key: "key", Secret: "hush-hush"}
	_, err := OpenS3(t.Context(), c)
	hinted(t, err, feedlake.ErrConfig, "write https://")
	c.Endpoint = tls.URL
	_, err = OpenS3(t.Context(), c)
	hinted(t, err, feedlake.ErrConfig, "certificate")
}
