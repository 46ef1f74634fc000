package ingest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// Properties of raw.posts and raw.rejects; the source's name follows.
const (
	propCursor    = "feedlake.cursor."    // of raw.posts: the cursor behind what is landed
	propOutbox    = "feedlake.rejects."   // of raw.posts: rejects that belong to what is landed (see outbox)
	propDelivered = "feedlake.delivered." // of raw.rejects: the outbox added last
)

// PropWithdraw is a property of raw.posts; the source's name follows. It is there
// once a source has landed deletions that do not name the row of a post. Ingest
// sets it, to another value each time; ingest/withdraw replaces it by the snapshot
// up to which it has worked.
const PropWithdraw = "feedlake.withdraw."

// Defaults of Options.
const (
	DefaultBatchRows  = 100_000
	DefaultBatchBytes = 64 << 20
	DefaultGrace      = 4 * time.Second
)

// Options says what Run drains and where to.
type Options struct {
	Name       string // configured name of the source; names its cursor
	RunID      string // stored in every row and commit
	Source     Source
	Slice      feedlake.Window   // of a backfill, which Source was opened for; zero: follow the source
	Parts      []feedlake.Window // slices that make up Slice, in time order: each counts as read as soon as Source says so; nil: Slice alone
	NotBefore  time.Time         // posts made before it do not enter; zero: all do
	Pseudonyms *Pseudonyms       // nil: accounts land as they are
	Lake       *lake.Lake
	BatchRows  int           // records a commit, DefaultBatchRows when 0
	BatchBytes int64         // text and payload a commit, DefaultBatchBytes when 0
	Grace      time.Duration // how long what was read may take to land once ctx has ended, DefaultGrace when 0
	Now        func() time.Time
	Log        *slog.Logger
	Progress   func(Progress, Result)                                   // called after every page, with the counts read so far; may be nil
	Sleep      func(context.Context, time.Duration) error               // waits before another try; a timer when nil
	Ticker     func(time.Duration) (tick <-chan time.Time, stop func()) // says when what a Listener told is to be landed; a real one when nil
	Jitter     func(time.Duration) time.Duration                        // spreads the waits of many runs; half to all of it when nil
}

// Result counts what a run landed.
type Result struct {
	Posts, Rejects int64
	Suppressed     int64  // records that were taken down before (ops.erasures) and did not enter
	Outdated       int64  // posts made before Options.NotBefore, which did not enter
	Warning        string // for people: what seems wrong with the source, though it was read; "" when nothing
	Commits        int
	Snapshot       int64 // of raw.posts after the last commit; 0 when nothing was committed
}

// Run drains a source into raw.posts and raw.rejects, batch by batch, from the
// cursor of the last commit on. It returns what it landed, also beside an error.
//
// A crash or an error at any moment loses and repeats nothing: run again. What
// was read before the source failed is landed. When another run moves the cursor meanwhile, Run stops with feedlake.ErrConflict.
// When ctx ends, what was read by then is landed, if that takes no longer than
// Options.Grace, and the rest is left to the next run. What a Listener told is
// landed while the run goes on, so that a crash costs no more than it says.
func Run(ctx context.Context, o Options) (Result, error) {
	r, err := newRun(ctx, o)
	if err != nil {
		return Result{}, err
	}
	err = r.drain(ctx)
	return r.done, err
}

// Deliver adds rejects to raw.rejects that a run of the source left between its
// two commits; see Run. The source itself is not asked.
func Deliver(ctx context.Context, o Options) error {
	r, err := newRun(ctx, o)
	if err != nil {
		return err
	}
	return r.deliver(ctx)
}

// run is the state of one Run.
type run struct {
	Options
	nonce  string          // makes commit ids of this run unlike those of every other
	cursor feedlake.Cursor // landed
	place  string          // landed value of the property that holds the cursor
	left   feedlake.Window // of Slice, by what is landed
	whole  feedlake.Window // of Slice, read with what is in the batch
	box    string          // landed value of propOutbox

	reading string // landed value of propReading
	batch   batch
	done    Result
	read    Result // with what is not committed yet
}

