package mastodon

import (
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake/ingest/wire"
)

// Record adds a record of an archive, of any of these forms: a status; an
// activity; an outbox.json, whole; an answer that a test recorded, with its
// address, or a list of such; a list of statuses, as a timeline answers. Of
// recorded answers only those that hold statuses add anything, and of those that
// hold none nothing is a reject.
func Record(raw string, now time.Time, position string, b *wire.Batch) {
	raw = strings.TrimSpace(raw)
	if !utf8.ValidString(raw) {
		b.Reject("not valid UTF-8", raw, position, now)
		return
	}
	if !gjson.Valid(raw) {
		b.Reject("broken JSON", raw, position, now)
		return
	}
	record(gjson.Parse(raw), now, position, maxDepth, b)
}

// maxDepth bounds lists within lists.
const maxDepth = 4

func record(v gjson.Result, now time.Time, position string, depth int, b *wire.Batch) {
	each := func(list gjson.Result, what string) {
		i := 0
		list.ForEach(func(_, e gjson.Result) bool {
			i++
			record(e, now, fmt.Sprintf("%s, %s %d", position, what, i), depth-1, b)
			return true
		})
	}
	var list gjson.Result
	twice := false
	if v.Get("orderedItems").Exists() {
		list, twice = items(v)
	}
	switch {
	case depth == 0:
		b.Reject("lists within lists", v.Raw, position, now)
	case v.IsArray():
		each(v, "record")
	case list.IsArray():
		if twice {
			b.Reject("orderedItems stands more than once: the last list counts, another is not read", "", position, now)
		}
		each(list, "item")
	case v.Get("interactions").IsArray():
		each(v.Get("interactions"), "answer")
	case v.Get("method").Exists() && v.Get("body").Exists():
		answer(v.Get("method").String(), v.Get("uri").String(), v.Get("status.code").Int(), v.Get("body"), now, position, b)
	case v.Get("request").IsObject() && v.Get("response").IsObject():
		answer(v.Get("request.method").String(), v.Get("request.uri").String(), v.Get("response.status.code").Int(), body(v.Get("response.body")), now, position, b)
	case v.Get("actor").Exists() && v.Get("type").Exists():
		Activity(v.Raw, now, position, b)
	default:
		Status(v.Raw, "", now, position, b)
	}
}

// items is the list of an outbox. Mastodon 4.2 and 4.3 write the key twice; the
// last list counts that holds something. twice: there is another such list.
func items(v gjson.Result) (list gjson.Result, twice bool) {
	v.ForEach(func(k, e gjson.Result) bool {
		if k.Str == "orderedItems" && e.IsArray() {
			full, had := e.Get("0").Exists(), list.Get("0").Exists()
			twice = twice || (full && had)
			if full || !had {
				list = e
			}
		}
		return true
	})
	return list, twice
}

// body is a recorded body, which may lie in a string.
func body(v gjson.Result) gjson.Result {
	if s := v.Get("string"); s.Exists() {
		v = s
	}
	if v.Type == gjson.String && gjson.Valid(v.Str) {
		return gjson.Parse(v.Str)
	}
	return v
}

// answer adds the statuses of an answer of the API. That to a DELETE holds the
// status once more, without its content: a deletion.
func answer(method, uri string, code int64, v gjson.Result, now time.Time, position string, b *wire.Batch) {
	if code != http.StatusOK {
		return
	}
	server := Host(uri)
	if isStatus(v) {
		n := len(b.Posts)
		Status(v.Raw, server, now, position, b)
		if method == http.MethodDelete && len(b.Posts) > n {
			b.Posts[n].Deleted = true
		}
		return
	}
	if v.IsObject() { // a search
		v = v.Get("statuses")
	}
	i := 0
	v.ForEach(func(_, s gjson.Result) bool {
		i++
		if isStatus(s) {
			Status(s.Raw, server, now, fmt.Sprintf("%s, status %d", position, i), b)
		}
		return true
	})
}

func isStatus(v gjson.Result) bool {
	return v.IsObject() && v.Get("uri").Exists() && v.Get("visibility").Exists() && v.Get("account").Exists()
}
