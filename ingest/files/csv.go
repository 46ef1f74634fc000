package files

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/feedlake/feedlake"
)

// csvReader reads CSV. It cuts the text into records itself, so that memory is
// bounded and a stray quote costs one line; encoding/csv splits a record into
// fields.
type csvReader struct {
	*stream
	rec   records
	comma byte
	slash bool // a backslash, not a quote, stands before a quote in a field
	names []string
	keys  [][]byte // `"name":` of each column
	fault string   // why no record of the file can be read; "" when they can

	split *csv.Reader
	feed  *bytes.Reader
	out   []byte // payloads of a block
	cuts  []csvCut
}

type csvCut struct {
	from, to     int // in out
	line, offset int64
	reason       string // not "": the record is no good, from:to is its text
}

func newCSVReader(ctx context.Context, s *stream, rec records, c Config, e entry) (*csvReader, error) {
	comma, err := c.comma(rec.file)
	if err != nil {
		return nil, err
	}
	r := &csvReader{stream: s, rec: rec, comma: comma, names: slices.Clone(c.Columns), feed: bytes.NewReader(nil)}
	if err := r.dialect(ctx, c.Escape); err != nil {
		return nil, err
	}
	r.reset()
	if len(r.names) == 0 {
		if err := r.header(ctx); err != nil {
			return nil, err
		}
	}
	if r.fault == "" {
		r.fault = r.columnFault()
	}
	if r.fault == "" && e.offset == 0 {
		r.warnMissing(ctx)
	}
	for _, n := range r.names {
		r.keys = append(r.keys, append(appendJSON(nil, n), ':'))
	}
	if s.offset > e.offset && e.offset > 0 {
		return nil, errReplaced
	}
	return r, s.seek(ctx, e)
}

func (r *csvReader) reset() {
	r.split = csv.NewReader(r.feed)
	r.split.Comma, r.split.LazyQuotes, r.split.FieldsPerRecord, r.split.ReuseRecord = rune(r.comma), true, -1, true
}

// fields splits one whole record.
func (r *csvReader) fields(record []byte) ([]string, error) {
	if r.slash {
		record = doubled(record, r.comma)
	}
	r.feed.Reset(record)
	f, err := r.split.Read()
	if err == nil && r.feed.Len() > 0 {
		err = errors.New("quotes do not match")
	}
	if err != nil {
		r.reset()
	}
	return f, err
}

// header reads the names of the columns from the first record.
func (r *csvReader) header(ctx context.Context) error {
	var f []string
	length := 0
	for f == nil {
		if err := r.fill(ctx, r.block); err != nil {
			return err
		}
		w := r.window()
		if n := blankLines(w, r.offset == 0); n > 0 {
			r.advance(n)
			continue
		}
		end, state := r.whole(w, r.ended())
		switch {
		case state == csvWhole && bytes.Count(w[:end], []byte{r.comma}) >= maxColumns:
			r.fault = fmt.Sprintf("header names more than %d columns", maxColumns)
			return nil
		case state == csvWhole:
			var err error
			if f, err = r.fields(w[:end]); err != nil {
				r.fault = "file has no readable header"
				return nil
			}
			length = end
		case r.ended() || state == csvStray || len(w) > r.max:
			r.fault = "file has no readable header"
			return nil
		default:
			if err := r.more(ctx); err != nil {
				return err
			}
		}
	}
	for i, n := range f {
		n = strings.ToValidUTF8(strings.Clone(strings.TrimSpace(n)), "\uFFFD")
		if n == "" {
			n = "column_" + strconv.Itoa(i+1)
		}
		r.names = append(r.names, n)
	}
	if r.columnFault() == "" {
		r.advance(length)
	}
	return nil
}

// blankLines counts the bytes of empty lines, and of a file's byte order mark, at
// the front of w.
func blankLines(w []byte, start bool) int {
	n := 0
	if start && bytes.HasPrefix(w, []byte(byteOrderMark)) {
		n = len(byteOrderMark)
	}
	for n < len(w) && (w[n] == '\n' || w[n] == '\r') {
		n++
	}
	return n
}

// columnFault says why the mapping cannot work with the columns; "" when it can.
func (r *csvReader) columnFault() string {
	seen := make(map[string]bool, len(r.names))
	for _, n := range r.names {
		if seen[n] {
			return fmt.Sprintf("header names column %q twice", n)
		}
		seen[n] = true
	}
	for _, path := range slices.Sorted(maps.Keys(r.rec.paths)) {
		column := r.rec.paths[path]
		if (column == "id" || column == "created_at") && !slices.Contains(r.names, path) {
			return fmt.Sprintf(noColumn+" %q for %s; its columns: %s", path, column, strings.Join(r.names, ", "))
		}
	}
	return ""
}

// useless ends a file without usable columns: one reject says why, unless the
// file is empty.
func (r *csvReader) useless(p *page) error {
	w := r.window()
	if len(bytes.TrimSpace(w)) == 0 && r.damage() == "" {
		return io.EOF
	}
	why := r.fault
	if d := r.damage(); d != "" && r.ended() {
		why = d
	}
	head, _, _ := strings.Cut(string(w[:min(len(w), feedlake.MaxRejectPayload)]), "\n")
	r.rec.reject(p, why+"; no record of the file can be read", head, r.rec.at(r.line, r.offset))
	return io.EOF
}

