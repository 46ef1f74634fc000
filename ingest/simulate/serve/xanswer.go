package serve

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/simulate"
)

// xTime is how X writes times.
const xTime = "2006-01-02T15:04:05.000Z"

// xWords are the names that differ between the vocabularies.
type xWords struct{ one, many, refs, history, reposts string }

// xVocabulary is the one that a request speaks: that of the fields it asks for.
func xVocabulary(q url.Values) (words xWords, fields string) {
	if f := q.Get("post.fields"); f != "" {
		return xWords{"post", "posts", "referenced_posts", "edit_history_post_ids", "repost_count"}, f
	}
	return xWords{"tweet", "tweets", "referenced_tweets", "edit_history_tweet_ids", "retweet_count"}, q.Get("tweet.fields")
}

// answer tells posts with what they refer to.
func (x *xAPI) answer(items []*simulate.Item, q url.Values) map[string]any {
	var (
		data, users, others, missing []any
		words, fields                = xVocabulary(q)
		seen                         = map[string]bool{}
		expand                       = strings.Split(q.Get("expansions"), ",")
	)
	author := func(it *simulate.Item) {
		if id := xUser(it.Author.ID); !seen[id] && slices.Contains(expand, "author_id") {
			seen[id] = true
			users = append(users, x.user(it, strings.Split(q.Get("user.fields"), ",")))
		}
	}
	for _, it := range items {
		data = append(data, x.post(it, words, fields))
		author(it)
		if it.Other < 0 || !slices.Contains(expand, words.refs+".id") {
			continue
		}
		other := &x.s.items[it.Other]
		id := x.id(other)
		if seen[id] {
			continue
		}
		seen[id] = true
		if x.s.gone(other) {
			missing = append(missing, xMissing(words.refs+".id", id))
			continue
		}
		others = append(others, x.post(other, words, fields))
		author(other)
	}
	out := map[string]any{"data": data}
	includes := map[string]any{}
	if users != nil {
		includes["users"] = users
	}
	if others != nil {
		includes[words.many] = others
	}
	if len(includes) > 0 {
		out["includes"] = includes
	}
	if missing != nil {
		out["errors"] = missing
	}
	return out
}

// xMissing is the error about a post that is gone.
func xMissing(parameter, id string) map[string]any {
	return map[string]any{
		"parameter": parameter, "resource_id": id, "value": id, "detail": "Could not find tweet with " + parameter + ": [" + id + "].",
		"title": "Not Found Error", "resource_type": "tweet", "type": "https://api.twitter.com/2/problems/resource-not-found",
	}
}

// xReference is how X names what a kind does to the other post.
var xReference = map[string]string{feedlake.KindReply: "replied_to", feedlake.KindQuote: "quoted", feedlake.KindRepost: "retweeted"}

// post tells a post with the fields that are asked for.
func (x *xAPI) post(it *simulate.Item, words xWords, fields string) map[string]any {
	it = x.s.aged(it)
	id, text := x.id(it), strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(it.Text)
	full := map[string]any{
		"author_id": xUser(it.Author.ID), "conversation_id": id, "created_at": it.At.UTC().Truncate(time.Second).Format(xTime), "lang": it.Lang, "possibly_sensitive": false,
		"reply_settings": "everyone", "source": "Twitter Web App", "public_metrics": x.metrics(it, words),
	}
	if e := xEntities(text); len(e) > 0 {
		full["entities"] = e
	}
	if it.Other >= 0 {
		other := &x.s.items[it.Other]
		full[words.refs] = []any{map[string]any{"type": xReference[it.Kind], "id": x.id(other)}}
		switch it.Kind {
		case feedlake.KindReply:
			full["in_reply_to_user_id"] = xUser(other.Author.ID)
		case feedlake.KindRepost:
			runes := []rune("RT @" + other.Author.Name + ": " + other.Text)
			text = string(runes[:min(len(runes), 139)]) + "…"
		}
	}
	asked := strings.Split(fields, ",")
	out := map[string]any{"id": id, "text": text, words.history: []string{id}}
	for k, v := range full {
		if slices.Contains(asked, k) {
			out[k] = v
		}
	}
	return x.s.garble(it, out, "created_at")
}

