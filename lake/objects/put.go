package objects

import (
	"bytes"
	"context"
	"crypto/md5" // #nosec G501 -- S3's ETag and Content-MD5 are defined by it
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"strconv"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/feedlake/feedlake"
)

const crcHeader = "X-Amz-Checksum-Crc32c"

// source is what is uploaded.
type source struct {
	io.ReaderAt
	size int64
}

// Put uploads a local file: in parts when it is large, with checksums that the
// server verifies, again after faults that may pass. It never overwrites: an
// object that is there already with the same content is success, as after an
// answer that was lost; with another content the error is feedlake.ErrConflict.
// After a *feedlake.RetryError the same call may be made again.
func (s *S3) Put(ctx context.Context, key, path string) (Object, error) {
	f, err := os.Open(path)
	if err != nil {
		return Object{}, fmt.Errorf("upload %s: %w", s.URL(key), err)
	}
	defer f.Close() //nolint:errcheck // read only
	info, err := f.Stat()
	if err != nil {
		return Object{}, fmt.Errorf("upload %s: %w", s.URL(key), err)
	}
	return s.put(ctx, key, source{f, info.Size()}, false)
}

// PutBytes is Put for what is in memory. With overwrite the object holds b
// afterwards, whatever it held before; the last writer wins.
func (s *S3) PutBytes(ctx context.Context, key string, b []byte, overwrite bool) (Object, error) {
	return s.put(ctx, key, source{bytes.NewReader(b), int64(len(b))}, overwrite)
}

func (s *S3) put(ctx context.Context, key string, src source, overwrite bool) (Object, error) {
	what := "upload " + s.URL(key)
	// Some servers ignore the condition when parts are put together, and a large upload in vain is dear: look first.
	look := !overwrite && (src.size > s.part || s.unconditional.Load())
	for n := 1; ; n++ {
		if look {
			if o, err := s.settle(ctx, key, src); !errors.Is(err, feedlake.ErrNotFound) {
				return o, err
			}
		}
		etag, err := s.putOnce(ctx, key, src, !overwrite && !s.unconditional.Load())
		if err == nil {
			return Object{Key: key, Size: src.size, ETag: etag}, nil
		}
		look = false
		var local *os.PathError
		code := minio.ToErrorResponse(err).Code
		switch {
		case errors.As(err, &local), ctx.Err() != nil:
			return Object{}, fmt.Errorf("%s: %w", what, err)
		case !overwrite && (code == "NotImplemented" || code == minio.APINotSupported):
			s.unconditional.Store(true)
			look = true
		case !overwrite && (code == minio.PreconditionFailed || code == minio.NoSuchUpload || code == minio.Conflict || code == "ConditionalRequestConflict"):
			look = true // there already, perhaps by this very call
			if code == minio.PreconditionFailed {
				if o, err := s.settle(ctx, key, src); !errors.Is(err, feedlake.ErrNotFound) {
					return o, err
				}
			}
		case code == minio.NoSuchUpload, passes(code), errors.Is(err, errStalled):
		default:
			return Object{}, s.fault(what, err)
		}
		if n >= bodyTries {
			return Object{}, s.fault(what, err)
		}
		if err := pause(ctx, n); err != nil {
			return Object{}, fmt.Errorf("%s: %w", what, err)
		}
	}
}

// passes reports whether a refusal says that the bytes were spoiled or cut on
// the way, or that another request was in between: minio-go takes those for final.
func passes(code string) bool {
	switch code {
	case "BadDigest", "IncompleteBody", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "InvalidDigest", "OperationAborted":
		return true
	}
	return false
}

// putOnce uploads src and returns the ETag.
func (s *S3) putOnce(ctx context.Context, key string, src source, onlyNew bool) (string, error) {
	ctx, moved, stop := s.watched(ctx)
	defer stop()
	var etag string
	var err error
	if src.size > s.part {
		etag, err = s.putParts(ctx, key, src, onlyNew, moved)
	} else {
		etag, err = s.putWhole(ctx, key, src, onlyNew, moved)
	}
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errStalled) {
		err = cause
	}
	return etag, err
}

