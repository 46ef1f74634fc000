package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	icesql "github.com/apache/iceberg-go/catalog/sql"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	"github.com/feedlake/feedlake"
)

// guardedCatalog is the SQL catalog as one commit sees it. It mends two things:
// a stale writer's plain "requirement failed" becomes table.ErrCommitFailed, so
// that it can be retried; and the commit's own expectations travel as one more
// requirement, checked against the very metadata that the compare-and-swap
// replaces.
type guardedCatalog struct {
	*icesql.Catalog
	ic     Interceptor
	expect map[string]string
}

func (l *Lake) catalog(expect map[string]string) guardedCatalog {
	return guardedCatalog{Catalog: l.cat, ic: l.ic, expect: expect}
}

// LoadTable returns the table bound to this catalog and to intercepted storage.
func (c guardedCatalog) LoadTable(ctx context.Context, id table.Identifier) (*table.Table, error) {
	t, err := c.Catalog.LoadTable(ctx, id)
	if err != nil {
		return nil, err
	}
	fsys := func(ctx context.Context) (iceio.IO, error) {
		inner, err := t.FS(ctx)
		if err != nil {
			return nil, err
		}
		local, ok := inner.(iceio.LocalFS)
		if !ok {
			return nil, fmt.Errorf("table %s: storage %T: %w", strings.Join(id, "."), inner, errors.ErrUnsupported)
		}
		return interceptedFS{LocalFS: local, ic: c.ic}, nil
	}
	return table.New(t.Identifier(), t.Metadata(), t.MetadataLocation(), fsys, c), nil
}

// CommitTable adds the guard and sorts the error into its family.
func (c guardedCatalog) CommitTable(ctx context.Context, id table.Identifier, reqs []table.Requirement, ups []table.Update) (table.Metadata, string, error) {
	if len(c.expect) > 0 {
		reqs = append(reqs, propertyGuard{expect: c.expect})
	}
	var meta table.Metadata
	var loc string
	err := c.ic("commit", strings.Join(id, "."), func() (err error) {
		meta, loc, err = c.Catalog.CommitTable(ctx, id, reqs, ups)
		return err
	})
	if err != nil && !errors.Is(err, table.ErrCommitFailed) && strings.Contains(strings.ToLower(err.Error()), "requirement failed") {
		err = fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
	}
	return meta, loc, err
}

// propertyGuard is an Iceberg requirement: table properties that must hold as
// the commit lands. It is evaluated by the SQL catalog inside its
// compare-and-swap; it has no wire form, so a REST catalog could not carry it.
type propertyGuard struct{ expect map[string]string }

// GetType names the requirement.
func (propertyGuard) GetType() string { return "feedlake-assert-properties" }

// Validate fails with feedlake.ErrConflict when a property has moved.
func (g propertyGuard) Validate(meta table.Metadata) error {
	for k, want := range g.expect {
		if got := meta.Properties()[k]; got != want {
			return fmt.Errorf("property %s moved: %w", k, feedlake.ErrConflict)
		}
	}
	return nil
}

// interceptedFS lets the lake's Interceptor see every metadata file operation.
type interceptedFS struct {
	iceio.LocalFS
	ic Interceptor
}

// Open opens a file for reading.
func (f interceptedFS) Open(name string) (file iceio.File, err error) {
	err = f.ic("read", name, func() (err error) { file, err = f.LocalFS.Open(name); return err })
	if err != nil && file != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, err
}

// ReadFile reads a whole file.
func (f interceptedFS) ReadFile(name string) (b []byte, err error) {
	err = f.ic("read", name, func() (err error) { b, err = f.LocalFS.ReadFile(name); return err })
	return b, err
}

// Create opens a new file for writing.
func (f interceptedFS) Create(name string) (w iceio.FileWriter, err error) {
	err = f.ic("create", name, func() (err error) { w, err = f.LocalFS.Create(name); return err })
	if err != nil && w != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, err
}

// WriteFile writes a whole file.
func (f interceptedFS) WriteFile(name string, b []byte) error {
	return f.ic("create", name, func() error { return f.LocalFS.WriteFile(name, b) })
}

// Remove deletes a file; a missing one is no error.
func (f interceptedFS) Remove(name string) error {
	return f.ic("remove", name, func() error {
		if err := f.LocalFS.Remove(name); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}
