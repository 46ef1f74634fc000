package lake

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"maps"

	icesql "github.com/apache/iceberg-go/catalog/sql"

	"github.com/feedlake/feedlake"
)

// MoveCatalog brings the catalog's entries into the catalog of to and takes them
// out of l's own, so that the tables never have two masters. No table file is
// read or written: both lakes must have one warehouse. Writers that still have l
// open fail with their next commit and lose nothing that was committed. After a
// crash the old catalog is still the lake's, and MoveCatalog is called again. It
// returns how many tables moved.
//
// Errors: feedlake.ErrConflict when to holds other tables already.
func (l *Lake) MoveCatalog(ctx context.Context, to *Lake) (tables int, err error) {
	if l.store.root() != to.store.root() {
		return 0, feedlake.Hint(fmt.Errorf("move catalog: the warehouses are %s and %s: %w", l.store.root(), to.store.root(), feedlake.ErrConfig),
			"only the catalog moves; the files stay where they are")
	}
	id := rand.Text() // of its own: a copy of the old catalog must not pass for the new one
	if err := l.announce(ctx, id); err != nil {
		return 0, fmt.Errorf("move catalog: %w", err)
	}
	for range attempts {
		entries, err := l.entries(ctx, l.db)
		if err != nil {
			return 0, fmt.Errorf("move catalog: %w", err)
		}
		if err := to.receive(ctx, entries); err != nil {
			return 0, fmt.Errorf("move catalog: %w", err)
		}
		switch err := l.giveUp(ctx, entries, to.place); {
		case errors.Is(err, feedlake.ErrConflict): // a writer was faster: copy what it did
			continue
		case err != nil:
			return 0, fmt.Errorf("move catalog: %w", err)
		}
		for _, put := range [][2]string{{metaLake, id}, {metaMoving, ""}, {metaMoved, ""}} {
			if err := to.setMeta(ctx, put[0], put[1]); err != nil {
				return 0, err
			}
		}
		if err := to.writeCharge(ctx, charge{ID: id}, true); err != nil {
			return 0, fmt.Errorf("move catalog: %w", err)
		}
		return len(entries.tables), nil
	}
	return 0, fmt.Errorf("move catalog: writers are at work: %w", feedlake.ErrBusy)
}

// announce notes in the warehouse that a catalog named next may be in charge
// soon.
func (l *Lake) announce(ctx context.Context, next string) error {
	id, err := l.meta(ctx, metaLake)
	if err != nil {
		return err
	}
	return l.writeCharge(ctx, charge{ID: id, Next: next}, true)
}

// entries is what a SQL catalog holds of this lake.
type entries struct {
	tables map[[2]string]string // namespace and table to the place of its metadata
	spaces map[[2]string]string // namespace and property key to its value
}

func (e entries) equal(o entries) bool {
	return maps.Equal(e.tables, o.tables) && maps.Equal(e.spaces, o.spaces)
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

func (l *Lake) entries(ctx context.Context, db querier) (entries, error) {
	tables, err := l.pairs(ctx, db, "SELECT table_namespace, table_name, metadata_location FROM iceberg_tables WHERE catalog_name = ?")
	if err != nil {
		return entries{}, err
	}
	spaces, err := l.pairs(ctx, db, "SELECT namespace, property_key, property_value FROM iceberg_namespace_properties WHERE catalog_name = ?")
	return entries{tables, spaces}, err
}

func (l *Lake) pairs(ctx context.Context, db querier, text string) (_ map[[2]string]string, err error) {
	rows, err := db.QueryContext(ctx, l.bind(text), CatalogName)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	out := map[[2]string]string{}
	for rows.Next() {
		var a, b string
		var value sql.NullString
		if err := rows.Scan(&a, &b, &value); err != nil {
			return nil, err
		}
		out[[2]string{a, b}] = value.String
	}
	return out, rows.Err()
}

// receive writes another catalog's entries over what an earlier, unfinished move
// has brought.
func (l *Lake) receive(ctx context.Context, e entries) error {
	have, err := l.entries(ctx, l.db)
	if err != nil {
		return err
	}
	moving, err := l.meta(ctx, metaMoving)
	if err != nil {
		return err
	}
	if len(have.tables) > 0 && moving == "" {
		return feedlake.Hint(fmt.Errorf("%s holds tables of a lake: %w", l.place, feedlake.ErrConflict), "name an empty database or schema")
	}
	if err := l.setMeta(ctx, metaMoving, "unfinished"); err != nil {
		return err
	}
	return l.tx(ctx, func(tx *sql.Tx) error {
		if err := l.clear(ctx, tx); err != nil {
			return err
		}
		for k, v := range e.tables {
			_, err := tx.ExecContext(ctx, l.bind("INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type) VALUES (?, ?, ?, ?, ?)"),
				CatalogName, k[0], k[1], v, icesql.TableType)
			if err != nil {
				return err
			}
		}
		for k, v := range e.spaces {
			_, err := tx.ExecContext(ctx, l.bind("INSERT INTO iceberg_namespace_properties (catalog_name, namespace, property_key, property_value) VALUES (?, ?, ?, ?)"),
				CatalogName, k[0], k[1], v)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// giveUp empties the catalog and notes where its entries are, or fails with
// feedlake.ErrConflict when they are no longer e.
func (l *Lake) giveUp(ctx context.Context, e entries, place string) error {
	return l.tx(ctx, func(tx *sql.Tx) error {
		if l.kind == icesql.Postgres { // SQLite's transactions exclude each other already
			if _, err := tx.ExecContext(ctx, "LOCK TABLE iceberg_tables IN EXCLUSIVE MODE"); err != nil {
				return err
			}
		}
		now, err := l.entries(ctx, tx)
		if err != nil {
			return err
		}
		if !now.equal(e) {
			return feedlake.ErrConflict
		}
		if err := l.clear(ctx, tx); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, l.bind(putMeta), metaMoved, place)
		return err
	})
}

func (l *Lake) clear(ctx context.Context, tx *sql.Tx) error {
	for _, table := range []string{"iceberg_tables", "iceberg_namespace_properties"} {
		if _, err := tx.ExecContext(ctx, l.bind("DELETE FROM "+table+" WHERE catalog_name = ?"), CatalogName); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lake) tx(ctx context.Context, do func(tx *sql.Tx) error) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
