package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	"github.com/feedlake/feedlake"
)

// Floors of OrphanOptions.OlderThan.
const (
	DefaultOrphanAge = 24 * time.Hour
	LeastOrphanAge   = time.Hour
)

// OrphanOptions says what Orphans removes.
type OrphanOptions struct {
	// OlderThan spares younger files: they may wait for their commit. It must
	// exceed the longest run. 0: DefaultOrphanAge; below LeastOrphanAge only
	// with Force, for a lake that nobody writes to.
	OlderThan time.Duration
	Force     bool
	// Running are the runs that are under way, by the names that MarkRun knows:
	// files as young as the oldest of them stay, whatever OlderThan and Force say.
	Running []string
	DryRun  bool // only say what would go
}

// OrphanReport tells what Orphans removed, or would remove.
type OrphanReport struct {
	DryRun bool         `json:"dry_run"`
	Files  []OrphanFile `json:"files"`
	Bytes  int64        `json:"bytes"`
}

// OrphanFile is a file that nothing names.
type OrphanFile struct {
	Path     string    `json:"path"`
	Bytes    int64     `json:"bytes"`
	Modified time.Time `json:"modified"`
}

// Orphans removes files that no snapshot of any table names: what crashes, lost
// races and failed removals left in the tables' folders, and what dead
// processes spilled to the lake's tmp. It spares files that a feedlake property
// of a table names, such as rejects that wait for their commit, and the metadata
// files of the tables' logs. Folders in the warehouse that belong to no table of
// the catalog are not looked at.
//
// It lists first and reads the tables' metadata after, so a file that is
// committed between is seen. A table that cannot be read whole stops it before
// anything is removed.
func (l *Lake) Orphans(ctx context.Context, o OrphanOptions) (OrphanReport, error) {
	o.OlderThan = cmp.Or(o.OlderThan, DefaultOrphanAge)
	rep := OrphanReport{DryRun: o.DryRun, Files: []OrphanFile{}}
	if o.OlderThan < LeastOrphanAge && !o.Force {
		return rep, feedlake.Hint(fmt.Errorf("orphans: age %s is below %s: %w", o.OlderThan, LeastOrphanAge, feedlake.ErrConfig),
			"a running writer may need files that young; --force, when nobody writes")
	}
	err := l.careful(ctx, "orphans", func() error {
		s := sweep{l: l, tables: map[string]*listing{}}
		if err := s.bound(ctx, o); err != nil {
			return fmt.Errorf("orphans: %w", err)
		}
		if err := s.list(ctx); err != nil {
			return fmt.Errorf("orphans: %w", err)
		}
		if err := s.spare(ctx); err != nil {
			return fmt.Errorf("orphans: nothing was removed: %w", err)
		}
		rep.take(&s)
		if o.DryRun {
			return nil
		}
		if err := s.remove(ctx); err != nil {
			return feedlake.Hint(fmt.Errorf("orphans: %w", err), "run again: the rest is found again")
		}
		return l.unmark(ctx, o.Running, s.before)
	})
	return rep, err
}

// sweep is one search for orphans.
type sweep struct {
	l       *Lake
	before  time.Time // files of the warehouse that are younger stay
	tables  map[string]*listing
	spilled listing
}

// bound tells how old files must be: by the clock of the storage that they lie
// in, and older than every run that is under way.
func (s *sweep) bound(ctx context.Context, o OrphanOptions) error {
	now, err := s.l.storageNow(ctx)
	if err != nil {
		return err
	}
	first, err := oldest(ctx, s.l.store.notes(), o.Running)
	if err != nil {
		return err
	}
	s.before = earlier(now.Add(-o.OlderThan), first)
	if now, err = s.l.hereNow(ctx); err != nil {
		return err
	}
	if first, err = s.l.oldestHere(ctx, o.Running); err != nil {
		return err
	}
	s.spilled.before = earlier(now.Add(-o.OlderThan), first)
	return nil
}

