package bluesky

import (
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
)

// eventType begins the types of Jetstream's events, version 2.
const eventType = "network.bsky.jetstream.subscribeEvents#"

// Head is what every event of Jetstream has, whatever it is about.
type Head struct {
	Kind string    // commit, account, identity, sync, info or error; "" for none of them
	Seq  int64     // its number at that server; 0 in version 1
	Seen time.Time // when the server saw it; zero in info and error
	Key  string    // tells it from the others of the same moment
	Says string    // info and error: the name and the message

	body gjson.Result // the event without its envelope
	v2   bool
}

// HeadOf reads the head of an event of either version; false when raw is none.
func HeadOf(raw string) (Head, bool) {
	if !gjson.Valid(raw) {
		return Head{}, false
	}
	e := gjson.Parse(raw)
	kind := e.Get("$type").Str
	if kind == "error" {
		return Head{Kind: "error", Says: said(e, "error"), v2: true}, true
	}
	if kind == "message" {
		e = e.Get("payload")
		kind = e.Get("$type").Str
	}
	if kind, ok := strings.CutPrefix(kind, eventType); ok {
		return headV2(kind, e)
	}
	us := e.Get("time_us")
	if us.Type != gjson.Number || us.Int() <= 0 {
		return Head{}, false
	}
	h := Head{Kind: e.Get("kind").Str, Seen: time.UnixMicro(us.Int()).UTC(), body: e}
	h.Key = h.key(e.Get("commit"))
	return h, h.Kind != ""
}

func headV2(kind string, e gjson.Result) (Head, bool) {
	h := Head{Kind: kind, Seq: e.Get("seq").Int(), body: e, v2: true}
	if kind == "info" {
		h.Says = said(e, "name")
		return h, true
	}
	seen := e.Get("witnessedAt").Str // "time" may have been imported
	if seen == "" {
		seen = e.Get("time").Str
	}
	var ok bool
	h.Seen, ok = Time(seen)
	h.Key = h.key(e)
	return h, ok && h.Seq > 0
}

func said(e gjson.Result, name string) string {
	return strings.TrimSuffix(e.Get(name).Str+": "+e.Get("message").Str, ": ")
}

// key tells an event from the others.
func (h Head) key(commit gjson.Result) string {
	return strings.Join([]string{
		h.Kind, h.body.Get("did").Str, commit.Get("collection").Str, commit.Get("rkey").Str, commit.Get("operation").Str, commit.Get("rev").Str,
	}, "|")
}

// Event adds an event of Jetstream, version 1 or 2, with or without the envelope
// of its subprotocol. It is observed when Jetstream saw it.
//
// A deleted post becomes a deletion; its creation time is that of its key, a TID.
// An account that was deleted or taken down becomes a deletion of the kind
// account, whose id is at://did: all posts of that author are gone, and which
// they are the event does not tell. An event about anything else adds
// nothing.
func Event(raw string, now time.Time, position string, b *wire.Batch) {
	raw, ok := object(raw, now, position, b)
	if !ok {
		return
	}
	h, ok := HeadOf(raw)
	if !ok {
		b.Reject("the event lacks its kind, its time or its number", raw, position, now)
		return
	}
	if h.Seen.After(now.Add(feedlake.LatestAhead)) {
		b.Reject("the event was seen in the future", raw, position, now)
		return
	}
	switch h.Kind {
	case "commit":
		commit(h, raw, position, b)
	case "account":
		account(h, raw, position, b)
	}
}

func commit(h Head, raw, position string, b *wire.Batch) {
	c := h.body
	if !h.v2 {
		c = h.body.Get("commit")
	}
	a := address{h.body.Get("did").Str, c.Get("collection").Str, c.Get("rkey").Str}
	if a.collection != Posts && a.collection != Reposts && a.collection != "" {
		return
	}
	a, ok := parse(a.String())
	if !ok {
		b.Reject("the event lacks a part of its address", raw, position, h.Seen)
		return
	}
	p := feedlake.Post{Network: wire.Bluesky, ObservedAt: h.Seen, Payload: raw}
	switch op := c.Get("operation").Str; op {
	case "create", "update":
		record := c.Get("record")
		if !record.IsObject() {
			b.Reject("the event holds no record", raw, position, h.Seen)
			return
		}
		fill(p, a, record, h.Seen, position, b)
	case "delete":
		p.ID, p.AuthorID, p.Kind, p.Deleted = a.String(), a.did, feedlake.KindPost, true
		p.URI = p.ID
		if a.collection == Reposts {
			p.Kind = feedlake.KindRepost
		}
		if p.CreatedAt, ok = TID(a.rkey); !ok {
			b.Reject("the deletion tells no creation time: its key is no TID", raw, position, h.Seen)
			return
		}
		addAt(p, h.Seen, position, b)
	default:
		b.Reject("the event does what is not known: "+op, raw, position, h.Seen)
	}
}

// gone are the states of an account that take its posts away for good. Others,
// such as deactivated and suspended, may end.
func gone(status string) bool { return status == "deleted" || status == "takendown" }

func account(h Head, raw, position string, b *wire.Batch) {
	a := h.body.Get("account")
	if active := a.Get("active"); !active.Exists() || active.Bool() || !gone(a.Get("status").Str) {
		return
	}
	did := h.body.Get("did").Str
	if !strings.HasPrefix(did, "did:") {
		b.Reject("the event has no account", raw, position, h.Seen)
		return
	}
	addAt(feedlake.Post{
		Network: wire.Bluesky, ID: scheme + did, URI: scheme + did, Kind: feedlake.KindAccount, AuthorID: did,
		CreatedAt: h.Seen, ObservedAt: h.Seen, Deleted: true, Payload: raw,
	}, h.Seen, position, b)
}
