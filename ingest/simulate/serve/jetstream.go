package serve

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/feedlake/feedlake/ingest/simulate"
)

// jetstream streams what happens, from a log that grows as posts appear and
// vanish. With each look at it an identity event tells that time goes on.
type jetstream struct {
	s *Server

	mu      sync.Mutex
	log     []happening
	created map[int64]bool
	deleted map[int64]bool
	left    bool // the log tells that the leaver left
	cuts    int
}

// happening is an event: of an item, or of an account when there is none.
type happening struct {
	at   time.Time // when the server saw it
	item *simulate.Item
	gone bool
	left string // the account that was deleted
}

// Bounds of the simulated Jetstream.
const (
	jetstreamKeeps = 10 * 24 * time.Hour // longer than the real one, 36 hours: it holds all simulated posts
	jetstreamBound = 1_000_000_000_000_000
	cutEvents      = 211 // after so many events a connection breaks, with Cut
)

// happened brings the log up to date and returns it.
func (j *jetstream) happened() []happening {
	visible := map[int64]bool{}
	for _, it := range j.s.visible() {
		visible[it.N] = true
	}
	n, now, left := j.s.appeared(), j.s.now().UTC(), j.s.hasLeft()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.created == nil {
		j.created, j.deleted = map[int64]bool{}, map[int64]bool{}
	}
	first := len(j.log) == 0
	var fresh []happening
	for i := range j.s.items[:n] {
		it := &j.s.items[i]
		if !j.created[it.N] {
			j.created[it.N] = true
			fresh = append(fresh, happening{at: it.At.Add(time.Second), item: it})
		}
		if !visible[it.N] && !j.deleted[it.N] {
			j.deleted[it.N] = true
			if left && j.s.leaver(it) {
				continue // nothing is said of the posts of an account that is deleted
			}
			at := cmp.Or(it.DeletedAt, now)
			if at.After(now) { // Vanish takes it before its time
				at = now
			}
			fresh = append(fresh, happening{at: at, item: it, gone: true})
		}
	}
	if first {
		slices.SortStableFunc(fresh, func(a, b happening) int { return a.at.Compare(b.at) })
	}
	last := time.Time{}
	if left && !j.left {
		j.left = true
		fresh = append(fresh, happening{at: now, left: bskyDID(j.s.items[len(j.s.items)/2].Author.Name)})
	}
	for _, h := range append(fresh, happening{at: now.Add(time.Microsecond)}) {
		if len(j.log) > 0 {
			last = j.log[len(j.log)-1].at
		}
		if h.item == nil && h.left == "" && !h.at.After(last) {
			break
		}
		if !first && (h.item != nil || h.left != "") {
			h.at = now
		}
		if h.at.Before(last) {
			h.at = last
		}
		j.log = append(j.log, h)
	}
	return slices.Clone(j.log)
}

func (j *jetstream) v1(w http.ResponseWriter, r *http.Request) {
	log := j.happened()
	from := j.from(log, r.URL.Query().Get("cursor"))
	j.send(w, r, log, from, nil, func(seq int, h happening) any { return j.eventV1(seq, h) })
}

func (j *jetstream) v2(w http.ResponseWriter, r *http.Request) {
	log := j.happened()
	cursor := r.URL.Query().Get("cursor")
	from := j.from(log, cursor)
	n, _ := strconv.ParseInt(cursor, 10, 64)
	if floor := j.floor(log); cursor != "" && n < jetstreamBound && int(n) < floor+1 {
		bskyError(w, http.StatusBadRequest, "CursorTooOld", "cursor is below the retention floor "+strconv.Itoa(floor+1))
		return
	}
	var info any
	if n >= jetstreamBound && from == j.floor(log) && from < len(log) && log[from].at.UnixMicro()-n > time.Hour.Microseconds() {
		info = map[string]any{"$type": jetstreamType + "info", "name": "OutdatedCursor", "message": "resumed from seq " + strconv.Itoa(from+1)}
	}
	j.send(w, r, log, from, info, func(seq int, h happening) any { return j.eventV2(seq, h) })
}

// floor is the first event that is still kept.
func (j *jetstream) floor(log []happening) int {
	oldest := j.s.now().Add(-jetstreamKeeps)
	return slices.IndexFunc(log, func(h happening) bool { return !h.at.Before(oldest) })
}

// from finds the first event that a cursor asks for: a number of an event, or a
// time in microseconds. One that is too old is moved up.
func (j *jetstream) from(log []happening, cursor string) int {
	n, err := strconv.ParseInt(cursor, 10, 64)
	if err != nil {
		return len(log)
	}
	i := int(max(0, min(n-1, int64(len(log)))))
	if n >= jetstreamBound {
		i = slices.IndexFunc(log, func(h happening) bool { return h.at.UnixMicro() >= n })
		if i < 0 {
			return len(log)
		}
	}
	return max(i, j.floor(log))
}

