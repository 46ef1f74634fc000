package serve

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/simulate"
)

// mastodon answers as a server of Mastodon 4.5 does: timelines, statuses, its
// description and streams (docs.joinmastodon.org). Reposts are not on public
// timelines: an item that repeats another is a post here.
type mastodon struct {
	s     *Server
	last  *lastPage
	heard *heard
}

// lastPage is the page of a timeline that was sent before; see Repeat.
type lastPage struct {
	mu    sync.Mutex
	asked int
	page  []map[string]any
}

// or returns the page, or now and then the one before in its place.
func (l *lastPage) or(page []map[string]any, repeat bool) []map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if repeat && l.asked%everyRepeat == 0 && len(l.page) > 0 {
		return l.page
	}
	l.page = page
	return page
}

// MastodonToken is a user token that the simulated server takes.
const MastodonToken = "simulated-user-token"

const (
	mastodonHost   = "social.example"
	mastodonOther  = "elsewhere.example" // where some authors are at home
	mastodonClosed = "closed"            // a tag whose timeline nobody may read
)

func newMastodon(s *Server) platform { return mastodon{s, &lastPage{}, &heard{}} }

func (m mastodon) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v1/timelines/public", m.public)
	mux.HandleFunc("GET /api/v1/timelines/tag/{tag}", m.tagged)
	mux.HandleFunc("GET /api/v1/statuses/{id}", m.status)
	for _, end := range [...]string{"", "/{$}"} { // Mastodon.py ends these with a slash
		mux.HandleFunc("GET /api/v2/instance"+end, m.instance)
		mux.HandleFunc("GET /api/v1/instance"+end, m.oldInstance)
	}
	mux.HandleFunc("GET /api/v1/apps/verify_credentials", m.credentials)
	mux.HandleFunc("GET /api/v1/streaming/public", m.stream)
	mux.HandleFunc("GET /api/v1/streaming/hashtag", m.stream)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		mastodonError(w, http.StatusNotFound, "Record not found")
	})
}

// id is the uri: ids are of one server only.
func (mastodon) id(it *simulate.Item) string {
	return fmt.Sprintf("https://%s/users/%s/statuses/%s", home(it), it.Author.Name, local(it))
}

// home is the server that an author is at home on.
func home(it *simulate.Item) string {
	if it.Author.ID%3 == 1 {
		return mastodonOther
	}
	return mastodonHost
}

// local is the server's id of an item: its time, and what tells items of one
// millisecond apart.
func local(it *simulate.Item) string { return strconv.FormatInt(mastodonID(it), 10) }

func mastodonID(it *simulate.Item) int64 { return it.At.UnixMilli()<<16 | it.N&0xffff }

// limit is 300 requests in 5 minutes, for an account and for an address.
func (mastodon) limit(*http.Request) (string, int, time.Duration) {
	return "api", 300, 5 * time.Minute
}

func (mastodon) headers(h http.Header, l limitState) {
	h.Set("X-Ratelimit-Limit", strconv.Itoa(l.calls))
	h.Set("X-Ratelimit-Remaining", strconv.Itoa(l.remaining))
	h.Set("X-Ratelimit-Reset", l.reset.UTC().Format("2006-01-02T15:04:05.000000Z"))
}

func (mastodon) limited(w http.ResponseWriter, _ limitState) {
	mastodonError(w, http.StatusTooManyRequests, "Too many requests")
}

func (mastodon) failed(w http.ResponseWriter, status int) {
	if status == http.StatusServiceUnavailable {
		mastodonError(w, status, "There was a temporary problem serving your request, please try again")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8") // by the proxy before it
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<!DOCTYPE html><title>%s</title>", http.StatusText(status))
}

func (mastodon) unauthorized(w http.ResponseWriter) {
	w.Header().Set("Www-Authenticate", `Bearer realm="Doorkeeper", error="invalid_token", error_description="The access token is invalid"`)
	mastodonError(w, http.StatusUnauthorized, "The access token is invalid")
}

func mastodonError(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]any{"error": text})
}

// signedIn reports whether a request may be answered: without a token, or with
// the one that is known.
func (m mastodon) signedIn(w http.ResponseWriter, r *http.Request) bool {
	if a := r.Header.Get("Authorization"); a != "" && !good(spoken(r)) {
		m.unauthorized(w)
		return false
	}
	return true
}

