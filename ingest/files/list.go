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
	r, err := newListReader(ctx, st, rec, e, at.of())
	if err == nil && e.offset == 0 {
		r.unread = at.unread()
	}
	return r, err
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

// listAt finds the list of records in a JSON document, by its path. It reads the
// file from its beginning to its end: keys may stand twice, and the last one
// counts. A document without a list is errNoList.
func (s *source) listAt(ctx context.Context, o object, k fileKind) (at lists, err error) {
	path := strings.Split(s.cfg.Records, ".")
	err = s.document(ctx, o, k, func(r io.Reader, mark int64) { at = findLists(r, path, mark) })
	if err != nil || len(at) > 0 {
		return at, err
	}
	var why error
	err = s.document(ctx, o, k, func(r io.Reader, _ int64) { why = findList(newTokens(r, int64(s.cfg.MaxRecord)), path) })
	if err == nil {
		err = fmt.Errorf("%w at %s: %w", errNoList, s.cfg.Records, why)
	}
	return nil, err
}

// document lets look read a file from its beginning, behind its byte order mark,
// which takes mark bytes.
func (s *source) document(ctx context.Context, o object, k fileKind, look func(r io.Reader, mark int64)) (err error) {
	raw, err := s.archives.open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, raw.Close()) }()
	st, err := newStream(raw, k, s.cfg, s.limits.block, nil)
	if err != nil {
		return err
	}
	defer st.close()
	st.compressed.member = o.member != nil
	if err := st.fill(ctx, s.limits.block); err != nil {
		return err
	}
	mark := 0
	if bytes.HasPrefix(st.window(), []byte(byteOrderMark)) {
		mark = len(byteOrderMark)
	}
	look(contextReader{ctx, io.MultiReader(bytes.NewReader(st.window()[mark:]), st.src)}, int64(mark))
	return errors.Join(ctx.Err(), st.compressed.err)
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
	if err := within("a value of the document", t.read-t.d.InputOffset(), t.most, "max_record_bytes"); err != nil {
		return 0, err
	}
	n, err := t.r.Read(p)
	t.read += int64(n)
	return n, err
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
