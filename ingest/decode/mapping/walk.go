package mapping

import (
	"errors"
	"strings"

	"github.com/feedlake/feedlake/ingest/wire/scan"
)

// node is one level of the records that a plan reads: the keys that lead to a
// value or further down.
type node struct{ keys map[string]*step }

type step struct {
	slot  int   // where the value goes; -1: nowhere
	child *node // further down; nil: no further
}

func newNode() node { return node{keys: map[string]*step{}} }

// slot gives path a place among the collected values.
func (p *Plan) slot(path string) (int, error) {
	if path == "" {
		return 0, errors.New("a path is empty")
	}
	for i, have := range p.paths {
		if have == path {
			return i, nil
		}
	}
	s := p.slots
	p.slots++
	p.paths = append(p.paths, path)
	keys, simple := []string{path}, true
	if !p.opts.Columns {
		keys, simple = splitPath(path)
	}
	if !simple {
		p.complex = append(p.complex, complexPath{path, s})
		return s, nil
	}
	n := &p.root
	for i, k := range keys {
		st, ok := n.keys[k]
		if !ok {
			st = &step{slot: -1}
			n.keys[k] = st
		}
		if i == len(keys)-1 {
			st.slot = s
			break
		}
		if st.child == nil {
			c := newNode()
			st.child = &c
		}
		n = st.child
	}
	return s, nil
}

// splitPath splits a gjson path into keys, unless it needs gjson's own search:
// wildcards, queries, modifiers, literals, array indexes.
func splitPath(path string) (keys []string, simple bool) {
	var key strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; c {
		case '\\':
			if i++; i == len(path) {
				return nil, false
			}
			key.WriteByte(path[i])
		case '.':
			keys = append(keys, key.String())
			key.Reset()
		case '*', '?', '#', '|', '@', '!', '{', '[', '(', '=', '<', '>', '~', '%':
			return nil, false
		default:
			key.WriteByte(c)
		}
	}
	keys = append(keys, key.String())
	for _, k := range keys {
		if strings.Trim(k, "0123456789") == "" { // empty, or an index
			return nil, false
		}
	}
	return keys, true
}

// walker goes over the keys of one level. Most records of a file hold the same
// keys in the same order, so it follows the order of the record before: while a
// key is the expected one, neither a look-up nor a search for repeated keys is
// needed.
type walker struct {
	d     *Decoder
	node  *node
	shape []*key          // keys of the last record in their order, each once
	at    int             // keys of this record that were as expected
	order []*key          // keys of this record, once one was not as expected
	known map[string]*key // every key met
	round uint64          // names the record, for key.round
}

type key struct {
	name  string
	slot  int
	child *walker
	round uint64 // the last record in which the key was met out of order
}

// mostKeys bounds the keys that a walker remembers, for records that use data
// as keys.
const mostKeys = 4096

func newWalker(d *Decoder, n *node) *walker {
	return &walker{d: d, node: n, known: map[string]*key{}}
}

// walk collects the values of the object that s stands before. It returns a key
// that stands twice, and stops there.
func (w *walker) walk(s *scan.Scanner) (twice string, found bool) {
	w.at, w.order = 0, w.order[:0]
	if len(w.known) > mostKeys {
		w.known, w.shape = map[string]*key{}, nil
	}
	for ok := s.Open('{'); ok; ok = s.More('}') {
		name := s.Key()
		if strings.IndexByte(name, '\\') >= 0 {
			name = scan.Text(`"` + name + `"`)
		}
		var at *key
		if w.at < len(w.shape) && len(w.order) == 0 && w.shape[w.at].name == name {
			at = w.shape[w.at]
			w.at++
		} else if at = w.unexpected(name); at == nil {
			return name, !s.Bad()
		}
		if twice, found := w.value(s, at); found {
			return twice, true
		}
	}
	if len(w.order) > 0 {
		w.shape, w.order = w.order, w.shape
	}
	return "", false
}

// value collects the value of a key, and what is in it.
func (w *walker) value(s *scan.Scanner, k *key) (twice string, found bool) {
	from := s.Pos()
	if k.child != nil && s.At() == '{' {
		if twice, found := k.child.walk(s); found {
			return twice, true
		}
	} else {
		s.Skip()
	}
	if k.slot >= 0 {
		w.d.values[k.slot] = valueOf(s.Part(from, s.Pos()))
	}
	return "", false
}

// unexpected notes a key that breaks the expected order; nil means that the
// record holds it already.
func (w *walker) unexpected(name string) *key {
	if len(w.order) == 0 {
		w.round++
		w.order = append(w.order, w.shape[:w.at]...)
		for _, k := range w.order {
			k.round = w.round
		}
	}
	k, ok := w.known[name]
	if !ok {
		k = &key{name: strings.Clone(name), slot: -1}
		if st, ok := w.node.keys[name]; ok {
			k.slot = st.slot
			if st.child != nil {
				k.child = newWalker(w.d, st.child)
			}
		}
		w.known[k.name] = k
	}
	if k.round == w.round {
		return nil
	}
	k.round = w.round
	w.order = append(w.order, k)
	return k
}
