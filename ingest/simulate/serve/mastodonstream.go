package serve

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/feedlake/feedlake/ingest/simulate"
)

// stream sends what appeared since the stream before, oldest first, and ends: a
// proxy ends streams now and then. The first one sends the newest posts, the edit
// of one that was edited, and a deletion.
func (m mastodon) stream(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "" {
		mastodonError(w, http.StatusUnauthorized, "Missing access token")
		return
	}
	if !m.signedIn(w, r) {
		return
	}
	tag := strings.ToLower(r.URL.Query().Get("tag"))
	var found []*simulate.Item
	for _, it := range m.s.visible() {
		if tag == "" || slices.Contains(hashtags(it.Text), tag) {
			found = append(found, it)
		}
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = fmt.Fprint(w, ":)\n") // no empty line: that would end an event that has not begun
	fresh, first := m.heard.since(found, int64(m.s.appeared()))
	for _, it := range fresh {
		m.event(w, "update", it)
	}
	if !first || len(fresh) == 0 {
		return
	}
	for _, it := range slices.Backward(found) {
		if !it.EditedAt.IsZero() {
			m.event(w, "status.update", it)
			break
		}
	}
	_, _ = fmt.Fprintf(w, ":thump\nevent: delete\ndata: %s\n\n", local(fresh[0]))
}

func (m mastodon) event(w io.Writer, name string, it *simulate.Item) {
	text, err := json.Marshal(m.told(it))
	if err != nil { // a value of our own that JSON cannot hold
		return
	}
	_, _ = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, text)
}

// streamed is how many posts the first stream sends.
const streamed = 10

// heard remembers what streams have sent: all items below N.
type heard struct {
	mu sync.Mutex
	n  int64
}

// since returns what has not been sent yet, and whether nothing was.
func (h *heard) since(found []*simulate.Item, appeared int64) (fresh []*simulate.Item, first bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n == 0 {
		h.n = appeared
		return found[max(0, len(found)-streamed):], true
	}
	for _, it := range found {
		if it.N >= h.n {
			fresh = append(fresh, it)
		}
	}
	h.n = appeared
	return fresh, false
}
