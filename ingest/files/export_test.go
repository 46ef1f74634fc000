package files

import (
	"context"
	"io"
	"strings"
	"time"

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
