package x

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"

	"github.com/feedlake/feedlake"
)

// asked is the cursor of a lookup: which ids were asked for, whatever their order
// and number in the configuration. Ids fall into shelves by their hash; of each
// shelf that was asked for, the cursor keeps one number for all ids on it. Where
// that number is another one today, an id came or went, and the shelf is asked for
// again: a few ids in ten thousand.
type asked struct {
	Shelves shelves `json:"shelves,omitempty"`
	Under   *under  `json:"under,omitempty"` // a shelf that is not whole; nil: none
	First   int     `json:"first,omitempty"` // so many ids of the configuration's beginning were asked for, by a cursor that counted
	Sum     uint32  `json:"sum,omitempty"`   // of these
}

// under is how far a shelf was asked for.
type under struct {
	Shelf int    `json:"shelf"`
	After string `json:"after"` // the last id
	Sum   uint32 `json:"sum"`   // of all up to it
}

// shelves are those that were asked for, with the sum of their ids.
type shelves map[int]uint32

const mostShelves = 1024

// hashed is the hash of an id.
func hashed(id string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // never fails
	return h.Sum64()
}

func shelf(id string) int { return int(hashed(id) % mostShelves) }

// sum is that of some ids, in any order.
func sum(ids []string) (n uint32) {
	for _, id := range ids {
		n += uint32(hashed(id) >> 32)
	}
	return n
}

// parseAsked reads a cursor; one that counts is of before.
func parseAsked(c feedlake.Cursor, ids []string) (a asked, err error) {
	if c == "" {
		return a, nil
	}
	if n, err := strconv.Atoi(string(c)); err == nil && n >= 0 {
		n = min(n, len(ids))
		return asked{First: n, Sum: sum(ids[:n])}, nil
	}
	if err := json.Unmarshal([]byte(c), &a); err != nil || a.First < 0 {
		return a, fmt.Errorf("cursor %.60q is not one of this source: %w", c, feedlake.ErrConfig)
	}
	return a, nil
}

// left are the ids that were not asked for, each once, shelf by shelf, in order.
func (a *asked) left(ids []string) []string {
	if a.First > len(ids) || a.First > 0 && sum(ids[:a.First]) != a.Sum { // the beginning is another one today
		a.First, a.Sum = 0, 0
	}
	on := map[int][]string{}
	for _, id := range ids[a.First:] {
		on[shelf(id)] = append(on[shelf(id)], id)
	}
	var out []string
	for _, i := range slices.Sorted(maps.Keys(on)) {
		all := on[i]
		slices.SortFunc(all, func(x, y string) int { return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)) })
		all = slices.Compact(all)
		if s, ok := a.Shelves[i]; ok && s == sum(all) {
			continue
		}
		if u := a.Under; u != nil && u.Shelf == i {
			if n := slices.Index(all, u.After) + 1; sum(all[:n]) == u.Sum {
				all = all[n:]
			}
		}
		out = append(out, all...)
	}
	return out
}

// after is the cursor once the first of those that were left, so many, were asked
// for.
func (a *asked) after(left []string, n int) asked {
	next := asked{Shelves: maps.Clone(a.Shelves), Under: a.Under, First: a.First, Sum: a.Sum}
	if next.Shelves == nil {
		next.Shelves = shelves{}
	}
	for from := 0; from < n; {
		i, to := shelf(left[from]), from
		for to < len(left) && shelf(left[to]) == i {
			to++
		}
		var begun uint32
		if u := a.Under; u != nil && u.Shelf == i && from == 0 && a.goesOn(left[0]) {
			begun = u.Sum
		}
		if to > n {
			next.Under = &under{Shelf: i, After: left[n-1], Sum: begun + sum(left[from:n])}
			return next
		}
		next.Shelves[i] = begun + sum(left[from:to])
		if next.Under != nil && next.Under.Shelf == i {
			next.Under = nil
		}
		from = to
	}
	return next
}

// goesOn reports whether an id lies behind what was asked of its shelf: then left
// has left the rest out.
func (a *asked) goesOn(id string) bool {
	u := a.Under
	return len(id) > len(u.After) || len(id) == len(u.After) && id > u.After
}

func (a asked) cursor() (feedlake.Cursor, error) {
	b, err := json.Marshal(a)
	if err != nil {
		return "", fmt.Errorf("spell cursor: %w", err)
	}
	return feedlake.Cursor(b), nil
}

// MarshalText spells the shelves: the distance from the one before, and the sum.
func (s shelves) MarshalText() ([]byte, error) {
	var b []byte
	last := 0
	for _, i := range slices.Sorted(maps.Keys(s)) {
		b = binary.AppendUvarint(b, uint64(i-last)) //nolint:gosec // in order
		b, last = binary.BigEndian.AppendUint32(b, s[i]), i
	}
	return []byte(base64.RawURLEncoding.EncodeToString(b)), nil
}

// UnmarshalText reads what MarshalText wrote.
func (s *shelves) UnmarshalText(text []byte) error {
	b, err := base64.RawURLEncoding.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("read shelves: %w", err)
	}
	*s = shelves{}
	for last := uint64(0); len(b) > 0; {
		d, n := binary.Uvarint(b)
		if n <= 0 || len(b) < n+4 || last+d >= mostShelves || d >= mostShelves {
			return fmt.Errorf("read shelves: %w", feedlake.ErrConfig)
		}
		last += d
		(*s)[int(last)] = binary.BigEndian.Uint32(b[n:]) //nolint:gosec // below mostShelves
		b = b[n+4:]
	}
	return nil
}
