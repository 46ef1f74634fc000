package decode

import (
	"bytes"
	"context"
	"io"
)

// dialectSample is how much of a file shows in which dialect it is written.
const dialectSample = 256 << 10

// dialect finds out how the file ends its lines, what delimits its fields, when its
// first line says so, and what stands before a quote in a field. It looks at the
// file's beginning alone, so that reading on finds the same.
func (r *csvCutter) dialect(ctx context.Context, escape string) error {
	if err := r.fill(ctx, max(r.block, dialectSample)); err != nil {
		return err
	}
	w := r.window()
	if i := bytes.IndexByte(w, '\r'); i >= 0 && i < len(w)-1 && bytes.IndexByte(w, '\n') < 0 {
		lines{}.convert(w)
		r.src = lines{r.src}
	}
	mark := blankLines(w, true)
	if line, _, ok := bytes.Cut(w[mark:], []byte{'\n'}); ok && len(line) >= 5 && len(bytes.TrimRight(line, "\r")) == 5 && bytes.EqualFold(line[:4], []byte("sep=")) {
		r.comma = line[4]
		r.advance(mark + len(line) + 1)
	}
	w = r.window()
	switch escape {
	case "":
		r.slash = bytes.Contains(w, []byte(`\"`)) && r.faults(w, true) < r.faults(w, false)
	case EscapeBackslash:
		r.slash = true
	}
	return nil
}

// faults counts the records at the beginning of a file that cannot be read in a
// dialect, or have another number of fields than the first.
func (r *csvCutter) faults(w []byte, slash bool) (n int) {
	probe := csvForm{comma: r.comma, slash: slash}
	var split splitter
	width := 0
	for len(w) > 0 {
		end, state := probe.whole(w, false)
		switch state {
		case csvMore:
			return n
		case csvOpen:
			return n + 1
		case csvStray:
			n++
			_, w, _ = bytes.Cut(w, []byte{'\n'})
			continue
		}
		f, err := split.fields(w[:end], &probe)
		if width == 0 {
			width = len(f)
		}
		if len(bytes.TrimSpace(w[:end])) > 0 && (err != nil || len(f) != width) {
			n++
		}
		w = w[end:]
	}
	return n
}

// whole finds the end of the first record of w; see csvRecord.
func (f *csvForm) whole(w []byte, ended bool) (int, csvState) {
	return csvRecord(w, f.comma, ended, f.slash)
}

// lines reads text whose lines end with a carriage return alone, as programs of the
// old Macintosh write it.
type lines struct{ r io.Reader }

func (l lines) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	l.convert(p[:n])
	return n, err
}

func (lines) convert(p []byte) {
	for i, c := range p {
		if c == '\r' {
			p[i] = '\n'
		}
	}
}

// doubled spells a record with backslashes before its quotes as RFC 4180 has it: a
// quote in a quoted field stands twice.
func doubled(record []byte, comma byte) []byte {
	if bytes.IndexByte(record, '\\') < 0 {
		return record
	}
	out := make([]byte, 0, len(record)+16)
	quoted, begin := false, true
	for i := 0; i < len(record); i++ {
		c := record[i]
		switch {
		case quoted && c == '\\' && i+1 < len(record) && (record[i+1] == '"' || record[i+1] == '\\'):
			if i++; record[i] == '"' {
				out = append(out, '"')
			}
			out = append(out, record[i])
			continue
		case quoted && c == '"' && i+1 < len(record) && record[i+1] == '"':
			i++
			out = append(out, '"')
		case c == '"' && (quoted || begin):
			quoted = !quoted
		}
		begin = !quoted && (c == comma || c == '\n')
		out = append(out, c)
	}
	return out
}
