package ingest

import (
	"context"
	"fmt"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// flight is a batch that is being landed, while the next is read.
type flight struct {
	batch batch
	id    string
	began time.Time
	to    feedlake.Cursor
	place string
	left  feedlake.Window

	ended chan struct{}
	box   string // landed
	added bool   // the commit has landed
	snap  lake.Snapshot
	err   error
}

// open lists the batches that are not landed.
func (r *run) open() []*batch {
	if r.flight == nil {
		return []*batch{&r.batch}
	}
	return []*batch{&r.flight.batch, &r.batch}
}

// flush begins to land the batch, once the one before is landed: its files first,
// then one commit that adds the posts and moves the cursor, then the rejects. With one
// processor it waits for the end.
func (r *run) flush(ctx context.Context, to feedlake.Cursor, done bool) error {
	if err := r.settle(ctx); err != nil {
		return err
	}
	place, left, err := r.placeAt(to, done)
	if err != nil || place == r.place {
		return err
	}
	f := &flight{
		batch: r.batch, began: r.Now(), to: to, place: place, left: left, ended: make(chan struct{}), box: r.box,
		id: fmt.Sprintf("ingest/%s/%s/%s/%d", r.Name, r.RunID, r.nonce, r.done.Commits),
	}
	r.batch, r.flight = f.batch.next(), f
	go func() {
		defer close(f.ended)
		f.err = r.land(ctx, f)
	}()
	if r.Parallel == 1 {
		return r.settle(ctx)
	}
	return nil
}

// settle waits for the batch that is being landed, and counts it.
func (r *run) settle(ctx context.Context) error {
	f := r.flight
	if f == nil {
		return nil
	}
	<-f.ended
	f.batch.release()
	r.flight = nil
	if !f.added {
		return fmt.Errorf("land %s: %w", r.Name, f.err)
	}
	posts, rejects := f.batch.posts, len(f.batch.rejects)
	r.cursor, r.place, r.left, r.box = f.to, f.place, f.left, f.box
	r.done.Commits++
	r.done.Posts += int64(posts)
	r.done.Rejects += int64(rejects)
	r.done.Suppressed += f.batch.suppressed
	r.done.Outdated += f.batch.outdated
	r.done.Snapshot = f.snap.ID
	r.Log.InfoContext(ctx, "batch landed", "source", r.Name, "rows", posts, "rejects", rejects, "suppressed", r.done.Suppressed, "snapshot", f.snap.ID, "took", r.Now().Sub(f.began))
	return f.err
}

// land lands a batch.
func (r *run) land(ctx context.Context, f *flight) error {
	added, err := f.batch.writePosts(ctx, r.Lake, r.Parallel)
	if err != nil {
		return err
	}
	box, err := r.nextBox(ctx, f)
	if err != nil {
		return err
	}
	set := map[string]string{r.prop() + r.Name: f.place, propOutbox + r.Name: box}
	for source := range f.batch.unnamed {
		set[PropWithdraw+source] = "due " + f.id
	}
	for source, network := range f.batch.networks {
		set[lake.PropertyNetwork+source] = network
	}
	f.snap, err = r.Lake.Commit(ctx, lake.Commit{
		Table: lake.RawPosts().Name, ID: f.id, Add: added, Set: set,
		Expect:  map[string]string{r.prop() + r.Name: r.place, propOutbox + r.Name: f.box, propReading + r.Name: r.reading},
		Summary: map[string]string{lake.SummaryRunID: r.RunID, "feedlake.source": r.Name},
	})
	if err != nil {
		return err
	}
	f.added, f.box = true, box
	return r.deliver(ctx, f.box)
}
