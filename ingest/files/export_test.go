package files

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"io"
	"os"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/decode"
)

// Small makes pages and blocks so short that a small file has many.
func Small(s ingest.Source) ingest.Source {
	if f, ok := s.(*source); ok {
		f.limits = limits{bytes: 400, records: 3, block: 100}
	}
	return s
}

// WholeNames lets a source know files by their whole names.
func WholeNames(s ingest.Source) ingest.Source {
	if f, ok := s.(*source); ok {
		f.store = wholeNames{f.store}
	}
	return s
}

type wholeNames struct{ store }

func (w wholeNames) list(ctx context.Context) ([]object, error) {
	all, err := w.store.list(ctx)
	for i := range all {
		all[i].id = all[i].name
	}
	return all, err
}

// Broken fails to open files of a name.
func Broken(s ingest.Source, name string, err error) ingest.Source {
	if f, ok := s.(*source); ok {
		f.store = broken{f.store, name, err}
		f.archives = &packed{store: f.store, cfg: f.cfg}
	}
	return s
}

type broken struct {
	store
	name string
	err  error
}

func (b broken) open(ctx context.Context, o object) (io.ReadCloser, error) {
	if strings.HasSuffix(o.name, b.name) {
		return nil, b.err
	}
	return b.store.open(ctx, o)
}

func (b broken) random(ctx context.Context, o object) (randomFile, error) {
	if strings.HasSuffix(o.name, b.name) {
		return nil, b.err
	}
	return b.store.random(ctx, o)
}

// Shapes are the names of all shapes.
func Shapes() []string { return decode.Shapes() }

// Impatient gives up a silent bucket sooner.
func Impatient(s ingest.Source, silence time.Duration) (ingest.Source, error) {
	f, ok := s.(*source)
	if !ok {
		return s, nil
	}
	b, err := newBucketWith(f.cfg, silence)
	f.store, f.archives = b, &packed{store: b, cfg: f.cfg}
	return f, err
}

// Counted counts the bytes that are read of files, beside those that a mapping is
// judged by.
func Counted(s ingest.Source, n *int64) ingest.Source {
	if f, ok := s.(*source); ok {
		f.judged = true
		f.store = counted{f.store, n}
		f.archives = &packed{store: f.store, cfg: f.cfg}
	}
	return s
}

type counted struct {
	store
	n *int64
}

func (c counted) open(ctx context.Context, o object) (io.ReadCloser, error) {
	r, err := c.store.open(ctx, o)
	file, ok := r.(*os.File)
	if err != nil || !ok {
		return r, err
	}
	return countedFile{file, c.n}, nil
}

type countedFile struct {
	*os.File
	n *int64
}

func (c countedFile) Read(p []byte) (int, error) {
	n, err := c.File.Read(p)
	*c.n += int64(n)
	return n, err
}

// CursorBefore is the cursor of a source that has read one file up to a place, as it
// was spelled before files had tails.
func CursorBefore(id, text string, mark uint32) feedlake.Cursor {
	b := binary.AppendUvarint(nil, pathOf(object{id: id}))
	b = binary.AppendUvarint(b, uint64(len(text)))
	b = append(b, binary.BigEndian.AppendUint64(nil, narrow(xxhash.Sum64String(text)))[2:]...)
	b = binary.BigEndian.AppendUint32(b, mark)
	b = binary.BigEndian.AppendUint32(b, uint32(xxhash.Sum64(b)))
	return feedlake.Cursor(cursorBefore + base64.RawURLEncoding.EncodeToString(b))
}
