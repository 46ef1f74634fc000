package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	iceberg "github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	"golang.org/x/sync/errgroup"

	"github.com/feedlake/feedlake"
)

// requests bounds the storage requests that planning and lake care make at
// once: in a bucket, each costs a way there and back.
const requests = 8

// reached are the files that snapshots of one table name: path, as localPath
// spells it, to size in bytes; -1 where metadata does not tell it.
type reached map[string]int64

// reachable lists every file that a table's metadata names: the metadata itself
// and its log, statistics, and what the given snapshots hold.
func reachable(ctx context.Context, t *table.Table, snapshots []table.Snapshot) (reached, error) {
	meta := t.Metadata()
	out := reached{localPath(t.MetadataLocation()): -1, localPath(t.Location() + "/" + committedName): -1}
	for e := range meta.PreviousFiles() {
		out[localPath(e.MetadataFile)] = -1
	}
	keep := map[int64]bool{}
	for _, s := range snapshots {
		keep[s.SnapshotID] = true
		if undo := undoFileOf(meta, &s); undo != "" {
			out[localPath(undo)] = -1
		}
	}
	for f := range meta.Statistics() {
		if keep[f.SnapshotID] {
			out[localPath(f.StatisticsPath)] = f.FileSizeInBytes
		}
	}
	for f := range meta.PartitionStatistics() {
		if keep[f.SnapshotID] {
			out[localPath(f.StatisticsPath)] = f.FileSizeInBytes
		}
	}
	fsys, err := t.FS(ctx)
	if err != nil {
		return nil, err
	}
	manifests, err := manifestsOf(ctx, fsys, snapshots)
	if err != nil {
		return nil, err
	}
	unique := map[string]iceberg.ManifestFile{}
	for i, s := range snapshots {
		out[localPath(s.ManifestList)] = -1
		for _, m := range manifests[i] {
			unique[m.FilePath()] = m
			out[localPath(m.FilePath())] = m.Length()
		}
	}
	return out, out.addEntries(ctx, fsys, slices.Collect(maps.Values(unique)))
}

// manifestsOf reads the manifest lists of snapshots.
func manifestsOf(ctx context.Context, fsys iceio.IO, snapshots []table.Snapshot) ([][]iceberg.ManifestFile, error) {
	lists := make([][]iceberg.ManifestFile, len(snapshots))
	err := parallel(ctx, len(snapshots), func(i int) (err error) {
		if lists[i], err = snapshots[i].Manifests(fsys); err != nil {
			return fmt.Errorf("read snapshot %d: %w", snapshots[i].SnapshotID, err)
		}
		return nil
	})
	return lists, err
}

// addEntries adds the files that manifests name and have not marked as gone.
func (r reached) addEntries(ctx context.Context, fsys iceio.IO, manifests []iceberg.ManifestFile) error {
	var mu sync.Mutex
	return parallel(ctx, len(manifests), func(i int) error {
		found := reached{}
		for e, err := range manifests[i].Entries(fsys, true) {
			if err != nil {
				return fmt.Errorf("read manifest %s: %w", localPath(manifests[i].FilePath()), err)
			}
			found[localPath(e.DataFile().FilePath())] = e.DataFile().FileSizeBytes()
		}
		mu.Lock()
		defer mu.Unlock()
		maps.Copy(r, found)
		return nil
	})
}

// parallel calls do(0) to do(n-1), several at once, until one fails.
func parallel(ctx context.Context, n int, do func(i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(requests)
	for i := range n {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return do(i)
		})
	}
	return g.Wait()
}

// removeFiles removes files that nothing names any more. One that is gone
// already is no error. It returns how many it removed.
func (l *Lake) removeFiles(ctx context.Context, fsys iceio.IO, paths []string) (int, error) {
	var mu sync.Mutex
	n := 0
	err := parallel(ctx, len(paths), func(i int) error {
		if err := fsys.Remove(paths[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove file: %w", err)
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		return nil
	})
	return n, errors.Join(err, l.store.forget(paths))
}

// careTables are the tables that an operation works on: those named, or all.
func (l *Lake) careTables(ctx context.Context, named []string) ([]string, error) {
	all, err := l.Tables(ctx)
	if err != nil || len(named) == 0 {
		return all, err
	}
	for _, name := range named {
		if !slices.Contains(all, name) {
			return nil, feedlake.Hint(fmt.Errorf("table %s: %w", name, feedlake.ErrNotFound), "feedlake lake ls lists the tables")
		}
	}
	return named, nil
}

// mentions are what the tables' feedlake properties speak of: stages keep there
// the snapshots that a table was made from, in forms of their own, and the
// files that wait for a commit. A snapshot id is a random number of 63 bits and
// a file's name is random too, so a word that equals one is one.
type mentions map[string][]string // word to the tables that say it

// isWord tells the letters of which numbers and file names consist.
func isWord(r rune) bool {
	return r == '.' || (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z')
}

func (m mentions) add(name string, props iceberg.Properties) {
	for key, value := range props {
		if !strings.HasPrefix(key, "feedlake.") {
			continue
		}
		for word := range strings.FieldsFuncSeq(value, func(r rune) bool { return !isWord(r) }) {
			if len(word) >= 8 && !slices.Contains(m[word], name) {
				m[word] = append(m[word], name)
			}
		}
	}
}

// snapshot names the tables that speak of a snapshot.
func (m mentions) snapshot(id int64) []string { return m[strconv.FormatInt(id, 10)] }

// readMentions reads the properties of all tables.
func (l *Lake) readMentions(ctx context.Context) (mentions, error) {
	names, err := l.Tables(ctx)
	if err != nil {
		return nil, err
	}
	out := mentions{}
	for _, name := range names {
		t, err := l.load(ctx, name, l.catalog(nil))
		if errors.Is(err, feedlake.ErrNotFound) {
			continue // dropped meanwhile
		}
		if err != nil {
			return nil, err
		}
		out.add(name, t.Properties())
	}
	return out, nil
}
