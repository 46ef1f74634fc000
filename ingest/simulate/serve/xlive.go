package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/feedlake/feedlake/ingest/simulate"
)

// xJobs are the rules of the stream and the compliance jobs.
type xJobs struct {
	mu    sync.Mutex
	rules []xRule
	ids   map[string][]string // uploaded, by job
	users map[string]bool     // jobs over users
	asked map[string]int      // how often a job was asked for
	sent  map[int64]time.Time // when streams have passed over an item first
	lines int                 // connections of streams
}

// xRule is a rule of the filtered stream.
type xRule struct {
	ID    string `json:"id"`
	Value string `json:"value"`
	Tag   string `json:"tag,omitempty"`
}

// rules lists, adds and deletes rules.
func (x *xAPI) rules(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Add    []xRule
		Delete struct{ IDs []string }
	}
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			xProblem(w, "add", "", err.Error())
			return
		}
	}
	x.jobs.mu.Lock()
	defer x.jobs.mu.Unlock()
	for _, a := range body.Add {
		a.ID = strconv.Itoa(1_500_000 + len(x.jobs.rules) + x.jobs.lines)
		x.jobs.rules = append(x.jobs.rules, a)
	}
	x.jobs.rules = slices.DeleteFunc(x.jobs.rules, func(a xRule) bool { return slices.Contains(body.Delete.IDs, a.ID) })
	out := map[string]any{"meta": map[string]any{"sent": x.s.now().UTC().Format(xTime), "result_count": len(x.jobs.rules)}}
	if len(x.jobs.rules) > 0 {
		out["data"] = x.jobs.rules
	}
	status := http.StatusOK
	if r.Method == http.MethodPost {
		status = http.StatusCreated
	}
	writeJSON(w, status, out)
}

// xBurst is how many posts a connection gives before it ends.
const xBurst = 40

// stream sends what has not been sent yet, with lines between that keep the
// connection alive, and ends with an error as X does now and then. A connection
// that asks to make up for what it missed gets the posts of so many minutes again.
func (x *xAPI) stream(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	x.jobs.mu.Lock()
	rules := slices.Clone(x.jobs.rules)
	sent := maps.Clone(x.jobs.sent)
	x.jobs.lines++
	x.jobs.mu.Unlock()
	if len(rules) == 0 {
		x.failed(w, http.StatusConflict)
		return
	}
	minutes, _ := strconv.Atoi(q.Get("backfill_minutes"))
	since := x.s.now().Add(-time.Duration(minutes) * time.Minute)
	flush := http.NewResponseController(w)
	w.WriteHeader(http.StatusOK)
	var now []*simulate.Item
	fresh, more := 0, false
	for _, it := range x.s.visible() {
		at, again := sent[it.N]
		switch {
		case again && minutes > 0 && !at.Before(since):
			now = append(now, it)
		case again:
		case fresh < xBurst:
			now, fresh = append(now, it), fresh+1
		default:
			more = true
		}
	}
	for i, it := range now {
		if hit := x.matching(it, rules); len(hit) > 0 {
			out := x.answer([]*simulate.Item{it}, q)
			data, _ := out["data"].([]any)
			out["data"], out["matching_rules"] = data[0], hit
			line, _ := json.Marshal(out)
			_, _ = fmt.Fprintf(w, "%s\r\n", line)
		}
		if i%7 == 3 {
			_, _ = io.WriteString(w, "\r\n")
		}
	}
	x.jobs.mu.Lock()
	if x.jobs.sent == nil {
		x.jobs.sent = map[int64]time.Time{}
	}
	for _, it := range now {
		if _, again := x.jobs.sent[it.N]; !again {
			x.jobs.sent[it.N] = x.s.now()
		}
	}
	x.jobs.mu.Unlock()
	if more {
		_, _ = io.WriteString(w, `{"errors":[{"title":"operational-disconnect","disconnect_type":"UpstreamOperationalDisconnect","detail":"This stream has been disconnected upstream for operational reasons.","type":"https://api.x.com/2/problems/operational-disconnect"}]}`+"\r\n")
		return
	}
	_, _ = io.WriteString(w, "\r\n")
	if flush.Flush() != nil { // nobody reads while it comes
		return
	}
	<-r.Context().Done() // nothing more: it stays open
}

