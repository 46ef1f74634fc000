package files

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/feedlake/feedlake"
)

// bsonReader reads a dump of mongodump: documents of BSON (bsonspec.org) one
// after the other, each led by its length. A document becomes a record of JSON in
// the relaxed form of MongoDB's extended JSON: numbers are numbers, a date is
// {"$date": "2026-01-05T09:00:00Z"}, an object's id {"$oid": "…"}.
type bsonReader struct {
	*stream
	rec  records
	left *entry // where reading stands, when what follows must be read again
}

// Lengths and marks of the format.
const (
	bsonPrefix  = 4
	bsonLeast   = 5          // the empty document
	bsonArchive = 0x8199e26d // begins what mongodump --archive writes
)

func newBSONReader(ctx context.Context, s *stream, rec records, e entry) (*bsonReader, error) {
	return &bsonReader{stream: s, rec: rec}, s.seek(ctx, e)
}

func (b *bsonReader) place() (offset int64, digest uint64) {
	if b.left != nil {
		return b.left.offset, b.left.digest
	}
	return b.stream.place()
}

func (b *bsonReader) read(ctx context.Context, p *page) error {
	for !p.full() {
		if err := b.fill(ctx, b.block); err != nil {
			return err
		}
		w := b.window()
		if len(w) < bsonPrefix {
			return b.last(p)
		}
		size := int64(int32(binary.LittleEndian.Uint32(w))) //nolint:gosec // the format's own, with its sign
		switch {
		case binary.LittleEndian.Uint32(w) == bsonArchive && b.offset == 0:
			return b.broken(p, "an archive of mongodump: write folders instead, mongodump --out")
		case size < bsonLeast:
			return b.broken(p, fmt.Sprintf("no document: its length would be %d", size))
		case size > int64(b.max):
			if err := b.long(ctx, p, size); err != nil {
				return err
			}
		case int64(len(w)) >= size:
			if w[size-1] != 0 {
				return b.broken(p, fmt.Sprintf("no document: one of %d bytes does not end as it should", size))
			}
			b.document(p, w[:size])
			b.advance(int(size))
		case b.ended():
			return b.last(p)
		default:
			if err := b.fill(ctx, int(size)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bsonReader) document(p *page, doc []byte) {
	record, err := bson.MarshalExtJSON(bson.Raw(doc), false, false)
	if err != nil {
		b.reject(p, "broken BSON: "+err.Error(), doc)
		return
	}
	b.rec.add(p, string(record), 0, b.offset)
}

// reject keeps a document that is no record, in base64.
func (b *bsonReader) reject(p *page, reason string, doc []byte) {
	b.rec.reject(p, strings.ToValidUTF8(reason, string(utf8.RuneError)), base64.StdEncoding.EncodeToString(doc[:min(len(doc), feedlake.MaxRejectPayload/2)]), b.at())
}

// at is the place of a document.
func (b *bsonReader) at() string { return b.rec.at(0, b.offset) }

// broken ends a file whose documents cannot be told apart from here on.
func (b *bsonReader) broken(p *page, why string) error {
	b.reject(p, why+"; the documents before it are kept, the rest is read when the file changes", b.window())
	return io.EOF
}

// last ends a file: what is left is no whole document.
func (b *bsonReader) last(p *page) error {
	switch why := b.damage(); {
	case why != "":
		b.reject(p, why+"; the documents before it are kept, "+b.rest(), b.window())
	case len(b.window()) > 0:
		b.reject(p, "last document is incomplete; it is read again when the file grows", b.window())
	}
	return io.EOF
}

// long rejects a document that is too long, and skips it. A file that ends within
// it is read from its beginning when it grows.
func (b *bsonReader) long(ctx context.Context, p *page, size int64) error {
	offset, digest := b.stream.place()
	at, head := b.at(), base64.StdEncoding.EncodeToString(b.window()[:min(len(b.window()), feedlake.MaxRejectPayload/2)])
	for rest := size; rest > 0; {
		if err := b.fill(ctx, b.block); err != nil {
			return err
		}
		n := int(min(rest, int64(len(b.window()))))
		if n == 0 {
			b.left = &entry{offset: offset, digest: digest}
			b.rec.reject(p, "last document is incomplete; it is read again when the file grows", head, at)
			return io.EOF
		}
		b.advance(n)
		rest -= int64(n)
	}
	b.rec.reject(p, tooLong(size, b.max), head, at)
	return nil
}
