package decode

import (
	"bytes"
	"context"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/decode/mapping"
)

const byteOrderMark = "\uFEFF"

// lineCutter cuts NDJSON: one record a line.
type lineCutter struct{ *stream }

// Cut implements Cutter: the posts of a block share its memory.
func (l *lineCutter) Cut(ctx context.Context, b *Block) error {
	for b.empty() {
		if err := l.fill(ctx, l.block); err != nil {
			return err
		}
		w := l.window()
		end := bytes.LastIndexByte(w[:min(len(w), l.block)], '\n')
		if end < 0 {
			end = bytes.IndexByte(w, '\n')
		}
		switch {
		case end >= 0:
			l.lines(b, string(w[:end+1]))
		case l.ended():
			return l.last(b)
		case len(w) > l.max:
			if err := l.long(ctx, b); err != nil {
				return err
			}
		default:
			if err := l.more(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// lines makes a block of the text that the window begins with.
func (l *lineCutter) lines(b *Block, text string) {
	b.name, b.text, b.form, b.line, b.offset = l.in.Name, text, lineForm{l.max}, l.line, l.offset
	b.records = l.advance(len(text))
}

// long rejects a line that does not fit the window, and skips it.
func (l *lineCutter) long(ctx context.Context, b *Block) error {
	at, head := l.at(), string(l.window()[:min(len(l.window()), feedlake.MaxRejectPayload)])
	size, err := l.skip(ctx)
	if err != nil {
		return err
	}
	b.reject(tooLong(size, l.max), head, at)
	return nil
}

// last reads what stands behind the last newline. A record that is whole counts;
// another is rejected and stays unread, so that it is read once it is whole.
func (l *lineCutter) last(b *Block) error {
	line, offset := l.line, l.offset
	return lastRecord(l.stream, b, func(rest string) bool {
		if whole := mapping.Valid(strings.TrimPrefix(rest, byteOrderMark)); !whole && len(rest) <= l.max {
			return false
		}
		b.name, b.text, b.form, b.line, b.offset, b.records = l.in.Name, rest, lineForm{l.max}, line, offset, 1
		return true
	})
}

// lineForm decodes lines.
type lineForm struct{ max int }

func (f lineForm) decode(d *Decoder, b *Block, p *Page) {
	line, offset := b.line, b.offset
	for text := b.text; len(text) > 0; {
		rec, rest, _ := strings.Cut(text, "\n")
		f.line(d, b, p, rec, line, offset)
		line++
		offset += int64(len(text) - len(rest))
		text = rest
	}
}

func (f lineForm) line(d *Decoder, b *Block, p *Page, rec string, line, offset int64) {
	if offset == 0 {
		rec = strings.TrimPrefix(rec, byteOrderMark)
	}
	rec = strings.TrimSpace(rec)
	switch {
	case rec == "":
	case len(rec) > f.max:
		p.reject(tooLong(int64(len(rec)), f.max), rec, position(b.name, line, offset))
	default:
		d.record(p, rec, b.name, false, func() string { return position(b.name, line, offset) })
	}
}
