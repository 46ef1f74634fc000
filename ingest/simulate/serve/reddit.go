package serve

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/simulate"
)

// reddit answers as oauth.reddit.com does, with the posts in three subreddits,
// and gives tokens as www.reddit.com does. Replies are comments, reposts
// crossposts, quotes links to another submission.
type reddit struct {
	s       *Server
	parents []int64 // of comments, by their number: what they answer
}

// Subreddits that the simulated Reddit has, beside some that cannot be read:
// simprivate, simquarantined and simbanned. Others are not found.
func redditSubs() []string { return []string{"simnews", "simmusic", "simtech"} }

const (
	redditFirst = 2_000_000_000 // number of the first item
	redditWall  = 1000          // how many items a listing has in all
	redditMost  = 100           // how many a page has
)

func newReddit(s *Server) platform { return reddit{s, redditThreads(s.items)} }

// redditBlock is how many items in a row share a thread.
const redditBlock = 40

// redditThreads hangs the replies of each block below its first submission, so
// that there are threads both broad and deep.
func redditThreads(items []simulate.Item) []int64 {
	parents := make([]int64, len(items))
	root, first, last := int64(-1), int64(-1), int64(-1)
	for i := range items {
		n := int64(i)
		if n%redditBlock == 0 {
			root, first, last = -1, -1, -1
		}
		switch {
		case items[i].Kind != feedlake.KindReply:
			if root < 0 {
				root = n
			}
			continue
		case root < 0:
			parents[i] = items[i].Other
			continue
		case first < 0:
			parents[i], first = root, n
		default:
			parents[i] = [...]int64{root, last, first, last}[n%4]
		}
		last = n
	}
	return parents
}

// parent is what a comment answers.
func (d reddit) parent(it *simulate.Item) *simulate.Item { return &d.s.items[d.parents[it.N]] }

func (d reddit) routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/v1/access_token", d.token)
	for _, end := range [...]string{"", "/{$}"} { // PRAW ends some paths with a slash
		mux.HandleFunc("GET /r/{sub}/{listing}"+end, d.signed(d.listing))
		mux.HandleFunc("GET /comments/{id}"+end, d.signed(d.tree))
		mux.HandleFunc("GET /comments/{id}/{title}/{comment}"+end, d.signed(d.tree))
		mux.HandleFunc("/api/morechildren"+end, d.signed(d.moreChildren))
		mux.HandleFunc("GET /api/info"+end, d.signed(d.info))
	}
	mux.HandleFunc("GET /subreddits/search", d.signed(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, redditListing(nil, nil)) }))
}

func (reddit) id(it *simulate.Item) string {
	return redditPrefix(it) + strconv.FormatInt(redditFirst+it.N, 36)
}

func redditPrefix(it *simulate.Item) string {
	if it.Kind == feedlake.KindReply {
		return "t1_"
	}
	return "t3_"
}

// number finds an item by its id, with or without prefix.
func (d reddit) number(id string) *simulate.Item {
	if _, after, ok := strings.Cut(id, "_"); ok {
		id = after
	}
	n, err := strconv.ParseInt(id, 36, 64)
	if n -= redditFirst; err != nil || n < 0 || n >= int64(d.s.appeared()) {
		return nil
	}
	return &d.s.items[n]
}

// root is the submission that a comment belongs to.
func (d reddit) root(it *simulate.Item) *simulate.Item {
	for it.Kind == feedlake.KindReply {
		it = d.parent(it)
	}
	return it
}

func (d reddit) sub(it *simulate.Item) string {
	subs := redditSubs()
	return subs[d.root(it).N%int64(len(subs))]
}

// limit is 100 requests a minute, taken over ten.
func (reddit) limit(r *http.Request) (string, int, time.Duration) {
	if r.URL.Path == "/api/v1/access_token" {
		return "token", 300, 10 * time.Minute
	}
	return "client", 1000, 10 * time.Minute
}

