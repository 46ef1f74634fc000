package serve

import (
	"html"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/simulate"
)

// thing is an item as Reddit tells it; replies are the comments below a comment.
func (d reddit) thing(it *simulate.Item, replies any) map[string]any {
	if it.Kind == feedlake.KindReply {
		return map[string]any{"kind": "t1", "data": d.comment(it, replies)}
	}
	return map[string]any{"kind": "t3", "data": d.submission(it)}
}

// text is what an item says now.
func (d reddit) text(it *simulate.Item) (text string, edited any) {
	if it.EditedAt.IsZero() || it.EditedAt.After(d.s.opts.Now()) {
		return it.Text, false
	}
	return it.Edited, float64(it.EditedAt.Unix())
}

func redditPath(sub, root string) string {
	return "/r/" + sub + "/comments/" + strings.TrimPrefix(root, "t3_") + "/simulated/"
}

// common are the keys that all posts have.
func (d reddit) common(it *simulate.Item) map[string]any {
	it = d.s.aged(it)
	_, edited := d.text(it)
	score := int64(1)
	if it.Likes != nil {
		score = *it.Likes
	}
	return d.s.garble(it, map[string]any{
		"id": strings.TrimPrefix(d.id(it), redditPrefix(it)), "name": d.id(it), "author": it.Author.Name, "author_fullname": "t2_" + strconv.FormatInt(it.Author.ID+1_000_000, 36),
		"created": float64(it.At.Unix() + 28800), "created_utc": float64(it.At.Unix()), "subreddit": d.sub(it), "subreddit_id": "t5_" + d.sub(it)[3:],
		"score": score, "ups": score, "downs": 0, "edited": edited, "archived": false, "saved": false, "stickied": false, "gilded": 0, "likes": nil,
		"banned_by": nil, "approved_by": nil, "removal_reason": nil, "distinguished": nil, "num_reports": nil, "report_reasons": nil,
		"mod_reports": []any{}, "user_reports": []any{}, "author_flair_text": nil, "author_flair_css_class": nil,
	}, "created_utc")
}

func (d reddit) submission(it *simulate.Item) map[string]any {
	text, _ := d.text(it)
	title, body, _ := strings.Cut(text, ". ")
	out := d.common(it)
	if d.s.gone(it) {
		body = d.forget(out)
	}
	path := redditPath(d.sub(it), d.id(it))
	comments := int64(0)
	if n := d.s.aged(it).Replies; n != nil {
		comments = *n
	}
	maps.Copy(out, map[string]any{
		"title": title, "selftext": body, "selftext_html": nil, "is_self": true, "domain": "self." + d.sub(it), "permalink": path, "url": "https://www.reddit.com" + path,
		"num_comments": comments, "hide_score": false, "over_18": false, "quarantine": false, "locked": false, "hidden": false, "clicked": false, "visited": false,
		"thumbnail": "self", "media": nil, "secure_media": nil, "media_embed": map[string]any{}, "secure_media_embed": map[string]any{}, "suggested_sort": nil,
		"link_flair_text": nil, "link_flair_css_class": nil, "from": nil, "from_id": nil, "from_kind": nil,
	})
	if body != "" {
		out["selftext_html"] = redditHTML(body)
	}
	if it.Other < 0 {
		return out
	}
	other := d.root(&d.s.items[it.Other])
	out["is_self"], out["domain"], out["url"] = false, "reddit.com", "https://www.reddit.com"+redditPath(d.sub(other), d.id(other))
	if it.Kind == feedlake.KindRepost {
		out["crosspost_parent"] = d.id(other)
	}
	return out
}

func redditHTML(text string) string {
	return "<!-- SC_OFF --><div class=\"md\"><p>" + html.EscapeString(text) + "</p>\n</div><!-- SC_ON -->"
}

// comment is a comment as a tree tells it. One that is gone leaves a gap, where
// others hang on it.
func (d reddit) comment(it *simulate.Item, replies any) map[string]any {
	text, _ := d.text(it)
	out := d.common(it)
	if d.s.gone(it) {
		text = d.forget(out)
	}
	root := d.root(it)
	if replies == nil {
		replies = ""
	}
	maps.Copy(out, map[string]any{
		"body": text, "body_html": "<div class=\"md\"><p>" + html.EscapeString(text) + "</p>\n</div>", "parent_id": d.id(d.parent(it)), "link_id": d.id(root),
		"replies": replies, "controversiality": 0, "score_hidden": it.Likes == nil,
	})
	return out
}

