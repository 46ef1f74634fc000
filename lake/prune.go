package lake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"log/slog"
)

// ErasuresFolder is the folder of Dir, and of the bucket, with the reports of
// takedowns. A machine whose cache has not seen the newest of them drops copies
// when it opens the lake; see Prune.
const ErasuresFolder = "erasures"

// Prune removes this machine's copies of files that the bucket no longer has,
// whoever removed them and when. It reports how many went and how many stay
// because a program reads them; those go when the lake is opened again after
// Push has brought a report to ErasuresFolder. Where the warehouse is a folder
// there are no copies.
func (l *Lake) Prune(ctx context.Context) (removed, held int, err error) {
	b, ok := l.store.(*bucket)
	if !ok {
		return 0, 0, nil
	}
	return b.prune(ctx)
}

func (b *bucket) prune(ctx context.Context) (removed, held int, err error) {
	return b.cache.Prune(ctx, b.locations(ctx))
}

// locations lists the files of the warehouse.
func (b *bucket) locations(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for o, err := range b.s3.List(ctx, warehouseFolder+"/") {
			if !yield(b.s3.URL(o.Key), err) {
				return
			}
		}
	}
}

// catchUp prunes the cache when a takedown went on since it was pruned last, on
// whatever machine. A report is written anew after each step, the last time when
// the files are gone, so what this sees last is a bucket without them.
func (b *bucket) catchUp(ctx context.Context, log *slog.Logger) error {
	sum, found := sha256.New(), false
	for o, err := range b.s3.List(ctx, ErasuresFolder+"/") {
		if err != nil {
			return fmt.Errorf("look for takedowns: %w", err)
		}
		found = true
		_, _ = fmt.Fprintf(sum, "%q %q\n", o.Key, o.ETag) // a hash takes everything
	}
	if !found {
		return nil
	}
	seen := hex.EncodeToString(sum.Sum(nil))
	if have, err := b.cache.Note(b.root()); err != nil || have == seen {
		return err
	}
	removed, held, err := b.prune(ctx)
	if err != nil {
		return err
	}
	if held > 0 {
		log.WarnContext(ctx, "copies of removed files are in use and stay until the next command", slog.Int("files", held))
		return nil
	}
	if removed > 0 {
		log.InfoContext(ctx, "dropped copies of removed files after a takedown", slog.Int("files", removed))
	}
	return b.cache.SetNote(b.root(), seen)
}