// send writes events until the client goes away.
func (j *jetstream) send(w http.ResponseWriter, r *http.Request, log []happening, from int, info any, spell func(int, happening) any) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"xrpc.v1.json"}})
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = c.CloseNow() }()
	ctx := c.CloseRead(r.Context())
	if info != nil && write(ctx, c, envelope(info)) != nil {
		return
	}
	wanted := wantedOf(r.URL.Query())
	for i := from; i < len(log); i++ {
		if j.breaks(i - from) {
			return
		}
		h := log[i]
		if !wanted(h) {
			continue
		}
		for range j.times(i) {
			if write(ctx, c, spell(i+1, h)) != nil {
				return
			}
		}
	}
	<-ctx.Done()
}

// breaks cuts every other connection off after some events.
func (j *jetstream) breaks(sent int) bool {
	if !j.s.has(Cut) || sent != cutEvents {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.cuts++
	return j.cuts%2 == 1
}

// times is how often an event is sent: the stream promises at least once.
func (j *jetstream) times(i int) int {
	if j.s.has(Repeat) && i%everyRepeat == 0 {
		return 2
	}
	return 1
}

func write(ctx context.Context, c *websocket.Conn, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.Write(ctx, websocket.MessageText, body)
}

// wantedOf reads the filters of both versions. Only commits have a collection.
func wantedOf(q map[string][]string) func(happening) bool {
	collections := slices.Concat(q["wantedCollections"], q["collections"])
	dids := slices.Concat(q["wantedDids"], q["dids"])
	return func(h happening) bool {
		if h.item == nil {
			return true
		}
		return (len(collections) == 0 || slices.Contains(collections, bskyPost)) && (len(dids) == 0 || slices.Contains(dids, bskyDID(h.item.Author.Name)))
	}
}

// jetstreamTime is how version 2 spells times.
const jetstreamTime = "2006-01-02T15:04:05.000000Z"

func (j *jetstream) commit(h happening) map[string]any {
	out := map[string]any{"rev": bskyTID(h.item), "operation": "create", "collection": bskyPost, "rkey": bskyTID(h.item)}
	if h.gone {
		out["operation"] = "delete"
		return out
	}
	b := bluesky{s: j.s}
	out["record"], out["cid"] = b.record(h.item, h.item.Text), bskyCID(b.id(h.item))
	return out
}

// account is what an event tells of an account that was deleted.
func (h happening) account(seq int) map[string]any {
	return map[string]any{"active": false, "status": "deleted", "did": h.left, "seq": seq, "time": h.at.Format(jetstreamTime)}
}

func (j *jetstream) eventV1(seq int, h happening) map[string]any {
	if h.left != "" {
		return map[string]any{"did": h.left, "time_us": h.at.UnixMicro(), "kind": "account", "account": h.account(seq)}
	}
	if h.item == nil {
		did := bskyDID("someone")
		return map[string]any{
			"did": did, "time_us": h.at.UnixMicro(), "kind": "identity",
			"identity": map[string]any{"did": did, "handle": "someone.bsky.social", "seq": seq, "time": h.at.Format(jetstreamTime)},
		}
	}
	return map[string]any{"did": bskyDID(h.item.Author.Name), "time_us": h.at.UnixMicro(), "kind": "commit", "commit": j.commit(h)}
}

// jetstreamType begins the types of version 2.
const jetstreamType = "network.bsky.jetstream.subscribeEvents#"

func (j *jetstream) eventV2(seq int, h happening) map[string]any {
	var out map[string]any
	if h.left != "" {
		out = map[string]any{"$type": jetstreamType + "account", "did": h.left, "account": h.account(seq)}
	} else if h.item == nil {
		did := bskyDID("someone")
		out = map[string]any{"$type": jetstreamType + "identity", "did": did, "identity": map[string]any{"did": did, "handle": "someone.bsky.social", "seq": seq, "time": h.at.Format(jetstreamTime)}}
	} else {
		out = j.commit(h)
		out["$type"], out["did"] = jetstreamType+"commit", bskyDID(h.item.Author.Name)
	}
	out["seq"], out["time"], out["witnessedAt"] = seq, h.at.Format(jetstreamTime), h.at.Format(jetstreamTime)
	return envelope(out)
}

func envelope(payload any) map[string]any {
	return map[string]any{"$type": "message", "payload": payload}
}
