package files

import (
	"fmt"
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
	"github.com/feedlake/feedlake/ingest/wire/reddit"
	"github.com/feedlake/feedlake/ingest/wire/x"
)

// shape decodes a record of an archive in the form that a platform, or a tool
// that people collect with, gives it. A record may hold no post, one, or many.
type shape func(record string, now time.Time, position string, b *wire.Batch)

// shapes are the shapes by name.
func shapes() map[string]shape {
	return map[string]shape{
		"bluesky":    bluesky.Record,
		"hackernews": hackernews.Record,
		"instagram":  instagram.Record,
		"mastodon":   mastodon.Record,
		"reddit":     reddit.Record,
		"x":          x.Record,
	}
}

// shape returns the configured one; nil when records are mapped.
func (c *Config) shape() (shape, error) {
	if c.Shape == "" {
		return nil, nil
	}
	s, ok := shapes()[c.Shape]
	switch {
	case !ok:
		return nil, feedlake.Hint(fmt.Errorf("shape: %q is not known: %w", c.Shape, feedlake.ErrConfig), "one of %s; or declare a mapping", strings.Join(slices.Sorted(maps.Keys(shapes())), ", "))
	case len(c.Map) > 0 || len(c.Unescape) > 0:
		return nil, feedlake.Hint(fmt.Errorf("shape and map: %w", feedlake.ErrConfig), "a shape knows its fields: leave map and unescape_html out")
	case c.Format == formatCSV || c.Format == formatParquet:
		return nil, feedlake.Hint(fmt.Errorf("shape with format %s: %w", c.Format, feedlake.ErrConfig), "shapes are for ndjson and json; map the columns of others")
	}
	return s, nil
}

// decodeShape adds what a record holds.
func (r *records) decodeShape(p *page, record, position string) {
	p.bytes += len(record)
	r.batch.Posts, r.batch.Rejects = r.batch.Posts[:0], r.batch.Rejects[:0]
	r.shape(record, p.now, position, &r.batch)
	for i := range r.batch.Posts {
		if post := &r.batch.Posts[i]; post.Query == "" {
			post.Query = r.file
		}
	}
	p.posts = append(p.posts, r.batch.Posts...)
	for _, bad := range r.batch.Rejects {
		r.reject(p, bad.Reason, bad.Payload, bad.Position)
	}
}
