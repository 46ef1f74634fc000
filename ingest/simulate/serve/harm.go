package serve

import (
	"time"

	"github.com/feedlake/feedlake/ingest/simulate"
)

// garbledTime stands where a record should tell its time.
const garbledTime = "garbled"

// garbles reports whether an item is told so that nobody can read it.
func (s *Server) garbles(it *simulate.Item) bool { return s.has(Garbled) && it.N%53 == 11 }

// garble spoils a record of an item, in the field that tells its time.
func (s *Server) garble(it *simulate.Item, record map[string]any, field string) map[string]any {
	if s.garbles(it) {
		record[field] = garbledTime
	}
	return record
}

// Garbled lists the ids of what can be read at the moment and is told so that
// nobody can.
func (s *Server) Garbled() []string {
	var ids []string
	for _, it := range s.visible() {
		if s.garbles(it) {
			ids = append(ids, s.platform.id(it))
		}
	}
	return ids
}

// Suspended is who is, with that fault. Nothing of theirs can be read.
func (s *Server) Suspended() simulate.Author { return s.items[len(s.items)/2].Author }

func (s *Server) suspended(author int64) bool { return s.has(Suspended) && s.Suspended().ID == author }

// Closed is who shows posts to nobody, with BadFeed. Only feeds of that account
// are closed.
func (s *Server) Closed() simulate.Author {
	for _, it := range s.items[len(s.items)/3:] {
		if it.Author.ID != s.Suspended().ID {
			return it.Author
		}
	}
	return s.Suspended()
}

// Author is the author of the item with an id.
func (s *Server) Author(id string) simulate.Author {
	if it, ok := s.byID[id]; ok {
		return it.Author
	}
	return simulate.Author{}
}

// grown is how long the counts of a post grow.
const grown = 10 * 24 * time.Hour

// aged is an item with the counts that it has by now: with Grow they grow with its
// age.
func (s *Server) aged(it *simulate.Item) *simulate.Item {
	if !s.has(Grow) {
		return it
	}
	share := min(1, max(0, float64(s.opts.Now().Sub(it.At))/float64(grown)))
	now := *it
	for _, n := range []**int64{&now.Likes, &now.Reposts, &now.Replies, &now.Views} {
		if *n != nil {
			*n = new(int64(share * float64(100_000+**n)))
		}
	}
	return &now
}
