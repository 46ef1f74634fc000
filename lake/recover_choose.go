package lake

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// recoverTable finds the newest state of a table and says how it stands to what
// the catalog says; false for a folder without metadata.
func (l *Lake) recoverTable(ctx context.Context, id [2]string, folder, entry string) (RecoveredTable, bool, error) {
	c := choice{l: l, folder: folder}
	rep := RecoveredTable{Table: id[0] + "." + id[1], State: TableMissing}
	t, err := c.choose(ctx)
	rep.Skipped, rep.Problem = append([]PassedMetadata{}, c.passed...), c.problem
	if err != nil || len(c.names) == 0 {
		return rep, false, err
	}
	switch known := entry != "" && l.readable(ctx, entry); {
	case known && (t == nil || !c.proves(t, entry)):
		rep.State, rep.Skipped, rep.Problem = TableKept, []PassedMetadata{}, ""
		if t, err = l.parse(ctx, entry); err != nil {
			return rep, true, err
		}
	case t == nil:
		rep.Problem = "no metadata file of it can be read"
		return rep, true, nil
	case entry != "":
		rep.State = TableNewer
	default:
		rep.State = TableBack
	}
	rep.Metadata = t.MetadataLocation()
	if s := t.CurrentSnapshot(); s != nil {
		rep.Snapshot = s.SnapshotID
		if s.Summary != nil {
			rep.Rows, _ = strconv.ParseInt(s.Summary.Properties["total-records"], 10, 64)
		}
	}
	return rep, true, nil
}

func (l *Lake) readable(ctx context.Context, loc string) bool {
	_, err := l.parse(ctx, loc)
	return err == nil
}

// choice is the search for the newest committed metadata of one table.
type choice struct {
	l       *Lake
	folder  string
	names   []string // of metadata files, the highest version first
	note    string   // the file that is known to be committed; "" none
	passed  []PassedMetadata
	problem string
	files   map[string]bool // what lies in the table's folders, as localPath spells it
}

// choose picks the metadata with the highest version that can be read, whose
// files are all there, and that stands on the committed line: it is the one that
// is noted as committed, or was made from that. A commit that lost a race or was
// cut off leaves metadata of the same version as the one that won; the note
// tells the two apart, and where there is none, as in lakes of older programs,
// the one written last counts. Times of files are not looked at. A newer one
// that is passed over is in c.passed.
//
// When no metadata has all its files, the newest on the line is taken: older
// states would lose more than the files that are gone.
func (c *choice) choose(ctx context.Context) (*table.Table, error) {
	n := c.l.store.notes()
	all, err := n.list(ctx, c.folder+"/metadata")
	if err != nil {
		return nil, err
	}
	c.names = slices.DeleteFunc(all, func(name string) bool { return metadataVersion(name) < 0 })
	slices.SortFunc(c.names, func(a, b string) int {
		return cmp.Or(cmp.Compare(metadataVersion(b), metadataVersion(a)), cmp.Compare(a, b))
	})
	if c.note, err = committed(ctx, n, c.folder); err != nil {
		return nil, err
	}
	if c.note != "" && !c.l.readable(ctx, c.l.metadataAt(c.folder, c.note)) {
		c.note = "" // it is among those that are passed over
	}
	var spare *table.Table
	spareWhy := ""
	for _, same := range c.versions() {
		for _, t := range c.onLine(ctx, same) {
			why, err := c.lacks(ctx, t)
			if err != nil {
				return nil, err
			}
			if why == "" {
				return t, nil
			}
			if spare == nil {
				spare, spareWhy = t, why
			}
			if path.Base(t.MetadataLocation()) == c.note { // committed for sure
				c.problem = why + "; feedlake lake check tells more"
				return t, nil
			}
			c.pass(path.Base(t.MetadataLocation()), why)
		}
	}
	if spare != nil {
		c.problem = spareWhy + "; feedlake lake check tells more"
		c.passed = slices.DeleteFunc(c.passed, func(p PassedMetadata) bool { return p.File == path.Base(spare.MetadataLocation()) })
	}
	return spare, ctx.Err()
}

