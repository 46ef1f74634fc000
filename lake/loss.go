package lake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/apache/iceberg-go/table"

	"github.com/feedlake/feedlake"
)

// metadataName matches the files that hold a table's metadata, by version.
var metadataName = regexp.MustCompile(`^(\d+)-.+\.metadata\.json$`)

// metadataVersion reads the version from a metadata file's name or place; -1
// for another file.
func metadataVersion(location string) int {
	m := metadataName.FindStringSubmatch(path.Base(location))
	if m == nil {
		return -1
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return -1
	}
	return n
}

// committedName is, in a table's folder, the note of a committed metadata file.
// It has the name and form that engines without a catalog look for.
const committedName = "metadata/version-hint.text"

// metadataEnding is what committedName leaves out of a file's name.
const metadataEnding = ".metadata.json"

// noteCommitted notes that a metadata file is committed, beside it: without a
// catalog nothing else tells it from one that lost a race. A note that cannot be
// written, or comes late, costs only that.
func (l *Lake) noteCommitted(ctx context.Context, location string) {
	folder, ok := l.inWarehouse(location)
	if !ok {
		return
	}
	name := path.Join(path.Dir(path.Dir(folder)), committedName)
	text := strings.TrimSuffix(path.Base(location), metadataEnding)
	_ = l.ic("create", name, func() error { return l.store.notes().write(ctx, name, []byte(text), true) })
}

