package decode

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

// Shapes lists the names of the shapes, sorted.
func Shapes() []string { return slices.Sorted(maps.Keys(shapes())) }

// Members lists globs of the files that hold a shape's posts in an archive as the
// platform packs it; nil: all.
func Members(shape string) []string { return shapes()[shape].members }

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
		return nil, feedlake.Hint(fmt.Errorf("shape: %q is not known: %w", c.Shape, feedlake.ErrConfig), "one of %s; or declare a mapping", strings.Join(Shapes(), ", "))
	case len(c.Map) > 0 || len(c.UnescapeHTML) > 0:
		return nil, feedlake.Hint(fmt.Errorf("shape and map: %w", feedlake.ErrConfig), "a shape knows its fields: leave map and unescape_html out")
	case c.Network != "":
		return nil, feedlake.Hint(fmt.Errorf("shape and network: %w", feedlake.ErrConfig), "a shape knows its network: leave network out")
	}
	s.name = c.Shape
	return &s, nil
}

// shaped adds what a record holds. A reject says what the record seems to be, where
// that is something else.
func (d *Decoder) shaped(p *Page, record, query string, at func() string) {
	d.batch.Posts, d.batch.Rejects = d.batch.Posts[:0], d.batch.Rejects[:0]
	shape := d.rules.shape
	shape.decode(record, p.Now, "", &d.batch)
	for i := range d.batch.Posts {
		post := &d.batch.Posts[i]
		if post.Query == "" {
			post.Query = query
		}
		observed(post, p.Now)
	}
	p.Posts = append(p.Posts, d.batch.Posts...)
	for _, bad := range d.batch.Rejects {
		like := wire.Seems(bad.Payload)
		if like.What == "" && bad.Payload != "" { // a part of the record, which may tell more
			like = wire.Seems(record)
		}
		if like.What != "" && (!like.Post || like.Network != shape.name) {
			bad.Reason += "; it seems to be " + like.What
		}
		p.reject(bad.Reason, bad.Payload, at()+bad.Position) // where in the record
	}
}
