package files

import (
	"github.com/cespare/xxhash/v2"
)

// fingerprint tells whether what stands before a place of a file is what was read
// there.
type fingerprint interface {
	// sum is the digest of what was read.
	sum() uint64
}

// running is the fingerprint of a text while it is read. It is a decode.Tap.
type running struct{ hash *xxhash.Digest }

func newFingerprint() *running { return &running{xxhash.New()} }

// Hear implements decode.Tap.
func (r *running) Hear(b []byte) { _, _ = r.hash.Write(b) } // never fails

// Save implements decode.Tap.
func (r *running) Save() (restore func()) {
	then := *r.hash
	return func() { *r.hash = then }
}

func (r *running) sum() uint64 { return narrow(r.hash.Sum64()) }

// wholePrint is the fingerprint of a whole file.
type wholePrint uint64

func (w wholePrint) sum() uint64 { return uint64(w) }
