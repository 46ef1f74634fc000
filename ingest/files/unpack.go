package files

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
	"github.com/ulikunitz/xz"

	"github.com/feedlake/feedlake/ingest/decode"
)

// magics begin packed files.
var magics = [...]struct{ pack, begin string }{
	{packGzip, "\x1f\x8b\x08"}, {packZstd, "\x28\xb5\x2f\xfd"}, {packBzip2, "BZh"}, {packXZ, "\xfd7zXZ\x00"},
}

// packOf is how a file is packed by its first bytes, where its name may be wrong:
// what is plain text in a packed file's name is text.
func packOf(head []byte, named string) string {
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.begin)) && (m.pack != packBzip2 || bytes.HasPrefix(head[min(len(head), 4):], []byte("1AY&SY"))) {
			return m.pack
		}
	}
	if plainText(head) {
		return packNone
	}
	return named
}

// plainText reports whether bytes are text, and not an accident of another format.
func plainText(head []byte) bool {
	if len(head) == 0 {
		return false
	}
	for len(head) > 0 {
		r, n := utf8.DecodeRune(head)
		if r == utf8.RuneError && n == 1 && len(head) >= utf8.UTFMax || r < ' ' && r != '\n' && r != '\r' && r != '\t' {
			return false
		}
		head = head[n:]
	}
	return true
}

// unpacked is what a file holds, unpacked.
type unpacked struct {
	compressed *counter
	src        io.Reader
	pack       string
	release    func() // frees the unpacker; nil when there is nothing to free
	over       *decode.OverError
}

func newUnpacked(raw io.Reader, k fileKind, c Config) *unpacked {
	s := &unpacked{compressed: &counter{r: raw}, pack: k.pack}
	s.src = &lazy{open: func() (io.Reader, error) { return s.unpack(k, c) }}
	return s
}

func (s *unpacked) Read(p []byte) (int, error) {
	n, err := s.src.Read(p)
	if over, ok := errors.AsType[*decode.OverError](err); ok {
		s.over = over
	}
	return n, err
}

// fault is the fault of the disk or the network that ended reading.
func (s *unpacked) fault() error { return s.compressed.err }

// packing is how the file is packed, as far as it is known.
func (s *unpacked) packing() string { return s.pack }

// overBound says which bound ended the file; nil: none did.
func (s *unpacked) overBound() *decode.OverError { return s.over }

// close frees the unpacker.
func (s *unpacked) close() {
	if s.release != nil {
		s.release()
	}
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

// unpack opens the unpacker of a file: that of the configured packing, or else of
// the file itself.
func (s *unpacked) unpack(k fileKind, c Config) (io.Reader, error) {
	packed := bufio.NewReaderSize(s.compressed, 128<<10)
	if c.Compression == "" && k.format != decode.BSON { // whose first bytes may be anything
		head, err := packed.Peek(headLength)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		s.pack = packOf(head, s.pack)
	}
	r, err := s.unpacker(packed, c)
	if err != nil || s.pack == packNone {
		return r, err
	}
	return &guard{r: r, packed: s.compressed.count}, nil
}

// headLength is how much of a file shows how it is packed.
const headLength = 512

func (s *unpacked) unpacker(packed *bufio.Reader, c Config) (io.Reader, error) {
	switch s.pack {
	case packGzip:
		return gzip.NewReader(packed)
	case packZstd:
		z, err := newZstdReader(packed, c.MaxWindow)
		if err != nil {
			return nil, err
		}
		s.release = z.Close
		return z, nil
	case packBzip2:
		return bzip2.NewReader(packed), nil
	case packXZ:
		if err := xzHead(packed, c.MaxWindow); err != nil {
			return nil, err
		}
		return xz.NewReader(packed)
	}
	return packed, nil
}

// xzHead checks the dictionary that the first block of an xz file asks for
// (tukaani.org/xz/xz-file-format.txt, sections 3.1 and 5.3.1).
func xzHead(packed *bufio.Reader, most int64) error {
	const header, longest = 12, 1024
	head, err := packed.Peek(header + longest)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(head) < header+3 || head[header] == 0 {
		return nil
	}
	block := head[header:min(len(head), header+4*(int(head[header])+1))]
	at := bytes.Index(block, []byte{0x21, 1}) // LZMA2, one byte of properties
	if at < 0 || at+2 >= len(block) {
		return nil
	}
	bits := block[at+2] & 0x3f
	if bits > 40 {
		return nil // the unpacker refuses it
	}
	return withinWindow(int64(2|bits&1)<<(bits/2+11), most)
}

// A packed file that unpacks to more than bombSize, and to more than bombRatio
// times its own size, is not read on: text does not pack so well.
const (
	bombSize  = 256 << 20
	bombRatio = 500
)

// guard counts what an unpacker gives.
type guard struct {
	r      io.Reader
	packed func() int64 // bytes read of the packed file
	size   int64
}

func (g *guard) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	g.size += int64(n)
	if bomb := bombOf(g.packed(), g.size); bomb != nil && (err == nil || errors.Is(err, io.EOF)) {
		return n, bomb
	}
	return n, err
}

// bombOf refuses what unpacks to far more than people's data do.
func bombOf(packed, size int64) error {
	if size > bombSize && size/bombRatio > packed {
		return fmt.Errorf("it unpacks to more than %d times its size: refused as a bomb", bombRatio)
	}
	return nil
}
