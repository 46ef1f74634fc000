package decode

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

// csvCutter cuts CSV. It cuts the text into records itself, so that memory is
// bounded and a stray quote costs one line; encoding/csv splits a record into
// fields.
type csvCutter struct {
	*stream
	*csvForm
	rules *Rules
	fault string // why no record of the file can be read; "" when they can
	split splitter
}

// csvForm is how the records of a file are written.
type csvForm struct {
	comma byte
	slash bool // a backslash, not a quote, stands before a quote in a field
	names []string
	keys  [][]byte // `"name":` of each column
	max   int      // longest record
}

// splitter splits records into fields, and keeps what that takes.
type splitter struct {
	csv  *csv.Reader
	feed *bytes.Reader
}

func newCSVCutter(ctx context.Context, s *stream, rules *Rules, f Format, at int64) (*csvCutter, error) {
	r := &csvCutter{stream: s, rules: rules, csvForm: &csvForm{comma: f.Comma, names: slices.Clone(f.Columns), max: f.MaxRecord}}
	if err := r.dialect(ctx, f.Escape); err != nil {
		return nil, err
	}
	if len(r.names) == 0 {
		if err := r.header(ctx); err != nil {
			return nil, err
		}
	}
	if r.fault == "" {
		r.fault = r.columnFault()
	}
	if r.fault == "" && at == 0 {
		r.warnMissing(ctx)
	}
	for _, n := range r.names {
		r.keys = append(r.keys, append(appendJSON(nil, n), ':'))
	}
	if s.offset > at && at > 0 {
		return nil, ErrReplaced
	}
	return r, s.seek(ctx, at)
}

// fields splits one whole record.
func (s *splitter) fields(record []byte, f *csvForm) ([]string, error) {
	if f.slash {
		record = doubled(record, f.comma)
	}
	if s.csv == nil || s.csv.Comma != rune(f.comma) {
		s.feed = bytes.NewReader(nil)
		s.csv = csv.NewReader(s.feed)
		s.csv.Comma, s.csv.LazyQuotes, s.csv.FieldsPerRecord, s.csv.ReuseRecord = rune(f.comma), true, -1, true
	}
	s.feed.Reset(record)
	all, err := s.csv.Read()
	if err == nil && s.feed.Len() > 0 {
		err = errors.New("quotes do not match")
	}
	if err != nil {
		s.csv = nil
	}
	return all, err
}