// forget takes the author out of a thing that is gone, and returns its text.
func (reddit) forget(thing map[string]any) (text string) {
	thing["author"] = "[deleted]"
	delete(thing, "author_fullname")
	return "[deleted]"
}

// listed adds what a listing of comments says of their submissions.
func (d reddit) listed(it *simulate.Item) map[string]any {
	thing := d.thing(it, nil)
	if it.Kind != feedlake.KindReply {
		return thing
	}
	root := d.root(it)
	title, _, _ := strings.Cut(root.Text, ". ")
	maps.Copy(thing["data"].(map[string]any), map[string]any{ //nolint:errcheck // made above
		"link_title": title, "link_author": root.Author.Name, "link_url": "https://www.reddit.com" + redditPath(d.sub(root), d.id(root)), "over_18": false, "quarantine": false,
	})
	return thing
}

// Bounds of a tree: comments on one level, and levels. The real ones are larger.
const (
	redditBreadth = 2
	redditDepth   = 2
)

// below are the comments that answer an item, oldest first.
func (d reddit) below(it *simulate.Item) []*simulate.Item {
	var out []*simulate.Item
	end := min(int64(d.s.appeared()), (it.N/redditBlock+2)*redditBlock)
	for n := it.N + 1; n < end; n++ {
		c := &d.s.items[n]
		if c.Kind == feedlake.KindReply && d.parents[n] == it.N && (!d.s.gone(c) || len(d.below(c)) > 0) {
			out = append(out, c)
		}
	}
	return out
}

// comments are those below an item, as a tree: what is too much of it is left
// out, and what is too deep has a page of its own.
func (d reddit) comments(it *simulate.Item, depth int) []any {
	all := d.below(it)
	if len(all) == 0 {
		return nil
	}
	if depth == redditDepth {
		return []any{redditMore(d.id(it), nil, "_", 0)}
	}
	var out []any
	for _, c := range all[:min(len(all), redditBreadth)] {
		var replies any
		if sub := d.comments(c, depth+1); sub != nil {
			replies = redditListing(sub, nil)
		}
		out = append(out, d.thing(c, replies))
	}
	if rest := all[len(out):]; len(rest) > 0 {
		ids := []string{}
		for _, c := range rest {
			ids = append(ids, strings.TrimPrefix(d.id(c), "t1_"))
		}
		out = append(out, redditMore(d.id(it), ids, ids[0], len(ids)))
	}
	return out
}

func redditMore(parent string, children []string, id string, count int) map[string]any {
	if children == nil {
		children = []string{}
	}
	return map[string]any{"kind": "more", "data": map[string]any{"count": count, "id": id, "name": "t1_" + id, "parent_id": parent, "depth": 1, "children": children}}
}

// tree answers with a submission and its comments, or with those at one of them.
// A submission that is gone stays above its comments.
func (d reddit) tree(w http.ResponseWriter, r *http.Request) {
	root := d.number("t3_" + r.PathValue("id"))
	if root == nil || root.Kind == feedlake.KindReply || d.s.gone(root) && len(d.below(root)) == 0 {
		writeJSON(w, http.StatusNotFound, map[string]any{"message": "Not Found", "error": 404})
		return
	}
	var comments []any
	if id := orElse(r.PathValue("comment"), r.URL.Query().Get("comment")); id == "" {
		comments = d.comments(root, 0)
	} else if c := d.number("t1_" + id); c != nil && d.root(c) == root {
		comments = []any{d.thing(c, redditListing(d.comments(c, 0), nil))}
	}
	writeJSON(w, http.StatusOK, []any{redditListing([]any{d.thing(root, nil)}, nil), redditListing(comments, nil)})
}

// moreChildren answers with comments that a tree has left out, in a flat list.
func (d reddit) moreChildren(w http.ResponseWriter, r *http.Request) {
	ids := strings.Split(r.FormValue("children"), ",")
	if len(ids) > redditMost || d.number(r.FormValue("link_id")) == nil {
		writeJSON(w, http.StatusOK, map[string]any{"json": map[string]any{"errors": [][]string{{"BAD_REQUEST", "you sent too many children", "children"}}}})
		return
	}
	things := []any{}
	for _, id := range slices.Compact(ids) {
		c := d.number("t1_" + id)
		if c == nil || d.s.gone(c) && len(d.below(c)) == 0 {
			continue
		}
		things = append(things, d.thing(c, nil))
		if below := d.below(c); len(below) > 0 {
			things = append(things, redditMore(d.id(c), nil, "_", 0))
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"json": map[string]any{"errors": []any{}, "data": map[string]any{"things": things}}})
}
