package serve

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/feedlake/feedlake/ingest/simulate"
)

// hashtagMedia lists media with a hashtag: the newest of about a day, or those
// liked most. As on the platform the value of "after" is the same on every page;
// the link to the next one holds what moves.
func (g *instagram) hashtagMedia(w http.ResponseWriter, r *http.Request) {
	id, q := r.PathValue("id"), r.URL.Query()
	tag, ok := g.tag(id)
	switch {
	case !ok:
		igMissing(w, id)
		return
	case !igAccount(q.Get("user_id")):
		igError(w, http.StatusBadRequest, "(#100) The parameter user_id is required", 100, 0)
		return
	case slices.Contains(igFields(r), "username"):
		igError(w, http.StatusBadRequest, "(#100) Tried accessing nonexisting field (username) on node type (Media)", 100, 0)
		return
	case !g.spend(w, q.Get("user_id"), id):
		return
	}
	top := strings.HasSuffix(r.URL.Path, "/top_media")
	var found []*simulate.Item
	all := g.s.visible()
	for _, it := range slices.Backward(all) {
		if tagged(it, tag) && (top || it.At.After(all[len(all)-1].At.Add(-24*time.Hour))) {
			found = append(found, it)
		}
	}
	if top {
		slices.SortStableFunc(found, func(a, b *simulate.Item) int { return cmp.Compare(likes(b), likes(a)) })
	}
	g.page(w, r, listing{found: found, param: "__paging_token", byTime: !top})
}

func likes(it *simulate.Item) int64 {
	if it.Likes == nil {
		return 0
	}
	return *it.Likes
}

// tagged reports whether a post carries a hashtag; every one carries
// InstagramTag.
func tagged(it *simulate.Item, tag string) bool {
	if tag == InstagramTag {
		return true
	}
	return slices.Contains(strings.Fields(strings.ToLower(it.Text)), "#"+tag)
}

// accountMedia lists what an account posted: every item, newest first.
func (g *instagram) accountMedia(w http.ResponseWriter, r *http.Request) {
	id, q := r.PathValue("id"), r.URL.Query()
	if !igAccount(id) {
		igMissing(w, id)
		return
	}
	since, _ := strconv.ParseInt(q.Get("since"), 10, 64)
	until, _ := strconv.ParseInt(q.Get("until"), 10, 64)
	var found []*simulate.Item
	for _, it := range slices.Backward(g.s.visible()) {
		if s := it.At.Unix(); s >= since && (until == 0 || s <= until) {
			found = append(found, it)
		}
	}
	g.page(w, r, listing{found: found, param: "after", byTime: true, own: true})
}

// listing is what a path lists.
type listing struct {
	found  []*simulate.Item
	param  string // of the place of the next page
	byTime bool   // newest first
	own    bool   // the account's
}

// page answers with what follows the last one told, whose number is in the
// parameter. With Repeat, now and then the page before comes again.
func (g *instagram) page(w http.ResponseWriter, r *http.Request, l listing) {
	q, found := r.URL.Query(), l.found
	limit, err := strconv.Atoi(orElse(q.Get("limit"), strconv.Itoa(igUsual)))
	if err != nil || limit < 1 || limit > igMost {
		igError(w, http.StatusBadRequest, "(#100) Param limit must be a number of at most 50", 100, 0)
		return
	}
	from := 0
	if token := q.Get(l.param); token != "" {
		last, ok := igPlace(token)
		if !ok {
			igError(w, http.StatusBadRequest, "(#100) Invalid cursor", 100, 0)
			return
		}
		from = l.after(last)
	}
	if g.s.repeats() {
		from = max(0, from-limit)
	}
	to := min(from+limit, len(found))
	data := []any{}
	for _, it := range found[from:to] {
		data = append(data, only(igFields(r), g.media(it, l.own)))
	}
	out := map[string]any{"data": data}
	if to < len(found) {
		out["paging"] = g.paging(r, l.param, igToken(found[to-1].N))
	} else if len(data) > 0 {
		out["paging"] = map[string]any{"cursors": map[string]any{"after": "QVFIsame"}}
	}
	writeJSON(w, http.StatusOK, out)
}

// after is the place behind item n, also when that is gone. Where the order is
// not that of time, nobody knows it then: the beginning.
func (l listing) after(n int64) int {
	if i := slices.IndexFunc(l.found, func(it *simulate.Item) bool { return it.N == n }); i >= 0 {
		return i + 1
	}
	if i := slices.IndexFunc(l.found, func(it *simulate.Item) bool { return it.N < n }); i >= 0 && l.byTime {
		return i
	}
	if l.byTime {
		return len(l.found)
	}
	return 0
}

// paging is the way to the next page, on this server. The link holds the access
// token, as the platform's does.
func (g *instagram) paging(r *http.Request, param, token string) map[string]any {
	next := url.Values{}
	maps.Copy(next, r.URL.Query())
	next.Set("access_token", spoken(r))
	cursor := "QVFIsame"
	if param == "after" {
		cursor = token
	}
	next.Set("after", cursor)
	next.Set(param, token)
	return map[string]any{
		"cursors": map[string]any{"after": cursor},
		"next":    "http://" + r.Host + r.URL.Path + "?" + next.Encode(),
	}
}

// media is an item as an IGMedia. Media of others tells no author and of no like
// that its owner hides.
func (g *instagram) media(it *simulate.Item, own bool) map[string]any {
	it = g.s.aged(it)
	code := igCode(it)
	text := it.Text
	if !it.EditedAt.IsZero() && !it.EditedAt.After(g.s.now()) {
		text = it.Edited
	}
	out := map[string]any{
		"id": igNode(it), "caption": text + " #" + InstagramTag, "media_type": "IMAGE", "media_url": "https://media.example/" + code,
		"permalink": "https://www.instagram.com/p/" + code + "/", "timestamp": it.At.UTC().Format("2006-01-02T15:04:05-0700"),
	}
	g.s.garble(it, out, "timestamp")
	if it.Likes != nil {
		out["like_count"] = *it.Likes
	}
	if it.Replies != nil {
		out["comments_count"] = *it.Replies
	}
	if it.N%5 == 0 {
		out["media_type"] = "CAROUSEL_ALBUM"
		out["children"] = map[string]any{"data": []any{map[string]any{"id": igNode(it) + "1"}}}
	}
	if own {
		out["ig_id"], out["shortcode"], out["media_product_type"] = g.id(it), code, "FEED"
		out["is_comment_enabled"], out["username"], out["owner"] = true, "simulated_account", map[string]any{"id": InstagramUser}
	}
	return out
}

// insights tells of a media of the account, unless too few have seen it.
func (g *instagram) insights(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	it := g.find(id)
	switch {
	case it == nil:
		igMissing(w, id)
		return
	case it.N%7 == 3:
		igError(w, http.StatusBadRequest, "(#10) Not enough viewers for the media to show insights", 10, 0)
		return
	case it.N%7 == 5:
		igError(w, http.StatusBadRequest, "Media posted before business account conversion", 100, 2108006)
		return
	}
	data := []any{}
	for m := range strings.SplitSeq(r.URL.Query().Get("metric"), ",") {
		value := 10 * likes(it)
		if m == "views" && it.Views != nil {
			value = *it.Views
		}
		data = append(data, map[string]any{
			"name": m, "period": "lifetime", "values": []any{map[string]any{"value": value}}, "title": m, "description": m, "id": id + "/insights/" + m + "/lifetime",
		})
	}
	writeJSON(w, http.StatusOK, map[string]any{"data": data})
}
