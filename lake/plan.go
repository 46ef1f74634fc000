package lake

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	iceberg "github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	"github.com/feedlake/feedlake"
)

// manifests are those of a snapshot with data, and the way to read them.
type manifests struct {
	fsys  iceio.IO
	specs map[int]iceberg.PartitionSpec
	list  []iceberg.ManifestFile
	hour  int // see hourField
}

// manifestsAt reads which manifests a snapshot has. Copy-on-write only: a delete
// file would make a plain read of the Parquet files wrong, so it is an error.
func (l *Lake) manifestsAt(ctx context.Context, t *table.Table, name string, snapshot int64) (m manifests, err error) {
	s := t.SnapshotByID(snapshot)
	if s == nil {
		return m, fmt.Errorf("table %s: snapshot %d: %w", name, snapshot, feedlake.ErrNotFound)
	}
	if m.fsys, err = t.FS(ctx); err != nil {
		return m, fmt.Errorf("plan table %s: %w", name, err)
	}
	if m.list, err = s.Manifests(m.fsys); err != nil {
		return m, fmt.Errorf("plan table %s: %w", name, err)
	}
	m.hour = hourField(t)
	m.specs = map[int]iceberg.PartitionSpec{}
	for _, s := range t.Metadata().PartitionSpecs() {
		m.specs[s.ID()] = s
	}
	for _, f := range m.list {
		if f.ManifestContent() != iceberg.ManifestContentData && f.AddedDataFiles()+f.ExistingDataFiles() > 0 {
			return m, feedlake.Hint(fmt.Errorf("table %s: snapshot %d has delete files: %w", name, snapshot, feedlake.ErrRejected),
				"another engine wrote it merge-on-read; set write.delete.mode, write.update.mode and write.merge.mode to copy-on-write there")
		}
	}
	return m, nil
}

// filesOf plans a full scan: the live files of a snapshot, by partition and
// path.
//
// A manifest never changes, and two snapshots of a table share most of theirs,
// so each is read once.
func (l *Lake) filesOf(ctx context.Context, t *table.Table, name string, snapshot int64) ([]File, error) {
	m, err := l.manifestsAt(ctx, t, name, snapshot)
	if err != nil {
		return nil, err
	}
	lists, err := l.listsOf(ctx, m, m.list)
	if err != nil {
		return nil, fmt.Errorf("plan table %s: %w", name, err)
	}
	return mergeFiles(lists), nil
}

// listsOf lists the live files of some manifests, each by partition and path.
func (l *Lake) listsOf(ctx context.Context, m manifests, list []iceberg.ManifestFile) ([][]File, error) {
	lists := make([][]File, len(list))
	err := parallel(ctx, len(list), func(i int) (err error) {
		lists[i], err = l.manifest(m, list[i])
		return err
	})
	return lists, err
}

func compareFiles(a, b File) int {
	return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Path, b.Path))
}

// mergeFiles makes one list of lists that are in order, two by two, shortest
// first: most commits add a short one to a long one.
func mergeFiles(lists [][]File) []File {
	lists = slices.DeleteFunc(slices.Clone(lists), func(list []File) bool { return len(list) == 0 })
	if len(lists) == 0 {
		return []File{}
	}
	if len(lists) == 1 {
		return slices.Clone(lists[0]) // the list is kept for others
	}
	slices.SortStableFunc(lists, func(a, b []File) int { return cmp.Compare(len(a), len(b)) })
	for len(lists) > 1 {
		merged := mergeTwo(lists[0], lists[1])
		at, _ := slices.BinarySearchFunc(lists[2:], len(merged), func(list []File, n int) int { return cmp.Compare(len(list), n) })
		lists = slices.Insert(lists[2:], at, merged)
	}
	return lists[0]
}

func mergeTwo(a, b []File) []File {
	out := make([]File, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if compareFiles(a[0], b[0]) <= 0 {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// diffManifests lists the partitions whose set of files differs between two
// snapshots. Files of manifests that both have are in both.
func (l *Lake) diffManifests(ctx context.Context, before, after manifests) ([]Partition, error) {
	a, b := map[string]bool{}, map[string]bool{}
	for _, m := range before.list {
		a[m.FilePath()] = true
	}
	for _, m := range after.list {
		b[m.FilePath()] = true
	}
	only := func(of manifests, other map[string]bool) ([]File, error) {
		list := slices.DeleteFunc(slices.Clone(of.list), func(m iceberg.ManifestFile) bool { return other[m.FilePath()] })
		lists, err := l.listsOf(ctx, of, list)
		return slices.Concat(lists...), err
	}
	old, err := only(before, b)
	if err != nil {
		return nil, err
	}
	now, err := only(after, a)
	if err != nil {
		return nil, err
	}
	return Diff(old, now), nil
}

// manifest lists the live files of one manifest.
func (l *Lake) manifest(of manifests, m iceberg.ManifestFile) ([]File, error) {
	if files, ok := l.plans.get(m.FilePath()); ok {
		return files, nil
	}
	files := []File{}
	for e, err := range m.Entries(of.fsys, true) {
		if err != nil {
			return nil, err
		}
		df := e.DataFile()
		files = append(files, File{
			Path: l.store.pathOf(df.FilePath()), Rows: df.Count(), Bytes: df.FileSizeBytes(),
			Partition: partitionOf(of.specs[int(df.SpecID())], df), Hours: hoursOf(df, of.hour),
		})
	}
	slices.SortFunc(files, compareFiles)
	l.plans.put(m.FilePath(), files)
	return files, nil
}

// planCache keeps the files of manifests, by the manifest's location.
type planCache struct {
	mu    sync.Mutex
	files map[string][]File
	held  int
}

// plannedFiles bounds a planCache: about 200 bytes each.
const plannedFiles = 500_000

func (p *planCache) get(location string) ([]File, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	files, ok := p.files[location]
	return files, ok
}

// put keeps the files; when there are too many it begins anew, which is rare and
// costs one more reading.
func (p *planCache) put(location string, files []File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.files == nil || p.held+len(files) > plannedFiles {
		p.files, p.held = map[string][]File{}, 0
	}
	if _, ok := p.files[location]; !ok {
		p.files[location] = files
		p.held += len(files)
	}
}
