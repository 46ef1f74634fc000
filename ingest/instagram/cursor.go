package instagram

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/frontier"
	"github.com/feedlake/feedlake/ingest/rounds"
)

// place is a place in the source: one in each list, and the list whose turn it
// is.
type place struct {
	Turn  string               `json:"turn,omitempty"`  // name of the list; "": a round begins
	Lists map[string]*list     `json:"lists,omitempty"` // by hashtag; accountList
	Told  []string             `json:"told,omitempty"`  // posts of this round, for the lists that are still to come
	Asked map[string]time.Time `json:"asked,omitempty"` // hashtags by id: when a question of this source began to count

	Failed rounds.Failed `json:"failed,omitempty"` // hashtags that cannot be read
}

// accountList names the list of an account's own media.
const accountList = "media"

// list is a place in a list of media.
type list struct {
	ID      string            `json:"id,omitempty"` // of the hashtag; it never changes
	At      frontier.Frontier `json:"at,omitzero"`
	Answers int               `json:"answers,omitempty"` // of the pass under way
	Same    bool              `json:"same,omitempty"`    // of the pass: the link to the next page stays the same, and moves on
	Last    []string          `json:"last,omitempty"`    // media of the last two answers of the pass
}

func parse(c feedlake.Cursor) (place, error) {
	p := place{Lists: map[string]*list{}, Asked: map[string]time.Time{}}
	if c == "" {
		return p, nil
	}
	if err := json.Unmarshal([]byte(c), &p); err != nil {
		return p, fmt.Errorf("cursor %.60q: %w: %w", c, err, feedlake.ErrConfig)
	}
	if p.Lists == nil {
		p.Lists = map[string]*list{}
	}
	if p.Asked == nil {
		p.Asked = map[string]time.Time{}
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

// list is the place in the list of that name.
func (p place) list(name string) *list {
	if p.Lists[name] == nil {
		p.Lists[name] = &list{}
	}
	return p.Lists[name]
}

// elsewhere are the posts that the other lists have told, as far as they are
// remembered.
func (p place) elsewhere() map[string]bool {
	known := make(map[string]bool, len(p.Told))
	for _, id := range p.Told {
		known[id] = true
	}
	for name, l := range p.Lists {
		if name == p.Turn {
			continue
		}
		for _, s := range l.At.Seen {
			known[s.ID] = true
		}
		if l.At.Pass != nil {
			for _, s := range l.At.Pass.Got {
				known[s.ID] = true
			}
		}
	}
	return known
}

// remember keeps the ids of an answer beside those of the one before.
func (l *list) remember(ids []string) {
	keep := l.Last[max(0, len(l.Last)-most):]
	l.Last = append(slices.Clone(keep), ids...)
}

// land ends a pass.
func (l *list) land(overlap time.Duration, keep int) {
	l.At = l.At.Landed(overlap)
	if n := len(l.At.Seen); keep > 0 && n > keep {
		l.At.Seen = l.At.Seen[n-keep:]
	}
	l.Answers, l.Same, l.Last = 0, false, nil
}
