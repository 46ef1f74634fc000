package files

import (
	"bytes"
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// A fingerprint tells whether what stands before a place of a file is what was read
// there. So that a file which grows need not be read from its start, it has two
// halves: the chain of the file's parts before a base, and the digest of what stands
// between the base and the place, which is longTail bytes at least. A file that grew
// is read on from the base, when what follows it is as it was. One that did not is
// read whole.
const (
	partLength = 1 << 20
	longTail   = 64 << 10
)

// baseOf is the base of a place.
func baseOf(offset int64) int64 {
	return max(0, (offset-longTail)/partLength*partLength)
}

// fingerprint is what is known of the part of a file that was read.
type fingerprint interface {
	// note puts it into an entry that is read up to a place.
	note(e *entry)
}

// running is the fingerprint of a text while it is read. It is a decode.Tap.
type running struct {
	heard int64
	base  int64
	chain uint64 // of the parts before base
	line  int64  // lines before base
	lines int64  // from base to the next one
	more  int64  // behind that
	sum   uint64 // of the part that base begins, once it is heard
	hash  xxhash.Digest
	next  xxhash.Digest  // from the end of that part
	whole *xxhash.Digest // of all, for an entry of before version 0.3; nil: not wanted
}

func newFingerprint() *running {
	r := &running{}
	r.hash.Reset()
	return r
}

// Hear implements decode.Tap.
func (r *running) Hear(b []byte) {
	if r.whole != nil {
		_, _ = r.whole.Write(b) // never fails
	}
	for len(b) > 0 {
		part := r.base + partLength
		end := part + longTail
		if r.heard < part {
			end = part
		}
		piece := b[:min(int64(len(b)), end-r.heard)]
		_, _ = r.hash.Write(piece)
		if r.heard < part {
			r.lines += int64(bytes.Count(piece, []byte{'\n'}))
		} else {
			_, _ = r.next.Write(piece)
			r.more += int64(bytes.Count(piece, []byte{'\n'}))
		}
		r.heard += int64(len(piece))
		switch r.heard {
		case part:
			r.sum = r.hash.Sum64()
			r.next.Reset()
		case part + longTail:
			r.advance(part)
		}
		b = b[len(piece):]
	}
}

// advance takes the part before a new base into the chain.
func (r *running) advance(base int64) {
	link := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, r.chain), r.sum)
	r.chain, r.base, r.hash = xxhash.Sum64(link), base, r.next
	r.line, r.lines, r.more = r.line+r.lines, r.more, 0
}

// Save implements decode.Tap.
func (r *running) Save() (restore func()) {
	then := *r
	return func() {
		whole := r.whole
		*r = then
		r.whole = whole
	}
}

func (r *running) note(e *entry) {
	e.digest = narrow(r.hash.Sum64())
	if e.tail = r.base > 0; e.tail {
		e.chain, e.line = r.chain, r.line
	}
}

// as reports whether what was heard is what an entry says.
func (r *running) as(e entry) bool {
	if r.whole != nil {
		return narrow(r.whole.Sum64()) == e.digest
	}
	now := e
	now.chain, now.line, now.tail = 0, 0, false
	r.note(&now)
	return now == e
}

// jump goes on at the base of an entry.
func (r *running) jump(e entry) {
	*r = running{heard: baseOf(e.offset), base: baseOf(e.offset), chain: e.chain, line: e.line}
	r.hash.Reset()
}

// wholePrint is the fingerprint of a whole file.
type wholePrint uint64

func (w wholePrint) note(e *entry) { e.digest = uint64(w) }
