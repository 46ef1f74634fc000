package simulate

import (
	"math/rand/v2"
	"strings"
	"time"
)

// Item is a simulated post as the servers of a simulated network hold it, with
// all that happens to it later.
type Item struct {
	N         int64     // its place among all, from 0, in the order of At
	At        time.Time // when it was posted
	Author    Author
	Text      string
	Lang      string
	Kind      string // one of the feedlake.Kind constants
	Other     int64  // the post that it answers, repeats or quotes; -1: none
	Likes     *int64 // nil: not shown
	Reposts   *int64
	Replies   *int64
	Views     *int64
	EditedAt  time.Time // zero: never
	Edited    string    // the text from then on
	DeletedAt time.Time // zero: never
}

// Author is who wrote a post.
type Author struct {
	ID        int64
	Name      string
	Followers int64
}

// Items makes the posts of c, in time order, whatever network they are on.
// Duplicates and broken records are for a server to make.
func (c Config) Items() ([]Item, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	m := newMaker(c)
	items := make([]Item, c.Posts)
	for i := range items {
		items[i] = m.item(int64(i))
	}
	return items, nil
}

func (m *maker) item(i int64) Item {
	d := m.draw(i)
	var name strings.Builder
	writeName(&name, d.author.id)
	it := Item{
		N: i, At: d.at, Author: Author{d.author.id, name.String(), d.author.followers}, Text: d.text, Lang: d.author.lang.tag, Kind: d.kind, Other: d.other,
		Likes: d.likes, Reposts: d.reposts, Replies: d.replies, Views: d.views,
	}
	m.fate(m.rand(streamFates, i), &it)
	return it
}

// fate draws what becomes of a post.
func (m *maker) fate(r *rand.Rand, to *Item) {
	if r.Float64() < m.shares.edits {
		to.EditedAt = to.At.Add(time.Duration(1+r.IntN(40)) * time.Minute)
		to.Edited = to.Text + edits[to.N%int64(len(edits))]
	}
	if r.Float64() < m.shares.deletions {
		to.DeletedAt = to.At.Add(time.Duration(1+r.IntN(48)) * time.Hour)
	}
}
