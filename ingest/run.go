package ingest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
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
	Parallel   int           // how many goroutines decode and write, the processors that this process may use when 0; what lands does not depend on it
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
	return r.deliver(ctx, r.box)
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
	flight  *flight // the batch before, which is being landed; nil: none is
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
	if o.Parallel == 0 {
		o.Parallel = processors()
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

func (r *run) drain(ctx context.Context) (err error) {
	landing, end := r.outlast(ctx)
	defer end()
	if err := r.deliver(ctx, r.box); err != nil { // what an earlier run left between its two commits
		return err
	}
	answers, stop := r.pages(ctx, r.cursor)
	defer stop()
	defer func() {
		if bad := r.settle(landing); bad != nil {
			err = errors.Join(err, bad)
		}
		r.batch.release()
	}()
	ticks, quiet := r.ticks()
	defer quiet()
	for next := r.cursor; ; {
		select {
		case a := <-answers:
			if a.err != nil {
				return r.keep(ctx, landing, next, a.err)
			}
			if err := r.take(landing, next, a); err != nil {
				return err
			}
			if next = a.page.Next; a.page.Done {
				return cmp.Or(r.settle(landing), r.ended(ctx))
			}
		case <-ticks:
			if r.batch.rows() == 0 {
				continue
			}
			if err := errors.Join(r.flush(landing, next, false), r.settle(landing)); err != nil { // what was heard is not told again
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
func (r *run) take(ctx context.Context, from feedlake.Cursor, a answer) error {
	page := a.page
	if rows := a.rows; page.Next == from && (rows > 0 || !page.Done) {
		return fmt.Errorf("fetch %s from %s: a page of %d records did not move the cursor", r.Name, shown(from), rows)
	}
	r.whole = page.Covered
	r.done.Warning = cmp.Or(r.done.Warning, page.Warning)
	r.batch.take(a.entries, r.Name, r.RunID)
	r.report(page)
	switch {
	case page.Done:
	case r.batch.inMemory() < r.BatchRows && r.batch.bytes < r.BatchBytes:
		return nil
	case r.repeats() && r.batch.spread():
		err := r.batch.putAside()
		if err == nil {
			return nil
		}
		r.Log.WarnContext(ctx, "posts of many days land in small files", "source", r.Name, "err", err)
	}
	return r.flush(ctx, page.Next, page.Done)
}

// keep lands what was read before the source failed, or the run was to end: it may
// have cost money, and a stream does not tell it again.
func (r *run) keep(ctx, landing context.Context, next feedlake.Cursor, failure error) error {
	if ctx.Err() != nil && r.batch.rows() == 0 {
		return failure
	}
	return errors.Join(failure, r.flush(landing, next, false))
}

// repeats reports whether what a crash loses costs nothing to be read again.
func (r *run) repeats() bool {
	_, ok := r.Source.(Cutter)
	return ok
}

func (r *run) report(p Page) {
	r.read = r.done
	for _, b := range r.open() {
		r.read.Posts += int64(b.posts)
		r.read.Rejects += int64(len(b.rejects))
	}
	if r.Progress != nil {
		r.Progress(p.Progress, r.read)
	}
}

// fetchError says where a source failed.
func fetchError(name string, from feedlake.Cursor, err error) error {
	return fmt.Errorf("fetch %s from %s: %w", name, shown(from), err)
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
