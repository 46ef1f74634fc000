package ingest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// batch collects pages until they are worth a commit. It keeps the pages' posts
// where they are: a post is large, and there are many.
type batch struct {
	pages     [][]feedlake.Post
	rejects   []feedlake.Reject
	posts     int               // with those that were put aside
	held      int               // in pages
	before    []int64           // by page: the number of the last post before it
	aside     *aside            // nil: nothing was put aside
	seq       int64             // of the last post of the run; stays when the batch is emptied
	bytes     int64             // of what is in memory; see weight
	postBytes int64             // of these: of posts
	unnamed   map[string]bool   // sources with deletions in the batch that do not name the row of a post
	networks  map[string]string // source to the platform of its posts, as far as it is known; stays when the batch is emptied

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

// rows counts what is in the batch.
func (b *batch) rows() int { return b.posts + len(b.rejects) }

// inMemory counts what is in the batch and was not put aside.
func (b *batch) inMemory() int { return b.held + len(b.rejects) }

// weight is about how much memory a post holds: its text and payload, and the
// lists, of which a few bytes of payload make an element each.
func weight(p *feedlake.Post) int64 {
	const element = 16
	return int64(len(p.Text) + len(p.Payload) + element*(len(p.Hashtags)+len(p.Mentions)+len(p.URLs)))
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

func (b *batch) reject(r feedlake.Reject, name, runID string) {
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
	r.RunID = runID
	b.bytes += int64(len(r.Payload))
	b.rejects = append(b.rejects, r)
}

// next is the empty batch that follows this one.
func (b *batch) next() batch {
	return batch{rules: b.rules, seq: b.seq, networks: maps.Clone(b.networks)}
}

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

func keyOf(p *feedlake.Post) key { return key{p.Source, day(p.CreatedAt)} }

// span is a run of posts of one partition, side by side in a page.
type span struct{ page, from, to int32 }

// partitions finds the posts of each partition, in the order of arrival, and numbers
// them.
func (b *batch) partitions() (keys []key, spans map[key][]span) {
	spans = map[key][]span{}
	for p, posts := range b.pages {
		for i := 0; i < len(posts); {
			k := keyOf(&posts[i])
			from := i
			for i < len(posts) && posts[i].Source == k.source && day(posts[i].CreatedAt) == k.day {
				posts[i].Seq = b.before[p] + int64(i) + 1
				i++
			}
			if _, ok := spans[k]; !ok {
				keys = append(keys, k)
			}
			spans[k] = append(spans[k], span{int32(p), int32(from), int32(i)})
		}
	}
	sortKeys(keys)
	return keys, spans
}

// using counts the partitions that have posts in each page.
func using(pages int, spans map[key][]span) []atomic.Int32 {
	n := make([]atomic.Int32, pages)
	for _, of := range spans {
		eachPage(of, func(p int32) { n[p].Add(1) })
	}
	return n
}

// eachPage calls do once for each page of a partition.
func eachPage(spans []span, do func(page int32)) {
	for i, s := range spans {
		if i == 0 || spans[i-1].page != s.page { // they come in order
			do(s.page)
		}
	}
}

func sortKeys(keys []key) {
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(a.day, b.day))
	})
}

// mostWriters bounds the files that are written at once: each takes some megabytes.
const mostWriters = 6

// writePosts writes one file for each partition in the batch and returns their
// paths; parallel partitions are written at once. The files join the table only with
// a commit.
func (b *batch) writePosts(ctx context.Context, l *lake.Lake, parallel int) ([]string, error) {
	keys, spans := b.partitions()
	if b.aside != nil {
		for k := range b.aside.parts {
			if _, ok := spans[k]; !ok {
				keys = append(keys, k)
			}
		}
		sortKeys(keys)
	}
	paths := make([]string, len(keys))
	left := using(len(b.pages), spans)
	group, ctx := errgroup.WithContext(ctx)
	parallel = min(parallel, mostWriters)
	group.SetLimit(parallel)
	rooms := make(chan []feedlake.Post, parallel) // memory to gather posts in
	for i, k := range keys {
		group.Go(func() (err error) {
			if err := ctx.Err(); err != nil {
				return err
			}
			var loose []feedlake.Post
			select {
			case loose = <-rooms:
			default:
				loose = make([]feedlake.Post, 0, 512)
			}
			paths[i], err = b.writePartition(ctx, l, k, spans[k], loose)
			rooms <- loose[:0]
			eachPage(spans[k], func(p int32) {
				if left[p].Add(-1) == 0 {
					b.pages[p] = nil // its memory is wanted by the next batch
				}
			})
			return err
		})
	}
	return paths, group.Wait()
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
	if err := b.aside.each(k, w.Write); err != nil {
		return "", err
	}
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
