package serve

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/simulate"
)

// xAPI answers as version 2 of the API of X does, below /2, in both of its
// vocabularies. As since May 2026, searches find no reposts; timelines and the stream
// tell them.
type xAPI struct {
	s    *Server
	jobs *xJobs
}

// Ids are snowflakes: milliseconds since the epoch above 22 bits.
const (
	xEpoch = 1288834974657
	xBits  = 22
)

// xWeek is how far back recent search looks.
const xWeek = 7 * 24 * time.Hour

func newX(s *Server) platform { return &xAPI{s: s, jobs: &xJobs{}} }

func (x *xAPI) routes(mux *http.ServeMux) {
	for _, base := range [...]string{"/2/", "/"} { // a server of its own may leave it out
		get := func(path string, h http.HandlerFunc) { mux.HandleFunc("GET "+base+path, x.signed(h)) }
		get("tweets/search/recent", x.list(100, 10, 10, xWeek))
		get("tweets/search/all", x.list(500, 10, 10, 0))
		get("users/{user}/tweets", x.list(100, 5, 10, 0))
		get("users/by", x.usersBy)
		get("tweets/counts/recent", x.counts(xWeek))
		get("tweets/counts/all", x.counts(0))
		get("tweets", x.lookup)
		get("usage/tweets", x.usage)
		get("tweets/search/stream/rules", x.rules)
		get("tweets/search/stream", x.stream)
		get("compliance/jobs/{id}", x.job)
		mux.HandleFunc("POST "+base+"tweets/search/stream/rules", x.signed(x.rules))
		mux.HandleFunc("POST "+base+"compliance/jobs", x.signed(x.createJob))
	}
	mux.HandleFunc("PUT /storage/{id}/upload", x.upload)
	mux.HandleFunc("GET /storage/{id}/result", x.result)
}

func (*xAPI) id(it *simulate.Item) string {
	return strconv.FormatInt((it.At.UnixMilli()-xEpoch)<<xBits|it.N, 10)
}

func (*xAPI) limit(r *http.Request) (string, int, time.Duration) {
	calls := map[string]int{"recent": 450, "all": 300, "stream": 50, "rules": 450, "jobs": 150}
	last := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	return r.URL.Path, cmp.Or(calls[last], 1500), 15 * time.Minute
}

func (*xAPI) headers(h http.Header, l limitState) {
	h.Set("x-rate-limit-limit", strconv.Itoa(l.calls))
	h.Set("x-rate-limit-remaining", strconv.Itoa(l.remaining))
	h.Set("x-rate-limit-reset", strconv.FormatInt(l.reset.Unix(), 10))
}

func (x *xAPI) limited(w http.ResponseWriter, _ limitState) { x.failed(w, http.StatusTooManyRequests) }

func (*xAPI) failed(w http.ResponseWriter, status int) {
	writeJSON(w, status, map[string]any{"title": http.StatusText(status), "detail": http.StatusText(status), "type": "about:blank", "status": status})
}

func (x *xAPI) unauthorized(w http.ResponseWriter) { x.failed(w, http.StatusUnauthorized) }

// XToken is a bearer token that the simulator takes.
const XToken = "simulated-bearer"

func (x *xAPI) signed(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !good(spoken(r)) {
			x.unauthorized(w)
			return
		}
		next(w, r)
	}
}

// xProblem is an answer to a call that is wrong.
func xProblem(w http.ResponseWriter, parameter, value, message string) {
	writeJSON(w, http.StatusBadRequest, map[string]any{
		"errors": []any{map[string]any{"parameters": map[string]any{parameter: []string{value}}, "message": message}},
		"title":  "Invalid Request", "detail": "One or more parameters to your request was invalid.", "type": "https://api.x.com/2/problems/invalid-request",
	})
}

