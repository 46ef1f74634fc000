package reddit_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/reddit"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// TestAnchorGone reads on where the last post of a page is deleted meanwhile.
func TestAnchorGone(t *testing.T) {
	s := newSite(t, 900)
	gone := 0
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("after") == "" {
			return false
		}
		if gone++; gone%3 == 0 { // two of three
			return false
		}
		_, _ = w.Write([]byte(`{"kind":"Listing","data":{"after":null,"children":[]}}`))
		return true
	}
	posts, _, _ := sourcetest.Drain(t, open(t, s.env(t), s.url, reddit.Config{Subreddits: []string{"all"}, Since: since()}), "")
	if want := only(s.Live(), isPost); len(posts) != len(want) || gone == 0 {
		t.Errorf("%d posts, want %d; %d anchors were gone", len(posts), len(want), gone)
	}
}

// TestTreeDeletions wants a comment that is deleted between two rounds told as a
// deletion, once.
func TestTreeDeletions(t *testing.T) {
	s := newSite(t, 100)
	deleted := false
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			return false
		}
		body := "hello"
		if deleted {
			body = "[deleted]"
		}
		_, _ = fmt.Fprintf(w, `[{"kind":"Listing","data":{"children":[{"kind":"t1","data":{"name":"t1_c","created_utc":1500000000,"parent_id":"t3_a","link_id":"t3_a","body":%q}}]}}]`, body)
		return true
	}
	src := open(t, s.env(t), s.url, reddit.Config{Mode: "tree", Submissions: []string{"t3_a"}})
	at := feedlake.Cursor("")
	for i, want := range []int{1, 0, 1, 0} {
		deleted = i >= 2
		var posts []feedlake.Post
		posts, _, at = sourcetest.Drain(t, src, at)
		if len(posts) != want || want == 1 && posts[0].Deleted != deleted {
			t.Errorf("round %d: %+v", i, posts)
		}
	}
}

// TestNoEnd gives up where Reddit answers in circles.
func TestNoEnd(t *testing.T) {
	s := newSite(t, 100)
	answer := ""
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet {
			_, _ = w.Write([]byte(answer))
		}
		return r.Method == http.MethodGet
	}
	answer = `{"kind":"Listing","data":{"after":"t3_a","children":[{"kind":"t3","data":{"name":"t3_a","title":"x","created_utc":1772452000}}]}}`
	src := open(t, s.env(t), s.url, reddit.Config{Subreddits: []string{"all"}})
	first, err := src.Fetch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var again *feedlake.RetryError
	if _, err := src.Fetch(t.Context(), first.Next); !errors.As(err, &again) || s.calls.Load() > 10 {
		t.Errorf("after %d calls: %v", s.calls.Load(), err)
	}
	rest := `{"kind":"more","data":{"parent_id":"t1_c","children":[]}},{"kind":"more","data":{"parent_id":"t1_c","children":["d"]}}`
	answer = `[{"kind":"Listing","data":{"children":[{"kind":"t1","data":{"name":"t1_c","created_utc":1500000000,"body":"x"}},` + rest + `]}}]`
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		if s.calls.Load() > 100 {
			w.WriteHeader(http.StatusGone)
		} else if strings.Contains(r.URL.Path, "morechildren") {
			_, _ = w.Write([]byte(`{"json":{"errors":[],"data":{"things":[` + rest + `]}}}`))
		} else if r.Method == http.MethodGet {
			_, _ = w.Write([]byte(answer))
		}
		return r.Method == http.MethodGet
	}
	s.calls.Store(0)
	posts, _, _ := sourcetest.Drain(t, open(t, s.env(t), s.url, reddit.Config{Mode: "tree", Submissions: []string{"t3_a"}}), "")
	if len(posts) != 1 || s.calls.Load() != 3 { // the tree, the thread below c, the comment d
		t.Errorf("%d posts in %d calls", len(posts), s.calls.Load())
	}
}

// TestTreeGone goes on behind a submission that is not there.
func TestTreeGone(t *testing.T) {
	s := newSite(t, 100)
	there := only(s.Live(), isPost)[0]
	posts, _, _ := sourcetest.Drain(t, open(t, s.env(t), s.url, reddit.Config{Mode: "tree", Submissions: []string{"t3_zzz", there}}), "")
	if !slices.Contains(ids(posts), there) || !strings.Contains(s.log.String(), "comments are gone") {
		t.Errorf("%v, log %s", ids(posts), s.log.String())
	}
}
