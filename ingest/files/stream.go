package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/text/transform"
)

// stream is an unpacked file seen through a window. It knows the place of the
// window's start and the digest of everything before it.
type stream struct {
	compressed *counter
	src        io.Reader
	release    func() // frees the unpacker; nil when there is nothing to free
	pack       string
	max        int // longest record
	block      int // the window is filled so far before records are cut from it; it grows to max

	buf    []byte
	r, w   int
	offset int64 // of buf[r] in the unpacked file
	line   int64 // that buf[r] stands in, from 1
	hash   *xxhash.Digest
	err    error // why src gives no more; io.EOF at its end
}

// counter counts what is read of a packed file, and keeps a fault of the disk or
// the network apart from a fault in the data.
type counter struct {
	r      io.Reader
	n      atomic.Int64
	err    error
	member bool // of an archive: its reader gives faults in the data, too
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) && (!c.member || !damaged(err)) {
		c.err = err
	}
	return n, err
}

func (c *counter) count() int64 { return c.n.Load() }

// lazy opens an unpacker with the first read, so that a file which is none is
// found out while reading.
type lazy struct {
	open func() (io.Reader, error)
	r    io.Reader
}

func (l *lazy) Read(p []byte) (int, error) {
	if l.r == nil {
		r, err := l.open()
		if err != nil {
			return 0, err
		}
		l.r = r
	}
	return l.r.Read(p)
}

// newStream opens raw; window is memory to use for the window, or nil.
func newStream(raw io.Reader, k fileKind, c Config, block int, window []byte) (*stream, error) {
	s := &stream{
		compressed: &counter{r: raw}, pack: k.pack, max: c.MaxRecord, block: block,
		line: 1, hash: xxhash.New(), buf: window[:cap(window)],
	}
	s.src = &lazy{open: func() (io.Reader, error) { return s.unpack(k, c) }}
	if cs := c.charset(); cs != nil {
		s.src = transform.NewReader(s.src, cs)
	} else if k.format != formatBSON {
		s.src = &marked{r: s.src}
	}
	return s, nil
}

// close frees the unpacker.
func (s *stream) close() {
	if s.release != nil {
		s.release()
	}
}

// window is what is read and not consumed yet.
func (s *stream) window() []byte { return s.buf[s.r:s.w] }

// ended reports that no more will come behind the window.
func (s *stream) ended() bool { return s.err != nil }

// fill reads until the window holds want bytes or the source ends. It returns an
// error only for a fault of the disk, the network or ctx.
func (s *stream) fill(ctx context.Context, want int) error {
	for s.w-s.r < want && s.err == nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.room(want + s.block)
		n, err := s.src.Read(s.buf[s.w:min(len(s.buf), s.r+want)])
		s.w += n
		s.err = err
	}
	return s.compressed.err
}

// more makes the window longer than it is.
func (s *stream) more(ctx context.Context) error {
	return s.fill(ctx, max(s.block, 2*(s.w-s.r)))
}

// room makes place behind the window for want bytes in all.
func (s *stream) room(want int) {
	if s.r > 0 && len(s.buf)-s.r < want {
		s.w = copy(s.buf, s.buf[s.r:s.w])
		s.r = 0
	}
	if len(s.buf) < want {
		s.buf = append(s.buf, make([]byte, want-len(s.buf))...)
	}
	if s.w == len(s.buf) {
		s.w = copy(s.buf, s.buf[s.r:s.w])
		s.r = 0
	}
}

// enough reports that a record which ends at end belongs to the next block. Where
// blocks end thus follows from the file alone, not from how it was read.
func (s *stream) enough(have, end int) bool { return have > 0 && end > s.block }

// advance consumes n bytes.
func (s *stream) advance(n int) {
	b := s.buf[s.r : s.r+n]
	_, _ = s.hash.Write(b) // never fails
	s.line += int64(bytes.Count(b, []byte{'\n'}))
	s.offset += int64(n)
	s.r += n
}

// place tells where the window starts and what stands before it.
func (s *stream) place() (offset int64, digest uint64) { return s.offset, narrow(s.hash.Sum64()) }

// seek consumes everything up to a place where reading was left, and fails with
// errReplaced when it is not what was read then.
func (s *stream) seek(ctx context.Context, e entry) error {
	for s.offset < e.offset {
		if err := s.fill(ctx, s.block); err != nil {
			return err
		}
		if s.w == s.r {
			return errReplaced
		}
		s.advance(int(min(int64(s.w-s.r), e.offset-s.offset)))
	}
	if _, digest := s.place(); e.offset > 0 && (s.offset != e.offset || digest != e.digest) {
		return errReplaced
	}
	return nil
}

// damage says why the file ends before its time; "" when it ends as it should.
func (s *stream) damage() string {
	switch {
	case s.err == nil, errors.Is(s.err, io.EOF):
		return ""
	case errors.Is(s.err, io.ErrUnexpectedEOF):
		return fmt.Sprintf("file is truncated: its %s data ends too early", s.pack)
	case s.over() != nil:
		return "file is not read on: " + s.over().Error()
	}
	return fmt.Sprintf("file is damaged: %v", s.err)
}

// over says which bound ended the file; nil: none did.
func (s *stream) over() *overError {
	over, _ := errors.AsType[*overError](s.err)
	return over
}

// rest says when what stands behind the damage will be read.
func (s *stream) rest() string {
	if o := s.over(); o != nil && o.key != "" {
		return "the rest is read once " + o.key + " is raised"
	}
	return "the rest is read when the file changes"
}

// skip consumes up to and with the next newline, however far it is, and returns
// how much stood before it.
func (s *stream) skip(ctx context.Context) (int64, error) {
	begin := s.offset
	for {
		if err := s.fill(ctx, s.block); err != nil {
			return 0, err
		}
		w := s.window()
		if i := bytes.IndexByte(w, '\n'); i >= 0 {
			s.advance(i + 1)
			return s.offset - begin - 1, nil
		}
		s.advance(len(w))
		if s.ended() {
			return s.offset - begin, nil
		}
	}
}
