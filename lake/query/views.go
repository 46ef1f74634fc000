package query

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// views are the tables that a database of DuckDB shows, each over exact files.
type views struct {
	on executor

	mu     sync.Mutex
	leases map[string]func() // by view: lets go of its files
}

// executor runs statements: a pool of connections, or one of them.
type executor interface {
	ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
}

func newViews(on executor) views { return views{on: on, leases: map[string]func(){}} }

// ViewOf makes, or makes anew, the view name over exactly these files of the
// lake, which it keeps at hand until the view is made anew or dropped.
func (v *views) ViewOf(ctx context.Context, l Files, name string, cols []lake.Column, files []lake.File) error {
	local, release, err := l.Readable(ctx, files)
	if err != nil {
		return fmt.Errorf("view %s: %w", name, err)
	}
	if err := v.View(ctx, name, cols, local); err != nil {
		release()
		return err
	}
	v.lease(name, release)
	return nil
}

// Files gives files of a lake as files that DuckDB can open; *lake.Lake does.
type Files interface {
	Readable(ctx context.Context, files []lake.File) (_ []lake.File, release func(), err error)
}

// lease remembers what a view holds, in place of what it held before.
func (v *views) lease(name string, release func()) {
	v.mu.Lock()
	before := v.leases[name]
	v.leases[name] = release
	v.mu.Unlock()
	if before != nil {
		before()
	}
}

// Drop takes a view away and lets go of its files.
func (v *views) Drop(ctx context.Context, name string) error {
	if _, err := v.on.ExecContext(ctx, "DROP VIEW IF EXISTS "+tableIdent(name)); err != nil {
		return fmt.Errorf("drop view %s: %w", name, err)
	}
	v.mu.Lock()
	release := v.leases[name]
	delete(v.leases, name)
	v.mu.Unlock()
	if release != nil {
		release()
	}
	return nil
}

// View makes, or makes anew, the view of a table over exactly these files; none
// gives an empty view with the table's types.
func (v *views) View(ctx context.Context, name string, cols []lake.Column, files []lake.File) error {
	schema, _, ok := strings.Cut(name, ".")
	if !ok {
		return fmt.Errorf("view %q: want schema.name: %w", name, feedlake.ErrConfig)
	}
	for _, s := range []string{
		"CREATE SCHEMA IF NOT EXISTS " + Ident(schema),
		"CREATE OR REPLACE VIEW " + tableIdent(name) + " AS " + Select(cols, files),
	} {
		if _, err := v.on.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("view %s: %w", name, err)
		}
	}
	return nil
}

// release lets go of the files of all views.
func (v *views) release() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for name, release := range v.leases {
		release()
		delete(v.leases, name)
	}
}