func newRun(ctx context.Context, o Options) (*run, error) {
	if o.BatchRows == 0 {
		o.BatchRows = DefaultBatchRows
	}
	if o.BatchBytes == 0 {
		o.BatchBytes = DefaultBatchBytes
	}
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	if o.Ticker == nil {
		o.Ticker = ticker
	}
	r := &run{Options: o, nonce: rand.Text()[:8], left: o.Slice}
	for _, s := range []lake.Spec{lake.RawPosts(), lake.RawRejects()} {
		if err := o.Lake.Ensure(ctx, s); err != nil {
			return nil, fmt.Errorf("ingest %s: %w", o.Name, err)
		}
	}
	if err := r.find(ctx); err != nil {
		return nil, err
	}
	var err error
	if r.box, err = r.posts(ctx, propOutbox); err != nil {
		return nil, err
	}
	if r.batch.networks, err = o.Lake.Properties(ctx, lake.RawPosts().Name, lake.PropertyNetwork); err != nil {
		return nil, fmt.Errorf("ingest %s: %w", o.Name, err)
	}
	r.batch.rules = rules{notBefore: o.NotBefore, pseudonyms: o.Pseudonyms}
	if err = r.readReading(ctx); err != nil {
		return nil, err
	}
	if r.batch.erased, err = o.Lake.Erasures(ctx); err != nil {
		return nil, fmt.Errorf("ingest %s: %w", o.Name, err)
	}
	return r, nil
}

// sliced reports whether the run is part of a backfill.
func (r *run) sliced() bool { return r.Slice != feedlake.Window{} }

// prop is the property that holds the cursor.
func (r *run) prop() string {
	if r.sliced() {
		return propBackfill
	}
	return propCursor
}

// find reads the place where the run goes on.
func (r *run) find(ctx context.Context) (err error) {
	if r.place, err = r.posts(ctx, r.prop()); err != nil {
		return err
	}
	if !r.sliced() {
		r.cursor = feedlake.Cursor(r.place)
		return nil
	}
	b, err := parseBacklog(r.place)
	r.cursor = b.Open[sliceKey(r.Slice)]
	return err
}

// placeAt is the property's value when the run has come to a cursor, or to the
// end for now, and what is left of the slice then.
func (r *run) placeAt(to feedlake.Cursor, done bool) (place string, left feedlake.Window, err error) {
	if !r.sliced() {
		return string(to), left, nil
	}
	b, err := parseBacklog(r.place)
	read := []feedlake.Window{r.left}
	if !done {
		read, left = split(r.Parts, r.left, r.whole)
	}
	return b.moved(r.left, left, read, to).String(), left, err
}

// posts reads a property of raw.posts.
func (r *run) posts(ctx context.Context, prop string) (string, error) {
	v, err := r.Lake.Property(ctx, lake.RawPosts().Name, prop+r.Name)
	if err != nil {
		return "", fmt.Errorf("read place of source %s: %w", r.Name, err)
	}
	return v, nil
}

func (r *run) drain(ctx context.Context) error {
	landing, end := r.outlast(ctx)
	defer end()
	if err := r.deliver(ctx); err != nil { // what an earlier run left between its two commits
		return err
	}
	answers, stop := r.pages(ctx, r.cursor)
	defer stop()
	ticks, quiet := r.ticks()
	defer quiet()
	for next := r.cursor; ; {
		select {
		case a := <-answers:
			if a.err != nil {
				return r.keep(ctx, landing, next, a.err)
			}
			if err := r.take(landing, next, a.page); err != nil {
				return err
			}
			if next = a.page.Next; a.page.Done {
				return r.ended(ctx)
			}
		case <-ticks:
			if r.batch.rows() == 0 {
				continue
			}
			if err := r.flush(landing, next, false); err != nil {
				return err
			}
		}
	}
}

// ended is the error of a run that has read everything.
func (r *run) ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("ingest %s: %w", r.Name, err)
	}
	return nil
}

// take adds a page, which was asked for with a cursor, to the batch, and lands that
// when it is full or the last.
func (r *run) take(ctx context.Context, from feedlake.Cursor, page Page) error {
	if rows := len(page.Posts) + len(page.Rejects); page.Next == from && (rows > 0 || !page.Done) {
		return fmt.Errorf("fetch %s from %s: a page of %d records did not move the cursor", r.Name, shown(from), rows)
	}
	r.whole = page.Covered
	r.done.Warning = cmp.Or(r.done.Warning, page.Warning)
	r.batch.add(page, r.Now(), r.Name, r.RunID)
	r.report(page)
	if r.batch.rows() >= r.BatchRows || r.batch.bytes >= r.BatchBytes || page.Done {
		return r.flush(ctx, page.Next, page.Done)
	}
	return nil
}

