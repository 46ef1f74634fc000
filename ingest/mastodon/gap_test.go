package mastodon_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/mastodon"
	"github.com/feedlake/feedlake/ingest/sourcetest"
)

// TestGap: a page of posts that the reader may not see is empty, and its link
// leads on, down as well as up.
func TestGap(t *testing.T) {
	clock := sourcetest.NewClock()
	s, url := small(t, clock)
	c := mastodon.Config{Settings: settings(url), Since: long, Overlap: -1}
	all, _, _ := sourcetest.Drain(t, open(t, clock.Env(t, "source"), c), "")
	for gap, at := range map[string]struct {
		cursor feedlake.Cursor
		posts  int
	}{
		"max_id": {"", len(all)},
		"min_id": {feedlake.Cursor(`{"at":"` + gjson.Get(all[100].Payload, "id").Str + `"}`), 100},
	} {
		hidden := 0
		hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			rec := httptest.NewRecorder()
			s.ServeHTTP(rec, r)
			id, _ := strconv.ParseInt(q.Get(gap), 10, 64)
			rel, step := "next", int64(-1)
			if gap == "min_id" {
				rel, step = "prev", 1
			}
			if id > 0 && hidden == 0 && strings.Contains(rec.Header().Get("Link"), rel) && len(rec.Body.Bytes()) > 2 {
				hidden++
				w.Header().Set("Link", fmt.Sprintf(`<https://social.example/api/v1/timelines/public?%s=%d>; rel=%q`, gap, id+step, rel))
				_, _ = w.Write([]byte("[]"))
				return
			}
			maps.Copy(w.Header(), rec.Header())
			_, _ = w.Write(rec.Body.Bytes())
		}))
		defer hs.Close()
		c.Settings = settings(hs.URL)
		posts, _, _ := sourcetest.Drain(t, open(t, clock.Env(t, "source"), c), at.cursor)
		if len(posts) != at.posts || hidden != 1 {
			t.Errorf("%s: %d posts, %d gaps, want %d", gap, len(posts), hidden, at.posts)
		}
	}
}
