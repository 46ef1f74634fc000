package files

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/bluesky"
	"github.com/feedlake/feedlake/ingest/wire/hackernews"
	"github.com/feedlake/feedlake/ingest/wire/instagram"
	"github.com/feedlake/feedlake/ingest/wire/mastodon"
	"github.com/feedlake/feedlake/ingest/wire/meta"
	"github.com/feedlake/feedlake/ingest/wire/reddit"
	"github.com/feedlake/feedlake/ingest/wire/telegram"
	"github.com/feedlake/feedlake/ingest/wire/x"
)

// shape is a form that a platform, or a tool that people collect with, gives an
// archive.
type shape struct {
	// decode adds what a record holds: no post, one, or many. A post that tells no
	// time of observation is dated now; see observed.
	decode  func(record string, now time.Time, position string, b *wire.Batch)
	network string // of the posts, as in raw.posts
	// unroll makes lines of a document, each a record of at most so many bytes; nil:
	// records are those of the file.
	unroll  func(r io.Reader, most int64) io.Reader
	members []string // globs of the files of an archive that hold its posts; nil: all
	name    string
}

// shapes are the shapes by name.
func shapes() map[string]shape {
	return map[string]shape{
		"bluesky":     {decode: bluesky.Record, network: wire.Bluesky},
		"hackernews":  {decode: hackernews.Record, network: wire.HackerNews},
		"instagram":   {decode: instagram.Record, network: wire.Instagram},
		"instaloader": {decode: instagram.Instaloader, network: wire.Instagram},
		"meta": {decode: meta.Record, members: []string{
			"**/posts_*.json", "**/your_posts*.json", "**/reels.json", "**/comments.json", "**/post_comments*.json", "**/reels_comments.json",
		}},
		"mastodon": {decode: mastodon.Record, network: wire.Mastodon},
		"reddit":   {decode: reddit.Record, network: wire.Reddit},
		"telegram": {decode: telegram.Record, network: wire.Telegram, members: []string{"**/result.json"}, unroll: telegram.Unroll},
		"x":        {decode: x.Record, network: wire.X},
		"x-archive": {decode: x.Archive, network: wire.X, members: []string{
			"**/tweets.js", "**/tweets-part*.js", "**/tweet.js", "**/tweet-part*.js", "**/deleted-tweets*.js",
		}},
		"x-users": {decode: x.Users, network: wire.X},
	}
}

// shape returns the configured one; nil when records are mapped.
func (c *Config) shape() (*shape, error) {
	if c.Shape == "" {
		return nil, nil
	}
	s, ok := shapes()[c.Shape]
	switch {
	case !ok:
		return nil, feedlake.Hint(fmt.Errorf("shape: %q is not known: %w", c.Shape, feedlake.ErrConfig), "one of %s; or declare a mapping", strings.Join(slices.Sorted(maps.Keys(shapes())), ", "))
	case len(c.Map) > 0 || len(c.Unescape) > 0:
		return nil, feedlake.Hint(fmt.Errorf("shape and map: %w", feedlake.ErrConfig), "a shape knows its fields: leave map and unescape_html out")
	case c.Network != "":
		return nil, feedlake.Hint(fmt.Errorf("shape and network: %w", feedlake.ErrConfig), "a shape knows its network: leave network out")
	case c.Format == formatCSV || c.Format == formatParquet:
		return nil, feedlake.Hint(fmt.Errorf("shape with format %s: %w", c.Format, feedlake.ErrConfig), "shapes are for ndjson and json; map the columns of others")
	}
	s.name = c.Shape
	return &s, nil
}

// decodeShape adds what a record holds. A reject says what the record seems to be,
// where that is something else.
func (r *records) decodeShape(p *page, record, position string) {
	p.bytes += len(record)
	r.batch.Posts, r.batch.Rejects = r.batch.Posts[:0], r.batch.Rejects[:0]
	r.shape.decode(record, p.now, position, &r.batch)
	for i := range r.batch.Posts {
		post := &r.batch.Posts[i]
		if post.Query == "" {
			post.Query = r.file
		}
		observed(post, p.now)
	}
	p.posts = append(p.posts, r.batch.Posts...)
	for _, bad := range r.batch.Rejects {
		like := wire.Seems(bad.Payload)
		if like.What == "" && bad.Payload != "" { // a part of the record, which may tell more
			like = wire.Seems(record)
		}
		if like.What != "" && (!like.Post || like.Network != r.shape.name) {
			bad.Reason += "; it seems to be " + like.What
		}
		r.reject(p, bad.Reason, bad.Payload, bad.Position)
	}
}

// observed leaves out the time of observation of a post that does not tell it,
// which decoders date now: a file may be years old. A deletion is observed when it
// lands, if it tells no time: before that, nobody here knew.
func observed(p *feedlake.Post, now time.Time) {
	if p.ObservedAt.Equal(now) && !p.Deleted {
		p.ObservedAt = time.Time{}
	}
}
