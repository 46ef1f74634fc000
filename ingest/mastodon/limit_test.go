package mastodon

import (
	"net/http"
	"testing"
	"time"
)

// TestLimit has a server whose clock is an hour ahead: the wait is by its clock.
func TestLimit(t *testing.T) {
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	h := http.Header{
		"X-Ratelimit-Remaining": {"7"}, "X-Ratelimit-Reset": {"2026-03-02T13:05:00.123456Z"}, "Date": {"Mon, 02 Mar 2026 13:00:00 GMT"},
	}
	l, ok := limit(h, now)
	if want := now.Add(5*time.Minute + 123456*time.Microsecond); !ok || l.Remaining != 7 || !l.Reset.Equal(want) {
		t.Errorf("got %+v, want the reset %s", l, want)
	}
	h.Set("X-Ratelimit-Reset", "soon")
	if _, ok := limit(h, now); ok {
		t.Error("an unreadable reset was taken")
	}
}
