package decode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/feedlake/feedlake"
)

// Formats of streams.
const (
	NDJSON  = "ndjson"
	JSON    = "json"
	CSV     = "csv"
	Parquet = "parquet"
	BSON    = "bson"
)

// Ways to write a quote within a quoted field of CSV.
const (
	EscapeQuote     = "quote"     // as two
	EscapeBackslash = "backslash" // behind a backslash
)

// Format says how a stream is written.
type Format struct {
	Name      string   // one of the formats
	Records   string   // JSON: path to the list of records in a document; "": the document is the list, or its records
	Encoding  string   // "" and utf-8: UTF-8, or UTF-16 with its mark; utf-16, utf-16le, utf-16be, latin-1, windows-1252, macintosh
	Comma     byte     // CSV: between fields
	Escape    string   // CSV: before a quote in a quoted field; "": told by the text
	Columns   []string // CSV: names of the columns; nil: the first record has them
	MaxRecord int      // bytes; longer records are rejects
}

// Encodings lists what Format.Encoding may be.
func Encodings() []string {
	return []string{"utf-8", "utf-16", "utf-16le", "utf-16be", "latin-1", "windows-1252", "macintosh"}
}

// charset returns the decoder of the encoding, nil for UTF-8.
func (f *Format) charset() *encoding.Decoder {
	switch f.Encoding {
	case "latin-1":
		return charmap.ISO8859_1.NewDecoder()
	case "windows-1252":
		return charmap.Windows1252.NewDecoder()
	case "macintosh":
		return charmap.Macintosh.NewDecoder()
	case "utf-16", "utf-16le":
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder()
	case "utf-16be":
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewDecoder()
	}
	return nil
}

// Input is a stream to be read, unpacked.
type Input struct {
	Name   string                                                      // of the file: the query of its posts, and the begin of the places of its rejects
	Src    io.Reader                                                   // its errors are damage of the data, but those that Fault tells
	Fault  func() error                                                // the fault of the disk or the network that Src met; nil: there can be none
	Packed func() string                                               // how it was packed, for messages
	Again  func(ctx context.Context, look func(io.Reader) error) error // lets look read Src from its beginning, beside it; for Format.Records
	Block  int                                                         // bytes: about the length of a block
	Window *[]byte                                                     // memory to read into, which may grow; nil: the stream takes its own
	Tap    Tap                                                         // may be nil
	// Jump lets Src go on at a byte not far before the place where reading was left,
	// and tells that byte and the line that it stands in; 0: it cannot be done. nil: it
	// never can.
	Jump func() (at, line int64, err error)
	Log  *slog.Logger
}

// Tap hears every byte of a stream in its order, once a cutter has consumed it.
type Tap interface {
	Hear(b []byte)
	// Save notes what was heard so far; restore goes back there.
	Save() (restore func())
}

// Cutter cuts a stream into blocks of whole records, in order.
type Cutter interface {
	// Cut makes b, which is empty, the next block. With the last one, which may be
	// empty, comes io.EOF. Damage of the data is a reject in a block, not an error.
	Cut(ctx context.Context, b *Block) error
	// Place tells where the last block ends: a byte of the stream, a row of Parquet.
	Place() int64
}

// ErrReplaced says that a stream is not what was read up to a place.
var ErrReplaced = errors.New("file was replaced")

// Open begins to cut a stream at a place, by rules that the blocks are decoded
// with. It fails with ErrReplaced when the stream cannot have been read up to there.
func Open(ctx context.Context, rules *Rules, f Format, in Input, at int64) (Cutter, error) {
	s := newStream(in, f)
	switch {
	case f.Name == CSV:
		return newCSVCutter(ctx, s, rules, f, at)
	case f.Name == BSON:
		return &bsonCutter{stream: s}, s.seek(ctx, at)
	case f.Name == JSON && rules.shape != nil && rules.shape.unroll != nil:
		s.src = rules.shape.unroll(s.src, int64(f.MaxRecord))
	case f.Name == JSON && f.Records != "":
		return openList(ctx, s, f, at)
	case f.Name == JSON:
		return newArrayCutter(ctx, s, at)
	}
	return &lineCutter{s}, s.seek(ctx, at)
}

// Block is a piece of a stream: whole records, not decoded yet, and rejects of what
// is none. It is a value of its own: reading on does not change it.
type Block struct {
	name    string
	text    string
	raw     []byte // instead of text, of records that become JSON
	form    form
	cuts    []cut // records of the text, or of raw
	line    int64 // where the text stands
	offset  int64
	records int
	rejects []feedlake.Reject // behind the records
}

// cut is a record in a text.
type cut struct {
	from, to     int
	line, offset int64
}

// form knows how the records of a block are written.
type form interface {
	decode(d *Decoder, b *Block, p *Page)
}

// Size is about how much memory the block takes.
func (b *Block) Size() (n int) {
	n = len(b.text) + len(b.raw)
	for i := range b.rejects {
		n += len(b.rejects[i].Payload)
	}
	return n
}

// Records is at least how many records and rejects the block has.
func (b *Block) Records() int { return b.records + len(b.rejects) }

func (b *Block) empty() bool { return b.text == "" && len(b.raw) == 0 && len(b.rejects) == 0 }

// Decode adds what the block holds to p.
func (b *Block) Decode(d *Decoder, p *Page) {
	if b.form != nil {
		b.form.decode(d, b, p)
	}
	for i := range b.rejects {
		r := &b.rejects[i]
		p.reject(r.Reason, r.Payload, r.Position)
	}
}

// reject adds what is no record.
func (b *Block) reject(reason, payload, position string) {
	b.rejects = append(b.rejects, feedlake.Reject{Reason: reason, Payload: payload, Position: position})
}

// Refused is the cutter of a stream that cannot be read: one reject says why.
func Refused(name, why string) Cutter { return &refused{name: name, why: why} }

type refused struct {
	name, why string
	told      bool
}

func (r *refused) Cut(_ context.Context, b *Block) error {
	if !r.told {
		r.told = true
		b.reject(r.why, "", position(r.name, 1, 0))
	}
	return io.EOF
}

func (*refused) Place() int64 { return 0 }

func tooLong(size int64, most int) string {
	return fmt.Sprintf("record of %d bytes is longer than max_record_bytes, %d", size, most)
}

// lastRecord ends a text: it lets whole try the rest of the window as a record,
// and rejects once what is incomplete or damaged.
func lastRecord(s *stream, b *Block, whole func(rest string) bool) error {
	rest := string(s.window())
	at := s.at()
	if strings.TrimSpace(rest) == "" || whole(rest) {
		s.advance(len(rest))
		at, rest = s.at(), ""
	}
	switch why := s.damage(); {
	case why != "":
		b.reject(fmt.Sprintf("%s at line %d; the records before it are kept, %s", why, s.line, s.rest()), rest, at)
	case rest != "":
		b.reject("last record is incomplete; it is read again when the file grows", rest, at)
	}
	return io.EOF
}
