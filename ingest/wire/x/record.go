package x

import (
	"strconv"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/scan"
)

// Record adds a record of an archive to b, whatever its form: an answer of
// version 2 (a page or a stream's line, of twarc or not), a flattened line of
// twarc, a bare post, an answer of search in version 1.1, a status, a notice of
// deletion in a stream, a line of the result of a compliance job over posts, a
// post of the website as Zeeschuimer or 4CAT keep it, or one of the archive that X
// gives people of their own account. What twarc or Zeeschuimer got was seen when
// they say so, and everything else now.
func Record(raw string, now time.Time, position string, b *wire.Batch) {
	if reason := object(&raw); reason != "" {
		b.Reject(reason, raw, position, now)
		return
	}
	s := scan.New(raw, 0)
	has := map[string]bool{}
	for ok := s.Enter('{'); ok; ok = s.More('}') {
		k := s.Key()
		s.Skip()
		has[k] = true
	}
	switch {
	case has["legacy"], has["data"] && has["source_platform"]:
		website(raw, now, position, b)
	case has["tweet"]:
		archived(raw, now, position, b)
	case has["statuses"]:
		statuses(raw, now, position, b)
	case has["id_str"]:
		status(raw, now, position, b)
	case has["delete"]:
		notice(raw, now, position, b)
	case has["id"] && has["action"]:
		if account(raw) {
			b.Reject("a line of a compliance job over users, which is read with \"shape: x-users\"", raw, position, now)
			return
		}
		eitherGone(raw, now, position, b)
	case has["id"]:
		single(raw, now, position, b)
	case has["data"] && counts(raw):
		b.Reject("the answer holds counts, not posts", raw, position, now)
	case has["data"] || has["meta"]:
		read(raw, now, position, b)
	case has["errors"]:
		if m := read(raw, now, position, b); len(b.Rejects) == 0 && len(m.Problems) > 0 {
			b.Reject("the answer is an error: "+m.Problems[0].Says(), raw, position, now)
		}
	default:
		b.Reject("no record of X", raw, position, now)
	}
}

// counts reports whether an answer is of the counts endpoints.
func counts(raw string) bool {
	return gjson.Get(raw, "meta.total_tweet_count").Exists() || gjson.Get(raw, "meta.total_post_count").Exists()
}

// single adds a post without an answer around it.
func single(raw string, now time.Time, position string, b *wire.Batch) {
	p := page{seen: now, flat: true}
	s := scan.New(raw, 0)
	t := p.post(&s)
	t.raw = raw
	p.data = append(p.data, t)
	if w := gjson.Get(raw, "__twarc"); w.IsObject() {
		s := scan.New(w.Raw, 0)
		p.twarc(&s)
	}
	p.land(position, b)
}

// Deletion adds a line of a compliance job's result to b, as the deletion of a
// post: whatever the reason, it may not be kept as it was. A post whose place was
// scrubbed comes as a deletion too, until it is read again.
func Deletion(raw string, now time.Time, position string, b *wire.Batch) {
	if reason := object(&raw); reason != "" {
		b.Reject(reason, raw, position, now)
		return
	}
	deletion(raw, now, position, b)
}

// firstOf2008 is below the ids of posts made in 2008 or later. Those of accounts
// were below it until ids began to hold the time.
const firstOf2008 = 400_000_000

// account reports that a line of a compliance job is about no post: its number is
// too small for a post of its time. Accounts of before 2008, and those whose
// numbers hold the time, cannot be told from posts: see eitherGone.
func account(raw string) bool {
	r := gjson.GetMany(raw, "id", "created_at")
	n, err := strconv.ParseInt(r[0].String(), 10, 64)
	at, ok := moment(r[1].Str, "")
	switch {
	case err != nil || !ok:
		return false
	case n < firstOf2008:
		return at.Year() >= 2008
	}
	return n < firstSnowflake && at.Year() >= 2011
}

// eitherGone adds a line of a compliance job of which nobody can tell whether it is
// over posts or over users: as the deletion of the post and of the account of that
// number. Of the two only one was ever there, and it must go.
func eitherGone(raw string, now time.Time, position string, b *wire.Batch) {
	n := len(b.Posts)
	if deletion(raw, now, position, b); len(b.Posts) > n {
		DeletedUser(raw, now, position, b)
	}
}

// Users adds a line of the result of a compliance job over users, from an archive;
// see DeletedUser.
func Users(raw string, now time.Time, position string, b *wire.Batch) {
	if reason := object(&raw); reason != "" {
		b.Reject(reason, raw, position, now)
		return
	}
	if gjson.Get(raw, "action").Str != "delete" {
		b.Reject("no line of a compliance job over users", raw, position, now)
		return
	}
	DeletedUser(raw, now, position, b)
}

// DeletedUser adds a line of the result of a compliance job over users to b, as
// the deletion of an account: its posts may not be kept as they were, whatever the
// reason. It is of the moment at which it was learnt.
func DeletedUser(raw string, now time.Time, position string, b *wire.Batch) {
	if reason := object(&raw); reason != "" {
		b.Reject(reason, raw, position, now)
		return
	}
	id := gjson.Get(raw, "id").String()
	if id == "" {
		b.Reject("the deletion has no id", raw, position, now)
		return
	}
	address := accounts + id
	b.Posts = append(b.Posts, feedlake.Post{
		Network: wire.X, ID: address, URI: address, Kind: feedlake.KindAccount, AuthorID: id,
		CreatedAt: now, ObservedAt: now, Deleted: true, Payload: raw,
	})
}

func deletion(raw string, now time.Time, position string, b *wire.Batch) {
	r := gjson.GetMany(raw, "id", "created_at")
	at, ok := CreatedAt(r[0].String())
	if !ok {
		at, ok = moment(r[1].Str, "")
	}
	gone(r[0].String(), at, ok, raw, now, position, b)
}

// notice adds a deletion that a stream of version 1.1 tells.
func notice(raw string, now time.Time, position string, b *wire.Batch) {
	r := gjson.GetMany(raw, "delete.status.id_str", "delete.timestamp_ms")
	at, ok := CreatedAt(r[0].Str)
	seen := now
	if ms, err := strconv.ParseInt(r[1].Str, 10, 64); err == nil && ms > 0 && ms < now.UnixMilli() {
		seen = time.UnixMilli(ms).UTC()
	}
	gone(r[0].Str, at, ok, raw, seen, position, b)
}

// gone adds a deletion.
func gone(id string, at time.Time, ok bool, raw string, now time.Time, position string, b *wire.Batch) {
	switch {
	case id == "":
		b.Reject("the deletion has no id", raw, position, now)
	case !ok:
		b.Reject("the deletion does not tell when its post was created", raw, position, now)
	default:
		b.Posts = append(b.Posts, feedlake.Post{
			Network: wire.X, ID: id, URI: site + id, Kind: feedlake.KindPost, CreatedAt: at, ObservedAt: now, Deleted: true, Payload: raw,
		})
	}
}
