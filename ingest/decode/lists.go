package decode

import (
	"fmt"
	"io"
	"slices"

	"github.com/feedlake/feedlake/ingest/wire/scan"
)

// lists are the lists that a path leads to, in their order; more than one where
// an object has a key twice.
type lists []list

type list struct {
	at    int64 // of its "["
	empty bool
}

// of is the list that counts: as with every key that stands twice, the last; but
// of lists and none, the last that holds something.
func (l lists) of() int64 { return l[l.chosen()].at }

func (l lists) chosen() int {
	for i, other := range slices.Backward(l) {
		if !other.empty {
			return i
		}
	}
	return len(l) - 1
}

// unread says which lists with records do not count; "" when there are none.
func (l lists) unread() (why string) {
	for i, other := range l {
		if i != l.chosen() && !other.empty {
			why = fmt.Sprintf("the list of records stands more than once: that at byte %d is not read, the last one counts", other.at)
		}
	}
	return why
}

// listFinder follows a JSON document by its brackets, quotes and keys, to find
// the lists that a path leads to.
type listFinder struct {
	path    []string
	found   lists
	depth   int // of brackets
	on      int // objects around that lie on the path: those of depths 1 to on
	value   bool
	quoted  bool
	escaped bool
	begun   bool   // the last list has shown whether it is empty
	key     []byte // the last key of an object on the path, as it is spelled
	taken   bool   // the text at hand is a key
}

// findLists reads a document whose first byte is that at in its file. It goes on
// as far as the document can be read: what is damaged is told where the list is.
func findLists(r io.Reader, path []string, at int64) lists {
	f := listFinder{path: path, begun: true}
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		if f.feed(buf[:n], at) || err != nil {
			return f.found
		}
		at += int64(n)
	}
}

// feed goes on with a piece of the document at a byte. It reports that the
// document has ended.
func (f *listFinder) feed(w []byte, at int64) (ended bool) {
	for i, c := range w {
		if !f.begun && !isSpace(c) {
			f.begun, f.found[len(f.found)-1].empty = true, c == ']'
		}
		if f.quoted {
			f.text(c)
			continue
		}
		switch c {
		case '"':
			f.quoted = true
			if f.taken = f.depth == f.on && !f.value; f.taken {
				f.key = f.key[:0]
			}
		case ':':
			f.value = f.value || f.depth == f.on
		case ',':
			f.value = f.value && f.depth != f.on
		case '{':
			if f.depth == 0 || (f.here() && f.on < len(f.path)) {
				f.on++
				f.value = false
			}
			f.depth++
		case '[':
			if f.on == len(f.path) && f.here() {
				f.room()
				f.found, f.begun = append(f.found, list{at: at + int64(i)}), false
			}
			f.depth++
		case '}', ']':
			if f.depth--; f.depth <= 0 {
				return true
			}
			if f.depth < f.on {
				f.on, f.value = f.depth, true
			}
		}
	}
	return false
}

// mostLists bounds the lists that are kept of a document that has one again and
// again.
const mostLists = 1000

// room forgets a list where there are many: an empty one, or the first.
func (f *listFinder) room() {
	if len(f.found) < mostLists {
		return
	}
	i := max(0, slices.IndexFunc(f.found, func(l list) bool { return l.empty }))
	f.found = slices.Delete(f.found, i, i+1)
}

// here reports that the value which begins is that of the path's next key.
func (f *listFinder) here() bool {
	return f.depth == f.on && f.on > 0 && f.value && scan.Text(`"`+string(f.key)+`"`) == f.path[f.on-1]
}

// longestKey bounds the keys that are compared.
const longestKey = 4096

// text goes on within a text.
func (f *listFinder) text(c byte) {
	switch {
	case f.escaped:
		f.escaped = false
	case c == '\\':
		f.escaped = true
	case c == '"':
		f.quoted = false
		return
	}
	if f.taken && len(f.key) < longestKey {
		f.key = append(f.key, c)
	}
}
