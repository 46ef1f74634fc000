// Package serve answers as the platforms do, offline: their paging, rate limits,
// error bodies and headers, over simulated posts, with faults that can be
// switched on. A seed always gives the same posts.
package serve

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/simulate"
)

// Options say what a server holds.
type Options struct {
	Seed   uint64
	Posts  int64     // 10,000 when 0
	Days   int       // that the posts spread over; 14 when 0
	End    time.Time // of the last day; the hour that has begun when zero
	Faults []Fault   // nil: none
	Now    func() time.Time
	Log    *slog.Logger
}

// platform is one platform's way to answer.
type platform interface {
	// routes adds the platform's paths.
	routes(mux *http.ServeMux)
	// id is how the platform spells an item's id.
	id(it *simulate.Item) string
	// limit is its rate limit for a request, by name of the bucket.
	limit(r *http.Request) (bucket string, calls int, window time.Duration)
	// limited answers that the limit is reached, as the platform does.
	limited(w http.ResponseWriter, l limitState)
	// headers tells the state of the limit in an answer's headers.
	headers(h http.Header, l limitState)
	// failed answers with a status of 500 and above.
	failed(w http.ResponseWriter, status int)
	// unauthorized answers that the token is no good.
	unauthorized(w http.ResponseWriter)
}

// limitState is a rate limit after a request.
type limitState struct {
	calls, remaining int
	reset            time.Time
	now              time.Time
}

// Network is the platform's name, as the posts of its ids tell it.
func (s *Server) Network() string { return s.name }

// Server is one platform. It is safe for concurrent use.
type Server struct {
	name     string
	opts     Options
	items    []simulate.Item
	byID     map[string]*simulate.Item
	platform platform
	mux      *http.ServeMux

	mu       sync.Mutex
	requests int               // so far
	windows  map[string]window // rate limits, by bucket and credential
	tokens   map[string]token
	shown    int // items that have appeared; see Appear
}

type window struct {
	used  int
	reset time.Time
}

// New returns the server of a platform, one of Platforms.
func New(name string, o Options) (*Server, error) {
	open, ok := platforms()[name]
	if !ok {
		return nil, feedlake.Hint(fmt.Errorf("platform %q: %w", name, feedlake.ErrConfig), "one of %v", Platforms())
	}
	for _, f := range o.Faults {
		if !slices.Contains(Faults(), f) {
			return nil, feedlake.Hint(fmt.Errorf("fault %q: %w", f, feedlake.ErrConfig), "some of %v", Faults())
		}
	}
	o.Posts, o.Days = cmp.Or(o.Posts, 10_000), cmp.Or(o.Days, 14)
	end := o.End.UTC()
	if o.End.IsZero() {
		end = o.Now().UTC().Truncate(time.Hour)
	}
	items, err := simulate.Config{Seed: o.Seed, Posts: o.Posts, Days: o.Days, Start: end.AddDate(0, 0, -o.Days)}.Items()
	if err != nil {
		return nil, err
	}
	s := &Server{name: name, opts: o, items: items, mux: http.NewServeMux(), windows: map[string]window{}, tokens: map[string]token{}, shown: len(items)}
	if s.has(Appear) {
		s.shown = len(items) * 9 / 10
	}
	s.platform, s.byID = open(s), make(map[string]*simulate.Item, len(items))
	for i := range items {
		s.byID[s.platform.id(&items[i])] = &items[i]
	}
	s.platform.routes(s.mux)
	return s, nil
}

// platforms are the platforms by name.
func platforms() map[string]func(*Server) platform {
	return map[string]func(*Server) platform{
		"bluesky":    newBluesky,
		"hackernews": newHackerNews,
		"instagram":  newInstagram,
		"mastodon":   newMastodon,
		"reddit":     newReddit,
		"x":          newX,
	}
}

// Platforms lists the platforms.
func Platforms() []string { return slices.Sorted(maps.Keys(platforms())) }

// Live lists the ids of what can be read at the moment, in time order.
func (s *Server) Live() []string {
	var ids []string
	for _, it := range s.visible() {
		if !s.garbles(it) {
			ids = append(ids, s.platform.id(it))
		}
	}
	return ids
}

// All lists the ids of everything that the server has, had or will have.
func (s *Server) All() []string {
	ids := make([]string, len(s.items))
	for i := range s.items {
		ids[i] = s.platform.id(&s.items[i])
	}
	return ids
}

// visible are the items that can be read at the moment.
func (s *Server) visible() []*simulate.Item {
	n := s.appeared()
	out := make([]*simulate.Item, 0, n)
	for i := range s.items[:n] {
		if it := &s.items[i]; !s.gone(it) {
			out = append(out, it)
		}
	}
	return out
}

// appeared counts the items that were posted so far.
func (s *Server) appeared() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown
}

// gone reports whether an item is deleted, or its author suspended. With Vanish every so many requests
// take another one away, otherwise time does.
func (s *Server) gone(it *simulate.Item) bool {
	if s.suspended(it.Author.ID) {
		return true
	}
	if s.has(Vanish) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return it.N%97 == 13 && int(it.N/97) < s.requests || s.left() && s.leaver(it)
	}
	return !it.DeletedAt.IsZero() && !it.DeletedAt.After(s.opts.Now())
}

// leaver reports whether an item is by the account that leaves with Vanish, and
// takes all its posts away.
func (s *Server) leaver(it *simulate.Item) bool {
	return it.Author.ID == s.items[len(s.items)/2].Author.ID
}

// left reports whether the leaver has left; s.mu is held.
func (s *Server) left() bool { return s.has(Vanish) && s.requests >= requestsToLeave }

func (s *Server) hasLeft() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left()
}

// requestsToLeave is at which request the leaver leaves.
const requestsToLeave = 6

// seconds is how long the limit lasts, rounded up.
func (l limitState) seconds() int { return max(1, int(math.Ceil(l.reset.Sub(l.now).Seconds()))) }

// Growing reports whether there are items that have not appeared yet.
func (s *Server) Growing() bool { return s.appeared() < len(s.items) }

// Edited reports whether the item with an id has two versions.
func (s *Server) Edited(id string) bool {
	it, ok := s.byID[id]
	return ok && !it.EditedAt.IsZero()
}

// Kind is the kind of the item with an id; "" when there is none.
func (s *Server) Kind(id string) string {
	if it, ok := s.byID[id]; ok {
		return it.Kind
	}
	return ""
}
