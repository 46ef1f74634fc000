package lake

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/apache/iceberg-go/catalog"
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
	l      *Lake
	expect map[string]string
	say    map[string]string // added to the summary of a snapshot that Iceberg makes by itself
}

func (l *Lake) catalog(expect map[string]string) guardedCatalog {
	return guardedCatalog{Catalog: l.cat, l: l, expect: expect}
}

// LoadTable returns the table bound to this catalog and to intercepted storage.
// Metadata files never change, so the last one of each table is kept: asking for
// the current snapshot costs a question to the catalog and no read.
func (c guardedCatalog) LoadTable(ctx context.Context, id table.Identifier) (*table.Table, error) {
	loc, err := c.l.metadataLocation(ctx, id)
	if err != nil {
		return nil, err
	}
	plain := c.l.filesAt(loc)
	fsys := func(ctx context.Context) (iceio.IO, error) {
		inner, err := plain(ctx)
		if err != nil {
			return nil, err
		}
		files, ok := inner.(tableIO)
		if !ok {
			return nil, fmt.Errorf("table %s: storage %T: %w", strings.Join(id, "."), inner, errors.ErrUnsupported)
		}
		return interceptedIO{tableIO: files, ic: c.l.ic}, nil
	}
	if meta := c.l.known.get(id, loc); meta != nil {
		return table.New(id, meta, loc, fsys, c), nil
	}
	t, err := table.NewFromLocation(ctx, id, loc, plain, c)
	if err != nil {
		return nil, err
	}
	c.l.known.put(id, loc, t.Metadata())
	return table.New(id, t.Metadata(), loc, fsys, c), nil
}

// metadataLocation asks the catalog where a table's current metadata lies.
func (l *Lake) metadataLocation(ctx context.Context, id table.Identifier) (string, error) {
	var loc sql.NullString
	err := l.db.QueryRowContext(ctx, l.bind("SELECT metadata_location FROM iceberg_tables "+
		"WHERE catalog_name = ? AND table_namespace = ? AND table_name = ?"), CatalogName, id[0], id[1]).Scan(&loc)
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && !loc.Valid:
		return "", fmt.Errorf("%w: %s", catalog.ErrNoSuchTable, strings.Join(id, "."))
	case err != nil:
		return "", fmt.Errorf("read catalog: %w", err)
	}
	return loc.String, nil
}

// metadataCache keeps the newest metadata seen of each table.
type metadataCache struct {
	mu    sync.Mutex
	byID  map[string]table.Metadata
	place map[string]string
}

func (m *metadataCache) get(id table.Identifier, loc string) table.Metadata {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := strings.Join(id, ".")
	if m.place[key] != loc {
		return nil
	}
	return m.byID[key]
}

func (m *metadataCache) put(id table.Identifier, loc string, meta table.Metadata) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byID == nil {
		m.byID, m.place = map[string]table.Metadata{}, map[string]string{}
	}
	key := strings.Join(id, ".")
	m.byID[key], m.place[key] = meta, loc
}

// CommitTable adds the guard and sorts the error into its family.
func (c guardedCatalog) CommitTable(ctx context.Context, id table.Identifier, reqs []table.Requirement, ups []table.Update) (table.Metadata, string, error) {
	if len(c.expect) > 0 {
		reqs = append(reqs, propertyGuard{expect: c.expect})
	}
	var meta table.Metadata
	var loc string
	ups, err := saying(ups, c.say)
	if err != nil {
		return nil, "", err
	}
	ctx = c.l.withBucket(ctx)
	err = c.l.ic("commit", strings.Join(id, "."), func() (err error) {
		meta, loc, err = c.Catalog.CommitTable(ctx, id, reqs, ups)
		return err
	})
	if err != nil && !errors.Is(err, table.ErrCommitFailed) && strings.Contains(strings.ToLower(err.Error()), "requirement failed") {
		err = fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
	}
	if err == nil {
		c.l.known.put(id, loc, meta) // who asks next need not read what was just written
		c.l.noteCommitted(ctx, loc)
	}
	return meta, loc, err
}

// saying adds to the summaries of new snapshots: not every change of Iceberg's
// takes properties for its snapshot.
func saying(ups []table.Update, say map[string]string) ([]table.Update, error) {
	if len(say) == 0 {
		return ups, nil
	}
	ups = slices.Clone(ups)
	for i, u := range ups {
		if u.Action() != table.UpdateAddSnapshot {
			continue
		}
		text, err := json.Marshal(u)
		if err != nil {
			return nil, fmt.Errorf("read update: %w", err)
		}
		var add struct {
			Snapshot *table.Snapshot `json:"snapshot"`
		}
		if err := json.Unmarshal(text, &add); err != nil || add.Snapshot == nil || add.Snapshot.Summary == nil {
			return nil, fmt.Errorf("read update %.200s: %w", text, cmp.Or(err, errors.ErrUnsupported))
		}
		maps.Copy(add.Snapshot.Summary.Properties, say)
		ups[i] = table.NewAddSnapshotUpdate(add.Snapshot)
	}
	return ups, nil
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

// tableIO is what Iceberg's folders and buckets have in common.
type tableIO interface {
	iceio.WriteFileIO
	iceio.ReadFileIO
	iceio.ListableIO
}

// interceptedIO lets the lake's Interceptor see every metadata file operation.
type interceptedIO struct {
	tableIO
	ic Interceptor
}

// Open opens a file for reading.
func (f interceptedIO) Open(name string) (file iceio.File, err error) {
	err = f.ic("read", name, func() (err error) { file, err = f.tableIO.Open(name); return err })
	if err != nil && file != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, err
}

// ReadFile reads a whole file.
func (f interceptedIO) ReadFile(name string) (b []byte, err error) {
	err = f.ic("read", name, func() (err error) { b, err = f.tableIO.ReadFile(name); return err })
	return b, err
}

// Create opens a new file for writing.
func (f interceptedIO) Create(name string) (w iceio.FileWriter, err error) {
	err = f.ic("create", name, func() (err error) { w, err = f.tableIO.Create(name); return err })
	if err != nil && w != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, err
}

// WriteFile writes a whole file.
func (f interceptedIO) WriteFile(name string, b []byte) error {
	return f.ic("create", name, func() error { return f.tableIO.WriteFile(name, b) })
}

// Remove deletes a file; a missing one is no error.
func (f interceptedIO) Remove(name string) error {
	return f.ic("remove", name, func() error {
		if err := f.tableIO.Remove(name); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}
