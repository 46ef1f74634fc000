package files

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/feedlake/feedlake"
)

// state is the cursor of a source of files: what was read of each file, about
// 19 bytes a file. It keeps hashes of names, not names: 10,000 files take a
// quarter of a megabyte.
type state struct {
	entries []tagged // sorted by path
	changed bool
}

// entry tells what was read of one file.
type entry struct {
	offset int64  // place behind the last record: a byte of the unpacked file, a row for Parquet
	digest uint64 // of what stands before the place, digestBits wide; with tail, of what stands behind its base; of the whole file for Parquet
	mark   uint32 // of the file when it was read to its end; 0: it was not yet
	tail   bool
	chain  uint64 // with tail: see fingerprint.go
	line   int64  // with tail: lines before the base
}

type tagged struct {
	path uint64 // hash of the name, pathBits wide
	entry
}

// Widths: among 10,000 files two names meet with a chance of 2e-7; a replaced
// start goes unnoticed with 4e-15.
const (
	pathBits   = 48
	digestBits = 48
)

// pathOf hashes what a file is known by. It does not count where the files' own
// folder lies: an archive that was moved, or mounted elsewhere on another
// machine, is not read again.
func pathOf(o object) uint64 { return hashOf(o.id) }

func hashOf(name string) uint64 { return xxhash.Sum64String(name) >> (64 - pathBits) }

// markOf shortens an object's mark; never 0.
func markOf(o object) uint32 { return uint32(xxhash.Sum64String(o.mark)>>32) | 1 }

func narrow(digest uint64) uint64 { return digest >> (64 - digestBits) }

func (s *state) find(path uint64) (int, bool) {
	return slices.BinarySearchFunc(s.entries, path, func(t tagged, p uint64) int { return cmp.Compare(t.path, p) })
}

// entry returns what is known of a file; zero when nothing is.
func (s *state) entry(o object) entry {
	i, ok := s.find(pathOf(o))
	if !ok { // cursors of before version 0.2 knew files by their whole name
		i, ok = s.find(hashOf(o.name))
	}
	if ok {
		return s.entries[i].entry
	}
	return entry{}
}

// markOfRefused is the mark of a file that was read up to where it asks for a
// longer window: it is read on when the bound is another one.
func markOfRefused(o object, window int64) uint32 {
	return uint32(xxhash.Sum64String(fmt.Sprintf("%s window %d", o.mark, window))>>32) | 1
}

// finished reports whether the file was read as far as it can be and is as it was
// then.
func (s *state) finished(o object, window int64) bool {
	mark := s.entry(o).mark
	return mark == markOf(o) || mark == markOfRefused(o, window)
}

func (s *state) set(o object, e entry) {
	i, ok := s.find(pathOf(o))
	if !ok {
		s.entries = slices.Insert(s.entries, i, tagged{path: pathOf(o)})
	}
	if s.entries[i].entry != e || !ok {
		s.entries[i].entry, s.changed = e, true
	}
}

// mostGone bounds the cursor where files come and go for years.
const mostGone = 16384

// prune forgets files that are gone once there are very many of them. A file
// that comes back is then read again.
func (s *state) prune(all []object) {
	if len(s.entries) <= len(all)+mostGone {
		return
	}
	there := make(map[uint64]bool, len(all))
	for _, o := range all {
		there[pathOf(o)], there[hashOf(o.name)] = true, true
	}
	s.entries = slices.DeleteFunc(s.entries, func(t tagged) bool { return !there[t.path] })
}

// cursorVersion begins every cursor of this form; that of before version 0.3 knew no
// tails.
const (
	cursorVersion = "files2:"
	cursorBefore  = "files1:"
)

// cursor spells the state: for each file, in the order of the path hashes, the
// step from the hash before, twice the offset, one more where there is a tail, the
// digest, the mark and the tail; then a checksum.
func (s *state) cursor() feedlake.Cursor {
	b := make([]byte, 0, 24*len(s.entries)+4)
	last := uint64(0)
	for _, t := range s.entries {
		b = binary.AppendUvarint(b, t.path-last)
		place := uint64(t.offset) << 1 //nolint:gosec // an offset is never negative
		if t.tail {
			place |= 1
		}
		b = binary.AppendUvarint(b, place)
		b = append(b, binary.BigEndian.AppendUint64(nil, t.digest)[8-digestBits/8:]...)
		b = binary.BigEndian.AppendUint32(b, t.mark)
		if t.tail {
			b = binary.AppendUvarint(binary.BigEndian.AppendUint64(b, t.chain), uint64(t.line)) //nolint:gosec // a count of lines
		}
		last = t.path
	}
	b = binary.BigEndian.AppendUint32(b, uint32(xxhash.Sum64(b))) //nolint:gosec // the low half is meant
	return feedlake.Cursor(cursorVersion + base64.RawURLEncoding.EncodeToString(b))
}

// parseCursor is the inverse of cursor. The empty cursor knows no file.
func parseCursor(c feedlake.Cursor) (state, error) {
	var s state
	if c == "" {
		return s, nil
	}
	if err := s.parse(string(c)); err != nil {
		return state{}, feedlake.Hint(fmt.Errorf("read cursor: %w: %w", err, feedlake.ErrConfig),
			"was the kind of this source changed? give the source a new name to read its files from the start")
	}
	return s, nil
}

func (s *state) parse(c string) error {
	text, ok := strings.CutPrefix(c, cursorVersion)
	shift := 1
	if !ok {
		if text, ok = strings.CutPrefix(c, cursorBefore); !ok {
			return errors.New("it is not one of a source of files")
		}
		shift = 0
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	if len(b) < 4 || binary.BigEndian.Uint32(b[len(b)-4:]) != uint32(xxhash.Sum64(b[:len(b)-4])) { //nolint:gosec // the low half is meant
		return errors.New("it is damaged")
	}
	b = b[:len(b)-4]
	var path uint64
	for len(b) > 0 {
		step, n := binary.Uvarint(b)
		if n <= 0 {
			return errors.New("it is damaged")
		}
		place, m := binary.Uvarint(b[n:])
		offset, tail := place>>shift, shift == 1 && place&1 == 1
		if m <= 0 || len(b) < n+m+10 || offset > 1<<62 || (step == 0 && len(s.entries) > 0) || step>>pathBits != 0 {
			return errors.New("it is damaged")
		}
		path += step
		rest := b[n+m:]
		e := entry{offset: int64(offset), mark: binary.BigEndian.Uint32(rest[6:])}
		for _, x := range rest[:6] {
			e.digest = e.digest<<8 | uint64(x)
		}
		if b = rest[10:]; tail {
			if b, err = e.parseTail(b); err != nil {
				return err
			}
		}
		s.entries = append(s.entries, tagged{path, e})
	}
	if path>>pathBits != 0 {
		return errors.New("it is damaged")
	}
	return nil
}

// parseTail reads what stands behind an entry with a tail.
func (e *entry) parseTail(b []byte) (rest []byte, err error) {
	const chain = 8
	if len(b) < chain {
		return nil, errors.New("it is damaged")
	}
	line, n := binary.Uvarint(b[chain:])
	if n <= 0 || line > 1<<62 || baseOf(e.offset) == 0 {
		return nil, errors.New("it is damaged")
	}
	e.tail, e.chain, e.line = true, binary.BigEndian.Uint64(b), int64(line)
	return b[chain+n:], nil
}