func (s *S3) core() minio.Core { return minio.Core{Client: s.client} }

func (s *S3) putWhole(ctx context.Context, key string, src source, onlyNew bool, moved func()) (string, error) {
	p, err := src.piece(0, src.size)
	if err != nil {
		return "", err
	}
	opts := putOptions(onlyNew)
	opts.UserMetadata = map[string]string{crcHeader: p.crcText()}
	info, err := s.core().PutObject(ctx, s.config.Bucket, s.full(key), p.body(moved), p.size, p.md5, "", opts)
	return info.ETag, err
}

// putOptions leaves the signature of every chunk out: the two checksums are
// signed headers, so that they protect the body.
func putOptions(onlyNew bool) minio.PutObjectOptions {
	opts := minio.PutObjectOptions{DisableContentSha256: true}
	if onlyNew {
		opts.SetMatchETagExcept("*")
	}
	return opts
}

// putParts is minio-go's multipart upload with two differences: it sends the
// condition where it counts, when the parts are put together, and a part whose
// upload was cut is sent again.
func (s *S3) putParts(ctx context.Context, key string, src source, onlyNew bool, moved func()) (_ string, err error) {
	bucket, full := s.config.Bucket, s.full(key)
	opts := putOptions(false)
	opts.UserMetadata = map[string]string{"X-Amz-Checksum-Algorithm": "CRC32C"}
	upload, err := s.core().NewMultipartUpload(ctx, bucket, full, opts)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			s.abort(ctx, full, upload)
		}
	}()
	size := src.partSize(s.part)
	parts := make([]minio.CompletePart, (src.size+size-1)/size)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(partsAtOnce)
	for i := range parts {
		g.Go(func() error {
			off := int64(i) * size
			p, err := src.piece(off, min(size, src.size-off))
			if err != nil {
				return err
			}
			done, err := s.putPart(gctx, full, upload, i+1, p, moved)
			parts[i] = minio.CompletePart{PartNumber: i + 1, ETag: done.ETag, ChecksumCRC32C: done.ChecksumCRC32C}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	info, err := s.core().CompleteMultipartUpload(ctx, bucket, full, upload, parts, putOptions(onlyNew))
	return info.ETag, err
}

func (s *S3) putPart(ctx context.Context, full, upload string, number int, p piece, moved func()) (minio.ObjectPart, error) {
	for n := 1; ; n++ {
		done, err := s.core().PutObjectPart(ctx, s.config.Bucket, full, upload, number, p.body(moved), p.size, minio.PutObjectPartOptions{
			Md5Base64: p.md5, CustomHeader: http.Header{crcHeader: {p.crcText()}}, DisableContentSha256: true,
		})
		if err == nil || n >= bodyTries || !passes(minio.ToErrorResponse(err).Code) {
			return done, err
		}
		if err := pause(ctx, n); err != nil {
			return done, err
		}
	}
}

// abort removes the parts that came, which cost money as long as they lie there;
// also when ctx has ended. One that is still under way can outlive the first
// request, so that there are two. The error to tell is the one before.
func (s *S3) abort(ctx context.Context, full, upload string) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), stallAfter/4)
	defer stop()
	for range 2 {
		if err := s.core().AbortMultipartUpload(ctx, s.config.Bucket, full, upload); err != nil || pause(ctx, 0) != nil {
			return // there is none any more
		}
	}
}

// partSize is at least base, and so much that the parts are not too many.
func (src source) partSize(base int64) int64 {
	return max(base, (src.size+maxParts-1)/maxParts)
}

// piece is a part of a source with its checksums.
type piece struct {
	source
	off int64
	md5 string // base64
	crc uint32 // CRC-32C
}

