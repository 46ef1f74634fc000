package mastodon

import (
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
)

// Event adds what an event of a stream tells (docs.joinmastodon.org/methods/
// streaming): a new status, an edited one, or the deletion of one. Events of
// other names, such as those about filters, add nothing.
//
// A deletion names the status by the server's id alone. seen finds what is known
// of it: its uri and when it was created. What was not seen becomes a deletion of
// the kind local under the ID "server:id", at the time that its id holds; an id
// that holds no time becomes a reject.
func Event(name, data, server string, seen func(id string) (uri string, created time.Time, ok bool), now time.Time, position string, b *wire.Batch) {
	switch name {
	case "update", "status.update":
		Status(data, server, now, position, b)
	case "delete":
		id := strings.Trim(strings.TrimSpace(data), `"`)
		kind := feedlake.KindPost
		uri, at, ok := seen(id)
		if !ok {
			kind, uri = feedlake.KindLocal, Local(server, id)
			at, ok = TimeOf(id)
		}
		if !ok || uri == "" || !plain(id) {
			b.Reject("a deletion of what was never seen", strings.ToValidUTF8(data, "\uFFFD"), position, now)
			return
		}
		b.Posts = append(b.Posts, feedlake.Post{
			Network: wire.Mastodon, ID: uri, Kind: kind, CreatedAt: at.UTC(), ObservedAt: now, Deleted: true,
			Payload: `{"event":"delete","payload":"` + id + `"}`,
		})
	}
}

// plain reports whether an id can stand in JSON as it is.
func plain(id string) bool {
	for _, r := range id {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return false
		}
	}
	return id != ""
}
