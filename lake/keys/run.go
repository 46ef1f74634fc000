package keys

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/bits"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// run is one file of entries, sorted, each once.
type run struct {
	File string `json:"file"`
	Keys int64  `json:"keys"`
}

const (
	entryBytes = 12 // a hash, then a partition's number, little-endian
	mergeRuns  = 8  // so many runs of one size become one
	pageKeys   = 341
	pageBytes  = pageKeys * entryBytes // what one look into a run reads, about 4 KB
	smallRun   = 16 * pageKeys         // a run that is read whole
)

// size is the class of a run: eight of one class make one of the next.
func (r run) size() int { return bits.Len64(uint64(r.Keys)/4096) / 3 } //nolint:gosec // a count

func put(b []byte, e Entry) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(b, e.Hash), e.Part)
}

func entryOf(b []byte) Entry {
	return Entry{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])}
}

// writeRun writes sorted entries as a new file.
func writeRun(dir string, entries iter.Seq[Entry]) (run, error) {
	r := run{File: strings.ToLower(rand.Text()) + ".run"}
	err := writeDurably(filepath.Join(dir, r.File), func(f *os.File) error {
		w := bufio.NewWriterSize(f, 1<<16)
		var b []byte
		for e := range entries {
			b = put(b[:0], e)
			if _, err := w.Write(b); err != nil {
				return err
			}
			r.Keys++
		}
		return w.Flush()
	})
	return r, err
}

// writeDurably gives a file its name once it is on the disk.
func writeDurably(path string, write func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "*.tmp")
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// open opens the file of a run, which must be as long as it was.
func (r run) open(dir string) (*os.File, error) {
	f, err := os.Open(filepath.Join(dir, r.File))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() != r.Keys*entryBytes {
		err = fmt.Errorf("%s has %d bytes, want %d keys", r.File, info.Size(), r.Keys)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// mergeRunsOf writes the entries of some runs as one.
func mergeRunsOf(dir string, runs []run) (out run, err error) {
	readers := make([]*reader, 0, len(runs))
	defer func() {
		for _, r := range readers {
			err = errors.Join(err, r.err, r.f.Close())
		}
	}()
	for _, r := range runs {
		f, err := r.open(dir)
		if err != nil {
			return run{}, err
		}
		readers = append(readers, &reader{f: f, buf: bufio.NewReaderSize(f, 1<<16)})
		readers[len(readers)-1].next()
	}
	out, err = writeRun(dir, func(yield func(Entry) bool) {
		for {
			var least *reader
			for _, r := range readers {
				if r.more && (least == nil || Compare(r.at, least.at) < 0) {
					least = r
				}
			}
			if least == nil {
				return
			}
			e := least.at
			for _, r := range readers {
				for r.more && r.at == e {
					r.next()
				}
			}
			if !yield(e) {
				return
			}
		}
	})
	return out, err
}

// reader goes through a run.
type reader struct {
	f    *os.File
	buf  *bufio.Reader
	at   Entry
	more bool
	err  error
}

func (r *reader) next() {
	var b [entryBytes]byte
	_, err := io.ReadFull(r.buf, b[:])
	r.more = err == nil
	if r.more {
		r.at = entryOf(b[:])
	} else if !errors.Is(err, io.EOF) {
		r.err = err
	}
}

// find lists the entries whose hash is in a sorted list. A few hashes cost a few
// looks each, however long the run: hashes are spread evenly, so that a hash tells
// about where it stands.
func (r run) find(dir string, list []uint64) (out []Entry, err error) {
	f, err := r.open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if r.Keys <= smallRun || int64(len(list)) > r.Keys/pageKeys {
		return all(f, list)
	}
	p := pages{f: f, keys: r.Keys}
	for _, h := range list {
		if out, err = p.find(h, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// all goes through a whole run.
func all(f *os.File, list []uint64) (out []Entry, err error) {
	r := reader{f: f, buf: bufio.NewReaderSize(f, 1<<16)}
	i := 0
	for r.next(); r.more && i < len(list); {
		switch {
		case r.at.Hash < list[i]:
			r.next()
		case r.at.Hash > list[i]:
			i++
		default:
			out = append(out, r.at)
			r.next()
		}
	}
	return out, r.err
}

// pages looks into a run page by page.
type pages struct {
	f    *os.File
	keys int64
	buf  [pageBytes]byte
}

// read returns the entries from a place on.
func (p *pages) read(from int64) ([]byte, error) {
	n := min(p.keys-from, pageKeys) * entryBytes
	_, err := p.f.ReadAt(p.buf[:n], from*entryBytes)
	return p.buf[:n], err
}

// find appends the entries of one hash.
func (p *pages) find(h uint64, out []Entry) ([]Entry, error) {
	first, err := p.lowerBound(h)
	if err != nil {
		return nil, err
	}
	for first < p.keys {
		b, err := p.read(first)
		if err != nil {
			return nil, err
		}
		for ; len(b) > 0; b = b[entryBytes:] {
			e := entryOf(b)
			if e.Hash != h {
				return out, nil
			}
			out = append(out, e)
			first++
		}
	}
	return out, nil
}

// lowerBound is the place of the first entry whose hash is not below h.
func (p *pages) lowerBound(h uint64) (int64, error) {
	low, high := int64(0), p.keys // the place is in [low, high]
	below, above := uint64(0), ^uint64(0)
	for try := 0; low < high; try++ {
		mid := low + (high-low)/2
		if try < 4 && above > below { // then halving: hashes may not be even
			mid = low + int64(float64(high-low)*(float64(h-below)/float64(above-below))) - pageKeys/2
		}
		mid = max(low, min(mid, high-1))
		b, err := p.read(mid)
		if err != nil {
			return 0, err
		}
		n := len(b) / entryBytes
		switch i := sort.Search(n, func(i int) bool { return entryOf(b[i*entryBytes:]).Hash >= h }); i {
		case 0:
			high, above = mid, entryOf(b).Hash
		case n:
			low, below = mid+int64(n), entryOf(b[(n-1)*entryBytes:]).Hash
		default:
			return mid + int64(i), nil
		}
	}
	return low, nil
}