// versions groups the files by version, highest first.
func (c *choice) versions() [][]string {
	var out [][]string
	for i, name := range c.names {
		if i == 0 || metadataVersion(c.names[i-1]) != metadataVersion(name) {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], name)
	}
	return out
}

// onLine reads metadata of one version and leaves out what is not, or cannot
// be, on the committed line. The one written last comes first.
func (c *choice) onLine(ctx context.Context, same []string) []*table.Table {
	var out []*table.Table
	for _, name := range same {
		t, err := c.l.parse(ctx, c.l.metadataAt(c.folder, name))
		switch {
		case err != nil:
			c.pass(name, "it cannot be read: "+err.Error())
		case !c.here(t):
			c.pass(name, "it is of a table in "+t.Location())
		case !c.follows(t):
			c.pass(name, "its commit did not come about: "+c.note+" is committed")
		default:
			out = append(out, t)
		}
	}
	slices.SortStableFunc(out, func(a, b *table.Table) int {
		return cmp.Compare(b.Metadata().LastUpdatedMillis(), a.Metadata().LastUpdatedMillis())
	})
	return out
}

func (c *choice) pass(name, why string) { c.passed = append(c.passed, PassedMetadata{name, why}) }

// here reports whether metadata is of the table that has this folder.
func (c *choice) here(t *table.Table) bool {
	in, ok := c.l.inWarehouse(t.Location())
	return ok && in == c.folder
}

// follows reports whether metadata is the committed one or was made from it. A
// log that does not reach back so far denies nothing.
func (c *choice) follows(t *table.Table) bool {
	if c.note == "" || path.Base(t.MetadataLocation()) == c.note {
		return true
	}
	v := metadataVersion(c.note)
	if metadataVersion(t.MetadataLocation()) <= v {
		return false
	}
	oldest := metadataVersion(t.MetadataLocation())
	for e := range t.Metadata().PreviousFiles() {
		if path.Base(e.MetadataFile) == c.note {
			return true
		}
		oldest = min(oldest, metadataVersion(e.MetadataFile))
	}
	return oldest > v
}

// proves reports whether t shows that the catalog's entry, which can be read, is
// not the newest commit: t is noted as committed, or two commits beyond.
func (c *choice) proves(t *table.Table, entry string) bool {
	ahead := metadataVersion(t.MetadataLocation()) - metadataVersion(entry)
	return ahead >= 2 || ahead == 1 && path.Base(t.MetadataLocation()) == c.note
}

// lacks says which file of the current snapshot is missing or cannot be read; ""
// when all are there.
func (c *choice) lacks(ctx context.Context, t *table.Table) (string, error) {
	s := t.CurrentSnapshot()
	if s == nil {
		return "", nil
	}
	fsys, err := t.FS(ctx)
	if err != nil {
		return "", err
	}
	lists, err := manifestsOf(ctx, fsys, []table.Snapshot{*s})
	if err != nil {
		return "its snapshot cannot be read: " + err.Error(), ctx.Err()
	}
	named := reached{}
	unique := map[string]iceberg.ManifestFile{}
	for _, m := range lists[0] {
		unique[m.FilePath()] = m
	}
	if err := named.addEntries(ctx, fsys, slices.Collect(maps.Values(unique))); err != nil {
		return "its snapshot cannot be read: " + err.Error(), ctx.Err()
	}
	for _, file := range slices.Sorted(maps.Keys(named)) {
		there, err := c.exists(ctx, t, file)
		if err != nil {
			return "", err
		}
		if !there {
			return fmt.Sprintf("of its %d files one is missing at least: %s", len(named), file), nil
		}
	}
	return "", nil
}

// exists looks for a file in what lies in the table's folders, which are listed
// once.
func (c *choice) exists(ctx context.Context, t *table.Table, file string) (bool, error) {
	if c.files == nil {
		c.files = map[string]bool{}
		id := table.Identifier{path.Dir(c.folder), path.Base(c.folder)}
		id[0] = id[0][:len(id[0])-len(".db")]
		for _, root := range c.l.tableRootsOf(t, id) {
			if err := c.l.walkFiles(ctx, t, root, func(p string) { c.files[p] = true }); err != nil {
				return false, err
			}
		}
	}
	return c.files[file], nil
}
