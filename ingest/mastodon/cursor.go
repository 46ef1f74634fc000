package mastodon

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
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
	Seen  []string  `json:"seen,omitempty"`  // ids that were read, within the overlap or of the last page
	Heard int       `json:"heard,omitempty"` // events of streams so far
	Ended bool      `json:"ended,omitempty"` // a backfill is at its end
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

// leastSeen is how many ids are remembered at least: those of a page. A stream may
// tell what a timeline has told already.
const leastSeen = 40

// remember returns the ids seen, and more, without those that need not be known
// any longer.
func remember(seen, more []string, from string) []string {
	out := slices.Concat(seen, more)
	slices.SortFunc(out, mastodon.Compare)
	out = slices.Compact(out)
	late := slices.IndexFunc(out, func(id string) bool { return mastodon.Compare(id, from) >= 0 })
	if late < 0 {
		late = len(out)
	}
	return out[max(0, min(late, len(out)-leastSeen)):]
}