func (src source) piece(off, size int64) (piece, error) {
	p := piece{source: source{src.ReaderAt, size}, off: off}
	sum, crc := md5.New(), crc32.New(crc32.MakeTable(crc32.Castagnoli)) // #nosec G401 -- see the import
	if _, err := io.Copy(io.MultiWriter(sum, crc), io.NewSectionReader(src, off, size)); err != nil {
		return piece{}, err
	}
	p.md5, p.crc = base64.StdEncoding.EncodeToString(sum.Sum(nil)), crc.Sum32()
	return p, nil
}

// crcText is the checksum as S3 writes it.
func (p piece) crcText() string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, p.crc))
}

// body returns a reader that minio-go can rewind for another try.
func (p piece) body(moved func()) io.Reader {
	return &body{io.NewSectionReader(p.ReaderAt, p.off, p.size), moved}
}

type body struct {
	*io.SectionReader
	moved func()
}

// Read reads on and says so.
func (b *body) Read(p []byte) (int, error) {
	b.moved()
	return b.SectionReader.Read(p)
}

// settle compares the object that is there with src: an answer, or
// feedlake.ErrConflict, or feedlake.ErrNotFound when none is there.
func (s *S3) settle(ctx context.Context, key string, src source) (Object, error) {
	what := "upload " + s.URL(key)
	o, err := s.client.StatObject(ctx, s.config.Bucket, s.full(key), minio.StatObjectOptions{Checksum: true})
	if err != nil {
		return Object{}, s.fault(what, err)
	}
	got := Object{Key: key, Size: o.Size, ETag: o.ETag, Modified: o.LastModified}
	if o.Size != src.size {
		return Object{}, feedlake.Hint(fmt.Errorf("%s: another object of %d bytes, not %d, has this key: %w", what, o.Size, src.size, feedlake.ErrConflict), "keys are written once: take a new one")
	}
	if o.ChecksumCRC32C != "" {
		sum, err := src.checksum(s.part)
		if err != nil {
			return Object{}, fmt.Errorf("%s: %w", what, err)
		}
		if o.ChecksumCRC32C == sum {
			return got, nil
		}
	}
	// No checksum, or parts cut elsewhere.
	same := &comparison{src: src}
	if err := s.download(ctx, key, src.size, same); err != nil && !errors.Is(err, errDiffers) {
		return Object{}, err
	} else if err == nil {
		return got, nil
	}
	return Object{}, feedlake.Hint(fmt.Errorf("%s: another object has this key: %w", what, feedlake.ErrConflict), "keys are written once: take a new one")
}

// checksum is the object's CRC-32C as S3 tells it: of the bytes for one that was
// put whole, of the parts' checksums for another.
func (src source) checksum(base int64) (string, error) {
	if src.size <= base {
		p, err := src.piece(0, src.size)
		return p.crcText(), err
	}
	var all []byte
	n, size := 0, src.partSize(base)
	for off := int64(0); off < src.size; off += size {
		p, err := src.piece(off, min(size, src.size-off))
		if err != nil {
			return "", err
		}
		all = binary.BigEndian.AppendUint32(all, p.crc)
		n++
	}
	p, err := source{bytes.NewReader(all), int64(len(all))}.piece(0, int64(len(all)))
	return p.crcText() + "-" + strconv.Itoa(n), err
}

var errDiffers = errors.New("the content differs")

// comparison is a sink that ends with errDiffers at the first difference.
type comparison struct {
	src source
	off int64
	buf []byte
}

func (c *comparison) Write(p []byte) (int, error) {
	if len(c.buf) < len(p) {
		c.buf = make([]byte, len(p))
	}
	if n, err := c.src.ReadAt(c.buf[:len(p)], c.off); n < len(p) {
		return 0, err
	}
	if !bytes.Equal(c.buf[:len(p)], p) {
		return 0, errDiffers
	}
	c.off += int64(len(p))
	return len(p), nil
}

func (c *comparison) restart() error {
	c.off = 0
	return nil
}
