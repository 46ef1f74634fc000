package ingest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// batch collects pages until they are worth a commit. It keeps the pages' posts
// where they are: a post is large, and there are many.
type batch struct {
	pages    [][]feedlake.Post
	rejects  []feedlake.Reject
	posts    int
	seq      int64             // of the last post of the run; stays when the batch is emptied
	bytes    int64             // see weight
	unnamed  map[string]bool   // sources with deletions in the batch that do not name the row of a post
	networks map[string]string // source to the platform of its posts, as far as it is known; stays when the batch is emptied
	langs    languages         // stays when the batch is emptied

	rules            // stay when the batch is emptied
	suppressed int64 // records of the batch that were left out as taken down
	outdated   int64 // posts of the batch that were left out as too old
}

// rules say what may enter, and how.
type rules struct {
	erased     *lake.Erasures
	notBefore  time.Time
	reading    int64 // of the source, for every post
	pseudonyms *Pseudonyms
}

func (b *batch) rows() int { return b.posts + len(b.rejects) }

// add takes a page's records over. A post that may not enter the lake becomes a
// reject; one that was taken down leaves no trace but its count.
func (b *batch) add(p Page, now time.Time, name, runID string) {
	kept := 0
	for i := range p.Posts {
		post := &p.Posts[i]
		if post.Source == "" {
			post.Source = name
		}
		post.Lang = b.langs.tag(post.Lang)
		if post.CreatedAt.Before(b.notBefore) && !post.CreatedAt.IsZero() {
			b.outdated++
			continue
		}
		if b.pseudonyms != nil {
			b.pseudonyms.Hide(post)
		}
		b.networkOf(post)
		if b.erased.Post(post) {
			b.suppressed++
			continue
		}
		b.erased.Strip(post)
		if reason := unfit(post, now); reason != "" {
			b.reject(feedlake.Reject{Reason: reason, Payload: cmp.Or(post.Payload, post.Text), Position: post.Query}, now, name, runID)
			continue
		}
		post.Own()
		if post.Deleted && post.ObservedAt.IsZero() { // it is gone now, whenever that was noticed
			post.ObservedAt = now
		}
		post.RunID = runID
		b.seq++
		post.Seq, post.Reading = b.seq, b.reading
		if post.Deleted && (post.Kind == feedlake.KindAccount || post.Kind == feedlake.KindLocal) {
			b.isUnnamed(post.Source)
		}
		b.bytes += weight(post)
		if kept != i {
			p.Posts[kept] = *post
		}
		kept++
	}
	if kept > 0 {
		b.pages = append(b.pages, p.Posts[:kept])
		b.posts += kept
	}
	for _, r := range p.Rejects {
		b.reject(r, now, name, runID)
	}
}

// weight is about how much memory a post holds: its text and payload, and the
// lists, of which a few bytes of payload make an element each.
func weight(p *feedlake.Post) int64 {
	const element = 16
	return int64(len(p.Text) + len(p.Payload) + element*(len(p.Hashtags)+len(p.Mentions)+len(p.URLs)))
}

func (b *batch) isUnnamed(source string) {
	if b.unnamed == nil {
		b.unnamed = map[string]bool{}
	}
	b.unnamed[source] = true
}

func (b *batch) networkOf(p *feedlake.Post) {
	if p.Network == "" || b.networks[p.Source] == p.Network {
		return
	}
	if b.networks == nil {
		b.networks = map[string]string{}
	}
	b.networks[p.Source] = p.Network
}

// unfit says why a post may not enter the lake; "" when it may.
func unfit(p *feedlake.Post, now time.Time) string {
	if err := p.Validate(now); err != nil {
		return Reason(err)
	}
	if f := invalidField(p); f != "" {
		return f + ": not valid UTF-8"
	}
	return ""
}

func (b *batch) reject(r feedlake.Reject, now time.Time, name, runID string) {
	r.Payload = CutPayload(r.Payload)
	r.Reason, r.Position = CutPayload(r.Reason), CutPayload(r.Position)
	r.Source = cmp.Or(r.Source, name)
	if b.pseudonyms != nil {
		b.pseudonyms.hideReject(&r)
	}
	for _, of := range []string{r.Source, lake.ErasedOf(b.networks[r.Source])} {
		if b.erased.Mentions(of, r.Payload) || b.erased.Mentions(of, r.Reason) {
			b.suppressed++
			return
		}
	}
	if r.RejectedAt.IsZero() {
		r.RejectedAt = now
	}
	r.RunID = runID
	b.bytes += int64(len(r.Payload))
	b.rejects = append(b.rejects, r)
}

// reset empties the batch and lets go of the pages' memory.
func (b *batch) reset() { *b = batch{rules: b.rules, seq: b.seq, networks: b.networks, langs: b.langs} }

// day counts the UTC days since 1970-01-01.
func day(t time.Time) int64 {
	const perDay = 24 * 60 * 60
	s := t.Unix()
	d := s / perDay
	if s%perDay < 0 {
		d--
	}
	return d
}

// key is a partition of raw.posts.
type key struct {
	source string
	day    int64
}

// span is a run of posts of one partition, side by side in a page.
type span struct{ page, from, to int32 }

// partitions finds the posts of each partition, in the order of arrival.
func (b *batch) partitions() (keys []key, spans map[key][]span) {
	spans = map[key][]span{}
	for p, posts := range b.pages {
		for i := 0; i < len(posts); {
			k := key{posts[i].Source, day(posts[i].CreatedAt)}
			from := i
			for i < len(posts) && posts[i].Source == k.source && day(posts[i].CreatedAt) == k.day {
				i++
			}
			if _, ok := spans[k]; !ok {
				keys = append(keys, k)
			}
			spans[k] = append(spans[k], span{int32(p), int32(from), int32(i)})
		}
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(a.day, b.day))
	})
	return keys, spans
}

// writePosts writes one file for each partition in the batch and returns their
// paths. The files join the table only with a commit.
func (b *batch) writePosts(ctx context.Context, l *lake.Lake) ([]string, error) {
	keys, spans := b.partitions()
	paths := make([]string, 0, len(keys))
	loose := make([]feedlake.Post, 0, 512)
	for _, k := range keys {
		path, err := b.writePartition(ctx, l, k, spans[k], loose)
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// writePartition writes one partition. Long spans are written where they lie,
// short ones are gathered in loose first: each write has its price.
func (b *batch) writePartition(ctx context.Context, l *lake.Lake, k key, spans []span, loose []feedlake.Post) (path string, err error) {
	date := time.Unix(k.day*24*60*60, 0).UTC().Format(time.DateOnly)
	w, err := lake.NewRowWriter[feedlake.Post](l, lake.RawPosts().Name, lake.MakePartition("source", k.source, "day", date))
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			w.Abort()
		}
	}()
	for _, s := range spans {
		posts := b.pages[s.page][s.from:s.to]
		if len(loose)+len(posts) <= cap(loose) {
			loose = append(loose, posts...)
			continue
		}
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if err := w.Write(loose); err != nil {
			return "", err
		}
		loose = loose[:0]
		if err := w.Write(posts); err != nil {
			return "", err
		}
	}
	if err := w.Write(loose); err != nil {
		return "", err
	}
	return w.Close(ctx)
}
