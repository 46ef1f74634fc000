package publishertest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/serving"
)

func replacesWindow(t *testing.T, tg Target) {
	publish(t, tg, whole(1, row(1, "reddit", 10), row(2, "reddit", 20), row(2, "tweets", 21), row(3, "reddit", 30)))
	publish(t, tg, part(2, 1, []feedlake.Window{window(2, 3)}, row(2, "reddit", 99)))
	wantVolume(t, tg, row(1, "reddit", 10), row(2, "reddit", 99), row(3, "reddit", 30))
	wantSnapshot(t, tg, 2)
}

func replacesWindows(t *testing.T, tg Target) {
	publish(t, tg, whole(1, row(1, "a", 1), row(2, "a", 2), row(3, "a", 3), row(4, "a", 4), row(5, "a", 5)))
	publish(t, tg, part(2, 1, []feedlake.Window{window(1, 2), window(3, 5)}, row(1, "b", 10), row(4, "b", 40)))
	wantVolume(t, tg, row(1, "b", 10), row(2, "a", 2), row(4, "b", 40), row(5, "a", 5))
}

func replacesTable(t *testing.T, tg Target) {
	publish(t, tg, whole(1, row(1, "a", 1), row(2, "a", 2)))
	publish(t, tg, whole(2, row(3, "a", 3)))
	wantVolume(t, tg, row(3, "a", 3))
	publish(t, tg, whole(3))
	wantVolume(t, tg)
}

// keyChanged publishes a table of a version that knew no copies, then as newer
// versions have it: with a key of more columns, and with one of fewer. Each version
// sends the windows of all days, as it has built them anew.
func keyChanged(t *testing.T, tg Target) {
	all := []feedlake.Window{window(1, 29)}
	publish(t, tg, whole(1, row(1, "a", 1), row(2, "a", 2), row(2, "b", 3)))
	finer := part(2, 1, all, []any{day(1), "a", int64(1), false}, []any{day(1), "a", int64(4), true}, []any{day(2), "a", int64(2), false})
	finer.Columns, finer.Key = append(columns(), lake.Column{Name: "copy", Type: "BOOLEAN"}), []string{"day", "source", "copy"}
	publish(t, tg, finer)
	wantRows(t, tg, table, []string{"day", "source", "posts", "copy"}, []any{day(1), "a", int64(1), false}, []any{day(1), "a", int64(4), true}, []any{day(2), "a", int64(2), false})
	coarser := part(3, 2, all, row(1, "a", 5), row(2, "b", 2))
	coarser.Key = []string{"day"}
	publish(t, tg, coarser)
	wantVolume(t, tg, row(1, "a", 5), row(2, "b", 2))
	twice := part(4, 3, []feedlake.Window{window(3, 4)}, row(3, "a", 5), row(3, "b", 2))
	twice.Key = []string{"day"}
	if err := tg.Publisher.Publish(t.Context(), twice); !errors.Is(err, feedlake.ErrRejected) {
		t.Errorf("two rows of one key: %v", err)
	}
	wantSnapshot(t, tg, 3)
}

func keepsTablesApart(t *testing.T, tg Target) {
	publish(t, tg, whole(1, row(1, "a", 1)))
	other := whole(9, row(1, "a", 2))
	other.ID, other.Table = "marts.engagement@9", "marts.engagement"
	publish(t, tg, other)
	wantVolume(t, tg, row(1, "a", 1))
	wantRows(t, tg, "marts.engagement", []string{"posts"}, []any{int64(2)})
	wantSnapshot(t, tg, 1)
}

func sameIDTwice(t *testing.T, tg Target) {
	publish(t, tg, whole(1, row(1, "a", 1)))
	first := part(2, 1, []feedlake.Window{window(2, 3)}, row(2, "a", 2))
	publish(t, tg, first)
	again := first
	again.Rows = from(row(2, "a", 77))
	again.Provenance.PublishedAt = day(25)
	publish(t, tg, again)
	wantVolume(t, tg, row(1, "a", 1), row(2, "a", 2))
	got, err := tg.Publisher.Published(t.Context(), table)
	if err != nil || !got.PublishedAt.Equal(first.Provenance.PublishedAt) {
		t.Errorf("published at %s, %v; want the first time %s", got.PublishedAt, err, first.Provenance.PublishedAt)
	}
}

