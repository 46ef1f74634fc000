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

// filesOf plans a full scan: the live files of a snapshot, by partition and
// path. Copy-on-write only: a delete file would make a plain read of the Parquet
// files wrong, so it is an error.
//
// A manifest never changes, and two snapshots of a table share most of theirs,
// so each is read once.
func (l *Lake) filesOf(ctx context.Context, t *table.Table, name string, snapshot int64) ([]File, error) {
	s := t.SnapshotByID(snapshot)
	if s == nil {
		return nil, fmt.Errorf("table %s: snapshot %d: %w", name, snapshot, feedlake.ErrNotFound)
	}
	fsys, err := t.FS(ctx)
	if err != nil {
		return nil, fmt.Errorf("plan table %s: %w", name, err)
	}
	manifests, err := s.Manifests(fsys)
	if err != nil {
		return nil, fmt.Errorf("plan table %s: %w", name, err)
	}
	specs := map[int]iceberg.PartitionSpec{}
	for _, s := range t.Metadata().PartitionSpecs() {
		specs[s.ID()] = s
	}
	for _, m := range manifests {
		if m.ManifestContent() != iceberg.ManifestContentData && m.AddedDataFiles()+m.ExistingDataFiles() > 0 {
			return nil, feedlake.Hint(fmt.Errorf("table %s: snapshot %d has delete files: %w", name, snapshot, feedlake.ErrRejected),
				"another engine wrote it merge-on-read; set write.delete.mode, write.update.mode and write.merge.mode to copy-on-write there")
		}
	}
	lists := make([][]File, len(manifests))
	err = parallel(ctx, len(manifests), func(i int) (err error) {
		lists[i], err = l.manifest(fsys, specs, manifests[i])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("plan table %s: %w", name, err)
	}
	files := slices.Concat(lists...)
	slices.SortFunc(files, func(a, b File) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Path, b.Path))
	})
	return files, nil
}

// manifest lists the live files of one manifest.
func (l *Lake) manifest(fsys iceio.IO, specs map[int]iceberg.PartitionSpec, m iceberg.ManifestFile) ([]File, error) {
	if files, ok := l.plans.get(m.FilePath()); ok {
		return files, nil
	}
	files := []File{}
	for e, err := range m.Entries(fsys, true) {
		if err != nil {
			return nil, err
		}
		df := e.DataFile()
		files = append(files, File{
			Path: l.store.pathOf(df.FilePath()), Rows: df.Count(), Bytes: df.FileSizeBytes(),
			Partition: partitionOf(specs[int(df.SpecID())], df),
		})
	}
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
