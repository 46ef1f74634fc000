package training_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/training"
)

var noon = time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

func openLake(t *testing.T) (*lake.Lake, *query.DB) {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{Dir: t.TempDir(), Now: clock, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	for _, s := range lake.Fixed() {
		if err := l.Ensure(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	db, err := query.Open(t.Context(), query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return l, db
}

func read(text string, format training.Format, cols training.LabelColumns) (good []training.Labelled, bad []training.BadLabel, err error) {
	err = training.ReadLabels(strings.NewReader(text), "labels", format, cols,
		func(l training.Labelled) error { good = append(good, l); return nil },
		func(b training.BadLabel) { bad = append(bad, b) })
	return good, bad, err
}

func TestReadLabels(t *testing.T) {
	for _, c := range []struct {
		name   string
		text   string
		format training.Format
		cols   training.LabelColumns
		good   []training.Labelled
		bad    []int // lines
	}{
		{
			"tsv with every kind of fault", "id\tlabel\ttext\n1\tpositive\tnice \"day\n2\tgreat\tx\n3\tneutral\t \n4\t0\tbad\n5\tneutral\n6\tneutral\t\xff\n", training.TSV,
			training.LabelColumns{ID: "id"},
			[]training.Labelled{{ID: "1", Text: `nice "day`, Label: 2}, {ID: "4", Text: "bad", Label: 0}},
			[]int{3, 4, 6, 7},
		},
		{
			"csv with other names", "a,b\n\"line, one\nline two\",Negative\n", training.CSV,
			training.LabelColumns{Text: "a", Label: "b"},
			[]training.Labelled{{Text: "line, one\nline two", Label: 0}},
			nil,
		},
		{
			"ndjson", "{\"label\": 1, \"text\": \"x\", \"lang\": \"en\"}\n\n{\"label\"\n", training.NDJSON,
			training.LabelColumns{Lang: "lang"},
			[]training.Labelled{{Text: "x", Lang: "en", Label: 1}},
			[]int{3},
		},
		{
			"ndjson with ids of every form",
			"{\"label\": 1, \"text\": \"a\", \"id\": 9007199254740993}\n{\"label\": \"2\", \"text\": \"b\", \"id\": \"1850000000000000001\"}\n" +
				"{\"label\": \"neutral\", \"text\": \"c\\u00e9\", \"id\": null}\n{\"label\": 1, \"text\": null, \"id\": 1}\n", training.NDJSON,
			training.LabelColumns{ID: "id"},
			[]training.Labelled{{ID: "9007199254740993", Text: "a", Label: 1}, {ID: "1850000000000000001", Text: "b", Label: 2}, {Text: "cé", Label: 1}},
			[]int{4},
		},
	} {
		good, bad, err := read(c.text, c.format, c.cols)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		var lines []int
		for _, b := range bad {
			lines = append(lines, b.Line)
		}
		if d := cmp.Diff(c.good, good); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
		if d := cmp.Diff(c.bad, lines); d != "" {
			t.Errorf("%s: %s %v", c.name, d, bad)
		}
	}
}

func TestReadLabelsOfTheWrongShape(t *testing.T) {
	for text, want := range map[string]string{"": "empty", "a\tb\n": `no column "label"`} {
		if _, _, err := read(text, training.TSV, training.LabelColumns{}); !errors.Is(err, feedlake.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := training.FormatOf("labels.xlsx"); !errors.Is(err, feedlake.ErrConfig) {
		t.Error("a spreadsheet was taken for labels")
	}
}

func FuzzReadLabels(f *testing.F) {
	f.Add("label\ttext\npositive\tx\n", uint8(0))
	f.Add("label,text\n\"neg", uint8(1))
	f.Add("{\"label\":\"neutral\",\"text\":\"x\"}", uint8(2))
	f.Fuzz(func(t *testing.T, text string, kind uint8) {
		format := []training.Format{training.TSV, training.CSV, training.NDJSON}[kind%3]
		good, _, _ := read(text, format, training.LabelColumns{})
		for _, l := range good {
			if l.Label < 0 || l.Label > 2 || strings.TrimSpace(l.Text) == "" {
				t.Errorf("unusable record %+v was called good", l)
			}
		}
	})
}

func importText(ctx context.Context, l *lake.Lake, dataset, text string) (training.LabelResult, error) {
	return training.ImportLabels(ctx, training.LabelImport{
		Lake: l, Dataset: dataset, RunID: "r", Now: clock,
		Read: func(good func(training.Labelled) error, bad func(training.BadLabel)) error {
			return training.ReadLabels(strings.NewReader(text), "labels", training.TSV, training.LabelColumns{}, good, bad)
		},
	})
}

func TestImportIsOnceOnly(t *testing.T) {
	l, db := openLake(t)
	ctx := t.Context()
	texts := func() []string {
		t.Helper()
		if _, err := db.Pin(ctx, l, nil); err != nil {
			t.Fatal(err)
		}
		rows, err := db.SQL().QueryContext(ctx, "select dataset || ' ' || label || ' ' || text from ml.labels order by all")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var out []string
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				t.Fatal(err)
			}
			out = append(out, s)
		}
		return out
	}
	for _, step := range []struct {
		dataset, text string
		added         int
		want          []string
	}{
		{"a b/c", "label\ttext\npositive\tx\n", 1, []string{"a b/c positive x"}},
		{"a b/c", "label\ttext\npositive\tx\n", 0, []string{"a b/c positive x"}},
		{"d", "label\ttext\nneutral\tx\n", 1, []string{"a b/c positive x", "d neutral x"}},
		{"a b/c", "label\ttext\nnegative\ty\n", 1, []string{"a b/c negative y", "d neutral x"}},
	} {
		res, err := importText(ctx, l, step.dataset, step.text)
		if err != nil || res.Added != step.added || res.Known != (step.added == 0) {
			t.Errorf("import %+v: %+v, %v", step, res, err)
		}
		if d := cmp.Diff(step.want, texts()); d != "" {
			t.Errorf("after %+v: %s", step, d)
		}
	}
	if _, err := importText(ctx, l, "e", "label\ttext\nodd\tx\n"); !errors.Is(err, feedlake.ErrRejected) {
		t.Errorf("a set without a usable record: %v", err)
	}
}

func TestDatasetKeepsPartsApart(t *testing.T) {
	l, db := openLake(t)
	ctx := t.Context()
	if _, err := training.ReadDataset(ctx, l, db, nil); !errors.Is(err, feedlake.ErrNotFound) {
		t.Errorf("no labels: %v", err)
	}
	text := "label\ttext\n"
	for i := range 300 {
		word := strings.Repeat(string(rune('a'+i%26)), 1+i/26)
		text += fmt.Sprintf("positive\tgood %s\n", word)
		text += fmt.Sprintf("positive\tGOOD   %s @you https://x.org/%d\n", word, i) // a copy but for spelling
	}
	text += "positive\ttorn\nnegative\tTorn\n"
	if _, err := importText(ctx, l, "a", text); err != nil {
		t.Fatal(err)
	}
	d, err := training.ReadDataset(ctx, l, db, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(d.Fit) + len(d.Held); n != 300 || d.Conflicts != 1 || d.Counts["positive"] != 300 {
		t.Errorf("%d examples, %d conflicts, counts %v", n, d.Conflicts, d.Counts)
	}
	if h := len(d.Held); h < 15 || h > 60 {
		t.Errorf("%d of 300 held out, want about 30", h)
	}
	if _, err := importText(ctx, l, "b", "label\ttext\nneutral\tsomething else\n"); err != nil {
		t.Fatal(err)
	}
	more, err := training.ReadDataset(ctx, l, db, nil)
	if err != nil {
		t.Fatal(err)
	}
	stay := map[string]bool{}
	for _, x := range d.Held {
		stay[x.Text] = true
	}
	for _, x := range more.Fit {
		if stay[x.Text] {
			t.Errorf("%q moved from the held-out part to the fitted one", x.Text)
		}
	}
}

// endless is a file that never ends, from some point on.
type endless struct {
	head  *strings.Reader
	piece string
	left  int // bytes; the test would fill the memory otherwise
}

func (e *endless) Read(p []byte) (int, error) {
	if n, err := e.head.Read(p); err == nil {
		return n, nil
	}
	if e.left -= len(p); e.left < 0 {
		return 0, errors.New("read on after 16 MiB")
	}
	for i := range p {
		p[i] = e.piece[i%len(e.piece)]
	}
	return len(p), nil
}

// TestLabelRecordWithoutEnd reads files whose record goes on for ever: they are
// left after a megabyte, with the reason.
func TestLabelRecordWithoutEnd(t *testing.T) {
	t.Parallel()
	for format, head := range map[training.Format]string{
		training.CSV: "label,text\npositive,\"good", training.TSV: "label\ttext\npositive\tgood", training.NDJSON: `{"label":"positive","text":"good`,
	} {
		var bad []training.BadLabel
		err := training.ReadLabels(&endless{strings.NewReader(head), "x", 16 << 20}, "labels", format, training.LabelColumns{},
			func(training.Labelled) error { return nil }, func(b training.BadLabel) { bad = append(bad, b) })
		if !errors.Is(err, feedlake.ErrRejected) || !strings.Contains(err.Error(), "a record of more than 1048576 bytes") || len(bad) > 0 {
			t.Errorf("%s: %v, bad %v", format, err, bad)
		}
	}
}

// TestLabelsOfNothing imports a file of which no record can be used: what is kept
// of it does not grow with it.
func TestLabelsOfNothing(t *testing.T) {
	t.Parallel()
	l, _ := openLake(t)
	text := "label\ttext\n" + strings.Repeat(strings.Repeat("odd", 100)+"\tx\n", 100_001)
	res, err := importText(t.Context(), l, "odd", text)
	if !errors.Is(err, feedlake.ErrRejected) || !strings.Contains(err.Error(), "100001 records cannot be used, the first in line 2: label \"oddodd") {
		t.Errorf("%v", err)
	}
	if len(res.Bad) != 100_000 || len(res.Bad[0].Reason) > 210 {
		t.Errorf("%d bad records kept, the first %q", len(res.Bad), res.Bad[0].Reason)
	}
}

// TestLabelsChangeWhileRead imports a set that is another one when it is read
// again.
func TestLabelsChangeWhileRead(t *testing.T) {
	t.Parallel()
	l, _ := openLake(t)
	n := 0
	_, err := training.ImportLabels(t.Context(), training.LabelImport{
		Lake: l, Dataset: "d", RunID: "r", Now: clock,
		Read: func(good func(training.Labelled) error, _ func(training.BadLabel)) error {
			n++
			return good(training.Labelled{Text: fmt.Sprint("text ", n)})
		},
	})
	if !errors.Is(err, feedlake.ErrConflict) || n != 2 {
		t.Errorf("read %d times: %v", n, err)
	}
}