func emptyWindow(t *testing.T, tg Target) {
	publish(t, tg, whole(1, row(1, "a", 1), row(2, "a", 2)))
	publish(t, tg, part(2, 1, []feedlake.Window{window(2, 4)}))
	wantVolume(t, tg, row(1, "a", 1))
	wantSnapshot(t, tg, 2)
}

func noWindow(t *testing.T, tg Target) {
	publish(t, tg, whole(1, row(1, "a", 1)))
	publish(t, tg, part(2, 1, nil))
	wantVolume(t, tg, row(1, "a", 1))
	wantSnapshot(t, tg, 2)
}

func remembers(t *testing.T, tg Target) {
	none, err := tg.Publisher.Published(t.Context(), table)
	if err != nil || none != (serving.Published{}) {
		t.Fatalf("before anything: %+v, %v; want nothing", none, err)
	}
	publish(t, tg, whole(1, row(1, "a", 1), row(2, "a", 2)))
	b := part(2, 1, []feedlake.Window{window(2, 4)}, row(2, "a", 2), row(3, "a", 3))
	publish(t, tg, b)
	got, err := tg.Publisher.Published(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	want := serving.Published{
		BatchID: b.ID, Snapshot: 2, Model: b.Provenance.Model, RunID: "run-2", PublishedAt: b.Provenance.PublishedAt, Rows: 3,
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("published (-want +got):\n%s", d)
	}
}

func manyRows(t *testing.T, tg Target) {
	const n = 30_000
	b := whole(1)
	var sum int64
	b.Rows = func(yield func([]any, error) bool) {
		for i := range int64(n) {
			sum += i
			if !yield([]any{day(1 + int(i%28)), fmt.Sprintf("source %d", i), i}, nil) {
				return
			}
		}
	}
	publish(t, tg, b)
	rows, err := tg.Rows(table, []string{"posts"})
	if err != nil {
		t.Fatal(err)
	}
	var got int64
	for _, r := range rows {
		v, ok := r[0].(int64)
		if !ok {
			t.Fatalf("posts is %T, want int64", r[0])
		}
		got += v
	}
	if len(rows) != n || got != sum {
		t.Errorf("%d rows with sum %d, want %d with %d", len(rows), got, n, sum)
	}
}

// readerSeesWhole reads while a batch is half sent, and all the time while many
// batches land.
func readerSeesWhole(t *testing.T, tg Target) {
	publish(t, tg, whole(1, generation(1)...))
	var midway [][]any
	var midErr error
	b := part(2, 1, []feedlake.Window{window(1, 29)})
	b.Rows = func(yield func([]any, error) bool) {
		for i, r := range generation(2) {
			if i == 500 {
				midway, midErr = tg.Rows(table, []string{"posts"})
			}
			if !yield(r, nil) {
				return
			}
		}
	}
	publish(t, tg, b)
	if midErr != nil {
		t.Fatalf("read midway: %v", midErr)
	}
	oneGeneration(t, midway, 1)

	const last = 12
	done := make(chan error, 1)
	go func() {
		for g := int64(3); g <= last; g++ {
			if err := tg.Publisher.Publish(t.Context(), part(g, g-1, []feedlake.Window{window(1, 29)}, generation(g)...)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for reading := true; reading; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			reading = false
		default:
		}
		rows, err := tg.Rows(table, []string{"posts"})
		if err != nil {
			t.Fatalf("read while publishing: %v", err)
		}
		oneGeneration(t, rows, 0)
	}
	wantSnapshot(t, tg, last)
}

// generation is 1,000 rows that all carry g.
func generation(g int64) [][]any {
	rows := make([][]any, 1000)
	for i := range rows {
		rows[i] = row(1+i%28, fmt.Sprint("source ", i), g)
	}
	return rows
}

// oneGeneration fails unless rows are 1,000 of one generation, which is want
// unless that is 0.
func oneGeneration(t *testing.T, rows [][]any, want int64) {
	t.Helper()
	count := map[any]int{}
	for _, r := range rows {
		count[r[0]]++
	}
	for g, n := range count {
		if n != 1000 || len(count) != 1 || (want != 0 && g != want) {
			t.Fatalf("a reader saw %v (rows by generation), want 1,000 of one (%d)", count, want)
		}
	}
	if len(rows) == 0 {
		t.Fatal("a reader saw an empty table")
	}
}

func at(s string) time.Time {
	v, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err) // the suite's own constants
	}
	return v
}
