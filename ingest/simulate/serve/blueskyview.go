package serve

import (
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/simulate"
)

// bskyTime is how Bluesky's clients spell times.
const bskyTime = "2006-01-02T15:04:05.000Z"

// view is an item as app.bsky.feed.defs#postView.
func (b bluesky) view(it *simulate.Item) map[string]any {
	it = b.s.aged(it)
	id := b.id(it)
	out := map[string]any{
		"uri": id, "cid": bskyCID(id), "indexedAt": it.At.Add(time.Second).Format(bskyTime), "labels": []any{}, "record": b.record(it, it.Text),
		"viewer": map[string]any{"threadMuted": false},
		"author": map[string]any{
			"did": bskyDID(it.Author.Name), "handle": bskyHandle(it.Author.Name), "displayName": it.Author.Name, "labels": []any{},
			"viewer": map[string]any{"muted": false, "blockedBy": false}, "createdAt": "2023-04-26T19:05:34.249Z",
		},
	}
	for name, n := range map[string]*int64{"likeCount": it.Likes, "repostCount": it.Reposts, "replyCount": it.Replies} {
		if n != nil {
			out[name] = *n
		}
	}
	return out
}

// record is an item as app.bsky.feed.post.
func (b bluesky) record(it *simulate.Item, text string) map[string]any {
	out := map[string]any{"$type": bskyPost, "createdAt": it.At.Format(bskyTime), "langs": []string{it.Lang}, "text": text}
	b.s.garble(it, out, "createdAt")
	if facets := bskyFacets(text); len(facets) > 0 {
		out["facets"] = facets
	}
	if it.Other < 0 {
		return out
	}
	id := b.id(&b.s.items[it.Other])
	ref := map[string]any{"uri": id, "cid": bskyCID(id)}
	if it.Kind == feedlake.KindReply {
		out["reply"] = map[string]any{"root": ref, "parent": ref}
	} else {
		out["embed"] = map[string]any{"$type": "app.bsky.embed.record", "record": ref}
	}
	return out
}

// bskyFacets marks hashtags, mentions and links, by their bytes.
func bskyFacets(text string) []any {
	var facets []any
	at := 0
	for word := range strings.SplitSeq(text, " ") {
		kind, field, value := "", "", ""
		switch {
		case len(word) > 1 && word[0] == '#':
			kind, field, value = "tag", "tag", word[1:]
		case len(word) > 1 && word[0] == '@':
			kind, field, value = "mention", "did", bskyDID(word[1:])
		case strings.HasPrefix(word, "https://"):
			kind, field, value = "link", "uri", word
		}
		if kind != "" {
			facets = append(facets, map[string]any{
				"index":    map[string]any{"byteStart": at, "byteEnd": at + len(word)},
				"features": []any{map[string]any{"$type": "app.bsky.richtext.facet#" + kind, field: value}},
			})
		}
		at += len(word) + 1
	}
	return facets
}
