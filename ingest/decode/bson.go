package decode

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
)

// bsonCutter cuts a dump of mongodump: documents of BSON one after the other, each
// led by its length; see Decoder.BSON.
type bsonCutter struct {
	*stream
	left  int64 // where reading stands, with again
	again bool  // what follows left must be read again
}

// Lengths and marks of the format.
const (
	bsonPrefix  = 4
	bsonLeast   = 5          // the empty document
	bsonArchive = 0x8199e26d // begins what mongodump --archive writes
)

// Place implements Cutter.
func (b *bsonCutter) Place() int64 {
	if b.again {
		return b.left
	}
	return b.offset
}

// Cut implements Cutter: a block has as many whole documents as fit it.
func (b *bsonCutter) Cut(ctx context.Context, to *Block) error {
	for to.empty() {
		if err := b.fill(ctx, b.block); err != nil {
			return err
		}
		w := b.window()
		if len(w) < bsonPrefix {
			return b.last(to)
		}
		size := int64(int32(binary.LittleEndian.Uint32(w))) //nolint:gosec // the format's own, with its sign
		switch {
		case binary.LittleEndian.Uint32(w) == bsonArchive && b.offset == 0:
			return b.broken(to, "an archive of mongodump: write folders instead, mongodump --out")
		case size < bsonLeast:
			return b.broken(to, fmt.Sprintf("no document: its length would be %d", size))
		case size > int64(b.max):
			if err := b.long(ctx, to, size); err != nil {
				return err
			}
		case int64(len(w)) >= size:
			if w[size-1] != 0 {
				return b.broken(to, fmt.Sprintf("no document: one of %d bytes does not end as it should", size))
			}
			b.documents(to, w)
		case b.ended():
			return b.last(to)
		default:
			if err := b.fill(ctx, int(size)); err != nil {
				return err
			}
		}
	}
	return nil
}

// documents makes a block of the whole documents that w begins with: one at least.
func (b *bsonCutter) documents(to *Block, w []byte) {
	at := 0
	for len(w)-at >= bsonLeast {
		size := int(int32(binary.LittleEndian.Uint32(w[at:]))) //nolint:gosec // the format's own, with its sign
		if size < bsonLeast || size > b.max || size > len(w)-at || w[at+size-1] != 0 || b.enough(len(to.cuts), at+size) {
			break
		}
		to.cuts = append(to.cuts, cut{from: at, to: at + size, offset: b.offset + int64(at)})
		at += size
	}
	to.name, to.raw, to.form, to.records = b.in.Name, bytes.Clone(w[:at]), bsonForm{}, len(to.cuts)
	b.advance(at)
}

// bsonForm decodes documents.
type bsonForm struct{}

func (bsonForm) decode(d *Decoder, b *Block, p *Page) {
	for _, c := range b.cuts {
		d.BSON(p, b.raw[c.from:c.to], b.name, func() string { return position(b.name, 0, c.offset) })
	}
}

// at is the place of a document.
func (b *bsonCutter) at() string { return position(b.in.Name, 0, b.offset) }

// broken ends a file whose documents cannot be told apart from here on.
func (b *bsonCutter) broken(to *Block, why string) error {
	to.reject(why+"; the documents before it are kept, the rest is read when the file changes", inBase64(b.window()), b.at())
	return io.EOF
}

// last ends a file: what is left is no whole document.
func (b *bsonCutter) last(to *Block) error {
	switch why := b.damage(); {
	case why != "":
		to.reject(why+"; the documents before it are kept, "+b.rest(), inBase64(b.window()), b.at())
	case len(b.window()) > 0:
		to.reject("last document is incomplete; it is read again when the file grows", inBase64(b.window()), b.at())
	}
	return io.EOF
}

// long rejects a document that is too long, and skips it. A file that ends within
// it is read from its beginning when it grows.
func (b *bsonCutter) long(ctx context.Context, to *Block, size int64) error {
	offset, restore := b.offset, func() {}
	if b.in.Tap != nil {
		restore = b.in.Tap.Save()
	}
	at, head := b.at(), inBase64(b.window())
	for rest := size; rest > 0; {
		if err := b.fill(ctx, b.block); err != nil {
			return err
		}
		n := int(min(rest, int64(len(b.window()))))
		if n == 0 {
			restore()
			b.left, b.again = offset, true
			to.reject("last document is incomplete; it is read again when the file grows", head, at)
			return io.EOF
		}
		b.advance(n)
		rest -= int64(n)
	}
	to.reject(tooLong(size, b.max), head, at)
	return nil
}
