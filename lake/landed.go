package lake

import (
	"slices"
	"sync"

	"github.com/apache/iceberg-go/table"
)

// landedIndex remembers by which snapshot each commit ID of a table landed, so
// that a commit asks whether it has landed already without going through all
// snapshots: the metadata hands those out as copies, and a table that is
// committed to every ten seconds has many.
type landedIndex struct {
	mu     sync.Mutex
	tables map[string]*landedIDs
}

// maxLanded bounds what is remembered of a table: beyond it the snapshots are
// read again, without those that have expired.
const maxLanded = 200_000

// landedIDs is what is known of one table, up to the snapshot head.
type landedIDs struct {
	head     int64
	byID     map[string][]int64 // commit ID to the snapshots that have it, oldest first
	size     int
	restored bool // a restore is among them: some commits may be undone
}

// find looks for the snapshot of a commit ID in the newest metadata.
func (x *landedIndex) find(name string, meta table.Metadata, id string) (Snapshot, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.tables == nil {
		x.tables = map[string]*landedIDs{}
	}
	key := name + " " + meta.TableUUID().String()
	known := x.tables[key].follow(meta)
	x.tables[key] = known
	for _, n := range known.byID[id] {
		s := meta.SnapshotByID(n)
		if s != nil && (!known.restored || !undoneBy(meta)[n]) {
			return snapshotOf(s), true
		}
	}
	return Snapshot{}, false
}

// follow goes from the current snapshot back to the one that was known last, and
// reads all snapshots where the way does not lead there.
func (k *landedIDs) follow(meta table.Metadata) *landedIDs {
	cur := meta.CurrentSnapshot()
	if k != nil && k.size < maxLanded {
		var way []*table.Snapshot
		for s := cur; s != nil; s = parentOf(meta, s) {
			if s.SnapshotID == k.head {
				for _, s := range slices.Backward(way) {
					k.add(s)
				}
				k.head = cur.SnapshotID
				return k
			}
			way = append(way, s)
		}
	}
	k = &landedIDs{byID: map[string][]int64{}}
	for _, s := range meta.Snapshots() {
		k.add(&s)
	}
	if cur != nil {
		k.head = cur.SnapshotID
	}
	return k
}

func (k *landedIDs) add(s *table.Snapshot) {
	if s.Summary == nil {
		return
	}
	if id := s.Summary.Properties[summaryCommitID]; id != "" {
		k.byID[id] = append(k.byID[id], s.SnapshotID)
		k.size++
	}
	k.restored = k.restored || s.Summary.Properties[summaryRestored] != ""
}

// parentOf is the snapshot that another one was made on; nil for the first one,
// and when it has expired.
func parentOf(meta table.Metadata, s *table.Snapshot) *table.Snapshot {
	if s.ParentSnapshotID == nil {
		return nil
	}
	return meta.SnapshotByID(*s.ParentSnapshotID)
}