// metrics are the counts of a post. X shows them all, but views only now and
// then. A repost shows how often the original was repeated, and nothing else.
func (x *xAPI) metrics(it *simulate.Item, words xWords) map[string]any {
	n := func(v *int64) int64 {
		if v == nil {
			return 0
		}
		return *v
	}
	if it.Kind == feedlake.KindRepost && it.Other >= 0 {
		again := n(x.s.aged(&x.s.items[it.Other]).Reposts)
		return map[string]any{words.reposts: again, "reply_count": 0, "like_count": 0, "quote_count": 0, "impression_count": 0}
	}
	out := map[string]any{words.reposts: n(it.Reposts), "reply_count": n(it.Replies), "like_count": n(it.Likes), "quote_count": 0}
	if it.Views != nil {
		out["impression_count"] = *it.Views
	}
	return out
}

// xEntities finds hashtags, mentions and addresses in a text.
func xEntities(text string) map[string]any {
	out := map[string][]any{}
	at := 0
	for word := range strings.SplitSeq(text, " ") {
		n := len([]rune(word))
		where := map[string]any{"start": at, "end": at + n}
		switch {
		case n > 1 && word[0] == '#':
			where["tag"] = word[1:]
			out["hashtags"] = append(out["hashtags"], where)
		case n > 1 && word[0] == '@':
			where["username"] = word[1:]
			out["mentions"] = append(out["mentions"], where)
		case strings.HasPrefix(word, "https://"):
			where["url"], where["expanded_url"], where["display_url"] = word, word, strings.TrimPrefix(word, "https://")
			out["urls"] = append(out["urls"], where)
		}
		at += n + 1
	}
	all := map[string]any{}
	for k, v := range out {
		all[k] = v
	}
	return all
}

// user tells an author with the fields that are asked for.
func (x *xAPI) user(it *simulate.Item, asked []string) map[string]any {
	out := map[string]any{"id": xUser(it.Author.ID), "name": it.Author.Name, "username": it.Author.Name}
	for k, v := range map[string]any{
		"created_at": "2019-05-29T08:06:55.000Z", "verified": false, "protected": false,
		"public_metrics": map[string]any{"followers_count": it.Author.Followers, "following_count": 10, "tweet_count": 100, "listed_count": 0},
	} {
		if slices.Contains(asked, k) {
			out[k] = v
		}
	}
	return out
}

// usersBy tells users by their names, and which of them there are not.
func (x *xAPI) usersBy(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	names := strings.Split(q.Get("usernames"), ",")
	if q.Get("usernames") == "" || len(names) > 100 {
		xProblem(w, "usernames", q.Get("usernames"), "The `usernames` query parameter can hold 1 to 100 values")
		return
	}
	out := map[string]any{}
	var data, missing []any
	for _, name := range names {
		i := slices.IndexFunc(x.s.items, func(it simulate.Item) bool { return strings.EqualFold(it.Author.Name, name) })
		if i >= 0 && x.s.suspended(x.s.items[i].Author.ID) {
			missing = append(missing, xNoUser("usernames", name, "Forbidden", "User has been suspended: ["+name+"]."))
			continue
		}
		if i >= 0 {
			data = append(data, x.user(&x.s.items[i], strings.Split(q.Get("user.fields"), ",")))
			continue
		}
		missing = append(missing, xNoUser("usernames", name, "Not Found Error", "Could not find user with usernames: ["+name+"]."))
	}
	for key, list := range map[string][]any{"data": data, "errors": missing} {
		if len(list) > 0 {
			out[key] = list
		}
	}
	writeJSON(w, http.StatusOK, out)
}

// xNoUser is the error about a user whom X does not tell.
func xNoUser(parameter, value, title, detail string) map[string]any {
	e := xMissing(parameter, value)
	e["resource_type"], e["title"], e["detail"] = "user", title, detail
	return e
}

