// Package keys knows which partitions of a table hold which keys, without the
// table: hashes of the keys in sorted runs beside the lake, as one snapshot had
// them. A set may hold keys that have left since, never less than the snapshot, so
// that a key that it does not hold is new. It is derived from the table: who loses
// it, or cannot read it, makes it anew.
package keys

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/feedlake/feedlake/lake"
)

// Hash is the hash by which sets know a key.
func Hash(key string) uint64 { return xxhash.Sum64String(key) }

// Entry says that a partition holds a key.
type Entry struct {
	Hash uint64
	Part uint32 // see Set.Part and Set.Partition
}

// Compare orders entries by hash, then by partition.
func Compare(a, b Entry) int { return cmp.Or(cmp.Compare(a.Hash, b.Hash), cmp.Compare(a.Part, b.Part)) }

// Set is one set in a folder. It is for one goroutine. Processes that use a folder
// at the same time do no harm: the last to Save wins, and who misses a run that
// another one merged gets an error.
type Set struct {
	dir   string
	m     manifest
	index map[lake.Partition]uint32
	gone  []string // runs that the next Save removes
}

// manifest is what the folder's index file says.
type manifest struct {
	Format   string           `json:"format"`
	Snapshot int64            `json:"snapshot"`
	Parts    []lake.Partition `json:"partitions"`
	Runs     []run            `json:"runs"`
}

// format names how the hashes are made and kept: another one is not read.
const format = "xxhash64-1"

const manifestName = "index.json"

// Open reads the set in a folder. One that is not there, or cannot be read, is
// empty: a cache that lies must be made anew, not complained about.
func Open(dir string) *Set {
	s := &Set{dir: dir}
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil || json.Unmarshal(text, &s.m) != nil || s.m.Format != format {
		s.m = manifest{}
	}
	s.m.Format = format
	s.index = make(map[lake.Partition]uint32, len(s.m.Parts))
	for i, p := range s.m.Parts {
		s.index[p] = uint32(i)
	}
	return s
}

// Snapshot is the one whose keys the set holds; 0: none.
func (s *Set) Snapshot() int64 { return s.m.Snapshot }

// Keys counts the entries; one that stands in two runs counts twice.
func (s *Set) Keys() (n int64) {
	for _, r := range s.m.Runs {
		n += r.Keys
	}
	return n
}

// Part numbers a partition.
func (s *Set) Part(p lake.Partition) uint32 {
	n, ok := s.index[p]
	if !ok {
		n = uint32(len(s.m.Parts)) //nolint:gosec // partitions are counted in thousands
		s.index[p] = n
		s.m.Parts = append(s.m.Parts, p)
	}
	return n
}

// Partition is the one with a number.
func (s *Set) Partition(n uint32) lake.Partition { return s.m.Parts[n] }

// Add takes entries in; it sorts the list. They are in the folder for good with
// the next Save.
func (s *Set) Add(list []Entry) error {
	if len(list) == 0 {
		return nil
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return fmt.Errorf("keep keys: %w", err)
	}
	slices.SortFunc(list, Compare)
	r, err := writeRun(s.dir, slices.Values(slices.Compact(list)))
	if err != nil {
		return fmt.Errorf("keep keys: %w", err)
	}
	s.m.Runs = append(s.m.Runs, r)
	return s.merge()
}

// merge keeps the runs few: eight of one size become one of the next.
func (s *Set) merge() error {
	for {
		bySize := map[int][]run{}
		for _, r := range s.m.Runs {
			bySize[r.size()] = append(bySize[r.size()], r)
		}
		full := -1
		for size, list := range bySize {
			if len(list) >= mergeRuns && (full < 0 || size < full) {
				full = size
			}
		}
		if full < 0 {
			return nil
		}
		merged, err := mergeRunsOf(s.dir, bySize[full])
		if err != nil {
			return fmt.Errorf("merge keys: %w", err)
		}
		s.m.Runs = slices.DeleteFunc(s.m.Runs, func(r run) bool { return r.size() == full })
		for _, r := range bySize[full] {
			s.gone = append(s.gone, r.File)
		}
		s.m.Runs = append(s.m.Runs, merged)
	}
}

// Find lists the entries of the set whose hash is in list, which it sorts.
func (s *Set) Find(list []uint64) ([]Entry, error) {
	slices.Sort(list)
	list = slices.Compact(list)
	var out []Entry
	for _, r := range s.m.Runs {
		found, err := r.find(s.dir, list)
		if err != nil {
			return nil, fmt.Errorf("look for keys: %w", err)
		}
		out = append(out, found...)
	}
	slices.SortFunc(out, Compare)
	return slices.Compact(out), nil
}

// Save says that the set holds the keys of a snapshot, for whoever opens it next.
func (s *Set) Save(snapshot int64) error {
	s.m.Snapshot = snapshot
	text, err := json.Marshal(&s.m)
	if err != nil {
		return fmt.Errorf("keep keys: %w", err)
	}
	err = errors.Join(os.MkdirAll(s.dir, 0o755), writeDurably(filepath.Join(s.dir, manifestName), func(f *os.File) error {
		_, err := f.Write(text)
		return err
	}))
	if err != nil {
		return fmt.Errorf("keep keys: %w", err)
	}
	for _, name := range s.gone {
		_ = os.Remove(filepath.Join(s.dir, name)) // what stays is in nobody's way
	}
	s.gone = nil
	return nil
}

// Reset empties the set and its folder.
func (s *Set) Reset() error {
	*s = Set{dir: s.dir, m: manifest{Format: format}, index: map[lake.Partition]uint32{}}
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("drop keys: %w", err)
	}
	return nil
}