// header reads the names of the columns from the first record.
func (r *csvCutter) header(ctx context.Context) error {
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
			if f, err = r.split.fields(w[:end], r.csvForm); err != nil {
				r.fault = "file has no readable header"
				return nil
			}
			length = end
		case r.ended() || state == csvStray || len(w) > r.stream.max:
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
func (r *csvCutter) columnFault() string {
	seen := make(map[string]bool, len(r.names))
	for _, n := range r.names {
		if seen[n] {
			return fmt.Sprintf("header names column %q twice", n)
		}
		seen[n] = true
	}
	for _, path := range slices.Sorted(maps.Keys(r.rules.paths(true))) {
		column := r.rules.paths(true)[path]
		if (column == "id" || column == "created_at") && !slices.Contains(r.names, path) {
			return fmt.Sprintf(noColumn+" %q for %s; its columns: %s", path, column, strings.Join(r.names, ", "))
		}
	}
	return ""
}

// useless ends a file without usable columns: one reject says why, unless the
// file is empty.
func (r *csvCutter) useless(b *Block) error {
	w := r.window()
	if len(bytes.TrimSpace(w)) == 0 && r.damage() == "" {
		return io.EOF
	}
	why := r.fault
	if d := r.damage(); d != "" && r.ended() {
		why = d
	}
	head, _, _ := strings.Cut(string(w[:min(len(w), feedlake.MaxRejectPayload)]), "\n")
	b.reject(why+"; no record of the file can be read", head, r.at())
	return io.EOF
}

// Cut implements Cutter.
func (r *csvCutter) Cut(ctx context.Context, b *Block) error {
	if r.fault != "" {
		return r.useless(b)
	}
	for b.empty() {
		if err := r.fill(ctx, r.block); err != nil {
			return err
		}
		end, state := r.scan(b)
		switch {
		case b.records > 0:
			r.records(b, bytes.Clone(r.window()[:end]))
		case state == csvStray || (state == csvOpen && (r.ended() || len(r.window()) > r.stream.max)):
			if err := r.stray(ctx, b, state); err != nil {
				return err
			}
		case r.ended():
			return r.last(b)
		case len(r.window()) > r.stream.max:
			if err := r.long(ctx, b); err != nil {
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
func (r *csvCutter) warnMissing(ctx context.Context) {
	for path, column := range r.rules.paths(true) {
		if !slices.Contains(r.names, path) {
			r.in.Log.WarnContext(ctx, "mapped column is not in the file", "column", path, "for", column)
		}
	}
}

// scan cuts the whole records in the window and returns where it stopped and
// why.
func (r *csvCutter) scan(b *Block) (at int, state csvState) {
	b.cuts, b.records = b.cuts[:0], 0
	w, line := r.window(), r.line
	for at < len(w) {
		n, state := r.whole(w[at:], false)
		if state != csvWhole || r.enough(b.records, at+n) {
			return at, state
		}
		b.records++
		if rec := w[at : at+n]; len(bytes.TrimSpace(rec)) > 0 {
			b.cuts = append(b.cuts, cut{at, at + n, line, r.offset + int64(at)})
		}
		line += int64(bytes.Count(w[at:at+n], []byte{'\n'}))
		at += n
	}
	return at, csvMore
}

// records makes a block of the text that was cut, and consumes it.
func (r *csvCutter) records(b *Block, text []byte) {
	b.name, b.raw, b.form = r.in.Name, text, r.csvForm
	r.advance(len(text))
}

// decode writes each record as JSON, all of a block as parts of one text.
func (f *csvForm) decode(d *Decoder, b *Block, p *Page) {
	d.out = d.out[:0]
	ends, faults := make([]int, len(b.cuts)), make([]string, len(b.cuts))
	for i, c := range b.cuts {
		faults[i] = f.record(d, b.raw[c.from:c.to])
		ends[i] = len(d.out)
	}
	out, from := string(d.out), 0
	for i, c := range b.cuts {
		at := func() string { return position(b.name, c.line, c.offset) }
		if faults[i] != "" {
			p.reject(faults[i], out[from:ends[i]], at())
		} else {
			d.record(p, out[from:ends[i]], b.name, true, at)
		}
		from = ends[i]
	}
	if cap(d.out) > 4*jsonAtOnce {
		d.out = nil
	}
}

// record writes a record as JSON behind those of the block, or itself and why it is
// none.
func (f *csvForm) record(d *Decoder, rec []byte) (reason string) {
	all, err := d.split.fields(rec, f)
	switch {
	case len(rec) > f.max:
		reason = tooLong(int64(len(rec)), f.max)
	case err != nil:
		reason = fmt.Sprintf("broken CSV: %v", err)
	case len(all) != len(f.names):
		reason = fmt.Sprintf("record has %d fields, the header names %d", len(all), len(f.names))
	}
	if reason != "" {
		d.out = append(d.out, bytes.TrimRight(rec, "\r\n")...)
		return reason
	}
	d.out = append(d.out, '{')
	for i, v := range all {
		if i > 0 {
			d.out = append(d.out, ',')
		}
		d.out = append(d.out, f.keys[i]...)
		d.out = appendJSON(d.out, v)
	}
	d.out = append(d.out, '}')
	return ""
}

// stray rejects one line whose quotes do not match and goes on behind it.
func (r *csvCutter) stray(ctx context.Context, b *Block, state csvState) error {
	if r.ended() && r.damage() != "" && state == csvOpen {
		return r.last(b)
	}
	at := r.at()
	head, _, found := strings.Cut(string(r.window()[:min(len(r.window()), feedlake.MaxRejectPayload)]), "\n")
	if !found && bytes.IndexByte(r.window(), '\n') < 0 {
		switch {
		case r.ended():
			return r.last(b)
		case len(r.window()) <= r.stream.max: // the line may be the last, and grow
			return r.more(ctx)
		}
	}
	size, err := r.skip(ctx)
	if err != nil {
		return err
	}
	reason := "broken CSV: a quoted field is never closed"
	switch {
	case size > int64(r.stream.max):
		reason = tooLong(size, r.stream.max)
	case state == csvStray:
		reason = "broken CSV: text behind the closing quote of a field"
	}
	b.reject(reason, head, at)
	return nil
}

// long rejects a line that does not fit the window, and skips it.
func (r *csvCutter) long(ctx context.Context, b *Block) error {
	at, head := r.at(), string(r.window()[:min(len(r.window()), feedlake.MaxRejectPayload)])
	size, err := r.skip(ctx)
	if err != nil {
		return err
	}
	b.reject(tooLong(size, r.stream.max), head, at)
	return nil
}

// last reads what stands behind the last newline: a record with all its fields
// counts, unless the file is damaged and may have lost the end of it.
func (r *csvCutter) last(b *Block) error {
	line, offset := r.line, r.offset
	return lastRecord(r.stream, b, func(rest string) bool {
		if len(rest) > r.stream.max {
			b.reject(tooLong(int64(len(rest)), r.stream.max), rest, position(r.in.Name, line, offset))
			return true
		}
		if r.damage() != "" {
			return false
		}
		if n, state := r.whole([]byte(rest), true); state != csvWhole || n != len(rest) {
			return false
		}
		if f, err := r.split.fields([]byte(rest), r.csvForm); err != nil || len(f) != len(r.names) {
			return false
		}
		b.name, b.raw, b.form, b.records = r.in.Name, []byte(rest), r.csvForm, 1
		b.cuts = append(b.cuts[:0], cut{0, len(rest), line, offset})
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
