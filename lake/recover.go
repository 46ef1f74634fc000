package lake

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	icesql "github.com/apache/iceberg-go/catalog/sql"

	"github.com/feedlake/feedlake"
)

// RecoverOptions says how Recover works.
type RecoverOptions struct {
	// TakeOver puts this catalog in the place of another one that the warehouse
	// belongs to and that is lost. Nobody may write through that one any more.
	TakeOver bool
	DryRun   bool                                // only say what would be done
	OnTable  func(table string, done, total int) // called after each table; nil: not
}

// What became of a table in Recover.
const (
	TableKept    = "kept"    // the catalog knows its newest state
	TableBack    = "back"    // the catalog lacked it
	TableNewer   = "newer"   // the catalog knew an older state, or one that cannot be read
	TableMissing = "missing" // no metadata of it can be read
)

// RecoverReport tells what Recover did, or would do.
type RecoverReport struct {
	DryRun   bool             `json:"dry_run"`
	Catalog  string           `json:"catalog"`
	SetAside string           `json:"set_aside,omitempty"` // where the damaged catalog.db is now
	Tables   []RecoveredTable `json:"tables"`
	Erasures int              `json:"erasures"` // tombstones that were only beside the tables, and are in ops.erasures again
}

// RecoveredTable is one table of the report.
type RecoveredTable struct {
	Table    string           `json:"table"`
	State    string           `json:"state"` // one of the Table constants
	Metadata string           `json:"metadata"`
	Snapshot int64            `json:"snapshot"`
	Rows     int64            `json:"rows"`
	Skipped  []PassedMetadata `json:"skipped"` // newer metadata that was not taken
	Problem  string           `json:"problem,omitempty"`
}

// PassedMetadata is a metadata file that Recover did not take.
type PassedMetadata struct {
	File string `json:"file"`
	Why  string `json:"why"`
}

// Recover rebuilds the catalog of the lake at c from the newest metadata of
// every table in the warehouse; see choose for what is newest. With the metadata
// come a table's properties: cursors, inputs, state. What a catalog that can be
// read knows rightly stays. A damaged catalog.db is set aside, not deleted; a
// catalog that has moved refuses, as Open does. Tombstones that are kept beside
// the tables are brought back into ops.erasures. It changes no table file. Nobody
// may write to the lake meanwhile.
//
// Errors: feedlake.ErrConfig when the warehouse belongs to a catalog elsewhere;
// feedlake.ErrNotFound when it holds no table; feedlake.ErrPartial when a table
// has no metadata that can be read: the others are there then.
func Recover(ctx context.Context, c Config, o RecoverOptions) (rep RecoverReport, err error) {
	rep = RecoverReport{DryRun: o.DryRun, Tables: []RecoveredTable{}}
	c.recovering = true
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return rep, fmt.Errorf("recover: %w", err)
	}
	if info, err := os.Stat(c.Dir); err != nil || !info.IsDir() {
		return rep, feedlake.Hint(fmt.Errorf("recover: no folder %s: %w", c.Dir, feedlake.ErrNotFound), "name the lake's folder with --lake, or in the config under lake.dir")
	}
	if c.Catalog == "" {
		done, err := prepareFile(ctx, &c, o.DryRun, &rep)
		if err != nil {
			return rep, fmt.Errorf("recover: %w", err)
		}
		defer done()
	}
	l, err := Open(ctx, c)
	if err != nil {
		return rep, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	rep.Catalog = l.place
	err = l.careful(ctx, "recover", func() error { return l.recover(ctx, o, &rep) })
	return rep, err
}

// prepareFile looks at the embedded catalog. A damaged one is set aside; in a
// dry run an empty one in a temporary folder stands for it.
func prepareFile(ctx context.Context, c *Config, dry bool, rep *RecoverReport) (done func(), err error) {
	done = func() {}
	file := filepath.Join(c.Dir, catalogFile)
	_, err = os.Stat(file)
	missing := errors.Is(err, fs.ErrNotExist)
	broken := false
	if !missing {
		if broken, err = brokenFile(ctx, file); err != nil {
			return done, err
		}
	}
	switch {
	case dry && (missing || broken):
		dir, err := os.MkdirTemp("", "feedlake-recover-")
		if err != nil {
			return done, err
		}
		c.scratch = filepath.Join(dir, catalogFile)
		return func() { _ = os.RemoveAll(dir) }, nil
	case broken:
		rep.SetAside = file + ".damaged-" + c.Now().UTC().Format("20060102T150405Z")
		for _, end := range []string{"", "-wal", "-shm"} {
			if err := os.Rename(file+end, rep.SetAside+end); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return done, fmt.Errorf("set the damaged catalog aside: %w", err)
			}
		}
	}
	return done, nil
}