// matching are the rules that a post fulfils.
func (x *xAPI) matching(it *simulate.Item, rules []xRule) []any {
	var out []any
	for _, rule := range rules {
		if !slices.ContainsFunc(strings.Fields(rule.Value), func(word string) bool { return !xMatch(it, word) }) {
			out = append(out, map[string]any{"id": rule.ID, "tag": rule.Tag})
		}
	}
	return out
}

func (x *xAPI) createJob(w http.ResponseWriter, r *http.Request) {
	var body struct{ Type, Name string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || !slices.Contains([]string{"tweets", "posts", "users"}, body.Type) {
		xProblem(w, "type", body.Type, "The `type` must be tweets or users")
		return
	}
	x.jobs.mu.Lock()
	if x.jobs.ids == nil {
		x.jobs.ids, x.jobs.asked, x.jobs.users = map[string][]string{}, map[string]int{}, map[string]bool{}
	}
	id := strconv.Itoa(1_372_966_999_000 + len(x.jobs.ids))
	x.jobs.ids[id], x.jobs.users[id] = nil, body.Type == "users"
	x.jobs.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"data": x.jobAnswer(r, id, "created", body.Type == "users")})
}

func (x *xAPI) jobAnswer(r *http.Request, id, status string, users bool) map[string]any {
	base := "http://" + r.Host + "/storage/" + id
	at, kind := x.s.now().UTC().Format(xTime), "tweets"
	if users {
		kind = "users"
	}
	return map[string]any{
		"id": id, "type": kind, "name": "feedlake", "status": status, "resumable": false, "created_at": at, "upload_url": base + "/upload?signature=secret",
		"upload_expires_at": at, "download_url": base + "/result?signature=secret", "download_expires_at": at,
	}
}

// job tells how far a job is: it needs two looks.
func (x *xAPI) job(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	x.jobs.mu.Lock()
	ids, known := x.jobs.ids[id]
	if ids != nil {
		x.jobs.asked[id]++
	}
	asked, users := x.jobs.asked[id], x.jobs.users[id]
	x.jobs.mu.Unlock()
	switch {
	case !known:
		x.failed(w, http.StatusNotFound)
	case ids == nil:
		writeJSON(w, http.StatusOK, map[string]any{"data": x.jobAnswer(r, id, "created", users)})
	case asked < 3:
		writeJSON(w, http.StatusOK, map[string]any{"data": x.jobAnswer(r, id, "in_progress", users)})
	default:
		writeJSON(w, http.StatusOK, map[string]any{"data": x.jobAnswer(r, id, "complete", users)})
	}
}

func (x *xAPI) upload(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Authorization") != "" {
		http.Error(w, "no token goes to the storage", http.StatusBadRequest)
		return
	}
	x.jobs.mu.Lock()
	defer x.jobs.mu.Unlock()
	x.jobs.ids[r.PathValue("id")] = strings.Fields(string(body))
}

// result lists those of the ids uploaded whose posts are gone: of users, who have
// no post left.
func (x *xAPI) result(w http.ResponseWriter, r *http.Request) {
	x.jobs.mu.Lock()
	ids, users := x.jobs.ids[r.PathValue("id")], x.jobs.users[r.PathValue("id")]
	x.jobs.mu.Unlock()
	live := map[string]bool{}
	for _, it := range x.s.visible() {
		if users {
			live[xUser(it.Author.ID)] = true
		} else {
			live[x.id(it)] = true
		}
	}
	var out bytes.Buffer
	reasons := [...]string{"deleted", "suspended", "protected", "deactivated", "bounced", "scrub_geo"}
	for i, id := range ids {
		if !live[id] {
			at := x.s.now().UTC().Format(xTime)
			fmt.Fprintf(&out, `{"id":"%s","action":"delete","created_at":"%s","redacted_at":"%s","reason":"%s"}`+"\n", id, at, at, reasons[i%len(reasons)])
		}
	}
	_, _ = w.Write(out.Bytes())
}