// committed reads which metadata file of a table's folder is known to be
// committed; "" where none is.
func committed(ctx context.Context, n notes, folder string) (string, error) {
	text, err := n.read(ctx, path.Join(folder, committedName))
	if errors.Is(err, feedlake.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	name := string(text) + metadataEnding
	if metadataVersion(name) < 0 { // cut off as it was written
		return "", nil
	}
	return name, nil
}

// inWarehouse gives the name of a location relative to the warehouse; false for
// one outside.
func (l *Lake) inWarehouse(location string) (string, bool) {
	if b, ok := l.store.(*bucket); ok {
		key, ok := b.s3.Key(location)
		if !ok {
			return "", false
		}
		return strings.CutPrefix(key, warehouseFolder+"/")
	}
	return strings.CutPrefix(localPath(location), localPath(l.store.root())+"/")
}

// warehouseTables lists the tables that have a folder in the warehouse, by name,
// with that folder.
func warehouseTables(ctx context.Context, n notes) (map[[2]string]string, error) {
	spaces, err := n.list(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("list warehouse: %w", err)
	}
	spaces = slices.DeleteFunc(spaces, func(s string) bool { return !strings.HasSuffix(s, ".db/") })
	out := map[[2]string]string{}
	var mu sync.Mutex
	err = parallel(ctx, len(spaces), func(i int) error {
		tables, err := n.list(ctx, spaces[i])
		if err != nil {
			return fmt.Errorf("list warehouse: %w", err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, t := range tables {
			if name, ok := strings.CutSuffix(t, "/"); ok {
				out[[2]string{strings.TrimSuffix(spaces[i], ".db/"), name}] = spaces[i] + name
			}
		}
		return nil
	})
	return out, err
}

// refuseLoss fails when the warehouse holds tables, or states of tables, that
// the catalog has forgotten, or when the catalog speaks of another warehouse. A
// table whose first metadata was written and that never took a commit holds
// nothing, and may be about to be made: it is not missed.
func (l *Lake) refuseLoss(ctx context.Context) error {
	n := l.store.notes()
	have, err := warehouseTables(ctx, n)
	if err != nil {
		return err
	}
	e, err := l.entries(ctx, l.db)
	if err != nil {
		return fmt.Errorf("read catalog: %w", err)
	}
	for id, loc := range e.tables {
		if err := l.refuseElsewhere(id, loc); err != nil {
			return err
		}
	}
	suspects, err := l.suspects(ctx, n, have, e)
	if err != nil || len(suspects) == 0 {
		return err
	}
	if e, err = l.entries(ctx, l.db); err != nil { // a writer may have moved on meanwhile
		return fmt.Errorf("read catalog: %w", err)
	}
	var missing, stale []string
	for id, was := range suspects {
		switch now, ok := e.tables[id]; {
		case !ok:
			missing = append(missing, id[0]+"."+id[1])
		case now == was:
			stale = append(stale, id[0]+"."+id[1])
		}
	}
	slices.Sort(missing)
	slices.Sort(stale)
	switch {
	case len(missing) > 0 && len(e.tables) == 0:
		return lost("it knows no table, but the warehouse %s holds %s", l.store.root(), strings.Join(missing, ", "))
	case len(missing) > 0:
		return lost("it lacks tables that the warehouse holds: %s", strings.Join(missing, ", "))
	case len(stale) > 0:
		return lost("it is older than the warehouse: later commits are there of %s", strings.Join(stale, ", "))
	}
	return nil
}

// suspects are tables that the catalog seems to have forgotten, or of which it
// seems to know an older state, with what it says of them.
func (l *Lake) suspects(ctx context.Context, n notes, have map[[2]string]string, e entries) (map[[2]string]string, error) {
	ids := make([][2]string, 0, len(have))
	for id := range have {
		ids = append(ids, id)
	}
	out := map[[2]string]string{}
	var mu sync.Mutex
	err := parallel(ctx, len(ids), func(i int) error {
		loc, known := e.tables[ids[i]]
		bad, err := l.forgotten(ctx, n, have[ids[i]], loc, known)
		if err != nil {
			return fmt.Errorf("look at table %s.%s: %w", ids[i][0], ids[i][1], err)
		}
		if bad {
			mu.Lock()
			defer mu.Unlock()
			out[ids[i]] = loc
		}
		return nil
	})
	return out, err
}

// forgotten reports whether a table's folder proves a commit that the catalog,
// which says loc, does not know.
func (l *Lake) forgotten(ctx context.Context, n notes, folder, loc string, known bool) (bool, error) {
	if known {
		if in, ok := l.inWarehouse(loc); !ok || path.Dir(path.Dir(in)) != folder {
			return false, nil // the table lies elsewhere; this folder is another's
		}
	}
	note, err := committed(ctx, n, folder)
	if err != nil {
		return false, err
	}
	if note != "" && known {
		return metadataVersion(note) > metadataVersion(loc), nil
	}
	names, err := n.list(ctx, folder+"/metadata")
	if err != nil {
		return false, err
	}
	for _, name := range names {
		switch v := metadataVersion(name); {
		case !known && v >= 1:
			return true, nil
		// One version beyond may be of a commit that never was. Two cannot: the second was made from the first.
		case known && v == metadataVersion(loc)+2 && l.follows(ctx, l.metadataAt(folder, name), loc):
			return true, nil
		}
	}
	return false, nil
}

// metadataAt is the location of a metadata file in a table's folder.
func (l *Lake) metadataAt(folder, name string) string {
	return l.store.root() + "/" + folder + "/metadata/" + name
}

// follows reports whether the metadata at a place can be read and was made from
// what stood at another.
func (l *Lake) follows(ctx context.Context, loc, from string) bool {
	t, err := l.parse(ctx, loc)
	if err != nil {
		return false
	}
	for e := range t.Metadata().PreviousFiles() {
		if path.Base(e.MetadataFile) == path.Base(from) {
			return true
		}
	}
	return false
}

// parse reads a metadata file that may belong to no catalog.
func (l *Lake) parse(ctx context.Context, loc string) (*table.Table, error) {
	return table.NewFromLocation(ctx, nil, loc, l.filesAt(loc), nil)
}

// refuseElsewhere refuses a catalog whose table lies in another warehouse: that
// of a lake which was copied or renamed, with the locations of the first.
func (l *Lake) refuseElsewhere(id [2]string, loc string) error {
	if _, ok := l.inWarehouse(loc); ok {
		return nil
	}
	at := loc
	for range 4 { // the file, metadata, the table, the namespace
		at = at[:max(strings.LastIndex(at, "/"), 0)]
	}
	a, errA := os.Stat(localPath(at))
	b, errB := os.Stat(localPath(l.store.root()))
	if errA == nil && errB == nil && os.SameFile(a, b) { // by way of a symbolic link
		return nil
	}
	return feedlake.Hint(fmt.Errorf("open catalog: it places table %s.%s in %s, not in the warehouse %s: %w", id[0], id[1], at, l.store.root(), feedlake.ErrConfig),
		"was the lake's folder copied or renamed? its tables name absolute places, so it must lie where it was made; a copy would write into the first")
}
