package serve

import (
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/simulate"
)

// mastodonTime is how the API writes times.
const mastodonTime = "2006-01-02T15:04:05.000Z"

// told is an item as a Status, with what it quotes.
func (m mastodon) told(it *simulate.Item) map[string]any {
	out := m.alone(it)
	if kindOf(it) != feedlake.KindQuote || it.Other < 0 {
		return out
	}
	other := &m.s.items[it.Other]
	if m.s.gone(other) {
		out["quote"] = map[string]any{"state": "deleted", "quoted_status": nil}
		return out
	}
	out["quote"] = map[string]any{"state": "accepted", "quoted_status": m.alone(other)}
	return out
}

// alone is an item as a Status; of what it quotes, it has the id.
func (m mastodon) alone(it *simulate.Item) map[string]any {
	it = m.s.aged(it)
	uri := m.id(it)
	text, edited := it.Text, any(nil)
	if !it.EditedAt.IsZero() && !it.EditedAt.After(m.s.opts.Now()) {
		text, edited = it.Edited, it.EditedAt.UTC().Format(mastodonTime)
	}
	out := map[string]any{
		"id": local(it), "created_at": it.At.UTC().Format(mastodonTime), "in_reply_to_id": nil, "in_reply_to_account_id": nil, "sensitive": false, "spoiler_text": "",
		"visibility": "public", "language": it.Lang, "uri": uri, "url": uri, "replies_count": orZero(it.Replies), "reblogs_count": orZero(it.Reposts),
		"favourites_count": orZero(it.Likes), "quotes_count": 0, "edited_at": edited, "content": "<p>" + html.EscapeString(text) + "</p>", "reblog": nil, "quote": nil,
		"quote_approval": map[string]any{"automatic": []string{"public"}, "manual": []string{}, "current_user": "denied"}, "application": nil,
		"account": m.account(it), "media_attachments": []any{}, "mentions": []any{}, "tags": m.tags(text), "emojis": []any{}, "tagged_collections": []any{}, "card": nil, "poll": nil,
	}
	m.s.garble(it, out, "created_at")
	if it.Other < 0 {
		return out
	}
	other := &m.s.items[it.Other]
	switch kindOf(it) {
	case feedlake.KindReply:
		out["in_reply_to_id"], out["in_reply_to_account_id"] = local(other), accountID(other)
	case feedlake.KindQuote:
		out["quote"] = map[string]any{"state": "accepted", "quoted_status_id": local(other)}
	}
	return out
}

func orZero(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

func accountID(it *simulate.Item) string {
	return strconv.FormatInt(109_000_000_000_000_000+it.Author.ID, 10)
}

func (m mastodon) tags(text string) []any {
	tags := []any{}
	for _, t := range hashtags(text) {
		tags = append(tags, map[string]any{"name": t, "url": "https://" + mastodonHost + "/tags/" + t})
	}
	return tags
}

// account is an item's author. Those of other servers carry theirs in the name.
func (m mastodon) account(it *simulate.Item) map[string]any {
	host, name := home(it), it.Author.Name
	acct, picture := name, "https://"+mastodonHost+"/avatars/original/missing.png"
	if host != mastodonHost {
		acct += "@" + host
	}
	return map[string]any{
		"id": accountID(it), "username": name, "acct": acct, "display_name": strings.ReplaceAll(name, "_", " "), "locked": false, "bot": false,
		"discoverable": true, "indexable": true, "group": false, "created_at": "2022-11-05T00:00:00.000Z", "note": "", "url": "https://" + host + "/@" + name,
		"uri": "https://" + host + "/users/" + name, "avatar": picture, "avatar_static": picture, "avatar_description": "", "header": picture, "header_static": picture,
		"header_description": "", "followers_count": it.Author.Followers, "following_count": 10, "statuses_count": 100, "last_status_at": it.At.UTC().Format(time.DateOnly),
		"hide_collections": false, "show_media": true, "show_media_replies": true, "show_featured": true, "emojis": []any{}, "fields": []any{}, "noindex": false, "roles": []any{},
		"feature_approval": map[string]any{"automatic": []string{"public"}, "manual": []string{}, "current_user": "missing"},
	}
}

// instance describes the server: as much of it as says who may read what.
func (m mastodon) instance(w http.ResponseWriter, _ *http.Request) {
	feeds := map[string]any{"local": "public", "remote": "public"}
	writeJSON(w, http.StatusOK, map[string]any{
		"domain": mastodonHost, "title": "Simulated", "version": mastodonVersion, "api_versions": map[string]any{"mastodon": 7}, "source_url": "https://github.com/mastodon/mastodon", "description": "",
		"configuration": map[string]any{"timelines_access": map[string]any{"live_feeds": feeds, "hashtag_feeds": feeds}},
	})
}

const mastodonVersion = "4.5.0"

// oldInstance is the description of before Mastodon 4, which clients still ask
// for the version.
func (mastodon) oldInstance(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"uri": mastodonHost, "title": "Simulated", "version": mastodonVersion})
}
