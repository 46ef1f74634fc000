package x_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/sourcetest"
	"github.com/feedlake/feedlake/ingest/x"
)

// TestNames follows users by their names as by their ids. They are looked up once,
// at their price, in the runs that follow and after an error too.
func TestNames(t *testing.T) {
	r := newRig(t, 600)
	all, _, _ := sourcetest.Drain(t, open(t, r.env, r.url, x.Config{Query: everything, Since: since}), "")
	one, two := all[0], all[1]
	for _, p := range all {
		if p.AuthorID != one.AuthorID {
			two = p
		}
	}
	asked, broken := 0, 0
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch {
		case strings.HasSuffix(q.URL.Path, "users/by"):
			asked++
		case broken > 0:
			broken--
			http.Error(w, "{}", http.StatusServiceUnavailable)
			return
		}
		r.ServeHTTP(w, q)
	}))
	defer hs.Close()
	c := x.Config{Mode: "users", Users: []string{one.AuthorID, two.AuthorID}, Since: since, PageSize: 5}
	want, _, _ := sourcetest.Drain(t, open(t, r.env, hs.URL, c), "")
	if asked > 0 {
		t.Error("ids were looked up")
	}
	before := r.meter.Used("me", ingest.Day(r.clock.Now())).Micros
	c.Users = []string{"@" + strings.ToUpper(one.AuthorName), two.AuthorName}
	broken = 1
	src := open(t, r.env, hs.URL, c)
	if _, err := src.Fetch(t.Context(), ""); err == nil {
		t.Fatal("nothing broke")
	}
	got, _, end := sourcetest.Drain(t, src, "")
	if d := cmp.Diff(ids(want), ids(got)); d != "" {
		t.Error(d)
	}
	if used := r.meter.Used("me", ingest.Day(r.clock.Now())).Micros - before; used != 2*10_000+int64(len(got))*5_000 {
		t.Errorf("%d millionths of a dollar for 2 users and %d posts", used, len(got))
	}
	if more, _, _ := sourcetest.Drain(t, open(t, r.env, hs.URL, c), end); len(more) > 0 || asked != 1 {
		t.Errorf("%d posts behind the end, names looked up %d times", len(more), asked)
	}
	c.Users = []string{"nobody_at_all"} // beside others see TestHarmed
	_, err := open(t, r.env, hs.URL, c).Fetch(t.Context(), "")
	h, ok := errors.AsType[*feedlake.HintError](err)
	if !ok || !errors.Is(err, feedlake.ErrConfig) || !strings.Contains(err.Error(), "user nobody_at_all: Could not find user") || h.Hint == "" {
		t.Errorf("an unknown name: %v", err)
	}
}
