package ingest

import (
	"context"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/feedlake/feedlake"
)

// Cutter is a Source that tells what must be done in order, which is Cut, from the
// decoding of what was read, which need not: it is Fetch in two steps.
type Cutter interface {
	Source
	Cut(ctx context.Context, from feedlake.Cursor) (Cut, error)
}

// Cut is a page whose records are not decoded yet.
type Cut struct {
	Page                                                             // without records
	Bytes  int                                                       // of memory that the records take, about
	Decode func() (posts []feedlake.Post, rejects []feedlake.Reject) // may be called once, by any goroutine; nil: there are none
}

// Whole is the page with its records, or the error that Cut gave.
func (c Cut) Whole(err error) (Page, error) {
	if err != nil {
		return Page{}, err
	}
	if c.Decode != nil {
		c.Posts, c.Rejects = c.Decode()
	}
	return c.Page, nil
}

// answer is what a source said.
type answer struct {
	page    Page // its records are in entries
	rows    int  // as the source told them
	entries entries
	err     error
}

// aheadBytes bounds what was cut, for each processor, and is not in a batch yet;
// mostAhead bounds it for all.
const (
	aheadBytes = 3 << 20
	mostAhead  = 12 << 20
)

// pages reads ahead of what is written: one page of a source that is asked, and of
// one that can be cut as much as keeps r.Parallel goroutines busy; the answers come
// in order. It ends with the last page or an error, which there is when ctx ends. stop
// waits for the source.
func (r *run) pages(ctx context.Context, from feedlake.Cursor) (answers <-chan answer, stop func()) {
	ctx, end := context.WithCancel(ctx)
	p := &reader{run: r, rules: r.batch.rules, out: make(chan answer), quit: make(chan struct{}), room: semaphore.NewWeighted(int64(min(aheadBytes*(r.Parallel+1), mostAhead)))}
	depth := 0
	if p.cutter, _ = r.Source.(Cutter); p.cutter != nil {
		depth = 2 * r.Parallel
	}
	p.order, p.turns = make(chan *reading, depth), make(chan struct{}, r.Parallel)
	p.group.Go(func() { p.cut(ctx, from) })
	if p.cutter != nil {
		p.group.Go(p.hand)
	}
	return p.out, func() { close(p.quit); end(); p.group.Wait() }
}

// reader reads a source ahead.
type reader struct {
	*run
	cutter Cutter // the source; nil: it is only asked
	out    chan answer
	order  chan *reading // in the order of the source
	turns  chan struct{} // for those that decode
	room   *semaphore.Weighted
	quit   chan struct{}
	group  sync.WaitGroup
	langs  sync.Pool // of *languages
	rules  rules
}

// reading is a page on its way.
type reading struct {
	answer
	ready  chan struct{}
	weight int64
}

// cut reads pages one after the other.
func (p *reader) cut(ctx context.Context, from feedlake.Cursor) {
	defer close(p.order)
	for {
		c, err := Cut{}, p.ended(ctx)
		if err == nil {
			c, err = p.fetch(ctx, from)
		}
		next := &reading{answer: answer{page: c.Page, err: err}, ready: make(chan struct{})}
		if w := min(int64(c.Bytes), mostAhead, int64(aheadBytes*(p.Parallel+1))); w > 0 && p.room.Acquire(ctx, w) == nil {
			next.weight = w
		}
		if !p.pass(next, c) {
			return
		}
		if err != nil || c.Done {
			return
		}
		from = c.Next
	}
}

// pass sends a page on. It reports false when nobody wants it any more.
func (p *reader) pass(next *reading, c Cut) bool {
	now := p.Now()
	if p.cutter == nil {
		p.decode(next, c, now)
		return p.give(next.answer)
	}
	select {
	case p.order <- next:
	case <-p.quit:
		return false
	}
	p.group.Go(func() { p.decode(next, c, now) })
	return true
}

// give hands a page to who drains the source.
func (p *reader) give(a answer) bool {
	select {
	case p.out <- a:
		return true
	case <-p.quit:
		return false
	}
}

// decode makes a page ready.
func (p *reader) decode(to *reading, c Cut, now time.Time) {
	defer close(to.ready)
	select {
	case p.turns <- struct{}{}:
	case <-p.quit:
		return
	}
	defer func() { <-p.turns }()
	page, _ := c.Whole(nil)
	langs, _ := p.langs.Get().(*languages)
	if langs == nil {
		langs = &languages{}
	}
	to.rows = len(page.Posts) + len(page.Rejects)
	to.entries = p.rules.admit(page, now, p.Name, p.RunID, langs)
	p.langs.Put(langs)
	to.page.Posts, to.page.Rejects = nil, nil
}

// hand gives pages out in order.
func (p *reader) hand() {
	for next := range p.order {
		select {
		case <-next.ready:
		case <-p.quit:
			return
		}
		if !p.give(next.answer) {
			return
		}
		p.room.Release(next.weight)
	}
}

// fetch asks the source for a page, again when it says that this may help.
func (p *reader) fetch(ctx context.Context, from feedlake.Cursor) (c Cut, err error) {
	again := Retry{Name: p.Name, Log: p.Log, Sleep: p.Sleep, Jitter: p.Jitter}
	err = again.Do(ctx, func(ctx context.Context) (err error) {
		if p.cutter != nil {
			c, err = p.cutter.Cut(ctx, from)
			return err
		}
		page, err := p.Source.Fetch(ctx, from)
		c = Cut{Page: page, Decode: func() ([]feedlake.Post, []feedlake.Reject) { return page.Posts, page.Rejects }}
		return err
	})
	if err != nil {
		return Cut{}, fetchError(p.Name, from, err)
	}
	return c, nil
}

// processors is how many this process may use.
func processors() int { return runtime.GOMAXPROCS(0) }
