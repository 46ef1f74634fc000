package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/feedlake/feedlake"
)

// Waits between tries: doubling from the first, at most the last, and never less
// than the source asks for.
const (
	fetchTries = 6
	firstWait  = time.Second
	lastWait   = time.Minute
)

// Retry asks a source again when it says that this may help.
type Retry struct {
	Name   string // of the source, for messages
	Log    *slog.Logger
	Sleep  func(context.Context, time.Duration) error // a timer when nil
	Jitter func(time.Duration) time.Duration          // spreads the waits of many runs; half to all of it when nil
}

// Do asks until an answer comes, or an error that is no feedlake.RetryError, or
// until there were too many tries. It returns ask's error.
func (r Retry) Do(ctx context.Context, ask func(context.Context) error) error {
	wait := firstWait
	for try := 1; ; try++ {
		err := ask(ctx)
		var again *feedlake.RetryError
		if err == nil || !errors.As(err, &again) || try == fetchTries || ctx.Err() != nil {
			return err
		}
		pause := max(again.After, r.jitter(wait))
		r.Log.WarnContext(ctx, "ask again", "source", r.Name, "try", try, "wait", pause, "err", err)
		if stopped := r.sleep(ctx, pause); stopped != nil {
			return fmt.Errorf("wait for another try: %w", stopped)
		}
		wait = min(2*wait, lastWait)
	}
}

func (r Retry) jitter(d time.Duration) time.Duration {
	if r.Jitter != nil {
		return r.Jitter(d)
	}
	return d/2 + rand.N(d/2+1)
}

func (r Retry) sleep(ctx context.Context, d time.Duration) error {
	if r.Sleep != nil {
		return r.Sleep(ctx, d)
	}
	return feedlake.Sleep(ctx, d)
}