// earlier is the earlier of two times; a zero b counts as none.
func earlier(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// listing is what lies in a table's folders and is old enough.
type listing struct {
	fsys   iceio.IO
	before time.Time // what is younger stays
	files  []OrphanFile
	stale  []string // staging folders, the deepest last
}

// tableRoots are the folders that hold a table's files: Iceberg puts metadata
// at its location, NewPath puts data beside.
func (l *Lake) tableRoots(t *table.Table) []string { return l.tableRootsOf(t, t.Identifier()) }

func (l *Lake) tableRootsOf(t *table.Table, id table.Identifier) []string {
	data := fileURL(filepath.Join(localPath(l.store.root()), id[0], id[1]))
	if strings.HasPrefix(l.store.root(), s3Scheme) {
		data = l.store.root() + "/" + id[0] + "/" + id[1]
	}
	return slices.Compact([]string{localPath(t.Location()), localPath(data)})
}

// list looks at the folders of all tables, and at what was spilled.
func (s *sweep) list(ctx context.Context) error {
	names, err := s.l.Tables(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		t, err := s.l.load(ctx, name, s.l.catalog(nil))
		if err != nil {
			return err
		}
		fsys, err := t.FS(ctx)
		if err != nil {
			return err
		}
		walker, ok := fsys.(iceio.ListableIO)
		if !ok {
			return fmt.Errorf("list files of %s: storage %T: %w", name, fsys, errors.ErrUnsupported)
		}
		s.tables[name] = &listing{fsys: fsys, before: s.before}
		for _, root := range s.l.tableRoots(t) {
			if err := s.walk(ctx, walker, root, s.tables[name]); err != nil {
				return fmt.Errorf("list files of %s: %w", name, err)
			}
		}
	}
	s.spilled.fsys = iceio.LocalFS{}
	spilled := []string{filepath.Join(s.l.dir, "tmp")}
	if b, ok := s.l.store.(*bucket); ok { // what was never brought to the bucket
		spilled = append(spilled, b.staging)
	}
	for _, root := range spilled {
		if err := s.walk(ctx, iceio.LocalFS{}, root, &s.spilled); err != nil {
			return fmt.Errorf("list spilled files: %w", err)
		}
	}
	return nil
}

// walk adds the old files below root. What vanishes meanwhile is none of them.
func (s *sweep) walk(ctx context.Context, walker iceio.ListableIO, root string, into *listing) error {
	return s.l.ic("list", root, func() error {
		return walker.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			var info fs.FileInfo
			if err == nil {
				info, err = d.Info()
			}
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err != nil:
				return err
			case !info.ModTime().Before(into.before):
			case !d.IsDir():
				into.files = append(into.files, OrphanFile{Path: localPath(path), Bytes: info.Size(), Modified: info.ModTime().UTC()})
			case path != root && (into == &s.spilled || isStaging(path)):
				into.stale = append(into.stale, path)
			}
			return ctx.Err()
		})
	})
}

// walkFiles calls do for every file below a folder of a table, as localPath
// spells it.
func (l *Lake) walkFiles(ctx context.Context, t *table.Table, root string, do func(path string)) error {
	fsys, err := t.FS(ctx)
	if err != nil {
		return err
	}
	walker, ok := fsys.(iceio.ListableIO)
	if !ok {
		return fmt.Errorf("list files: storage %T: %w", fsys, errors.ErrUnsupported)
	}
	return walker.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() {
			do(localPath(path))
		}
		return errors.Join(err, ctx.Err())
	})
}

// isStaging reports whether a folder is, or lies in, one that an engine writes
// to before its files get their names.
func isStaging(dir string) bool { return strings.Contains(filepath.ToSlash(dir)+"/", ".staging/") }

// spare reads the metadata of all tables, as it is after the listing, and takes
// what it names off the lists.
func (s *sweep) spare(ctx context.Context) error {
	names, err := s.l.Tables(ctx)
	if err != nil {
		return err
	}
	named, said := reached{}, mentions{}
	for _, name := range names {
		t, err := s.l.load(ctx, name, s.l.catalog(nil))
		if err != nil {
			return err
		}
		files, err := reachable(ctx, t, t.Metadata().Snapshots())
		if err != nil {
			return feedlake.Hint(fmt.Errorf("table %s: %w", name, err), "feedlake lake check says what is broken and how to mend it")
		}
		maps.Copy(named, files)
		said.add(name, t.Properties())
	}
	for _, list := range s.tables {
		list.files = slices.DeleteFunc(list.files, func(f OrphanFile) bool {
			_, live := named[f.Path]
			return live || len(said[filepath.Base(f.Path)]) > 0
		})
	}
	return nil
}

func (r *OrphanReport) take(s *sweep) {
	for _, name := range slices.Sorted(maps.Keys(s.tables)) {
		r.Files = append(r.Files, s.tables[name].files...)
	}
	r.Files = append(r.Files, s.spilled.files...)
	for _, f := range r.Files {
		r.Bytes += f.Bytes
	}
}

// remove deletes what is left on the lists, then staging folders that are empty
// now; a folder that is not belongs to somebody.
func (s *sweep) remove(ctx context.Context) error {
	lists := append(slices.Collect(maps.Values(s.tables)), &s.spilled)
	for _, list := range lists {
		paths := make([]string, len(list.files))
		for i, f := range list.files {
			paths[i] = f.Path
		}
		if _, err := s.l.removeFiles(ctx, list.fsys, paths); err != nil {
			return err
		}
		for _, dir := range slices.Backward(list.stale) {
			if entries, err := os.ReadDir(localPath(dir)); err == nil && len(entries) == 0 {
				removeQuietly(localPath(dir))
			}
		}
	}
	return nil
}
