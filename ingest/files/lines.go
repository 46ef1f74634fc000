package files

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/mapping"
)

const byteOrderMark = "\uFEFF"

// lineReader reads NDJSON: one record a line.
type lineReader struct {
	*stream
	rec records
}

func newLineReader(ctx context.Context, s *stream, rec records, e entry) (*lineReader, error) {
	return &lineReader{s, rec}, s.seek(ctx, e)
}

// read decodes whole blocks of lines: the posts of a block share its memory.
func (l *lineReader) read(ctx context.Context, p *page) error {
	for !p.full() {
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
			l.lines(p, string(w[:end+1]))
			l.advance(end + 1)
		case l.ended():
			return l.last(p)
		case len(w) > l.max:
			if err := l.long(ctx, p); err != nil {
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

// lines adds the lines of a block.
func (l *lineReader) lines(p *page, text string) {
	line, offset := l.line, l.offset
	for len(text) > 0 {
		rec, rest, _ := strings.Cut(text, "\n")
		l.add(p, rec, line, offset)
		line++
		offset += int64(len(text) - len(rest))
		text = rest
	}
}

func (l *lineReader) add(p *page, rec string, line, offset int64) {
	if offset == 0 {
		rec = strings.TrimPrefix(rec, byteOrderMark)
	}
	rec = strings.TrimSpace(rec)
	switch {
	case rec == "":
	case len(rec) > l.max:
		l.rec.reject(p, tooLong(int64(len(rec)), l.max), rec, l.rec.at(line, offset))
	default:
		l.rec.add(p, rec, line, offset)
	}
}

func tooLong(size int64, most int) string {
	return fmt.Sprintf("record of %d bytes is longer than max_record_bytes, %d", size, most)
}

// long rejects a line that does not fit the window, and skips it.
func (l *lineReader) long(ctx context.Context, p *page) error {
	at, head := l.rec.at(l.line, l.offset), string(l.window()[:min(len(l.window()), feedlake.MaxRejectPayload)])
	size, err := l.skip(ctx)
	if err != nil {
		return err
	}
	l.rec.reject(p, tooLong(size, l.max), head, at)
	return nil
}

// last reads what stands behind the last newline. A record that is whole counts;
// another is rejected and stays unread, so that it is read once it is whole.
func (l *lineReader) last(p *page) error {
	return lastRecord(l.stream, &l.rec, p, func(rest string) bool {
		if whole := mapping.Valid(strings.TrimPrefix(rest, byteOrderMark)); !whole && len(rest) <= l.max {
			return false
		}
		l.add(p, rest, l.line, l.offset)
		return true
	})
}

// lastRecord ends a file: it lets whole try the rest of the window as a record,
// and rejects once what is incomplete or damaged.
func lastRecord(s *stream, rec *records, p *page, whole func(rest string) bool) error {
	rest := string(s.window())
	at := rec.at(s.line, s.offset)
	if strings.TrimSpace(rest) == "" || whole(rest) {
		s.advance(len(rest))
		at, rest = rec.at(s.line, s.offset), ""
	}
	switch why := s.damage(); {
	case why != "":
		rec.reject(p, fmt.Sprintf("%s at line %d; the records before it are kept, %s", why, s.line, s.rest()), rest, at)
	case rest != "":
		rec.reject(p, "last record is incomplete; it is read again when the file grows", rest, at)
	}
	return io.EOF
}