// brokenFile reports whether a file is no whole SQLite database.
func brokenFile(ctx context.Context, file string) (broken bool, err error) {
	db, err := openSQLite(ctx, file)
	if err != nil {
		if isDamaged(err) {
			return true, nil
		}
		return false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var word string
	err = db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&word)
	if isDamaged(err) {
		return true, nil
	}
	return word != "ok", err
}

func (l *Lake) recover(ctx context.Context, o RecoverOptions, rep *RecoverReport) error {
	n := l.store.notes()
	c, err := readCharge(ctx, n)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	if c != nil && c.Catalog != l.place && !o.TakeOver {
		return feedlake.Hint(fmt.Errorf("recover: the warehouse %s belongs to the catalog in %s since %s: %w", l.store.root(), c.Catalog, c.Since.Format("2006-01-02"), feedlake.ErrConfig),
			"set lake.catalog in the config to it; only where it is lost for good, or this is its new name, --take-over puts %s in its place", l.place)
	}
	found, err := warehouseTables(ctx, n)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	have, err := l.entries(ctx, l.db)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	ids := slices.SortedFunc(maps.Keys(found), func(a, b [2]string) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	put := map[[2]string]string{}
	for i, id := range ids {
		t, ok, err := l.recoverTable(ctx, id, found[id], have.tables[id])
		if err != nil {
			return fmt.Errorf("recover %s.%s: %w", id[0], id[1], err)
		}
		if !ok { // a folder without any metadata is no table
			continue
		}
		if t.State == TableBack || t.State == TableNewer {
			put[id] = t.Metadata
		}
		rep.Tables = append(rep.Tables, t)
		if o.OnTable != nil {
			o.OnTable(t.Table, i+1, len(ids))
		}
	}
	if len(rep.Tables) == 0 {
		return feedlake.Hint(fmt.Errorf("recover: the warehouse %s holds no table: %w", l.store.root(), feedlake.ErrNotFound), "is this the lake's folder or bucket? a new lake needs no recover")
	}
	if !o.DryRun {
		if err := l.adopt(ctx, put, rep); err != nil {
			return fmt.Errorf("recover: %w", err)
		}
	}
	return unrecovered(rep)
}

// unrecovered is the error about tables that stay lost.
func unrecovered(rep *RecoverReport) error {
	var errs []error
	for _, t := range rep.Tables {
		if t.State == TableMissing {
			errs = append(errs, fmt.Errorf("table %s: %s: %w", t.Table, t.Problem, feedlake.ErrPartial))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return feedlake.Hint(fmt.Errorf("recover: %w", errors.Join(errs...)),
		"bring its metadata files back from a backup and run this again; where it is lost for good, move its folder out of the warehouse: a derived table is then built anew")
}

// adopt writes what was found into the catalog, in one transaction, and puts it
// in charge. What stops it halfway leaves a catalog that Open refuses.
func (l *Lake) adopt(ctx context.Context, put map[[2]string]string, rep *RecoverReport) error {
	id := rand.Text()
	err := l.tx(ctx, func(tx *sql.Tx) error {
		for k, loc := range put {
			_, err := tx.ExecContext(ctx, l.bind("INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type) VALUES (?, ?, ?, ?, ?) "+
				"ON CONFLICT (catalog_name, table_namespace, table_name) DO UPDATE SET metadata_location = excluded.metadata_location, previous_metadata_location = NULL"),
				CatalogName, k[0], k[1], loc, icesql.TableType)
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, l.bind("INSERT INTO iceberg_namespace_properties (catalog_name, namespace, property_key, property_value) VALUES (?, ?, ?, ?) "+
				"ON CONFLICT (catalog_name, namespace, property_key) DO NOTHING"), CatalogName, k[0], "exists", "true")
			if err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, l.bind(putMeta), metaLake, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("write catalog: %w", err)
	}
	for _, loc := range put {
		l.noteCommitted(ctx, loc)
	}
	if rep.Erasures, err = l.bringErasures(ctx); err != nil {
		return err
	}
	return l.writeCharge(ctx, charge{ID: id}, true)
}