// refuses answers for timelines that cannot be read: with a status of 200, and an
// error in place of posts.
func (x *xAPI) refuses(w http.ResponseWriter, user string) bool {
	e := map[string]any(nil)
	switch user {
	case "":
	case xUser(x.s.Suspended().ID):
		if x.s.has(Suspended) {
			e = xNoUser("id", user, "Forbidden", "User has been suspended: ["+user+"].")
		}
	case xUser(x.s.Closed().ID):
		if x.s.has(BadFeed) {
			e = xNoUser("id", user, "Authorization Error", "Sorry, you are not authorized to see the user with id: ["+user+"].")
			e["type"] = "https://api.twitter.com/2/problems/not-authorized-for-resource"
		}
	}
	if e != nil {
		writeJSON(w, http.StatusOK, map[string]any{"errors": []any{e}})
	}
	return e != nil
}

// lookup tells posts by their ids, and which of them cannot be had.
func (x *xAPI) lookup(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	ids := strings.Split(q.Get("ids"), ",")
	if q.Get("ids") == "" || len(ids) > 100 {
		xProblem(w, "ids", q.Get("ids"), "The `ids` query parameter can hold 1 to 100 values")
		return
	}
	var found []*simulate.Item
	missing := []any{}
	visible := x.s.visible()
	for _, id := range ids {
		i := slices.IndexFunc(visible, func(it *simulate.Item) bool { return x.id(it) == id })
		if i < 0 {
			missing = append(missing, xMissing("ids", id))
			continue
		}
		found = append(found, visible[i])
	}
	out := map[string]any{}
	if len(found) > 0 {
		out = x.answer(found, q)
	}
	if errs, _ := out["errors"].([]any); len(errs)+len(missing) > 0 {
		out["errors"] = append(missing, errs...)
	}
	writeJSON(w, http.StatusOK, out)
}

// counts tells how many posts a search finds, by minute, hour or day: without
// gaps, the first and the last cut where the time asked for begins and ends.
func (x *xAPI) counts(back time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		match, parameter, message := x.filter(q, "", back)
		every, ok := map[string]time.Duration{"minute": time.Minute, "": time.Hour, "hour": time.Hour, "day": 24 * time.Hour}[q.Get("granularity")]
		if message == "" && !ok {
			parameter, message = "granularity", "The `granularity` must be one of minute, hour, day"
		}
		if message != "" {
			xProblem(w, parameter, q.Get(parameter), message)
			return
		}
		var found []*simulate.Item
		for _, it := range x.s.visible() {
			if match(it) {
				found = append(found, it)
			}
		}
		words, _ := xVocabulary(q)
		from, to := x.counted(q, back, found)
		data := []any{}
		for at, n := from, 0; at.Before(to); {
			end := at.Truncate(every).Add(every)
			if end.After(to) {
				end = to
			}
			first := n
			for n < len(found) && found[n].At.Before(end) {
				n++
			}
			data = append(data, map[string]any{"start": at.Format(xTime), "end": end.Format(xTime), words.one + "_count": n - first})
			at = end
		}
		writeJSON(w, http.StatusOK, map[string]any{"data": data, "meta": map[string]any{"total_" + words.one + "_count": len(found)}})
	}
}

// counted is the time that is asked for, in whole seconds. Without a beginning
// the whole archive is counted from its first post on.
func (x *xAPI) counted(q url.Values, back time.Duration, found []*simulate.Item) (from, to time.Time) {
	to = x.s.now().UTC().Truncate(time.Second)
	from = to.Add(-back)
	if back == 0 && len(found) > 0 {
		from = found[0].At.UTC().Truncate(time.Second)
	}
	for name, set := range map[string]*time.Time{"start_time": &from, "end_time": &to} {
		if t, err := time.Parse(time.RFC3339, q.Get(name)); err == nil {
			*set = t.UTC()
		}
	}
	return from, to
}

// usage tells what of the cap is used.
func (x *xAPI) usage(w http.ResponseWriter, _ *http.Request) {
	x.s.mu.Lock()
	used := x.s.requests * 100
	x.s.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"data": map[string]any{"project_id": "1", "project_usage": strconv.Itoa(used), "project_cap": "3000000", "cap_reset_day": 1}})
}
