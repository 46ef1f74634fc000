package ingest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/feedlake/feedlake"
)

// An archive in no order of time has posts of all its days in every batch. A file a
// day and batch would be thousands of small ones: such batches are put aside in a
// temporary file, sorted by partition, and land together.
const (
	leastSpread = 64      // partitions of a batch that is worth putting aside
	fewPosts    = 2048    // of a partition of such a batch, on average
	mostAside   = 1 << 30 // bytes
	mostPosts   = 4 << 20
)

// aside is what was put aside of a batch.
type aside struct {
	file  *os.File // has no name: what a crash leaves is gone
	size  int64
	posts int
	parts map[key][]piece // in the order of arrival
}

// piece is a run of posts of one partition.
type piece struct {
	at, size int64
	posts    int
}

// spread reports whether the posts in memory are few a partition, and may be put
// aside.
func (b *batch) spread() bool {
	if b.aside != nil && (b.aside.size >= mostAside || b.aside.posts >= mostPosts) {
		return false
	}
	keys := map[key]bool{}
	for _, posts := range b.pages {
		for i := range posts {
			keys[keyOf(&posts[i])] = true
		}
	}
	return len(keys) >= leastSpread && b.held/len(keys) < fewPosts
}

// putAside takes the posts out of memory. After an error they are still there.
func (b *batch) putAside() (err error) {
	if b.aside == nil {
		b.aside, err = newAside()
		if err != nil {
			return err
		}
	}
	keys, spans := b.partitions()
	w := bufio.NewWriterSize(io.NewOffsetWriter(b.aside.file, b.aside.size), 1<<20)
	added, at := make([]piece, len(keys)), b.aside.size
	var buf []byte
	for i, k := range keys {
		added[i].at = at
		for _, s := range spans[k] {
			for p := range b.pages[s.page][s.from:s.to] {
				buf = appendPost(buf[:0], &b.pages[s.page][int(s.from)+p])
				if _, err := w.Write(buf); err != nil {
					return fmt.Errorf("put posts aside: %w", err)
				}
				at += int64(len(buf))
				added[i].posts++
			}
		}
		added[i].size = at - added[i].at
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("put posts aside: %w", err)
	}
	for i, k := range keys {
		b.aside.parts[k] = append(b.aside.parts[k], added[i])
	}
	b.aside.size, b.aside.posts = at, b.aside.posts+b.held
	b.pages, b.before, b.held, b.bytes = nil, nil, 0, b.bytes-b.postBytes
	b.postBytes = 0
	return nil
}

