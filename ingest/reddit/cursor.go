package reddit

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/frontier"
	"github.com/feedlake/feedlake/ingest/rounds"
)

// cursor is the place in the feeds, which are read one after the other.
type cursor struct {
	Turn  string            `json:"turn,omitempty"` // key of the feed now read; "": the first
	Feeds map[string]*place `json:"feeds"`

	Failed rounds.Failed `json:"failed,omitempty"`
}

// place is the place in one feed.
type place struct {
	At     frontier.Frontier `json:"at,omitzero"`      // of listings by time
	Listed int               `json:"listed,omitempty"` // items so far of the pass that is under way
	Round  *round            `json:"round,omitempty"`  // way through listings of another order; nil: none is under way
	Seen   ids               `json:"seen,omitempty"`   // what the round before held
	Bad    frontier.Rejects  `json:"bad,omitempty"`    // marks of the last rejects
	Ended  bool              `json:"ended,omitempty"`  // a backfill has read it
}

// round is a way through listings that are not in the order of time.
type round struct {
	Steps []string `json:"steps"`           // what is to be asked for, the first one now
	Page  string   `json:"page,omitempty"`  // anchors in the first one
	Got   ids      `json:"got,omitempty"`   // what came
	Asked ids      `json:"asked,omitempty"` // tree: comments that were asked for
}

func parseCursor(from feedlake.Cursor) (cursor, error) {
	c := cursor{Feeds: map[string]*place{}}
	if from == "" {
		return c, nil
	}
	if err := json.Unmarshal([]byte(from), &c); err != nil || c.Feeds == nil {
		return c, fmt.Errorf("cursor %.60q: not one of Reddit: %w", from, feedlake.ErrConfig)
	}
	return c, nil
}

func (c cursor) spell() (feedlake.Cursor, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("spell cursor: %w", err)
	}
	return feedlake.Cursor(b), nil
}

// at is the place in a feed.
func (c cursor) at(f feed) *place {
	p := c.Feeds[f.key]
	if p == nil {
		p = &place{}
		c.Feeds[f.key] = p
	}
	return p
}

// ids are the names of posts, with the version of each that came; "": not known.
// As text they are the differences of their sorted numbers, and the versions:
// about eight letters each, or four where there is none.
type ids map[uint64]string

// number packs a name, and what mark makes of one.
func number(name string) (uint64, bool) {
	kind, id, ok := strings.Cut(name, "_")
	n, err := strconv.ParseUint(id, 36, 62)
	what := slices.Index([]string{"t3", "t1", "d3", "d1"}, kind)
	if !ok || err != nil || what < 0 {
		return 0, false
	}
	return n<<2 + uint64(what), true
}

// mark is what a version of a post is known by: its deletion is another one.
func mark(p *feedlake.Post) string {
	if p.Deleted {
		return "d" + strings.TrimPrefix(p.ID, "t")
	}
	return p.ID
}

func (s ids) has(name string) bool {
	n, ok := number(name)
	_, in := s[n]
	return ok && in
}

// knows reports whether a post came before, and said the same.
func (s ids) knows(p *feedlake.Post) bool {
	n, ok := number(mark(p))
	v, in := s[n]
	return ok && in && (v == "" || v == frontier.Version(p))
}

func (s *ids) add(name, version string) {
	n, ok := number(name)
	if !ok {
		return
	}
	if *s == nil {
		*s = ids{}
	}
	(*s)[n] = version
}

// versioned begins the text of ids that have versions; others are of before.
const versioned = "."

// MarshalText spells the names.
func (s ids) MarshalText() ([]byte, error) {
	var b []byte
	last := uint64(0)
	for _, n := range slices.Sorted(maps.Keys(s)) {
		v, err := base64.RawURLEncoding.DecodeString(s[n])
		if err != nil || len(v) > versionBytes {
			return nil, fmt.Errorf("spell version %q: %w", s[n], feedlake.ErrConfig)
		}
		b = append(binary.AppendUvarint(b, n-last), byte(len(v))) //nolint:gosec // at most versionBytes
		b, last = append(b, v...), n
	}
	return []byte(versioned + base64.RawURLEncoding.EncodeToString(b)), nil
}

// versionBytes is the length of a version.
const versionBytes = 3

// UnmarshalText reads what MarshalText wrote.
func (s *ids) UnmarshalText(text []byte) error {
	spelled, versions := strings.CutPrefix(string(text), versioned)
	b, err := base64.RawURLEncoding.DecodeString(spelled)
	if err != nil {
		return fmt.Errorf("read ids: %w", err)
	}
	*s = ids{}
	for last := uint64(0); len(b) > 0; {
		d, n := binary.Uvarint(b)
		if n <= 0 {
			return fmt.Errorf("read ids: %w", feedlake.ErrConfig)
		}
		last, b = last+d, b[n:]
		length := 0
		if versions {
			if len(b) == 0 || int(b[0]) > min(versionBytes, len(b)-1) {
				return fmt.Errorf("read ids: %w", feedlake.ErrConfig)
			}
			length, b = int(b[0]), b[1:]
		}
		(*s)[last] = base64.RawURLEncoding.EncodeToString(b[:length])
		b = b[length:]
	}
	return nil
}
