package files

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// errNoList says that a document has no list where Config.Records looks for it.
var errNoList = errors.New("no list of records")

// openArray opens a file of JSON: an array, records, or a document that holds the
// list which Config.Records names.
func (s *source) openArray(ctx context.Context, st *stream, rec records, o object, k fileKind, e entry) (reader, error) {
	if s.cfg.Records == "" {
		return newArrayReader(ctx, st, rec, e)
	}
	at, err := s.listAt(ctx, o, k)
	if errors.Is(err, errNoList) {
		return &listless{rec: rec, why: err}, nil
	}
	if err != nil {
		return nil, err
	}
	return newListReader(ctx, st, rec, e, at)
}

// newListReader reads the array whose "[" is at a byte of the file.
func newListReader(ctx context.Context, s *stream, rec records, e entry, at int64) (*arrayReader, error) {
	if e.offset > 0 && e.offset <= at {
		return nil, errReplaced
	}
	for s.offset <= at {
		if err := s.fill(ctx, s.block); err != nil {
			return nil, err
		}
		if len(s.window()) == 0 { // the file has changed since the list was found
			return nil, errReplaced
		}
		s.advance(int(min(int64(len(s.window())), at+1-s.offset)))
	}
	return &arrayReader{stream: s, rec: rec, array: true, inner: true}, s.seek(ctx, e)
}

// listAt finds the list of records in a JSON document, by its path, and returns
// the byte of its "[". It reads the file from its beginning, token by token, and
// stops there. A document without it is errNoList.
func (s *source) listAt(ctx context.Context, o object, k fileKind) (at int64, err error) {
	raw, err := s.store.open(ctx, o)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, raw.Close()) }()
	st, err := newStream(raw, k, s.cfg, s.limits.block, nil)
	if err != nil {
		return 0, err
	}
	defer st.release()
	if err := st.fill(ctx, s.limits.block); err != nil {
		return 0, err
	}
	mark := int64(0)
	if bytes.HasPrefix(st.window(), []byte(byteOrderMark)) {
		mark = int64(len(byteOrderMark))
	}
	st.r += int(mark)
	d := json.NewDecoder(io.MultiReader(bytes.NewReader(st.window()), st.src))
	at, err = findList(d, strings.Split(s.cfg.Records, "."))
	if st.compressed.err != nil {
		return 0, st.compressed.err
	}
	if err != nil {
		return 0, fmt.Errorf("%w at %s: %w", errNoList, s.cfg.Records, err)
	}
	return mark + at, ctx.Err()
}

// findList steps into objects along a path, and returns the place of the "["
// that it leads to.
func findList(d *json.Decoder, path []string) (int64, error) {
	for _, key := range path {
		if t, err := d.Token(); err != nil {
			return 0, err
		} else if t != json.Delim('{') {
			return 0, fmt.Errorf("want an object with %q, got %v", key, t)
		}
		if err := findKey(d, key); err != nil {
			return 0, err
		}
	}
	t, err := d.Token()
	if err == nil && t != json.Delim('[') {
		err = fmt.Errorf("want a list, got %v", t)
	}
	return d.InputOffset() - 1, err
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
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// listless is the reader of a document without a list: one reject.
type listless struct {
	rec  records
	why  error
	told bool
}

func (l *listless) read(_ context.Context, p *page) error {
	if !l.told {
		l.told = true
		l.rec.reject(p, l.why.Error(), "", l.rec.at(1, 0))
	}
	return io.EOF
}

func (l *listless) place() (int64, uint64) { return 0, 0 }
