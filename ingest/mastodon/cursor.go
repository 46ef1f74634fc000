package mastodon

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/frontier"
	"github.com/feedlake/feedlake/ingest/wire/mastodon"
)

// place is the cursor: the place in a timeline, by ids of its server. Reading
// begins with a way down, from the newest post to the beginning; from then on it
// goes up.
type place struct {
	At    string    `json:"at,omitempty"`    // up: the highest id that was read
	Low   string    `json:"low,omitempty"`   // up: read so far in this pass, from the overlap below At on
	Top   string    `json:"top,omitempty"`   // down: the newest id when it began
	Down  string    `json:"down,omitempty"`  // down: everything from Top to here was read
	Floor time.Time `json:"floor,omitzero"`  // down: where it ends
	Seen  []string  `json:"seen,omitempty"`  // ids that were read, within the overlap or of the last page, each with a space and its version
	Heard int       `json:"heard,omitempty"` // events of streams so far
	Ended bool      `json:"ended,omitempty"` // a backfill is at its end

	Bad frontier.Rejects `json:"bad,omitempty"` // statuses without id
}

func parse(c feedlake.Cursor) (place, error) {
	var p place
	if c == "" {
		return p, nil
	}
	if err := json.Unmarshal([]byte(c), &p); err != nil {
		return p, fmt.Errorf("cursor %.60q: %w: %w", c, err, feedlake.ErrConfig)
	}
	if p.At == "" && p.Down == "" && !p.Ended {
		return p, fmt.Errorf("cursor %.60q: names no id: %w", c, feedlake.ErrConfig)
	}
	return p, nil
}

func (p place) cursor() (feedlake.Cursor, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("spell cursor: %w", err)
	}
	return feedlake.Cursor(b), nil
}

// Bounds of the ids that are remembered. At least those of a page are: a stream may
// tell what a timeline has told already. A timeline with more posts in the overlap
// has a shorter one.
const (
	leastSeen = 40
	mostSeen  = 1000
)

// remember returns the ids seen, and more, without those that need not be known
// any longer.
func remember(seen, more []string, from string) []string {
	versions := versionsOf(slices.Concat(seen, more))
	ids := slices.SortedFunc(maps.Keys(versions), mastodon.Compare)
	late := slices.IndexFunc(ids, func(id string) bool { return mastodon.Compare(id, from) >= 0 })
	if late < 0 {
		late = len(ids)
	}
	ids = ids[max(0, min(late, len(ids)-leastSeen), len(ids)-mostSeen):]
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = spell(id, versions[id])
	}
	return out
}

// spell writes an id and the version of it that was read; "": not known.
func spell(id, version string) string {
	if version == "" {
		return id
	}
	return id + " " + version
}

// versionsOf are ids and the last version of each.
func versionsOf(seen []string) map[string]string {
	out := make(map[string]string, len(seen))
	for _, s := range seen {
		id, v, _ := strings.Cut(s, " ")
		out[id] = v
	}
	return out
}

// low is the id that a way up begins above: the overlap below the highest one that
// was read, as far as posts are remembered.
func (p place) low(late string) string {
	if len(p.Seen) < mostSeen {
		return late
	}
	oldest, _, _ := strings.Cut(p.Seen[0], " ")
	if mastodon.Compare(oldest, late) > 0 {
		return oldest
	}
	return late
}
