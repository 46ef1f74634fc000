package decode

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// errNoList says that a document has no list where Format.Records looks for it.
var errNoList = errors.New("no list of records")

// openList opens a document of JSON that holds the list which Format.Records
// names.
func openList(ctx context.Context, s *stream, f Format, offset int64) (Cutter, error) {
	at, err := listAt(ctx, s, f)
	if errors.Is(err, errNoList) {
		return Refused(s.in.Name, err.Error()), nil
	}
	if err != nil {
		return nil, err
	}
	r, err := newListCutter(ctx, s, offset, at.of())
	if err == nil && offset == 0 {
		r.unread = at.unread()
	}
	return r, err
}

// newListCutter cuts the array whose "[" is at a byte of the file.
func newListCutter(ctx context.Context, s *stream, offset, at int64) (*arrayCutter, error) {
	if offset > 0 && offset <= at {
		return nil, ErrReplaced
	}
	for s.offset <= at {
		if err := s.fill(ctx, s.block); err != nil {
			return nil, err
		}
		if len(s.window()) == 0 { // the file has changed since the list was found
			return nil, ErrReplaced
		}
		s.advance(int(min(int64(len(s.window())), at+1-s.offset)))
	}
	return &arrayCutter{stream: s, array: true, inner: true}, s.seek(ctx, offset)
}

// listAt finds the list of records in a JSON document, by its path. It reads the
// file from its beginning to its end: keys may stand twice, and the last one
// counts. A document without a list is errNoList.
func listAt(ctx context.Context, s *stream, f Format) (at lists, err error) {
	path := strings.Split(f.Records, ".")
	err = document(ctx, s, f, func(r io.Reader, mark int64) { at = findLists(r, path, mark) })
	if err != nil || len(at) > 0 {
		return at, err
	}
	var why error
	err = document(ctx, s, f, func(r io.Reader, _ int64) { why = findList(newTokens(r, int64(f.MaxRecord)), path) })
	if err == nil {
		err = fmt.Errorf("%w at %s: %w", errNoList, f.Records, why)
	}
	return nil, err
}

// document lets look read a file from its beginning, behind its byte order mark,
// which takes mark bytes.
func document(ctx context.Context, s *stream, f Format, look func(r io.Reader, mark int64)) error {
	return s.in.Again(ctx, func(src io.Reader) error {
		in := s.in
		in.Src, in.Window, in.Tap = src, nil, nil
		st := newStream(in, f)
		if err := st.fill(ctx, st.block); err != nil {
			return err
		}
		mark := 0
		if bytes.HasPrefix(st.window(), []byte(byteOrderMark)) {
			mark = len(byteOrderMark)
		}
		look(io.MultiReader(bytes.NewReader(st.window()[mark:]), st.src), int64(mark))
		return ctx.Err()
	})
}

// findList steps into objects along a path, and says why it leads to no list.
func findList(d *json.Decoder, path []string) error {
	for _, key := range path {
		if t, err := d.Token(); err != nil {
			return err
		} else if t != json.Delim('{') {
			return fmt.Errorf("want an object with %q, got %v", key, t)
		}
		if err := findKey(d, key); err != nil {
			return err
		}
	}
	t, err := d.Token()
	if err == nil {
		err = fmt.Errorf("want a list, got %v", t)
	}
	return err
}

// findKey goes on to the value of a key of the object at hand.
func findKey(d *json.Decoder, key string) error {
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return err
		}
		if k == key {
			return nil
		}
		if err := skipValue(d); err != nil {
			return err
		}
	}
	return fmt.Errorf("the object has no %q", key)
}

// skipValue goes over a value, however long it is, in little memory.
func skipValue(d *json.Decoder) error {
	for depth := 0; ; {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > mostDepth {
				return fmt.Errorf("values within values, more than %d deep", mostDepth)
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// mostDepth bounds values within values, which json.Decoder counts one by one.
const mostDepth = 10_000

// tokens feeds a json.Decoder, which keeps a whole text however long it is: one
// longer than most ends the reading.
type tokens struct {
	r    io.Reader
	d    *json.Decoder
	read int64
	most int64
}

func newTokens(r io.Reader, most int64) *json.Decoder {
	t := &tokens{r: r, most: most}
	t.d = json.NewDecoder(t)
	return t.d
}

func (t *tokens) Read(p []byte) (int, error) {
	if err := Within("a value of the document", t.read-t.d.InputOffset(), t.most, "max_record_bytes"); err != nil {
		return 0, err
	}
	n, err := t.r.Read(p)
	t.read += int64(n)
	return n, err
}
