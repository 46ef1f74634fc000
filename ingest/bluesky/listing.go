package bluesky

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/frontier"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/bluesky"
)

// answer is a page of searchPosts or getAuthorFeed.
type answer struct {
	Cursor string            `json:"cursor"`
	Posts  []json.RawMessage `json:"posts"`
	Feed   []json.RawMessage `json:"feed"`
	Hits   *int64            `json:"hitsTotal"`
}

func readAnswer(body []byte) (answer, error) {
	var out answer
	if err := json.Unmarshal(body, &out); err != nil {
		return out, &feedlake.RetryError{Err: fmt.Errorf("read answer: %w", err)}
	}
	return out, nil
}

// row is a record of a listing, with the place that it has there.
type row struct {
	uri   string
	at    time.Time // what the platform sorts by
	batch wire.Batch
}

// rows decodes records. Their order is that of the earlier of two times: when
// the client claims to have written it, and when the network saw it.
func rows(raws []json.RawMessage, decode func(string, time.Time, string, *wire.Batch), now time.Time) []row {
	out := make([]row, len(raws))
	for i, raw := range raws {
		f := gjson.GetManyBytes(raw, "uri", "indexedAt", "record.createdAt", "post.uri", "post.indexedAt", "post.record.createdAt", "reason.indexedAt", "reason.by.did")
		uri, at, claimed := f[0].Str+f[3].Str, f[1].Str+f[4].Str, f[2].Str+f[5].Str
		if f[6].Str != "" {
			uri, at, claimed = uri+"#"+f[7].Str, f[6].Str, ""
		}
		r := &out[i]
		r.uri = uri
		r.at, _ = bluesky.Time(at)
		if t, ok := bluesky.Time(claimed); ok && !t.Before(feedlake.EarliestCreated) && (t.Before(r.at) || r.at.IsZero()) {
			r.at = t
		}
		decode(string(raw), now, "post "+uri, &r.batch)
	}
	return out
}

// take moves a frontier by rows and keeps of them, in b, what was not read
// before.
func take(at frontier.Frontier, rs []row, page string, overlap time.Duration, b *wire.Batch) (frontier.Frontier, bool) {
	shadows := make([]feedlake.Post, 0, len(rs))
	for _, r := range rs {
		if r.at.IsZero() {
			continue
		}
		var shadow feedlake.Post // of what the post says, in the place that it has
		if len(r.batch.Posts) == 1 {
			shadow = r.batch.Posts[0]
		}
		shadow.ID, shadow.CreatedAt = short(r.uri), r.at
		shadows = append(shadows, shadow)
	}
	fresh, next := at.Down(shadows, page, overlap)
	news := make(map[string]bool, len(fresh))
	for i := range fresh {
		news[fresh[i].ID] = true
	}
	for _, r := range rs {
		if id := short(r.uri); r.at.IsZero() || news[id] {
			delete(news, id)
			var rejects []feedlake.Reject
			rejects, next.Bad = next.Bad.Fresh(r.batch.Rejects)
			b.Posts = append(b.Posts, r.batch.Posts...)
			b.Rejects = append(b.Rejects, rejects...)
		}
	}
	return next, len(fresh) > 0
}

// short spells an address for the cursor, which holds many.
func short(uri string) string {
	return strings.Replace(strings.TrimPrefix(uri, "at://did:"), "/"+bluesky.Posts+"/", "/", 1)
}

// only keeps the posts created in a backfill's window.
func only(env ingest.Env, posts []feedlake.Post, query string) []feedlake.Post {
	out := posts[:0]
	for _, p := range posts {
		if env.Window.Contains(p.CreatedAt) {
			p.Source, p.Query = env.Name, query
			out = append(out, p)
		}
	}
	return out
}

func shown(t time.Time) string {
	if t.IsZero() {
		return "now"
	}
	return t.UTC().Format(time.DateTime)
}

func page(b wire.Batch, env ingest.Env, query string, next feedlake.Cursor, done bool, place string) ingest.Page {
	for i := range b.Rejects {
		b.Rejects[i].Source = env.Name
	}
	return ingest.Page{Posts: only(env, b.Posts, query), Rejects: b.Rejects, Next: next, Done: done, Progress: ingest.Progress{Place: place}}
}
