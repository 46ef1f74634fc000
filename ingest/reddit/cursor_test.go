package reddit

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
)

func TestIDs(t *testing.T) {
	var s ids
	for _, name := range []string{"t3_1jpihf", "t1_d4y8bdp", "t3_0", "t1_0", "d1_d4y8bdp", "t1_", "x", "t5_a", "t1_zzzzzzzzzzzzzzzzzzzz"} {
		s.add(name, [...]string{"", "abcd", "AQ"}[len(s)%3])
	}
	if len(s) != 5 || !s.has("t3_1jpihf") || s.has("t1_1jpihf") || !s.has("d1_d4y8bdp") || s.has("d3_0") || s.has("x") {
		t.Errorf("%v", s)
	}
	text, err := s.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var again ids
	if err := again.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s, again); d != "" {
		t.Error(d)
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(`{"turn":"r/a/new","feeds":{"r/a/new":{"at":{"to":"2026-03-02T12:00:00Z","seen":[{"id":"t3_a","at":5}]},"round":{"steps":["tree"],"got":"AgQ"}}}}`)
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseCursor(feedlake.Cursor(s))
		if err != nil {
			return
		}
		spelled, err := c.spell()
		if err != nil {
			return // a time that JSON cannot hold
		}
		again, err := parseCursor(spelled)
		if err != nil {
			t.Fatalf("%s: %v", spelled, err)
		}
		if twice, err := again.spell(); err != nil || twice != spelled {
			t.Fatalf("%s became %s: %v", spelled, twice, err)
		}
	})
}

func TestLimit(t *testing.T) {
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		remaining, reset string
		want             ingest.Limit
		ok               bool
	}{
		{"598.0", "123", ingest.Limit{Remaining: 598, Reset: now.Add(123 * time.Second)}, true},
		{"0.7", "1.5", ingest.Limit{Remaining: 0, Reset: now.Add(1500 * time.Millisecond)}, true},
		{"-2", "0", ingest.Limit{Remaining: 0, Reset: now}, true},
		{"", "", ingest.Limit{}, false},
		{"NaN", "5", ingest.Limit{}, false},
	} {
		h := http.Header{}
		h.Set("x-ratelimit-remaining", tt.remaining)
		h.Set("x-ratelimit-reset", tt.reset)
		got, ok := limit(h, now)
		if ok != tt.ok || ok && !cmp.Equal(got, tt.want) {
			t.Errorf("%+v: got %+v, %v", tt, got, ok)
		}
	}
}
