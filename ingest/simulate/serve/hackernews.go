package serve

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/simulate"
)

// hackerNews answers as Algolia's HN Search does below /api/v1, and as Firebase
// does below /v0. Posts are stories, replies comments.
type hackerNews struct {
	s    *Server
	kids map[int64][]int64 // of an item, the places of those that answer it
}

// hnFirst is the number of the first item, as it is at the real one.
const hnFirst = 1

func newHackerNews(s *Server) platform {
	h := hackerNews{s, map[int64][]int64{}}
	for i := range s.items {
		if it := &s.items[i]; hnKind(it) == "comment" {
			h.kids[it.Other] = append(h.kids[it.Other], it.N)
		}
	}
	return h
}

func (h hackerNews) routes(mux *http.ServeMux) {
	for _, base := range [...]string{"/api/v1/", "/"} { // a server of its own may leave it out
		mux.HandleFunc("GET "+base+"search_by_date", h.search)
	}
	for _, base := range [...]string{"/v0/", "/"} {
		mux.HandleFunc("GET "+base+"maxitem.json", h.maxItem)
		mux.HandleFunc("GET "+base+"item/{file}", h.item)
	}
}

func (hackerNews) id(it *simulate.Item) string { return strconv.FormatInt(hnFirst+it.N, 10) }

func (hackerNews) limit(*http.Request) (string, int, time.Duration) {
	return "address", 10_000, time.Hour
}

func (hackerNews) headers(http.Header, limitState) {}

func (hackerNews) limited(w http.ResponseWriter, l limitState) {
	w.Header().Set("Retry-After", strconv.Itoa(l.seconds()))
	writeJSON(w, http.StatusTooManyRequests, map[string]any{"message": "Too Many Requests", "status": 429})
}

func (hackerNews) failed(w http.ResponseWriter, status int) {
	http.Error(w, http.StatusText(status), status)
}

func (hackerNews) unauthorized(w http.ResponseWriter) {
	http.Error(w, `{"error" : "Permission denied"}`, http.StatusUnauthorized)
}

// most is how many hits a question is answered with.
const hnMost = 1000

func (h hackerNews) search(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	per, err := strconv.Atoi(orElse(q.Get("hitsPerPage"), "20"))
	if err != nil || per < 1 || per > hnMost {
		writeJSON(w, http.StatusBadRequest, map[string]any{"message": "invalid hitsPerPage", "status": 400})
		return
	}
	page, _ := strconv.Atoi(q.Get("page"))
	match, err := hnFilter(q.Get("numericFilters"), q.Get("tags"), q.Get("query"))
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]any{"message": err.Error(), "status": 400})
		return
	}
	var found []*simulate.Item
	for _, it := range slices.Backward(h.s.visible()) {
		if match(it) {
			found = append(found, it)
		}
	}
	hits := []map[string]any{}
	for i := page * per; i < min(len(found), (page+1)*per, hnMost); i++ {
		hits = append(hits, h.hit(found[i]))
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"hits": hits, "nbHits": len(found), "page": page, "nbPages": (min(len(found), hnMost) + per - 1) / per, "hitsPerPage": per,
		"exhaustiveNbHits": true, "query": q.Get("query"), "processingTimeMS": 3,
	})
}

// hnFilter reads what a search asks for.
func hnFilter(numeric, tags, words string) (func(*simulate.Item) bool, error) {
	var tests []func(*simulate.Item) bool
	for f := range strings.SplitSeq(numeric, ",") {
		if f == "" {
			continue
		}
		value, from := strings.CutPrefix(f, "created_at_i>=")
		before := false
		if !from {
			value, before = strings.CutPrefix(f, "created_at_i<")
		}
		if !from && !before {
			return nil, fmt.Errorf("invalid numericFilters %q", f)
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("invalid numericFilters %q", f)
		}
		tests = append(tests, func(it *simulate.Item) bool { return (it.At.Unix() < n) == before })
	}
	if list := strings.Trim(tags, "()"); list != "" {
		kinds := strings.Split(list, ",")
		tests = append(tests, func(it *simulate.Item) bool { return slices.Contains(kinds, hnKind(it)) })
	}
	if words != "" {
		tests = append(tests, func(it *simulate.Item) bool {
			return strings.Contains(strings.ToLower(it.Text), strings.ToLower(words))
		})
	}
	return func(it *simulate.Item) bool {
		for _, t := range tests {
			if !t(it) {
				return false
			}
		}
		return true
	}, nil
}