// list answers a search or a timeline: newest first, so many posts at most.
func (x *xAPI) list(most, least, usual int, back time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		per, err := strconv.Atoi(orElse(q.Get("max_results"), strconv.Itoa(usual)))
		if err != nil || per < least || per > most {
			xProblem(w, "max_results", q.Get("max_results"), fmt.Sprintf("The `max_results` query parameter value is not between %d and %d", least, most))
			return
		}
		match, parameter, message := x.filter(q, r.PathValue("user"), back)
		if message != "" {
			xProblem(w, parameter, q.Get(parameter), message)
			return
		}
		if x.refuses(w, r.PathValue("user")) {
			return
		}
		sent := orElse(q.Get("next_token"), q.Get("pagination_token"))
		below, ok := x.token(sent)
		if !ok {
			xProblem(w, "next_token", sent, "Invalid or expired 'next_token'")
			return
		}
		var found []*simulate.Item
		for _, it := range slices.Backward(x.s.visible()) {
			if match(it) {
				found = append(found, it)
			}
		}
		writeJSON(w, http.StatusOK, x.page(found, below, per, sent != "" && x.s.repeats(), q))
	}
}

// page answers with the posts below an item.
func (x *xAPI) page(found []*simulate.Item, below int64, per int, repeat bool, q url.Values) map[string]any {
	from := slices.IndexFunc(found, func(it *simulate.Item) bool { return it.N < below })
	if from < 0 {
		from = len(found)
	}
	if repeat {
		from = max(0, from-per)
	}
	shown := found[from:min(len(found), from+per)]
	if len(shown) == 0 {
		return map[string]any{"meta": map[string]any{"result_count": 0}}
	}
	out := x.answer(shown, q)
	meta := map[string]any{"newest_id": x.id(shown[0]), "oldest_id": x.id(shown[len(shown)-1]), "result_count": len(shown)}
	if from+per < len(found) {
		meta["next_token"] = "b26v" + base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(shown[len(shown)-1].N, 10)))
	}
	out["meta"] = meta
	return out
}

// token reads a token for the next page; it expires now and then.
func (x *xAPI) token(s string) (below int64, ok bool) {
	if s == "" {
		return 1 << 62, true
	}
	x.s.mu.Lock()
	expired := x.s.has(Expire) && x.s.requests%everyExpire < 2
	x.s.mu.Unlock()
	code, ok := strings.CutPrefix(s, "b26v")
	b, err := base64.RawURLEncoding.DecodeString(code)
	if expired || !ok || err != nil {
		return 0, false
	}
	below, err = strconv.ParseInt(string(b), 10, 64)
	return below, err == nil
}

// filter reads what is asked for.
func (x *xAPI) filter(q url.Values, user string, back time.Duration) (match func(*simulate.Item) bool, parameter, message string) {
	from, to := time.Time{}, x.s.now()
	if back > 0 {
		from = to.Add(-back)
	}
	first, last := int64(0), int64(1)<<62
	for name, set := range map[string]*time.Time{"start_time": &from, "end_time": &to} {
		if v := q.Get(name); v != "" {
			t, err := time.Parse(time.RFC3339, v)
			if err != nil || back > 0 && t.Before(x.s.now().Add(-back)) || name == "end_time" && t.After(x.s.now()) {
				return nil, name, "'" + name + "' must be a time within what can be asked for"
			}
			*set = t
		}
	}
	if !from.Before(to) {
		return nil, "end_time", "'end_time' must be after 'start_time'"
	}
	for name, set := range map[string]*int64{"since_id": &first, "until_id": &last} {
		if v := q.Get(name); v != "" {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil || back > 0 && time.UnixMilli(n>>xBits+xEpoch).Before(x.s.now().Add(-back)) {
				return nil, name, "'" + name + "' must be a tweet id created after the first that can be asked for"
			}
			*set = n
		}
	}
	if user == "" && q.Get("query") == "" {
		return nil, "query", "'query' is required"
	}
	words := strings.Fields(q.Get("query"))
	return func(it *simulate.Item) bool {
		id := (it.At.UnixMilli()-xEpoch)<<xBits | it.N
		return (user != "" || it.Kind != feedlake.KindRepost) && !it.At.Before(from) && it.At.Before(to) && id > first && id < last && (user == "" || xUser(it.Author.ID) == user) &&
			!slices.ContainsFunc(words, func(word string) bool { return !xMatch(it, word) })
	}, "", ""
}

// xMatch knows a few operators and words; any other operator holds.
func xMatch(it *simulate.Item, word string) bool {
	name, value, operator := strings.Cut(word, ":")
	switch {
	case !operator:
		return strings.Contains(strings.ToLower(it.Text), strings.ToLower(word))
	case name == "lang":
		return it.Lang == value
	case name == "from":
		return it.Author.Name == value
	}
	return true
}

func xUser(id int64) string { return strconv.FormatInt(100_000+id, 10) }
