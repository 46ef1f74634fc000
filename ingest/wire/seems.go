package wire

import (
	"fmt"
	"strings"

	"github.com/tidwall/gjson"
)

// Likeness is what a record of an archive looks like, by what only its kind has.
type Likeness struct {
	Network string // as in raw.posts; "" when not known
	What    string // for people: "a user of X"; "" when not known
	Post    bool   // a post of the network
}

// mark is a kind of record and the fields that show it: all of one group.
type mark struct {
	network, what string
	post          bool
	groups        [][]string // gjson paths; "path=value" wants a value, "!path" its absence
}

// marks are in the order in which they are tried: the surest first.
func marks() []mark {
	has := func(groups ...[]string) [][]string { return groups }
	return []mark{
		{Bluesky, "an event of Bluesky's Jetstream", true, has([]string{"did", "time_us"})},
		{Bluesky, "a user of Bluesky", false, has([]string{"did", "handle", "!record"})},
		{Bluesky, "a post of Bluesky", true, has([]string{"uri", "cid"}, []string{"post.uri", "post.cid"})},
		{Telegram, "a message of Telegram", true, has([]string{"date_unixtime", "type"})},
		{Telegram, "a chat of Telegram", false, has([]string{"messages", "name", "type"})},
		{Mastodon, "an account of Mastodon", false, has([]string{"acct", "followers_count"})},
		{Mastodon, "a status of Mastodon", true, has([]string{"visibility", "account"})},
		{Mastodon, "an activity of ActivityPub", true, has([]string{"actor", "object", "type"})},
		{Mastodon, "an outbox of ActivityPub", true, has([]string{"orderedItems"})},
		{HackerNews, "a hit of HN Search", true, has([]string{"objectID"})},
		{HackerNews, "an item of Hacker News", true, has([]string{"type", "time", "by"})},
		{HackerNews, "a user of Hacker News", false, has([]string{"karma", "created", "!link_karma"})},
		{Reddit, "a subreddit of Reddit", false, has([]string{"display_name", "subscribers"}, []string{"kind=t5"})},
		{Reddit, "a user of Reddit", false, has([]string{"link_karma"}, []string{"kind=t2"})},
		{Reddit, "a post or comment of Reddit", true, has([]string{"subreddit", "body"}, []string{"subreddit", "title"}, []string{"kind=t1"}, []string{"kind=t3"})},
		{Instagram, "a post of Instagram", true, has(
			[]string{"shortcode"}, []string{"node.shortcode"}, []string{"permalink", "media_type"}, []string{"taken_at", "user"}, []string{"data.taken_at", "data.user"})},
		{"", "a post of a Meta archive", true, has([]string{"media.0.creation_timestamp"}, []string{"data.0.post", "timestamp"})},
		{X, "a line of a compliance job of X", false, has([]string{"id", "action", "created_at"})},
		{X, "a list of X", false, has([]string{"member_count", "name"}, []string{"owner_id", "name", "!text"})},
		{X, "a user of X", false, has(
			[]string{"username", "public_metrics.followers_count"}, []string{"username", "name", "!text"},
			[]string{"screen_name", "!text"}, []string{"legacy.screen_name"},
		)},
		{X, "a space of X", false, has([]string{"state", "host_ids"}, []string{"state", "creator_id", "!text"})},
		{X, "a medium of X", false, has([]string{"media_key", "type"})},
		{X, "a place of X", false, has([]string{"place_type"})},
		{X, "a trend of X", false, has([]string{"trend_name"})},
		{X, "a job of X", false, has([]string{"download_url", "status"})},
		{X, "a post of X", true, has(
			[]string{"text", "edit_history_tweet_ids"}, []string{"text", "author_id"}, []string{"text", "public_metrics"}, []string{"id_str", "full_text"},
			[]string{"id_str", "text"}, []string{"legacy.full_text"}, []string{"data.legacy.full_text"}, []string{"tweet.full_text"})},
	}
}

// Seems tells what a record looks like. Of a page it is the first of what the page
// holds.
func Seems(raw string) Likeness {
	r := gjson.Parse(raw)
	if r.IsArray() {
		r = r.Get("0")
	}
	if platform := r.Get("source_platform").String(); platform != "" {
		return Likeness{What: fmt.Sprintf("a record of %.40q that Zeeschuimer collected", platform)}
	}
	for _, part := range [...]gjson.Result{r, r.Get("data"), r.Get("data.0")} {
		if !part.IsObject() || !gjson.Valid(part.Raw) {
			continue
		}
		for _, m := range marks() {
			if m.shownBy(part) {
				return Likeness{m.network, m.what, m.post}
			}
		}
	}
	if r.Get("errors.0").IsObject() {
		return Likeness{What: "an error of an API"}
	}
	return Likeness{}
}

func (m *mark) shownBy(r gjson.Result) bool {
	for _, group := range m.groups {
		all := true
		for _, path := range group {
			name, want, valued := strings.Cut(path, "=")
			name, absent := strings.CutPrefix(name, "!")
			v := r.Get(name)
			all = all && v.Exists() != absent && (!valued || v.Str == want)
		}
		if all {
			return true
		}
	}
	return false
}
