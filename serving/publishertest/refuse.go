package publishertest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/serving"
)

// before puts the old content that refused batches must leave alone.
func before(t *testing.T, tg Target) {
	t.Helper()
	publish(t, tg, whole(1, row(1, "a", 1), row(2, "a", 2)))
}

func untouched(t *testing.T, tg Target) {
	t.Helper()
	wantVolume(t, tg, row(1, "a", 1), row(2, "a", 2))
	wantSnapshot(t, tg, 1)
}

// refused publishes b and wants an error that is want, with nothing changed.
func refused(t *testing.T, tg Target, b serving.Batch, want error) {
	t.Helper()
	if err := tg.Publisher.Publish(t.Context(), b); !errors.Is(err, want) {
		t.Errorf("publish: %v, want an error that is %q", err, want)
	}
	untouched(t, tg)
}

func failingRows(t *testing.T, tg Target) {
	before(t, tg)
	broken := errors.New("the reader broke")
	for _, b := range []serving.Batch{whole(2), part(2, 1, []feedlake.Window{window(1, 20)})} {
		b.Rows = fromThen(broken, row(1, "z", 9), row(2, "z", 9))
		refused(t, tg, b, broken)
	}
	publish(t, tg, whole(2, row(3, "b", 3))) // the same batch, whole this time
	wantVolume(t, tg, row(3, "b", 3))
}

func rejectsRows(t *testing.T, tg Target) {
	before(t, tg)
	for name, bad := range map[string][]any{
		"too few values":  {day(1), "a"},
		"too many values": {day(1), "a", int64(1), int64(2)},
		"text for number": {day(1), "a", "1"},
		"number for text": {day(1), int64(1), int64(1)},
		"text for a day":  {"2016-10-01", "a", int64(1)},
		"not UTF-8":       {day(1), "\xff\xfe", int64(1)},
		"outside window":  {day(3), "a", int64(1)},
		"no day":          {nil, "a", int64(1)},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, tg, part(2, 1, []feedlake.Window{window(1, 2)}, row(1, "fine", 1), bad), feedlake.ErrRejected)
		})
	}
}

func rejectsBatches(t *testing.T, tg Target) {
	before(t, tg)
	for name, change := range map[string]func(b *serving.Batch){
		"no id":               func(b *serving.Batch) { b.ID = "" },
		"table without space": func(b *serving.Batch) { b.Table = "volume" },
		"no columns":          func(b *serving.Batch) { b.Columns, b.Key = nil, nil },
		"column twice":        func(b *serving.Batch) { b.Columns = append(b.Columns, b.Columns[0]) },
		"unknown type":        func(b *serving.Batch) { b.Columns = append(b.Columns, lake.Column{Name: "x", Type: "STRUCT"}) },
		"unknown key":         func(b *serving.Batch) { b.Key = []string{"nope"} },
		"window over text":    func(b *serving.Batch) { b.WindowColumn = "source" },
		"windows, no column":  func(b *serving.Batch) { b.WindowColumn, b.Windows = "", []feedlake.Window{window(1, 2)} },
		"open window":         func(b *serving.Batch) { b.Windows = []feedlake.Window{{Start: day(1)}} },
		"windows overlap":     func(b *serving.Batch) { b.Windows = []feedlake.Window{window(1, 3), window(2, 4)} },
		"no rows":             func(b *serving.Batch) { b.Rows = nil },
	} {
		t.Run(name, func(t *testing.T) {
			b := part(2, 1, []feedlake.Window{window(1, 2)}, row(1, "b", 5))
			change(&b)
			refused(t, tg, b, feedlake.ErrConfig)
		})
	}
}

func rejectsDuplicates(t *testing.T, tg Target) {
	before(t, tg)
	refused(t, tg, whole(2, row(1, "b", 1), row(2, "b", 2), row(1, "b", 3)), feedlake.ErrRejected)
	null := []any{day(1), nil, int64(1)}
	refused(t, tg, part(2, 1, []feedlake.Window{window(1, 2)}, null, null), feedlake.ErrRejected)
}

func wrongBase(t *testing.T, tg Target) {
	before(t, tg)
	refused(t, tg, part(5, 4, []feedlake.Window{window(1, 2)}, row(1, "b", 5)), feedlake.ErrConflict)
}

func cancelled(t *testing.T, tg Target) {
	before(t, tg)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := part(2, 1, []feedlake.Window{window(1, 29)})
	b.Rows = func(yield func([]any, error) bool) {
		for i := range 20_000 {
			if i == 10_000 {
				cancel()
			}
			if !yield(row(1+i%28, "b", int64(i)), nil) {
				return
			}
		}
	}
	if err := tg.Publisher.Publish(ctx, b); !errors.Is(err, context.Canceled) {
		t.Errorf("publish: %v, want context.Canceled", err)
	}
	untouched(t, tg)
	if err := tg.Publisher.Publish(ctx, whole(2)); !errors.Is(err, context.Canceled) {
		t.Errorf("publish after cancel: %v, want context.Canceled", err)
	}
	untouched(t, tg)
}

// atOnce publishes all batches at the same time and returns their errors.
func atOnce(t *testing.T, tg Target, batches ...serving.Batch) []error {
	t.Helper()
	errs := make([]error, len(batches))
	var wg sync.WaitGroup
	for i, b := range batches {
		wg.Go(func() { errs[i] = tg.Publisher.Publish(t.Context(), b) })
	}
	wg.Wait()
	return errs
}

func twoOfOne(t *testing.T, tg Target) {
	b := whole(1, row(1, "a", 1), row(2, "a", 2))
	for _, err := range atOnce(t, tg, b, b) {
		if err != nil {
			t.Errorf("publish: %v", err)
		}
	}
	wantVolume(t, tg, row(1, "a", 1), row(2, "a", 2))
}

func twoOfTwo(t *testing.T, tg Target) {
	before(t, tg)
	w := []feedlake.Window{window(1, 3)}
	errs := atOnce(t, tg, part(2, 1, w, row(1, "two", 2)), part(3, 1, w, row(2, "three", 3)))
	switch {
	case errs[0] == nil && errors.Is(errs[1], feedlake.ErrConflict):
		wantVolume(t, tg, row(1, "two", 2))
		wantSnapshot(t, tg, 2)
	case errs[1] == nil && errors.Is(errs[0], feedlake.ErrConflict):
		wantVolume(t, tg, row(2, "three", 3))
		wantSnapshot(t, tg, 3)
	default:
		t.Errorf("publish: %v and %v, want one success and one %q", errs[0], errs[1], feedlake.ErrConflict)
	}
}
