package ingest

import (
	"cmp"
	"time"

	"github.com/feedlake/feedlake"
)

// entries are the records of a page as they may enter the lake. What depends on the
// records before is left to batch.take.
type entries struct {
	posts      []feedlake.Post
	rejects    []feedlake.Reject // as the source told them, and of posts that may not enter
	suppressed int64
	outdated   int64
	bytes      int64             // of posts; see weight
	unnamed    map[string]bool   // sources with deletions that do not name the row of a post
	networks   map[string]string // source to the platform of its posts
}

// admit takes a page's records over. A post that may not enter the lake becomes a
// reject; one that was taken down leaves no trace but its count. Any number of
// goroutines may call it, each with languages of its own.
func (r *rules) admit(p Page, now time.Time, name, runID string, langs *languages) entries {
	e := entries{rejects: p.Rejects}
	kept := 0
	var unfitted []feedlake.Reject
	for i := range p.Posts {
		post := &p.Posts[i]
		if post.Source == "" {
			post.Source = name
		}
		post.Lang = langs.tag(post.Lang)
		if post.CreatedAt.Before(r.notBefore) && !post.CreatedAt.IsZero() {
			e.outdated++
			continue
		}
		if r.pseudonyms != nil {
			r.pseudonyms.Hide(post)
		}
		e.networkOf(post)
		if r.erased.Post(post) {
			e.suppressed++
			continue
		}
		r.erased.Strip(post)
		if reason := unfit(post, now); reason != "" {
			unfitted = append(unfitted, feedlake.Reject{Reason: reason, Payload: cmp.Or(post.Payload, post.Text), Position: post.Query})
			continue
		}
		post.Own()
		if post.Deleted && post.ObservedAt.IsZero() { // it is gone now, whenever that was noticed
			post.ObservedAt = now
		}
		post.RunID, post.Reading = runID, r.reading
		if post.Deleted && (post.Kind == feedlake.KindAccount || post.Kind == feedlake.KindLocal) {
			if e.unnamed == nil {
				e.unnamed = map[string]bool{}
			}
			e.unnamed[post.Source] = true
		}
		e.bytes += weight(post)
		if kept != i {
			p.Posts[kept] = *post
		}
		kept++
	}
	e.posts = p.Posts[:kept]
	if len(unfitted) > 0 {
		e.rejects = append(unfitted, p.Rejects...)
	}
	for i := range e.rejects {
		if e.rejects[i].RejectedAt.IsZero() {
			e.rejects[i].RejectedAt = now
		}
	}
	return e
}

func (e *entries) networkOf(p *feedlake.Post) {
	if p.Network == "" || e.networks[p.Source] == p.Network {
		return
	}
	if e.networks == nil {
		e.networks = map[string]string{}
	}
	e.networks[p.Source] = p.Network
}

// take adds a page's entries to the batch.
func (b *batch) take(e entries, name, runID string) {
	if len(e.posts) > 0 {
		b.before = append(b.before, b.seq)
		b.seq += int64(len(e.posts))
		b.pages = append(b.pages, e.posts)
		b.posts += len(e.posts)
		b.held += len(e.posts)
	}
	b.bytes += e.bytes
	b.postBytes += e.bytes
	b.suppressed += e.suppressed
	b.outdated += e.outdated
	for source := range e.unnamed {
		if b.unnamed == nil {
			b.unnamed = map[string]bool{}
		}
		b.unnamed[source] = true
	}
	for source, network := range e.networks {
		if b.networks == nil {
			b.networks = map[string]string{}
		}
		b.networks[source] = network
	}
	for _, r := range e.rejects {
		b.reject(r, name, runID)
	}
}