func hnKind(it *simulate.Item) string {
	if it.Kind == feedlake.KindReply {
		return "comment"
	}
	return "story"
}

// hit is an item as HN Search tells it.
func (h hackerNews) hit(it *simulate.Item) map[string]any {
	it = h.s.aged(it)
	out := map[string]any{
		"objectID": h.id(it), "created_at": it.At.Truncate(time.Second).Format(time.RFC3339), "created_at_i": it.At.Unix(), "author": it.Author.Name,
		"_tags": []string{hnKind(it), "author_" + it.Author.Name},
	}
	h.s.garble(it, out, "created_at_i")
	if hnKind(it) == "comment" {
		out["comment_text"], out["parent_id"], out["story_id"] = "<p>"+html.EscapeString(it.Text), hnFirst+it.Other, hnFirst+it.Other
		return out
	}
	title, text, _ := strings.Cut(it.Text, ". ")
	out["title"], out["points"], out["num_comments"] = title, it.Likes, it.Replies
	if hnLinks(it) {
		out["url"] = hnURL(it)
	}
	if text != "" {
		out["story_text"] = html.EscapeString(text)
	}
	return out
}

func (h hackerNews) maxItem(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, hnFirst+int64(h.s.appeared())-1)
}

func (h hackerNews) item(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(strings.TrimSuffix(r.PathValue("file"), ".json"), 10, 64)
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": "Invalid path"})
		return
	}
	n := id - hnFirst
	if n < 0 || n >= int64(h.s.appeared()) {
		writeJSON(w, http.StatusOK, nil)
		return
	}
	it := h.s.aged(&h.s.items[n])
	out := map[string]any{"id": id, "time": it.At.Unix(), "type": hnKind(it)}
	if h.s.gone(it) {
		out["deleted"] = true
		writeJSON(w, http.StatusOK, out)
		return
	}
	h.s.garble(it, out, "time")["by"] = it.Author.Name
	if kids := h.children(it); len(kids) > 0 {
		out["kids"] = kids
	}
	if hnKind(it) == "comment" {
		out["text"], out["parent"] = html.EscapeString(it.Text), hnFirst+it.Other
		writeJSON(w, http.StatusOK, out)
		return
	}
	title, text, _ := strings.Cut(it.Text, ". ")
	out["title"] = html.EscapeString(title)
	if text != "" {
		out["text"] = html.EscapeString(text)
	}
	if hnLinks(it) {
		out["url"] = hnURL(it)
	}
	if it.Likes != nil { // Firebase leaves out what it does not tell
		out["score"] = it.Likes
	}
	if it.Replies != nil {
		out["descendants"] = it.Replies
	}
	writeJSON(w, http.StatusOK, out)
}

// children are the items that have answered it so far.
func (h hackerNews) children(it *simulate.Item) []int64 {
	var ids []int64
	for _, n := range h.kids[it.N] {
		if n < int64(h.s.appeared()) {
			ids = append(ids, hnFirst+n)
		}
	}
	return ids
}

// hnLinks reports whether a story is about a page elsewhere.
func hnLinks(it *simulate.Item) bool { return it.N%3 == 0 }

func hnURL(it *simulate.Item) string { return fmt.Sprintf("https://example.org/%d", it.N) }

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // a value of our own that JSON cannot hold
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
