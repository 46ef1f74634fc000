package simulate

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/decode/mapping"
)

// Register adds the source to r.
func Register(r ingest.Registry) { ingest.Add(r, Kind, Open) }

// pageRecords is the length of a page.
const pageRecords = 4096

// Open checks the configuration and returns the source. Errors wrap
// feedlake.ErrConfig.
func Open(_ context.Context, env ingest.Env, c Config) (ingest.Source, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	plan, err := mapping.Compile(mapping.Config{Map: fields()}, mapping.Options{Source: env.Name, Now: env.Now})
	if err != nil {
		return nil, fmt.Errorf("simulate: %w", err)
	}
	return &source{env: env, maker: newMaker(c), dec: plan.Decoder()}, nil
}

// fields maps the simulator's records, as a configuration maps those of files.
func fields() map[string]mapping.Field {
	m := map[string]mapping.Field{
		"source": {Path: "network"}, "created_at": {Path: "created_at"}, "observed_at": {Path: "seen_at"},
		"author_id": {Path: "author.id"}, "author_name": {Path: "author.name"}, "author_followers": {Path: "author.followers"},
	}
	kind := mapping.Scalar(feedlake.KindPost)
	m["kind"] = mapping.Field{Path: "type", Default: &kind}
	for _, same := range [...]string{"id", "text", "lang", "reply_to", "repost_of", "quote_of", "likes", "reposts", "replies", "views", "deleted"} {
		m[same] = mapping.Field{Path: same}
	}
	return m
}

// source is a simulated network. Its cursor is the number of the next record.
type source struct {
	env   ingest.Env
	maker *maker
	dec   *mapping.Decoder
}

// Fetch makes the next page.
func (s *source) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	if err := ctx.Err(); err != nil {
		return ingest.Page{}, err
	}
	first := int64(0)
	if from != "" {
		n, err := strconv.ParseInt(string(from), 10, 64)
		if err != nil || n < 0 {
			return ingest.Page{}, fmt.Errorf("cursor %q: not a record's number: %w", from, feedlake.ErrConfig)
		}
		first = n
	}
	total := s.maker.cfg.Posts
	last := min(first+pageRecords, total)
	p := ingest.Page{Next: from, Done: last >= total, Progress: ingest.Progress{Done: max(last, 0), Total: total, Unit: "posts"}}
	if first >= total {
		p.Progress.Done = total
		return p, nil
	}
	now := s.env.Now()
	p.Posts = make([]feedlake.Post, 0, last-first)
	for i := first; i < last; i++ {
		line := s.maker.record(i)
		var post feedlake.Post
		if err := s.dec.Decode(line, now, &post); err != nil {
			p.Rejects = append(p.Rejects, feedlake.Reject{
				Source: s.env.Name, Reason: ingest.Reason(err), Payload: ingest.CutPayload(line),
				Position: s.env.Name + ":" + strconv.FormatInt(i+1, 10), RejectedAt: now,
			})
			continue
		}
		p.Posts = append(p.Posts, post)
	}
	p.Next = feedlake.Cursor(strconv.FormatInt(last, 10))
	return p, nil
}

// Label is a text with the sentiment that was meant by it.
type Label struct{ Text, Label, Lang string }

// labelNoise is the share of labels that a careless annotator got wrong.
const labelNoise = 0.08

// Labelled yields n labelled texts in the wording of the posts, from a stream of
// random numbers of their own: no post is among them but by chance.
func (c Config) Labelled(n int) iter.Seq[Label] {
	c = c.withDefaults()
	return func(yield func(Label) bool) {
		m := newMaker(c)
		for i := range int64(n) {
			r := m.rand(streamLabels, i)
			a := m.author(r)
			mood := r.IntN(3)
			var b strings.Builder
			a.lang.say(&b, mood, r)
			_, at := m.cal.at(i%c.Posts, r)
			m.tags(&b, at, -1, r)
			if r.Float64() < labelNoise {
				mood = r.IntN(3)
			}
			if !yield(Label{Text: b.String(), Label: labels[mood], Lang: a.lang.tag}) {
				return
			}
		}
	}
}
