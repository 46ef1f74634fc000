package instagram

import (
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/frontier"
)

// anyTime stands for the time of every post of a list that has no order of time:
// its place is kept by the posts that were read alone.
var anyTime = time.Unix(1, 0).UTC()

// down moves a list's place behind an answer.
func (s *source) down(l *list, posts []feedlake.Post, next string) ([]feedlake.Post, frontier.Frontier) {
	overlap := s.overlap()
	if l.Answers < 2 || l.Same { // the pass may have to begin once more, so that all of it must be known
		overlap = max(overlap, 100*365*24*time.Hour)
	}
	if s.cfg.Mode != modeTop {
		return l.At.Down(posts, next, overlap)
	}
	still := make([]feedlake.Post, len(posts))
	byID := make(map[string]feedlake.Post, len(posts))
	for i, p := range posts {
		byID[p.ID], still[i] = p, p
		still[i].CreatedAt = anyTime
	}
	unread, moved := l.At.Down(still, next, overlap)
	fresh := make([]feedlake.Post, len(unread))
	for i, p := range unread {
		fresh[i] = byID[p.ID]
	}
	return fresh, moved
}

func (s *source) overlap() time.Duration { return s.cfg.Overlap }

// keep is how many posts a list without order remembers: twice as many as it
// shows. 0: all within the overlap.
func (s *source) keep() int {
	if s.cfg.Mode == modeTop {
		return 2 * most * s.cfg.TopPages
	}
	return 0
}