func newAside() (*aside, error) {
	f, err := os.CreateTemp("", "feedlake-*.posts")
	if err != nil {
		return nil, fmt.Errorf("put posts aside: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("put posts aside: %w", err), f.Close())
	}
	return &aside{file: f, parts: map[key][]piece{}}, nil
}

// release gives the room on the disk back.
func (b *batch) release() {
	if b.aside != nil {
		_ = b.aside.file.Close() // it was only read
		b.aside = nil
	}
}

// each hands out the posts of a partition that were put aside, in their order, a few
// at a time. They are write's only while it runs.
func (a *aside) each(k key, write func([]feedlake.Post) error) error {
	if a == nil {
		return nil
	}
	const atOnce = 512
	posts := make([]feedlake.Post, 0, atOnce)
	for _, p := range a.parts[k] {
		b := make([]byte, p.size)
		if _, err := a.file.ReadAt(b, p.at); err != nil {
			return fmt.Errorf("read posts that were put aside: %w", err)
		}
		text := string(b) // the posts are parts of it
		for range p.posts {
			var post feedlake.Post
			n, err := readPost(text, &post)
			if err != nil {
				return err
			}
			text = text[n:]
			if posts = append(posts, post); len(posts) == atOnce {
				if err := write(posts); err != nil {
					return err
				}
				posts = posts[:0]
			}
		}
	}
	return write(posts)
}

// Fields of a post by kind, in the order in which they are put aside.
func postTexts(p *feedlake.Post) [15]*string {
	return [...]*string{
		&p.Source, &p.Network, &p.ID, &p.URI, &p.Kind, &p.AuthorID, &p.AuthorName, &p.Text, &p.Lang,
		&p.ReplyTo, &p.RepostOf, &p.QuoteOf, &p.Query, &p.Payload, &p.RunID,
	}
}

func postCounts(p *feedlake.Post) [5]**int64 {
	return [...]**int64{&p.AuthorFollowers, &p.Likes, &p.Reposts, &p.Replies, &p.Views}
}

func postLists(p *feedlake.Post) [3]*[]string {
	return [...]*[]string{&p.Hashtags, &p.Mentions, &p.URLs}
}

func postTimes(p *feedlake.Post) [2]*time.Time { return [...]*time.Time{&p.CreatedAt, &p.ObservedAt} }

// appendPost writes a post behind b.
func appendPost(b []byte, p *feedlake.Post) []byte {
	for _, s := range postTexts(p) {
		b = append(binary.AppendUvarint(b, uint64(len(*s))), *s...)
	}
	for _, n := range postCounts(p) {
		if *n == nil {
			b = append(b, 0)
		} else {
			b = binary.AppendVarint(append(b, 1), **n)
		}
	}
	for _, l := range postLists(p) {
		if *l == nil {
			b = append(b, 0)
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(*l))+1)
		for _, s := range *l {
			b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
		}
	}
	for _, t := range postTimes(p) {
		if t.IsZero() {
			b = append(b, 0)
		} else {
			b = binary.AppendVarint(binary.AppendVarint(append(b, 1), t.Unix()), int64(t.Nanosecond()))
		}
	}
	deleted := byte(0)
	if p.Deleted {
		deleted = 1
	}
	return binary.AppendVarint(binary.AppendVarint(append(b, deleted), p.Seq), p.Reading)
}

// errAside says that what was put aside cannot be read.
var errAside = errors.New("read posts that were put aside: damaged")

// readPost is the inverse of appendPost. It returns how long the post is; its texts
// are parts of s.
func readPost(s string, p *feedlake.Post) (length int, err error) {
	r := parser{s: s}
	for _, to := range postTexts(p) {
		*to = r.text()
	}
	for _, to := range postCounts(p) {
		if r.byte() == 1 {
			n := r.varint()
			*to = &n
		}
	}
	for _, to := range postLists(p) {
		n := r.uvarint()
		if n == 0 || n > uint64(len(s)) {
			continue
		}
		*to = make([]string, n-1)
		for i := range *to {
			(*to)[i] = r.text()
		}
	}
	for _, to := range postTimes(p) {
		if r.byte() == 1 {
			sec := r.varint()
			*to = time.Unix(sec, r.varint()).UTC()
		}
	}
	p.Deleted = r.byte() == 1
	p.Seq = r.varint()
	p.Reading = r.varint()
	if r.bad {
		return 0, errAside
	}
	return len(s) - len(r.s), nil
}

// parser cuts values off the front of a text.
type parser struct {
	s   string
	bad bool
}

func (r *parser) byte() byte {
	if len(r.s) == 0 {
		r.bad = true
		return 0
	}
	b := r.s[0]
	r.s = r.s[1:]
	return b
}

func (r *parser) uvarint() (n uint64) {
	for shift := 0; shift < 64; shift += 7 {
		b := r.byte()
		if n |= uint64(b&0x7f) << shift; b < 0x80 {
			return n
		}
	}
	r.bad = true
	return 0
}

func (r *parser) varint() int64 {
	n := r.uvarint()
	if n&1 != 0 {
		return ^int64(n >> 1)
	}
	return int64(n >> 1)
}

func (r *parser) text() string {
	n := r.uvarint()
	if n > uint64(len(r.s)) {
		r.bad = true
		return ""
	}
	t := r.s[:n]
	r.s = r.s[n:]
	return t
}