func (r *csvReader) read(ctx context.Context, p *page) error {
	if r.fault != "" {
		return r.useless(p)
	}
	for !p.full() {
		if err := r.fill(ctx, r.block); err != nil {
			return err
		}
		end, state := r.scan()
		switch {
		case len(r.cuts) > 0:
			r.records(p)
			r.advance(end)
		case state == csvStray || (state == csvOpen && (r.ended() || len(r.window()) > r.max)):
			if err := r.stray(ctx, p, state); err != nil {
				return err
			}
		case r.ended():
			return r.last(p)
		case len(r.window()) > r.max:
			if err := r.long(ctx, p); err != nil {
				return err
			}
		default:
			if err := r.more(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// warnMissing logs mapped columns that the file does not have.
func (r *csvReader) warnMissing(ctx context.Context) {
	for path, column := range r.rec.paths {
		if !slices.Contains(r.names, path) {
			r.rec.log.WarnContext(ctx, "mapped column is not in the file", "column", path, "for", column)
		}
	}
}

// scan cuts the whole records in the window and returns where it stopped and
// why.
func (r *csvReader) scan() (at int, state csvState) {
	r.cuts, r.out = r.cuts[:0], r.out[:0]
	w, line := r.window(), r.line
	for at < len(w) {
		n, state := r.whole(w[at:], false)
		if state != csvWhole || r.enough(len(r.cuts), at+n) {
			return at, state
		}
		rec := w[at : at+n]
		if len(bytes.TrimSpace(rec)) > 0 {
			r.cut(rec, line, r.offset+int64(at))
		}
		line += int64(bytes.Count(rec, []byte{'\n'}))
		at += n
	}
	return at, csvMore
}

// cut writes a record as JSON behind those of the block, or notes why it is
// none.
func (r *csvReader) cut(rec []byte, line, offset int64) {
	c := csvCut{from: len(r.out), line: line, offset: offset}
	f, err := r.fields(rec)
	switch {
	case len(rec) > r.max:
		c.reason = tooLong(int64(len(rec)), r.max)
	case err != nil:
		c.reason = fmt.Sprintf("broken CSV: %v", err)
	case len(f) != len(r.names):
		c.reason = fmt.Sprintf("record has %d fields, the header names %d", len(f), len(r.names))
	}
	if c.reason != "" {
		r.out = append(r.out, bytes.TrimRight(rec, "\r\n")...)
	} else {
		r.out = append(r.out, '{')
		for i, v := range f {
			if i > 0 {
				r.out = append(r.out, ',')
			}
			r.out = append(r.out, r.keys[i]...)
			r.out = appendJSON(r.out, v)
		}
		r.out = append(r.out, '}')
	}
	c.to = len(r.out)
	r.cuts = append(r.cuts, c)
}

// records adds what scan has cut, as parts of one copy.
func (r *csvReader) records(p *page) {
	text := string(r.out)
	for _, c := range r.cuts {
		if c.reason != "" {
			r.rec.reject(p, c.reason, text[c.from:c.to], r.rec.at(c.line, c.offset))
			continue
		}
		r.rec.add(p, text[c.from:c.to], c.line, c.offset)
	}
}

// stray rejects one line whose quotes do not match and goes on behind it.
func (r *csvReader) stray(ctx context.Context, p *page, state csvState) error {
	if r.ended() && r.damage() != "" && state == csvOpen {
		return r.last(p)
	}
	at := r.rec.at(r.line, r.offset)
	head, _, found := strings.Cut(string(r.window()[:min(len(r.window()), feedlake.MaxRejectPayload)]), "\n")
	if !found && bytes.IndexByte(r.window(), '\n') < 0 {
		switch {
		case r.ended():
			return r.last(p)
		case len(r.window()) <= r.max: // the line may be the last, and grow
			return r.more(ctx)
		}
	}
	size, err := r.skip(ctx)
	if err != nil {
		return err
	}
	reason := "broken CSV: a quoted field is never closed"
	switch {
	case size > int64(r.max):
		reason = tooLong(size, r.max)
	case state == csvStray:
		reason = "broken CSV: text behind the closing quote of a field"
	}
	r.rec.reject(p, reason, head, at)
	return nil
}

// long rejects a line that does not fit the window, and skips it.
func (r *csvReader) long(ctx context.Context, p *page) error {
	at, head := r.rec.at(r.line, r.offset), string(r.window()[:min(len(r.window()), feedlake.MaxRejectPayload)])
	size, err := r.skip(ctx)
	if err != nil {
		return err
	}
	r.rec.reject(p, tooLong(size, r.max), head, at)
	return nil
}

// last reads what stands behind the last newline: a record with all its fields
// counts, unless the file is damaged and may have lost the end of it.
func (r *csvReader) last(p *page) error {
	return lastRecord(r.stream, &r.rec, p, func(rest string) bool {
		if len(rest) > r.max {
			r.rec.reject(p, tooLong(int64(len(rest)), r.max), rest, r.rec.at(r.line, r.offset))
			return true
		}
		if r.damage() != "" {
			return false
		}
		if n, state := r.whole([]byte(rest), true); state != csvWhole || n != len(rest) {
			return false
		}
		if f, err := r.fields([]byte(rest)); err != nil || len(f) != len(r.names) {
			return false
		}
		r.cuts, r.out = r.cuts[:0], r.out[:0]
		r.cut([]byte(rest), r.line, r.offset)
		r.records(p)
		return true
	})
}

// appendJSON appends s as a JSON string, without the escapes that only HTML
// needs. Bytes that are no UTF-8 stay, so that the record is rejected.
func appendJSON(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}