func (reddit) headers(h http.Header, l limitState) {
	h.Set("X-Ratelimit-Used", strconv.Itoa(l.calls-l.remaining))
	h.Set("X-Ratelimit-Remaining", fmt.Sprintf("%.1f", float64(l.remaining)))
	h.Set("X-Ratelimit-Reset", strconv.Itoa(int(math.Ceil(l.reset.Sub(l.now).Seconds())))) // whole seconds: other clients read no others
}

func (reddit) limited(w http.ResponseWriter, _ limitState) {
	writeJSON(w, http.StatusTooManyRequests, map[string]any{"message": "Too Many Requests", "error": 429})
}

func (reddit) failed(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<!doctype html><html><title>Ow! -- reddit.com</title><body><p>all of our servers are busy right now (%d)</p></body></html>", status)
}

func (reddit) unauthorized(w http.ResponseWriter) {
	writeJSON(w, http.StatusUnauthorized, map[string]any{"message": "Unauthorized", "error": 401})
}

// token is RFC 6749, 4.3 and 4.4, but that a wrong password is a 200.
func (d reddit) token(w http.ResponseWriter, r *http.Request) {
	if id, secret, ok := r.BasicAuth(); !ok || !good(id) || !good(secret) {
		d.unauthorized(w)
		return
	}
	switch r.PostFormValue("grant_type") {
	case "client_credentials":
	case "password":
		if !good(r.PostFormValue("username")) || !good(r.PostFormValue("password")) {
			writeJSON(w, http.StatusOK, map[string]any{"error": "invalid_grant"})
			return
		}
	default:
		writeJSON(w, http.StatusOK, map[string]any{"error": "unsupported_grant_type"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"access_token": d.s.grant(time.Hour), "token_type": "bearer", "expires_in": 3600, "scope": "*"})
}

// signed lets requests with a good token and an honest name through.
func (d reddit) signed(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		switch {
		case !strings.EqualFold(kind, "bearer") || !d.s.known(token):
			d.unauthorized(w)
		case !strings.Contains(r.UserAgent(), "by /u/"):
			d.limited(w, limitState{})
		default:
			next(w, r)
		}
	}
}

// RedditClosed is the subreddit that is private with BadFeed.
const RedditClosed = "simmusic"

// refused answers for subreddits that cannot be read.
func (d reddit) refused(w http.ResponseWriter, sub string) bool {
	switch {
	case sub == RedditClosed && d.s.has(BadFeed):
		writeJSON(w, http.StatusForbidden, map[string]any{"reason": "private", "message": "Forbidden", "error": 403})
	case sub == "simprivate" || sub == "simquarantined":
		writeJSON(w, http.StatusForbidden, map[string]any{"reason": strings.TrimPrefix(sub, "sim"), "message": "Forbidden", "error": 403})
	case sub == "simbanned":
		writeJSON(w, http.StatusNotFound, map[string]any{"reason": "banned", "message": "Not Found", "error": 404})
	case strings.HasPrefix(sub, "sim") && !slices.Contains(redditSubs(), sub):
		w.Header().Set("Location", "/subreddits/search?"+url.Values{"q": {sub}}.Encode())
		w.WriteHeader(http.StatusFound)
	default:
		return false
	}
	return true
}

// redditPeriods are the values of t.
var redditPeriods = map[string]time.Duration{
	"hour": time.Hour, "day": 24 * time.Hour, "week": 7 * 24 * time.Hour, "month": 30 * 24 * time.Hour, "year": 365 * 24 * time.Hour, "all": 0,
}

func (d reddit) listing(w http.ResponseWriter, r *http.Request) {
	subs := strings.Split(strings.ToLower(r.PathValue("sub")), "+")
	for _, sub := range subs {
		if d.refused(w, sub) {
			return
		}
	}
	q := r.URL.Query()
	kind, sort, period := "t3_", r.PathValue("listing"), orElse(q.Get("t"), "day")
	words := ""
	switch sort {
	case "new", "hot", "rising":
		sort, period = "new", "all"
	case "comments":
		kind, sort, period = "t1_", "new", "all"
	case "top", "controversial":
	case "search":
		sort, period, words = orElse(q.Get("sort"), "relevance"), orElse(q.Get("t"), "all"), strings.ToLower(q.Get("q"))
		if q.Get("restrict_sr") == "" {
			subs = []string{"all"}
		}
	default:
		writeJSON(w, http.StatusNotFound, map[string]any{"message": "Not Found", "error": 404})
		return
	}
	d.page(w, r, d.sorted(sort, func(it *simulate.Item) bool {
		length := redditPeriods[period]
		return redditPrefix(it) == kind && d.in(subs, it) &&
			(length == 0 || it.At.After(d.s.opts.Now().Add(-length))) && d.says(it, words)
	}))
}

