package x_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/feedlake/feedlake/ingest/sourcetest"
	wirex "github.com/feedlake/feedlake/ingest/wire/x"
	"github.com/feedlake/feedlake/ingest/x"
)

// archive is a search over posts a minute apart, newest first. A token is good
// for the question that it was given for, and for no other; the one that is asked
// with in request expire is not good any longer.
type archive struct {
	t      *testing.T
	newest time.Time
	posts  int
	expire int

	asked  int
	tokens map[string]string // the question that each was given for
	floors []string          // start_time of each request
}

func (a *archive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	token := q.Get("next_token")
	q.Del("next_token")
	a.asked++
	a.floors = append(a.floors, q.Get("start_time"))
	if a.asked == a.expire {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"errors":[{"parameters":{"next_token":["old"]},"message":"expired"}],"title":"Invalid Request","type":"https://api.twitter.com/2/problems/invalid-request"}`))
		return
	}
	if of, ok := a.tokens[token]; token != "" && (!ok || of != q.Encode()) {
		a.t.Errorf("token of %s\ngoes on with %s", of, q.Encode())
	}
	from, _ := strconv.Atoi(token[min(len(token), 1):])
	var ids []string
	for i := range a.posts {
		if at := a.newest.Add(-time.Duration(i) * time.Minute); within(at, q) {
			ids = append(ids, wirex.FirstID(at))
		}
	}
	const size = 10
	data, meta := []map[string]string{}, map[string]any{}
	for _, id := range ids[min(from, len(ids)):min(from+size, len(ids))] {
		at, _ := wirex.CreatedAt(id)
		data = append(data, map[string]string{"id": id, "text": "a", "author_id": "1", "created_at": at.Format(time.RFC3339)})
	}
	if meta["result_count"] = len(data); from+size < len(ids) {
		next := fmt.Sprintf("t%d", from+size)
		a.tokens[next], meta["next_token"] = q.Encode(), next
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data, "meta": meta})
}

// within reports whether a question asks for a time.
func within(at time.Time, q url.Values) bool {
	start, _ := time.Parse(time.RFC3339, q.Get("start_time"))
	end, err := time.Parse(time.RFC3339, q.Get("end_time"))
	return !at.Before(start) && (err != nil || at.Before(end))
}

// TestTokenOfQuestion goes on with the question that a token was given for, also
// after one has expired, and tells every post once.
func TestTokenOfQuestion(t *testing.T) {
	for _, expire := range []int{0, 2, 3, 5} {
		clock := sourcetest.NewClock()
		a := &archive{t: t, newest: clock.Now().Add(-time.Hour), posts: 75, expire: expire, tokens: map[string]string{}}
		hs := httptest.NewServer(a)
		t.Cleanup(hs.Close)
		got, bad, _ := sourcetest.Drain(t, open(t, clock.Env(t, "x"), hs.URL, x.Config{Mode: "all", Query: "a", Since: since, PageSize: 10}), "")
		if once := slices.Compact(ids(got)); len(got) != a.posts || len(once) != a.posts || len(bad) > 0 {
			t.Errorf("expired with request %d: %d posts, %d different, want %d", expire, len(got), len(once), a.posts)
		}
	}
}

// TestTokenTooOld goes on by time when the question of a token begins before what
// recent search knows by now.
func TestTokenTooOld(t *testing.T) {
	clock := sourcetest.NewClock()
	a := &archive{t: t, newest: clock.Now().Add(-time.Hour), posts: 35, tokens: map[string]string{}}
	hs := httptest.NewServer(a)
	t.Cleanup(hs.Close)
	env := clock.Env(t, "x")
	src := open(t, env, hs.URL, x.Config{Query: "a", Since: clock.Now().AddDate(0, 0, -5), PageSize: 10})
	p, err := src.Fetch(t.Context(), "")
	if err != nil || len(p.Posts) != 10 {
		t.Fatal(len(p.Posts), err)
	}
	if err := clock.Sleep(t.Context(), 3*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	rest, _, _ := sourcetest.Drain(t, src, p.Next)
	all := ids(append(rest, p.Posts...))
	if len(all) != a.posts || len(slices.Compact(all)) != a.posts || slices.ContainsFunc(a.floors[1:], func(s string) bool { return s != "" }) {
		t.Errorf("%d posts, want %d; began at %q", len(all), a.posts, a.floors)
	}
}