func (m mastodon) public(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	m.timeline(w, r, func(it *simulate.Item) bool {
		return (!truth(q.Get("local")) || home(it) == mastodonHost) && (!truth(q.Get("remote")) || home(it) != mastodonHost) && !truth(q.Get("only_media"))
	})
}

func truth(s string) bool { return s != "" && s != "false" && s != "0" && s != "f" && s != "off" }

func (m mastodon) tagged(w http.ResponseWriter, r *http.Request) {
	q, tag := r.URL.Query(), r.PathValue("tag")
	if tag == mastodonClosed {
		mastodonError(w, http.StatusUnauthorized, "This method requires an authenticated user")
		return
	}
	wanted := append(q["any[]"], tag)
	m.timeline(w, r, func(it *simulate.Item) bool {
		tags := hashtags(it.Text)
		has := func(t string) bool { return slices.Contains(tags, strings.ToLower(t)) }
		return slices.ContainsFunc(wanted, has) && !slices.ContainsFunc(q["none[]"], has) &&
			!slices.ContainsFunc(q["all[]"], func(t string) bool { return !has(t) })
	})
}

// hashtags are the words after '#' in a text.
func hashtags(text string) []string {
	var tags []string
	for word := range strings.FieldsSeq(text) {
		if t, ok := strings.CutPrefix(word, "#"); ok && t != "" {
			tags = append(tags, strings.ToLower(strings.TrimRight(t, ".,!?")))
		}
	}
	return tags
}

// bounds are what a page is asked for.
type bounds struct {
	limit           int
	max, since, min int64 // ids; 0: none
}

func readBounds(q url.Values) bounds {
	number := func(name string) int64 {
		n, err := strconv.ParseInt(q.Get(name), 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	return bounds{min(40, int(cmp.Or(max(0, number("limit")), 20))), number("max_id"), number("since_id"), number("min_id")}
}

// timeline answers a page, newest first: the newest below max_id and above
// since_id, or those right above min_id.
func (m mastodon) timeline(w http.ResponseWriter, r *http.Request, match func(*simulate.Item) bool) {
	if !m.signedIn(w, r) {
		return
	}
	b := readBounds(r.URL.Query())
	var found []*simulate.Item
	for _, it := range m.s.visible() {
		if id := mastodonID(it); (b.max == 0 || id < b.max) && id > b.since && id > b.min && match(it) {
			found = append(found, it)
		}
	}
	if len(found) > b.limit {
		if b.min > 0 {
			found = found[:b.limit]
		} else {
			found = found[len(found)-b.limit:]
		}
	}
	page := []map[string]any{}
	for _, it := range slices.Backward(found) {
		page = append(page, m.told(it))
	}
	if len(found) > 0 {
		m.links(w, r, b, found)
	}
	writeJSON(w, http.StatusOK, m.last.or(page, m.s.has(Repeat)))
}

// links tells where the pages before and after are; "next" is the older one, and
// missing behind a short page.
func (m mastodon) links(w http.ResponseWriter, r *http.Request, b bounds, found []*simulate.Item) {
	link := func(rel, key string, it *simulate.Item) string {
		q := r.URL.Query()
		for _, k := range [...]string{"max_id", "since_id", "min_id"} {
			q.Del(k)
		}
		q.Set(key, local(it))
		return fmt.Sprintf(`<http://%s%s?%s>; rel=%q`, r.Host, r.URL.Path, q.Encode(), rel)
	}
	prev := link("prev", "min_id", found[len(found)-1])
	if len(found) == b.limit {
		prev = link("next", "max_id", found[0]) + ", " + prev
	}
	w.Header().Set("Link", prev)
}

func (m mastodon) status(w http.ResponseWriter, r *http.Request) {
	for _, it := range m.s.visible() {
		if local(it) == r.PathValue("id") {
			writeJSON(w, http.StatusOK, m.told(it))
			return
		}
	}
	mastodonError(w, http.StatusNotFound, "Record not found")
}

func (m mastodon) credentials(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "" {
		m.unauthorized(w)
		return
	}
	if m.signedIn(w, r) {
		writeJSON(w, http.StatusOK, map[string]any{"id": "1", "name": "feedlake", "website": nil, "scopes": []string{"read"}, "redirect_uri": "urn:ietf:wg:oauth:2.0:oob", "redirect_uris": []string{"urn:ietf:wg:oauth:2.0:oob"}})
	}
}

// kindOf is how a timeline shows an item.
func kindOf(it *simulate.Item) string {
	if it.Kind == feedlake.KindRepost {
		return feedlake.KindPost
	}
	return it.Kind
}