// keep lands what was read before the source failed, or the run was to end: it may
// have cost money, and a stream does not tell it again.
func (r *run) keep(ctx, landing context.Context, next feedlake.Cursor, failure error) error {
	if ctx.Err() != nil && r.batch.rows() == 0 {
		return failure
	}
	return errors.Join(failure, r.flush(landing, next, false))
}

func (r *run) report(p Page) {
	r.read = r.done
	r.read.Posts += int64(r.batch.posts)
	r.read.Rejects += int64(len(r.batch.rejects))
	if r.Progress != nil {
		r.Progress(p.Progress, r.read)
	}
}

// answer is what a source said.
type answer struct {
	page Page
	err  error
}

// pages fetches one page ahead: the next is read while the last is written. It
// ends with the last page or an error, which there is when ctx ends. stop waits for
// the source.
func (r *run) pages(ctx context.Context, from feedlake.Cursor) (answers <-chan answer, stop func()) {
	ctx, end := context.WithCancel(ctx)
	var (
		out   = make(chan answer)
		quit  = make(chan struct{})
		group sync.WaitGroup
	)
	group.Go(func() {
		for {
			page, err := Page{}, r.ended(ctx)
			if err == nil {
				page, err = r.fetch(ctx, from)
			}
			select {
			case out <- answer{page, err}:
			case <-quit:
				return
			}
			if err != nil || page.Done {
				return
			}
			from = page.Next
		}
	})
	return out, func() { close(quit); end(); group.Wait() }
}

// fetch asks the source for a page, again when it says that this may help.
func (r *run) fetch(ctx context.Context, from feedlake.Cursor) (page Page, err error) {
	again := Retry{Name: r.Name, Log: r.Log, Sleep: r.Sleep, Jitter: r.Jitter}
	err = again.Do(ctx, func(ctx context.Context) (err error) {
		page, err = r.Source.Fetch(ctx, from)
		return err
	})
	if err != nil {
		return Page{}, fmt.Errorf("fetch %s from %s: %w", r.Name, shown(from), err)
	}
	return page, nil
}

// flush lands the batch: its files first, then one commit that adds the posts
// and moves the cursor, then the rejects.
func (r *run) flush(ctx context.Context, to feedlake.Cursor, done bool) error {
	place, left, err := r.placeAt(to, done)
	if err != nil || place == r.place {
		return err
	}
	began := r.Now()
	added, err := r.batch.writePosts(ctx, r.Lake)
	if err != nil {
		return fmt.Errorf("land %s: %w", r.Name, err)
	}
	id := fmt.Sprintf("ingest/%s/%s/%s/%d", r.Name, r.RunID, r.nonce, r.done.Commits)
	box, err := r.nextBox(ctx, id)
	if err != nil {
		return fmt.Errorf("land %s: %w", r.Name, err)
	}
	set := map[string]string{r.prop() + r.Name: place, propOutbox + r.Name: box}
	for source := range r.batch.unnamed {
		set[PropWithdraw+source] = "due " + id
	}
	for source, network := range r.batch.networks {
		set[lake.PropertyNetwork+source] = network
	}
	s, err := r.Lake.Commit(ctx, lake.Commit{
		Table: lake.RawPosts().Name, ID: id, Add: added, Set: set,
		Expect:  map[string]string{r.prop() + r.Name: r.place, propOutbox + r.Name: r.box, propReading + r.Name: r.reading},
		Summary: map[string]string{lake.SummaryRunID: r.RunID, "feedlake.source": r.Name},
	})
	if err != nil {
		return fmt.Errorf("land %s: %w", r.Name, err)
	}
	posts, rejects := r.batch.posts, len(r.batch.rejects)
	r.cursor, r.place, r.left, r.box = to, place, left, box
	r.done.Commits++
	r.done.Posts += int64(posts)
	r.done.Rejects += int64(rejects)
	r.done.Suppressed += r.batch.suppressed
	r.done.Outdated += r.batch.outdated
	r.done.Snapshot = s.ID
	r.batch.reset()
	r.Log.InfoContext(ctx, "batch landed", "source", r.Name, "rows", posts, "rejects", rejects, "suppressed", r.done.Suppressed, "snapshot", s.ID, "took", r.Now().Sub(began))
	return r.deliver(ctx)
}

// shown spells a cursor for a message.
func shown(c feedlake.Cursor) string {
	switch {
	case c == "":
		return "its start"
	case len(c) > 48:
		return fmt.Sprintf("%q… (%d bytes)", string(c[:24]), len(c))
	}
	return fmt.Sprintf("%q", string(c))
}
