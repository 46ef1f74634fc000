// Package publishertest is the contract of serving.Publisher as tests. Every
// publisher runs it, each test against a target that holds nothing.
package publishertest

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/serving"
)

// Target is a publisher under test, and the eyes of its readers.
type Target struct {
	Publisher serving.Publisher
	// Rows reads the named columns of a table as a reader does who connects
	// now, in any order, with values of the types of serving.Batch.Rows. A table
	// that is not there has no rows.
	Rows func(table string, columns []string) ([][]any, error)
}

// Run runs the contract; open makes a target that holds nothing.
func Run(t *testing.T, open func(t *testing.T) Target) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, tg Target)
	}{
		{"replaces a window", replacesWindow},
		{"replaces several windows at once", replacesWindows},
		{"replaces a whole table", replacesTable},
		{"keeps tables apart", keepsTablesApart},
		{"same id twice", sameIDTwice},
		{"empty window", emptyWindow},
		{"no window moves the provenance", noWindow},
		{"remembers what it holds", remembers},
		{"every type", everyType},
		{"names", names},
		{"column added later", columnAdded},
		{"key changed later", keyChanged},
		{"many rows", manyRows},
		{"failing rows leave the old content", failingRows},
		{"rejects bad rows", rejectsRows},
		{"rejects bad batches", rejectsBatches},
		{"rejects a key twice", rejectsDuplicates},
		{"refuses a wrong base", wrongBase},
		{"cancel leaves the old content", cancelled},
		{"two publishers of one batch", twoOfOne},
		{"two publishers of two batches", twoOfTwo},
		{"a reader sees all or nothing", readerSeesWhole},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

const table = "marts.volume"

func columns() []lake.Column {
	return []lake.Column{
		{Name: "day", Type: "DATE"},
		{Name: "source", Type: "VARCHAR"},
		{Name: "posts", Type: "BIGINT"},
	}
}

// day is the n-th day of a month.
func day(n int) time.Time { return time.Date(2016, 10, n, 0, 0, 0, 0, time.UTC) }

func window(from, until int) feedlake.Window {
	return feedlake.Window{Start: day(from), End: day(until)}
}

func row(d int, source string, posts int64) []any { return []any{day(d), source, posts} }

// whole is a batch that replaces the table.
func whole(snapshot int64, rows ...[]any) serving.Batch {
	return serving.Batch{
		ID: fmt.Sprintf("%s@%d", table, snapshot), Table: table, Columns: columns(), Key: []string{"day", "source"},
		Provenance: serving.Provenance{
			Snapshot: snapshot, CommittedAt: day(20), Model: "marts.volume@0123456789ab", Inputs: "features.posts@7",
			RunID: fmt.Sprintf("run-%d", snapshot), PublishedAt: day(21).Add(time.Duration(snapshot) * time.Hour),
		},
		Rows: from(rows...),
	}
}

// part is a batch that replaces windows of the table.
func part(snapshot, base int64, windows []feedlake.Window, rows ...[]any) serving.Batch {
	b := whole(snapshot, rows...)
	b.ID, b.Base, b.WindowColumn, b.Windows = fmt.Sprintf("%s after %d", b.ID, base), base, "day", windows
	return b
}

// from yields rows.
func from(rows ...[]any) iter.Seq2[[]any, error] { return fromThen(nil, rows...) }

// fromThen yields rows, and then err unless it is nil.
func fromThen(err error, rows ...[]any) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		for _, r := range rows {
			if !yield(slices.Clone(r), nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func publish(t *testing.T, tg Target, b serving.Batch) {
	t.Helper()
	if err := tg.Publisher.Publish(t.Context(), b); err != nil {
		t.Fatalf("publish %s: %v", b.ID, err)
	}
}

// wantRows compares the content of a table, whatever its order.
func wantRows(t *testing.T, tg Target, table string, cols []string, want ...[]any) {
	t.Helper()
	got, err := tg.Rows(table, cols)
	if err != nil {
		t.Fatalf("read %s: %v", table, err)
	}
	byText := func(a, b []any) int { return cmp.Compare(fmt.Sprint(a...), fmt.Sprint(b...)) }
	slices.SortFunc(got, byText)
	want = slices.SortedFunc(slices.Values(want), byText)
	if d := gocmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateNaNs()); d != "" {
		t.Errorf("%s (-want +got):\n%s", table, d)
	}
}

func wantVolume(t *testing.T, tg Target, want ...[]any) {
	t.Helper()
	wantRows(t, tg, table, []string{"day", "source", "posts"}, want...)
}

func wantSnapshot(t *testing.T, tg Target, want int64) {
	t.Helper()
	got, err := tg.Publisher.Published(t.Context(), table)
	if err != nil {
		t.Fatalf("published: %v", err)
	}
	if got.Snapshot != want {
		t.Errorf("published snapshot %d, want %d", got.Snapshot, want)
	}
}
