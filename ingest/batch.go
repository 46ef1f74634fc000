package ingest

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// batch collects pages until they are worth a commit.
type batch struct {
	posts   []feedlake.Post
	rejects []feedlake.Reject
	bytes   int64 // text and payload
}

func (b *batch) rows() int { return len(b.posts) + len(b.rejects) }

// add takes a page's records over. A post that may not enter the lake becomes a
// reject.
func (b *batch) add(p Page, now time.Time, name, runID string) {
	for i := range p.Posts {
		post := &p.Posts[i]
		if post.Source == "" {
			post.Source = name
		}
		reason := ""
		if err := post.Validate(now); err != nil {
			reason = Reason(err)
		} else if f := invalidField(post); f != "" {
			reason = f + ": not valid UTF-8"
		}
		if reason != "" {
			b.reject(feedlake.Reject{Reason: reason, Payload: cmp.Or(post.Payload, post.Text), Position: post.Query}, now, name, runID)
			continue
		}
		b.bytes += int64(len(post.Text) + len(post.Payload))
		b.posts = append(b.posts, *post)
	}
	for _, r := range p.Rejects {
		b.reject(r, now, name, runID)
	}
}

func (b *batch) reject(r feedlake.Reject, now time.Time, name, runID string) {
	r.Payload = CutPayload(r.Payload)
	r.Reason, r.Position = CutPayload(r.Reason), CutPayload(r.Position)
	r.Source = cmp.Or(r.Source, name)
	if r.RejectedAt.IsZero() {
		r.RejectedAt = now
	}
	r.RunID = runID
	b.bytes += int64(len(r.Payload))
	b.rejects = append(b.rejects, r)
}

// reset empties the batch and lets go of the pages' memory, but keeps the room.
func (b *batch) reset() {
	clear(b.posts)
	clear(b.rejects)
	b.posts, b.rejects, b.bytes = b.posts[:0], b.rejects[:0], 0
}

// day counts the UTC days since 1970-01-01.
func day(t time.Time) int64 { return floorDiv(t.Unix(), 86400) }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

type partitionKey struct {
	source string
	day    int64
}

// partitions groups the posts' indexes, each group in the order of arrival.
func (b *batch) partitions() (keys []partitionKey, groups map[partitionKey][]int32) {
	groups = map[partitionKey][]int32{}
	for i := range b.posts {
		k := partitionKey{b.posts[i].Source, day(b.posts[i].CreatedAt)}
		if _, ok := groups[k]; !ok {
			keys = append(keys, k)
		}
		groups[k] = append(groups[k], int32(i)) //nolint:gosec // a batch is far below 2^31 rows
	}
	slices.SortFunc(keys, func(a, b partitionKey) int {
		return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(a.day, b.day))
	})
	return keys, groups
}

// writePosts writes one file for each partition in the batch and returns their
// paths. The files join the table only with a commit.
func (b *batch) writePosts(ctx context.Context, l *lake.Lake, runID string) ([]string, error) {
	keys, groups := b.partitions()
	paths := make([]string, 0, len(keys))
	chunk := make([]feedlake.Post, 0, 1024)
	for _, k := range keys {
		path, err := b.writePartition(ctx, l, k, groups[k], chunk, runID)
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func (b *batch) writePartition(ctx context.Context, l *lake.Lake, k partitionKey, rows []int32, chunk []feedlake.Post, runID string) (string, error) {
	date := time.Unix(k.day*86400, 0).UTC().Format(time.DateOnly)
	w, err := lake.NewRowWriter[feedlake.Post](l, lake.RawPosts().Name, lake.MakePartition("source", k.source, "day", date))
	if err != nil {
		return "", err
	}
	for part := range slices.Chunk(rows, cap(chunk)) {
		if err := ctx.Err(); err != nil {
			w.Abort()
			return "", err
		}
		chunk = chunk[:0]
		for _, i := range part {
			chunk = append(chunk, b.posts[i])
			chunk[len(chunk)-1].RunID = runID
		}
		if err := w.Write(chunk); err != nil {
			w.Abort()
			return "", err
		}
	}
	path, err := w.Close()
	if err != nil {
		w.Abort()
	}
	return path, err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// jitter returns half of d to all of it.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }
