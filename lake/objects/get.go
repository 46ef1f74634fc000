package objects

import (
	"bytes"
	"context"
	"crypto/md5" // #nosec G501 -- S3's ETag is defined by it
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/feedlake/feedlake"
)

// Get downloads an object to path, which appears whole or not at all. size is
// what the object must have, or negative; with another the error is
// feedlake.ErrRejected, as for one whose checksum is wrong. A body that is cut, or stands still,
// is continued from where it ended, only if the object is still the same.
func (s *S3) Get(ctx context.Context, key, path string, size int64) (err error) {
	what := "download " + s.URL(key)
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer func() {
		if err != nil {
			_, _ = f.Close(), os.Remove(f.Name()) // the first error is the one to tell
		}
	}()
	if err := s.download(ctx, key, size, fileSink{f}); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// GetBytes returns the content of an object, or feedlake.ErrNotFound.
func (s *S3) GetBytes(ctx context.Context, key string) ([]byte, error) {
	var b memorySink
	if err := s.download(ctx, key, -1, &b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// sink takes a download; restart throws away what it has.
type sink interface {
	io.Writer
	restart() error
}

type fileSink struct{ *os.File }

func (f fileSink) restart() error {
	_, err := f.Seek(0, io.SeekStart)
	return errors.Join(err, f.Truncate(0))
}

type memorySink struct{ bytes.Buffer }

func (b *memorySink) restart() error {
	b.Reset()
	return nil
}

// localError is one of the sink: no reason to ask the server again.
type localError struct{ error }

func (e localError) Unwrap() error { return e.error }

// errSpoiled says that bytes arrived which the server's checksum denies.
var errSpoiled = errors.New("the bytes do not fit the object's checksum")

// errReplaced says that the object changed while it was read.
var errReplaced = errors.New("the object was replaced while it was read")

// download fills to, over as many requests as it takes.
func (s *S3) download(ctx context.Context, key string, size int64, to sink) error {
	what := "download " + s.URL(key)
	d := &transfer{key: key, size: size, to: to}
	idle, restarts := 0, 0 // tries without progress, and in all from the beginning
	for {
		before := d.done
		err := s.stretch(ctx, d)
		if err == nil {
			return nil
		}
		var local localError
		switch code := minio.ToErrorResponse(err).Code; {
		case errors.As(err, &local):
			return fmt.Errorf("%s: %w", what, local.error)
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case errors.Is(err, feedlake.ErrRejected):
			return fmt.Errorf("%s: %w", what, err)
		case code == minio.PreconditionFailed:
			err = errReplaced
		case code != "":
			return s.fault(what, err)
		}
		idle++
		if d.done > before {
			idle = 1
		}
		if errors.Is(err, errSpoiled) || errors.Is(err, errReplaced) {
			restarts++
			if err := d.restart(); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
		}
		if idle >= bodyTries || restarts >= bodyTries {
			return s.fault(what, err)
		}
		if err := pause(ctx, max(idle, restarts)); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}

// transfer is the state of a download between requests.
type transfer struct {
	key  string
	size int64 // of the object; negative until it is known
	to   sink
	done int64
	etag string

	sum  hash.Hash // nil when the server gives nothing to compare with
	want []byte
}

func (d *transfer) restart() error {
	d.done, d.etag, d.sum = 0, "", nil
	return d.to.restart()
}

// stretch reads on until the end or the next fault.
func (s *S3) stretch(ctx context.Context, d *transfer) error {
	opts := minio.GetObjectOptions{}
	if d.done > 0 {
		if err := errors.Join(opts.SetRange(d.done, 0), opts.SetMatchETag(d.etag)); err != nil {
			return localError{err}
		}
	} else {
		opts.Checksum = true
	}
	ctx, moved, stop := s.watched(ctx)
	defer stop()
	r, info, header, err := s.core().GetObject(ctx, s.config.Bucket, s.full(d.key), opts)
	if err == nil {
		defer r.Close() //nolint:errcheck // the end of the body has been seen, or its error
		err = d.take(r, info, header, moved)
	}
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errStalled) {
		return cause
	}
	return err
}

func (d *transfer) take(r io.Reader, info minio.ObjectInfo, header http.Header, moved func()) error {
	if d.done == 0 {
		if d.size >= 0 && info.Size != d.size {
			return fmt.Errorf("it has %d bytes, not %d: %w", info.Size, d.size, feedlake.ErrRejected)
		}
		d.size, d.etag = info.Size, info.ETag
		d.sum, d.want = proof(info, header)
	} else if info.ETag != d.etag || !strings.HasPrefix(header.Get("Content-Range"), fmt.Sprintf("bytes %d-", d.done)) {
		return errReplaced // or a server that knows no ranges: from the beginning
	}
	buf := make([]byte, min(d.size-d.done, 128<<10))
	for d.done < d.size {
		n, err := r.Read(buf[:min(int64(len(buf)), d.size-d.done)])
		if n > 0 {
			moved()
			if _, err := d.to.Write(buf[:n]); err != nil {
				return localError{err}
			}
			if d.sum != nil {
				d.sum.Write(buf[:n])
			}
			d.done += int64(n)
		}
		if err != nil && d.done < d.size {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("cut after %d of %d bytes: %w", d.done, d.size, err)
		}
	}
	if d.sum != nil && !bytes.Equal(d.sum.Sum(nil), d.want) {
		return errSpoiled
	}
	return nil
}

// proof returns the hash that the server gives of the whole object, and its
// value: CRC-32C, or MD5 where the ETag is one. It is neither for an object of
// many parts or one encrypted with a key of its own.
func proof(info minio.ObjectInfo, header http.Header) (hash.Hash, []byte) {
	if sum, err := base64.StdEncoding.DecodeString(info.ChecksumCRC32C); err == nil && len(sum) == crc32.Size {
		return crc32.New(crc32.MakeTable(crc32.Castagnoli)), sum
	}
	sse := header.Get("X-Amz-Server-Side-Encryption")
	if sum, err := hex.DecodeString(info.ETag); err == nil && len(sum) == md5.Size && (sse == "" || sse == "AES256") && header.Get("X-Amz-Server-Side-Encryption-Customer-Algorithm") == "" {
		return md5.New(), sum // #nosec G401 -- see the import
	}
	return nil, nil
}