// info tells things by their names, in no listing's order, and of those that are
// gone what a tree tells.
func (d reddit) info(w http.ResponseWriter, r *http.Request) {
	things := []any{}
	for name := range strings.SplitSeq(r.URL.Query().Get("id"), ",") {
		if it := d.number(name); it != nil && d.id(it) == name && len(things) < redditMost {
			things = append(things, d.thing(it, nil))
		}
	}
	writeJSON(w, http.StatusOK, redditListing(things, nil))
}

// in reports whether an item is in one of some subreddits. Every name that does
// not begin with "sim" is one for all.
func (d reddit) in(subs []string, it *simulate.Item) bool {
	return slices.ContainsFunc(subs, func(sub string) bool { return sub == d.sub(it) || !strings.HasPrefix(sub, "sim") })
}

// says is Reddit's search: words, of which subreddit:NAME is one.
func (d reddit) says(it *simulate.Item, words string) bool {
	for w := range strings.FieldsSeq(words) {
		if sub, ok := strings.CutPrefix(w, "subreddit:"); ok {
			if !d.in([]string{sub}, it) {
				return false
			}
		} else if !strings.Contains(strings.ToLower(it.Text), w) {
			return false
		}
	}
	return true
}

// sorted lists what has appeared, also what is gone, up to the wall.
func (d reddit) sorted(sort string, match func(*simulate.Item) bool) []*simulate.Item {
	var all []*simulate.Item
	for i := range slices.Backward(d.s.items[:d.s.appeared()]) {
		if it := &d.s.items[i]; match(it) {
			all = append(all, it)
		}
	}
	number := func(n *int64) int64 {
		if n == nil {
			return 0
		}
		return *n
	}
	switch sort {
	case "top", "relevance":
		slices.SortStableFunc(all, func(a, b *simulate.Item) int { return cmp.Compare(number(b.Likes), number(a.Likes)) })
	case "controversial", "comments":
		slices.SortStableFunc(all, func(a, b *simulate.Item) int { return cmp.Compare(number(b.Replies), number(a.Replies)) })
	}
	return all
}

// page answers with a part of a listing. What comes behind an item that is gone
// is not known any more.
func (d reddit) page(w http.ResponseWriter, r *http.Request, all []*simulate.Item) {
	q := r.URL.Query()
	limit, err := strconv.Atoi(orElse(q.Get("limit"), "25"))
	if err != nil || limit < 1 {
		limit = 25
	}
	limit = min(limit, redditMost)
	from := 0
	if after := q.Get("after"); after != "" {
		anchor := d.number(after)
		from = slices.Index(all, anchor) + 1
		if anchor == nil || d.s.gone(anchor) || from == 0 {
			writeJSON(w, http.StatusOK, redditListing(nil, nil))
			return
		}
		if d.s.repeats() {
			from = max(0, from-limit)
		}
	}
	var things []any
	var last *simulate.Item
	listed := 0
	for i, it := range all {
		if d.s.gone(it) {
			continue
		}
		if listed++; listed > redditWall || len(things) == limit {
			break
		}
		if i >= from {
			things, last = append(things, d.listed(it)), it
		}
	}
	var after any
	if len(things) == limit && listed <= redditWall && last != all[len(all)-1] {
		after = d.id(last)
	}
	writeJSON(w, http.StatusOK, redditListing(things, after))
}

func redditListing(things []any, after any) map[string]any {
	if things == nil {
		things = []any{}
	}
	return map[string]any{"kind": "Listing", "data": map[string]any{"modhash": "", "children": things, "after": after, "before": nil}}
}
