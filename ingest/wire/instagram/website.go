package instagram

import (
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
)

// item adds a post of an item list, or of Polaris, which has the same names but
// leaves out more: a post that was seen in a grid has no time. The id is the
// website's number; the API knows it as ig_id.
func item(r gjson.Result, p feedlake.Post, position string, b *wire.Batch) {
	var (
		user, owner, at                      gjson.Result
		likes, comments, views, plays, again gjson.Result
		hidden                               bool
	)
	r.ForEach(func(k, v gjson.Result) bool {
		switch k.Str {
		case "pk":
			p.ID = name(v)
		case "id":
			if p.ID == "" {
				p.ID = number(name(v))
			}
		case "code":
			p.URI = address(text(v))
		case "taken_at":
			at = v
		case "caption":
			p.Text = text(v.Get("text"))
		case "user":
			user = v
		case "owner":
			owner = v
		case "like_count":
			likes = v
		case "comment_count":
			comments = v
		case "view_count":
			views = v
		case "play_count":
			plays = v
		case "media_repost_count":
			again = v
		case "like_and_view_counts_disabled":
			hidden = v.Bool()
		case "usertags":
			p.Mentions = names(v.Get("in"), "user.username")
		}
		return true
	})
	author(b, &p, user, owner)
	count(b, comments, &p.Replies)
	count(b, again, &p.Reposts)
	if !hidden { // what it tells then are the few likes of people one knows
		count(b, likes, &p.Likes)
		count(b, views, &p.Views)
		count(b, plays, &p.Views)
	}
	p.CreatedAt = unix(at)
	finish(p, position, b)
}

// graph adds a post of the graph shape.
func graph(r gjson.Result, p feedlake.Post, position string, b *wire.Batch) {
	var (
		user, owner, at                        gjson.Result
		likes, preview, comments, views, plays gjson.Result
		hidden                                 bool
	)
	r.ForEach(func(k, v gjson.Result) bool {
		switch k.Str {
		case "id":
			p.ID = number(name(v))
		case "shortcode":
			p.URI = address(text(v))
		case "taken_at_timestamp":
			at = v
		case "date": // Instaloader's name of it, where it asked as the app does
			if !at.Exists() {
				at = v
			}
		case "caption":
			if p.Text == "" {
				p.Text = text(v)
			}
		case "comments":
			preview = v
		case "edge_media_to_caption":
			p.Text = text(v.Get("edges.0.node.text"))
		case "user":
			user = v
		case "owner":
			owner = v
		case "edge_media_preview_like", "edge_liked_by":
			if !likes.Exists() || k.Str == "edge_media_preview_like" {
				likes = v.Get("count")
			}
		case "edge_media_to_comment", "edge_media_to_parent_comment":
			comments = v.Get("count")
		case "edge_media_preview_comment":
			preview = v.Get("count")
		case "video_view_count":
			views = v
		case "video_play_count":
			plays = v
		case "like_and_view_counts_disabled":
			hidden = v.Bool()
		case "edge_media_to_tagged_user":
			p.Mentions = names(v.Get("edges"), "node.user.username")
		}
		return true
	})
	author(b, &p, user, owner)
	count(b, preview, &p.Replies)
	count(b, comments, &p.Replies)
	if !hidden {
		count(b, likes, &p.Likes)
		count(b, views, &p.Views)
		count(b, plays, &p.Views)
	}
	p.CreatedAt = unix(at)
	finish(p, position, b)
}

// author fills the author's columns from the first of users that has one.
func author(b *wire.Batch, p *feedlake.Post, users ...gjson.Result) {
	for _, u := range users {
		if p.AuthorName == "" {
			p.AuthorName = text(u.Get("username"))
		}
		for _, key := range [...]string{"pk", "id"} {
			if p.AuthorID == "" {
				p.AuthorID = name(u.Get(key))
			}
		}
		for _, key := range [...]string{"follower_count", "edge_followed_by.count"} {
			if p.AuthorFollowers == nil {
				count(b, u.Get(key), &p.AuthorFollowers)
			}
		}
	}
}

// names lists those whom a post tags.
func names(list gjson.Result, path string) []string {
	var out []string
	list.ForEach(func(_, v gjson.Result) bool {
		if s := text(v.Get(path)); s != "" {
			out = append(out, s)
		}
		return true
	})
	return out
}

// number cuts a post's number out of "NUMBER_AUTHOR" and "POLARIS_NUMBER".
func number(id string) string {
	id = strings.TrimPrefix(id, "POLARIS_")
	id, _, _ = strings.Cut(id, "_")
	return id
}

// latest is the last second that fits into a post, far beyond what Validate lets
// pass.
const latest = 1 << 40

// unix reads Unix seconds.
func unix(v gjson.Result) time.Time {
	if s := v.Int(); s > 0 && s < latest {
		return time.Unix(s, 0).UTC()
	}
	return time.Time{}
}
