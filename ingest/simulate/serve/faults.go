package serve

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is something that goes wrong on purpose.
type Fault string

// The faults of a server.
const (
	Storm   Fault = "storm"   // the rate limit is said to be reached, several times in a row
	Failure Fault = "failure" // answers 500, 502 and 503
	Cut     Fault = "cut"     // answers end in the middle
	Repeat  Fault = "repeat"  // a page comes again in place of the next
	Expire  Fault = "expire"  // tokens expire after some requests
	Appear  Fault = "appear"  // new posts appear while pages are read
	Skew    Fault = "skew"    // the server's clock is an hour ahead
	Vanish  Fault = "vanish"  // posts are deleted while pages are read, and one account with all of its posts

	BadFeed   Fault = "badfeed"   // one subreddit, account or hashtag is refused
	Suspended Fault = "suspended" // one author is
	Garbled   Fault = "garbled"   // some records tell no time that can be read
	Grow      Fault = "grow"      // counts grow with the age of a post
)

// Faults lists them.
func Faults() []Fault { return append(Passing(), BadFeed, Suspended, Garbled, Grow) }

// Passing lists those that pass: who goes on asking gets all there is.
func Passing() []Fault { return []Fault{Storm, Failure, Cut, Repeat, Expire, Appear, Skew, Vanish} }

func (s *Server) has(f Fault) bool { return slices.Contains(s.opts.Faults, f) }

// now is the server's clock.
func (s *Server) now() time.Time {
	if s.has(Skew) {
		return s.opts.Now().Add(time.Hour)
	}
	return s.opts.Now()
}

// Every so many requests a fault strikes. The numbers share no divisor, so that
// all of them together strike one by one, and any three tries in a row get through.
const (
	everyStorm   = 11 // and the one after
	everyFailure = 7
	everyCut     = 5
	everyRepeat  = 4
	everyExpire  = 13
)

// ServeHTTP answers, unless a fault strikes.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.count()
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	state, allowed := s.take(r)
	s.platform.headers(w.Header(), state)
	switch {
	case !allowed:
		s.platform.limited(w, state)
	case s.has(Storm) && (n%everyStorm == 0 || n%everyStorm == 1 && n > 1):
		state.remaining, state.reset = 0, state.now.Add(2*time.Second)
		s.platform.headers(w.Header(), state)
		s.platform.limited(w, state)
	case s.has(Failure) && n%everyFailure == 0:
		s.platform.failed(w, [...]int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable}[n/everyFailure%3])
	case s.has(Cut) && n%everyCut == 0:
		s.cut(w, r)
	default:
		s.mux.ServeHTTP(w, r)
	}
}

func (s *Server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if s.has(Appear) {
		s.shown = min(len(s.items), s.shown+1+len(s.items)/500)
	}
	return s.requests
}

// repeats reports whether a page comes again in place of the one asked for now.
func (s *Server) repeats() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.has(Repeat) && s.requests%everyRepeat == 0
}

// take counts a request against its rate limit.
func (s *Server) take(r *http.Request) (limitState, bool) {
	bucket, calls, length := s.platform.limit(r)
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	key := bucket + " " + r.Header.Get("Authorization")
	win := s.windows[key]
	if !now.Before(win.reset) {
		win = window{reset: now.Add(length)}
	}
	allowed := win.used < calls
	if allowed {
		win.used++
	}
	s.windows[key] = win
	return limitState{calls: calls, remaining: calls - win.used, reset: win.reset, now: now}, allowed
}

// cut sends half of the answer, and says that it would be whole.
func (s *Server) cut(w http.ResponseWriter, r *http.Request) {
	rec := &recorder{header: http.Header{}, status: http.StatusOK}
	s.mux.ServeHTTP(rec, r)
	maps.Copy(w.Header(), rec.header)
	w.Header().Set("Content-Length", strconv.Itoa(len(rec.body)))
	w.WriteHeader(rec.status)
	_, _ = w.Write(rec.body[:len(rec.body)/2]) // the client notices
	// Without it nothing at all may have been sent, and Go's client asks again by itself.
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   []byte
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) { r.status = status }

func (r *recorder) Write(p []byte) (int, error) {
	r.body = append(r.body, p...)
	return len(p), nil
}

// token is what a client got when it signed in.
type token struct {
	left    int // requests until it expires; below 0: never by requests
	expires time.Time
}

// grant makes a token that lives so long.
func (s *Server) grant(life time.Duration) string {
	return s.grantAs(life, func(name string, _ time.Time) string { return name })
}

// grantAs makes a token that lives so long, spelled as the platform spells them.
func (s *Server) grantAs(life time.Duration, spell func(name string, expires time.Time) string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := token{left: -1, expires: s.now().Add(life)}
	name := spell(fmt.Sprintf("simulated-token-%d-%d", s.opts.Seed, len(s.tokens)+1), t.expires)
	if s.has(Expire) {
		t.left = everyExpire
	}
	s.tokens[name] = t
	return name
}

// known reports whether a token is good, and counts its use.
func (s *Server) known(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tokens[name]
	if !ok || t.left == 0 || !s.now().Before(t.expires) {
		return false
	}
	t.left--
	s.tokens[name] = t
	return true
}

// good reports whether a key is taken: every one is that does not begin with
// "wrong".
func good(key string) bool { return key != "" && !strings.HasPrefix(key, "wrong") }
