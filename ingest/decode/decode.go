// Package decode turns records into posts or rejects, wherever they come from: one
// record of JSON or BSON, as a queue or a database gives it, or a stream of records
// in one of the formats that files have. It does so by a declared mapping, or in the
// shape that a platform gives its records.
//
// A stream is cut into blocks of whole records, one after the other; the blocks are
// decoded by any number of goroutines. What they hold does not depend on how many.
package decode

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/decode/mapping"
	"github.com/feedlake/feedlake/ingest/wire"
)

// Config says how records become posts: by a mapping or a shape.
type Config struct {
	Source       string                   // configured name of the source, of posts whose mapping gives none
	Shape        string                   // the form that a platform gives its records, such as hackernews; instead of Map
	Map          map[string]mapping.Field // columns of a post to fields of a record
	UnescapeHTML []string                 // mapped columns in which &amp; and its like become characters
	Network      string                   // of mapped posts: the platform that gave their ids; "" for none
}

// Rules are a compiled Config. They are read-only: any number of Decoders share
// them.
type Rules struct {
	shape   *shape
	network string
	plans   map[bool]*mapping.Plan // by mapping.Options.Columns
}

// Compile checks c. Its errors wrap feedlake.ErrConfig and name the key.
func Compile(c Config) (*Rules, error) {
	networks := []string{wire.Bluesky, wire.HackerNews, wire.Instagram, wire.Mastodon, wire.Reddit, wire.Telegram, wire.X}
	if c.Network != "" && !slices.Contains(networks, c.Network) {
		return nil, feedlake.Hint(fmt.Errorf("network: %q is not known: %w", c.Network, feedlake.ErrConfig), "one of %s", strings.Join(networks, ", "))
	}
	r := &Rules{network: c.Network, plans: map[bool]*mapping.Plan{}}
	var err error
	if r.shape, err = c.shape(); err != nil || r.shape != nil {
		return r, err
	}
	for _, columns := range []bool{false, true} {
		r.plans[columns], err = mapping.Compile(mapping.Config{Map: c.Map, UnescapeHTML: c.UnescapeHTML}, mapping.Options{Source: c.Source, Columns: columns})
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Mapping is the plan of the mapping; nil when records have a shape.
func (r *Rules) Mapping() *mapping.Plan { return r.plans[false] }

// paths are those that the mapping reads, with the column that each fills.
func (r *Rules) paths(columns bool) map[string]string {
	if p := r.plans[columns]; p != nil {
		return p.Paths()
	}
	return nil
}

// Page collects what records hold.
type Page struct {
	Posts   []feedlake.Post
	Rejects []feedlake.Reject
	Now     time.Time // when the records are read
}

func (p *Page) reject(reason, payload, position string) {
	p.Rejects = append(p.Rejects, feedlake.Reject{Reason: reason, Payload: ingest.CutPayload(payload), Position: position, RejectedAt: p.Now})
}

// Decoder decodes records by Rules. It is for one goroutine.
type Decoder struct {
	rules *Rules
	maps  map[bool]*mapping.Decoder
	batch wire.Batch // room for what a shape finds
	split splitter   // of CSV
	out   []byte     // room for records that are made
}

// Decoder returns a new decoder.
func (r *Rules) Decoder() *Decoder {
	d := &Decoder{rules: r, maps: map[bool]*mapping.Decoder{}}
	for columns, plan := range r.plans {
		d.maps[columns] = plan.Decoder()
	}
	return d
}

// JSON decodes one record of JSON into p. Posts that do not tell what was asked
// for them get query: the file, the topic. at spells the record's place; it is asked
// for rejects alone. The posts share the record's memory.
func (d *Decoder) JSON(p *Page, record, query string, at func() string) {
	d.record(p, record, query, false, at)
}

// BSON decodes one document of BSON (bsonspec.org) as JSON does a record: it
// becomes one in the relaxed form of MongoDB's extended JSON, in which numbers are
// numbers, a date is {"$date": "2026-01-05T09:00:00Z"} and an object's id
// {"$oid": "…"}. One that is no record is kept in base64.
func (d *Decoder) BSON(p *Page, doc []byte, query string, at func() string) {
	record, err := bson.MarshalExtJSON(bson.Raw(doc), false, false)
	if err != nil {
		p.reject(strings.ToValidUTF8("broken BSON: "+err.Error(), string(utf8.RuneError)), inBase64(doc), at())
		return
	}
	d.record(p, string(record), query, false, at)
}

func inBase64(b []byte) string {
	return base64.StdEncoding.EncodeToString(b[:min(len(b), feedlake.MaxRejectPayload/2)])
}

// record decodes a record of a text.
func (d *Decoder) record(p *Page, record, query string, columns bool, at func() string) {
	switch {
	case idAlone(record):
		p.reject("an id alone: there is nothing to land; look the posts up first, as a source of kind x in mode lookup with ids_file does", record, at())
	case d.rules.shape != nil:
		d.shaped(p, record, query, at)
	default:
		d.mapped(p, record, query, columns, at)
	}
}

// idAlone reports whether a record is no more than a long number, bare or quoted,
// as in data sets that are shared without their posts.
func idAlone(record string) bool {
	if len(record) < 8 || len(record) > 22 {
		return false
	}
	n := strings.Trim(record, `"`)
	return len(n) >= 8 && len(n) <= 20 && strings.Trim(n, "0123456789") == ""
}

// mapped decodes a record by the mapping. A reject also says which values were left
// out of a post that landed.
func (d *Decoder) mapped(p *Page, record, query string, columns bool, at func() string) {
	m := d.maps[columns]
	p.Posts = append(p.Posts, feedlake.Post{})
	post := &p.Posts[len(p.Posts)-1]
	if err := m.Decode(record, p.Now, post); err != nil {
		p.Posts = p.Posts[:len(p.Posts)-1]
		reason := ingest.Reason(err)
		if !utf8.ValidString(record) {
			reason += "; a file in another encoding than UTF-8 needs one declared, such as \"encoding: latin-1\""
		}
		p.reject(reason, record, at())
		return
	}
	if post.Query == "" {
		post.Query = query
	}
	post.Network = d.rules.network
	observed(post, p.Now)
	if notes := m.Notes(); len(notes) > 0 {
		p.reject(fmt.Sprintf("%s; the post %s landed without it", strings.Join(notes, "; "), post.ID), record, at())
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
