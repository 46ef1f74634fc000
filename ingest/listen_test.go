package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/lake"
)

// stream is a listener that hears one post a page, so many at once, and then
// nothing until ctx ends: with last it has heard one more by then.
type stream struct {
	posts int
	last  bool
}

func (s stream) Flush() time.Duration { return 10 * time.Second }

func (s stream) Fetch(ctx context.Context, from feedlake.Cursor) (ingest.Page, error) {
	i := number(string(from))
	if i >= s.posts {
		if err := ctx.Err(); err != nil {
			return ingest.Page{}, err
		}
		<-ctx.Done()
		if !s.last {
			return ingest.Page{}, ctx.Err()
		}
	}
	return ingest.Page{Posts: []feedlake.Post{post(i)}, Next: feedlake.Cursor(fmt.Sprint(i + 1))}, nil
}

// TestRunListens lands what a stream told while the run goes on, each time that
// the ticker says so, and what it told last when the run is to end.
func TestRunListens(t *testing.T) {
	for _, last := range []bool{false, true} {
		l := open(t, t.TempDir(), nil)
		if err := l.Ensure(t.Context(), lake.RawPosts()); err != nil { // the catalog's own goroutines run now
			t.Fatal(err)
		}
		quiet := goleak.IgnoreCurrent()
		ctx, stop := context.WithCancel(t.Context())
		o := options(l, stream{posts: 3, last: last})
		pages, tick, ended := make(chan bool, 9), make(chan time.Time), make(chan error)
		o.Progress = func(ingest.Progress, ingest.Result) { pages <- true }
		o.Ticker = func(d time.Duration) (<-chan time.Time, func()) {
			if d != 5*time.Second {
				t.Errorf("a tick each %s: a page may have taken as long as half of the time", d)
			}
			return tick, func() {}
		}
		go func() {
			_, err := ingest.Run(ctx, o)
			ended <- err
		}()
		for range 3 {
			<-pages
		}
		for range 2 { // the second is taken when the first has done its work
			tick <- noon
		}
		if d := cmp.Diff(map[string]int{"0": 1, "1": 1, "2": 1}, landed(t, l)); d != "" {
			t.Errorf("while the stream goes on: %s", d)
		}
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		want := map[string]int{"0": 1, "1": 1, "2": 1}
		if last {
			want["3"] = 1
		}
		if d := cmp.Diff(want, landed(t, l)); d != "" {
			t.Errorf("at the end: %s", d)
		}
		goleak.VerifyNone(t, quiet)
	}
}

// TestRunGrace gives up on what does not land in time, and the next run has it.
func TestRunGrace(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	ctx, stop := context.WithCancel(t.Context())
	o := options(l, stream{posts: 3})
	o.Grace = time.Nanosecond
	o.Ticker = func(time.Duration) (<-chan time.Time, func()) { return nil, func() {} }
	read := 0
	o.Progress = func(ingest.Progress, ingest.Result) {
		if read++; read == 3 {
			stop()
		}
	}
	if _, err := ingest.Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := ingest.Run(t.Context(), options(l, fake{100, 9})); err != nil {
		t.Error(err)
	}
	for id, n := range landed(t, l) {
		if n != 1 {
			t.Errorf("%s landed %d times", id, n)
		}
	}
}
