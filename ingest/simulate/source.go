package simulate

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync"
	"time"

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
	first := newMaker(c)
	return &source{env: env, posts: c.Posts, writers: sync.Pool{New: func() any {
		m := *first // the configuration and the calendar are shared
		m.b, m.text = strings.Builder{}, strings.Builder{}
		return &writer{maker: &m, dec: plan.Decoder()}
	}}}, nil
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
	env     ingest.Env
	posts   int64
	writers sync.Pool // of *writer
}

// writer makes records and reads them, for one goroutine.
type writer struct {
	*maker
	dec *mapping.Decoder
}

// Fetch makes the next page.
func (s *source) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	c, err := s.Cut(ctx, from)
	return c.Whole(err)
}

// Cut implements ingest.Cutter: records are made where they are decoded.
func (s *source) Cut(ctx context.Context, from feedlake.Cursor) (ingest.Cut, error) {
	if err := ctx.Err(); err != nil {
		return ingest.Cut{}, err
	}
	first := int64(0)
	if from != "" {
		n, err := strconv.ParseInt(string(from), 10, 64)
		if err != nil || n < 0 {
			return ingest.Cut{}, fmt.Errorf("cursor %q: not a record's number: %w", from, feedlake.ErrConfig)
		}
		first = n
	}
	last := min(first+pageRecords, s.posts)
	p := ingest.Page{Next: from, Done: last >= s.posts, Progress: ingest.Progress{Done: max(last, 0), Total: s.posts, Unit: "posts"}}
	if first >= s.posts {
		p.Progress.Done = s.posts
		return ingest.Cut{Page: p}, nil
	}
	p.Next = feedlake.Cursor(strconv.FormatInt(last, 10))
	now := s.env.Now()
	return ingest.Cut{Page: p, Bytes: pageRecords * recordBytes, Decode: func() ([]feedlake.Post, []feedlake.Reject) { return s.records(first, last, now) }}, nil
}

// recordBytes is about the length of a record.
const recordBytes = 400

// records makes some records and decodes them.
func (s *source) records(first, last int64, now time.Time) (posts []feedlake.Post, rejects []feedlake.Reject) {
	w, ok := s.writers.Get().(*writer)
	if !ok {
		panic("simulate: the pool holds writers alone")
	}
	defer s.writers.Put(w)
	posts = make([]feedlake.Post, 0, last-first)
	for i := first; i < last; i++ {
		line := w.record(i)
		posts = append(posts, feedlake.Post{})
		if err := w.dec.Decode(line, now, &posts[len(posts)-1]); err != nil {
			posts = posts[:len(posts)-1]
			rejects = append(rejects, feedlake.Reject{
				Source: s.env.Name, Reason: ingest.Reason(err), Payload: ingest.CutPayload(line),
				Position: s.env.Name + ":" + strconv.FormatInt(i+1, 10), RejectedAt: now,
			})
		}
	}
	return posts, rejects
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
