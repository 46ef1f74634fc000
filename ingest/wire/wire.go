// Package wire holds what the decoders of the platforms' formats share. Below it
// lies a package for each platform: it knows the shapes that the platform's API
// answers with and that its archives hold, and nothing of where they come from.
//
// A decoder keeps the whole record as payload, so that what has no column is not
// lost, and takes no value for granted: what is absent stays absent.
package wire

import (
	"time"

	"github.com/feedlake/feedlake"
)

// Networks, as stored in raw.posts.network: who gave a post its id. Every post
// and every deletion that a decoder adds names the one of its package, so that a
// post is the same one whether an API, a stream or an archive told it.
const (
	Bluesky    = "bluesky"
	HackerNews = "hackernews"
	Instagram  = "instagram"
	Mastodon   = "mastodon"
	Reddit     = "reddit"
	Telegram   = "telegram"
	X          = "x"
)

// Batch collects what records hold. The zero value is ready.
type Batch struct {
	Posts   []feedlake.Post
	Rejects []feedlake.Reject

	counts []int64
}

// Count keeps n beside the counts of many other posts: one allocation for a
// page.
func (b *Batch) Count(n int64) *int64 {
	if len(b.counts) == cap(b.counts) {
		b.counts = make([]int64, 0, 1024)
	}
	b.counts = append(b.counts, n)
	return &b.counts[len(b.counts)-1]
}

// Reject adds a record that is no post.
func (b *Batch) Reject(reason, payload, position string, now time.Time) {
	b.Rejects = append(b.Rejects, feedlake.Reject{Reason: reason, Payload: payload, Position: position, RejectedAt: now})
}
