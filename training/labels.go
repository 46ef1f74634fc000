package training

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// LabelColumns names the columns of a file of labelled texts; empty names are
// the defaults label and text, and no id and no lang.
type LabelColumns struct {
	Label, Text, ID, Lang string
}

func (c LabelColumns) withDefaults() LabelColumns {
	if c.Label == "" {
		c.Label = "label"
	}
	if c.Text == "" {
		c.Text = "text"
	}
	return c
}

// Format of a file of labelled texts.
type Format string

// Formats of labelled texts. TSV has no quoting: a tab ends a field, whatever
// the text holds.
const (
	TSV    Format = "tsv"
	CSV    Format = "csv"
	NDJSON Format = "ndjson"
)

// FormatOf tells the format by a file's name.
func FormatOf(name string) (Format, error) {
	switch lower := strings.ToLower(name); {
	case strings.HasSuffix(lower, ".tsv"):
		return TSV, nil
	case strings.HasSuffix(lower, ".csv"):
		return CSV, nil
	case strings.HasSuffix(lower, ".ndjson"), strings.HasSuffix(lower, ".jsonl"):
		return NDJSON, nil
	}
	return "", feedlake.Hint(fmt.Errorf("labels %s: format not known: %w", name, feedlake.ErrConfig), "the name ends in .tsv, .csv, .ndjson or .jsonl")
}

// Labelled is one record of a file of labelled texts.
type Labelled struct {
	ID, Text, Lang string
	Label          int
}

// BadLabel is a record that could not be used.
type BadLabel struct {
	Line   int
	Reason string
}

// Bounds of a label file: a longer record, or more records that cannot be used,
// and the file is not read on. So any file is read in little memory.
const (
	maxLabelLine = 1 << 20 // bytes of a record
	maxBadLabels = 100_000
	maxBadReason = 200 // bytes of what is said of a bad record
)

// errLongLabel says that a record has no end.
var errLongLabel = fmt.Errorf("a record of more than %d bytes, or a quote that is never closed: %w", maxLabelLine, feedlake.ErrRejected)

// recordGuard fails where more than a record's worth was read since the last one
// ended: encoding/csv would keep all that follows an open quote.
type recordGuard struct {
	r    io.Reader
	read int
}

func (g *recordGuard) Read(p []byte) (int, error) {
	if g.read > maxLabelLine {
		return 0, errLongLabel
	}
	n, err := g.r.Read(p)
	g.read += n
	return n, err
}

// cutReason shortens what is said of a bad record.
func cutReason(bad func(BadLabel)) func(BadLabel) {
	return func(b BadLabel) {
		if len(b.Reason) > maxBadReason {
			b.Reason = strings.ToValidUTF8(b.Reason[:maxBadReason], "") + "…"
		}
		bad(b)
	}
}

// ReadLabels reads labelled texts from r (name stands in errors) and calls good
// or bad for every record. Labels are negative, neutral and positive, or 0, 1 and 2.
// An error means that the file as a whole cannot be read.
func ReadLabels(r io.Reader, name string, format Format, cols LabelColumns, good func(Labelled) error, bad func(BadLabel)) error {
	cols, bad = cols.withDefaults(), cutReason(bad)
	if format == NDJSON {
		return readLabelJSON(r, name, cols, good, bad)
	}
	next := tsvRecords(r)
	if format == CSV {
		next = csvRecords(r)
	}
	head, _, err := next()
	if err != nil {
		return feedlake.Hint(fmt.Errorf("labels %s: read header: %w", name, orEmpty(err)), "the first line names the columns, such as label and text")
	}
	at := map[string]int{}
	for i, h := range head {
		at[strings.TrimPrefix(h, "\ufeff")] = i
	}
	for _, c := range []string{cols.Label, cols.Text, cols.ID, cols.Lang} {
		if _, ok := at[c]; c != "" && !ok {
			return feedlake.Hint(fmt.Errorf("labels %s:1: no column %q: %w", name, c, feedlake.ErrConfig), "the file has: %s", strings.Join(head, ", "))
		}
	}
	for {
		rec, line, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("labels %s:%d: %w", name, line, tooLong(err))
		}
		get := func(c string) string {
			if i, ok := at[c]; ok && c != "" && i < len(rec) {
				return rec[i]
			}
			return ""
		}
		if len(rec) != len(head) {
			bad(BadLabel{line, fmt.Sprintf("%d fields, the header has %d", len(rec), len(head))})
			continue
		}
		if err := useLabel(Labelled{ID: get(cols.ID), Text: get(cols.Text), Lang: get(cols.Lang)}, get(cols.Label), line, good, bad); err != nil {
			return err
		}
	}
}

// tooLong tells a scanner's word for a long line as errLongLabel.
func tooLong(err error) error {
	if errors.Is(err, bufio.ErrTooLong) {
		return errLongLabel
	}
	return err
}

func orEmpty(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("the file is empty: %w", feedlake.ErrConfig)
	}
	return err
}

// useLabel checks one record and hands it on.
func useLabel(l Labelled, label string, line int, good func(Labelled) error, bad func(BadLabel)) error {
	n, ok := parseLabel(label)
	switch {
	case !ok:
		bad(BadLabel{line, fmt.Sprintf("label %q, want negative, neutral or positive", label)})
	case strings.TrimSpace(l.Text) == "":
		bad(BadLabel{line, "empty text"})
	case !utf8.ValidString(l.Text):
		bad(BadLabel{line, "text is not valid UTF-8"})
	default:
		l.Label = n
		return good(l)
	}
	return nil
}

func parseLabel(s string) (int, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	for i, l := range sentimentLabels {
		if s == l || s == fmt.Sprint(i) {
			return i, true
		}
	}
	return 0, false
}

// tsvRecords yields the fields of lines.
func tsvRecords(r io.Reader) func() ([]string, int, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), maxLabelLine)
	line := 0
	return func() ([]string, int, error) {
		line++
		if !sc.Scan() {
			if err := sc.Err(); err != nil {
				return nil, line, err
			}
			return nil, line, io.EOF
		}
		return strings.Split(strings.TrimSuffix(sc.Text(), "\r"), "\t"), line, nil
	}
}

func csvRecords(r io.Reader) func() ([]string, int, error) {
	guard := &recordGuard{r: r}
	cr := csv.NewReader(guard)
	cr.FieldsPerRecord = -1
	cr.LazyQuotes = true
	line := 0
	return func() ([]string, int, error) {
		guard.read = 0
		rec, err := cr.Read()
		if err == nil {
			line, _ = cr.FieldPos(0)
		}
		return rec, line, err
	}
}

// LabelRow is a row of ml.labels.
type LabelRow struct {
	Source     string    `parquet:"source,optional,dict"`
	ID         string    `parquet:"id,optional"`
	Text       string    `parquet:"text,optional"`
	Lang       string    `parquet:"lang,optional,dict"`
	Label      string    `parquet:"label,optional,dict"`
	Labeller   string    `parquet:"labeller,optional,dict"`
	Dataset    string    `parquet:"dataset,optional,dict"`
	LabelledAt time.Time `parquet:"labelled_at,optional,timestamp(microsecond)"`
	RunID      string    `parquet:"run_id,optional,dict"`
}

// LabelImport says what to bring into ml.labels.
type LabelImport struct {
	Lake     *lake.Lake
	Dataset  string // the set's name; the same name with the same content is imported once
	Labeller string // who gave the labels; "" is "import"
	RunID    string
	Now      func() time.Time
	// Read calls good or bad for every record, as ReadLabels does. It is called twice
	// for a set that is not known.
	Read func(good func(Labelled) error, bad func(BadLabel)) error
}

// LabelResult tells what ImportLabels did.
type LabelResult struct {
	Dataset string     `json:"dataset"`
	Added   int        `json:"added"`
	Known   bool       `json:"known"` // the same content was imported before: nothing added
	Bad     []BadLabel `json:"bad"`
	Erased  int        `json:"erased,omitempty"` // texts that were taken down before and did not enter
}

// labelDigest is the property of ml.labels that holds the digest of a set's
// content.
func labelDigest(dataset string) string { return "feedlake.labels." + dataset }

// ImportLabels brings a set of labelled texts into ml.labels, in one commit. A
// set whose content has changed replaces the rows that it brought before.
func ImportLabels(ctx context.Context, o LabelImport) (LabelResult, error) {
	res := LabelResult{Dataset: o.Dataset, Bad: []BadLabel{}}
	labeller := o.Labeller
	if labeller == "" {
		labeller = "import"
	}
	erased, err := o.Lake.Erasures(ctx)
	if err != nil {
		return res, fmt.Errorf("import labels %s: %w", o.Dataset, err)
	}
	// The file is read once to see whether it is known, and once more to write it:
	// a set of any size is imported in little memory.
	digest := sha256.New()
	kept, bad := 0, 0
	err = o.rows(ctx, labeller, digest, func(r LabelRow) error {
		if erased.Label(o.Dataset, r.ID) {
			res.Erased++
			return nil
		}
		kept++
		return nil
	}, func(b BadLabel) {
		if bad++; bad <= maxBadLabels {
			res.Bad = append(res.Bad, b)
		}
	})
	switch {
	case err != nil:
		return res, fmt.Errorf("import labels %s: %w", o.Dataset, err)
	case bad > maxBadLabels:
		return res, feedlake.Hint(fmt.Errorf("import labels %s: %d records cannot be used, the first in line %d: %s: %w", o.Dataset, bad, res.Bad[0].Line, res.Bad[0].Reason, feedlake.ErrRejected),
			"is this a file of labelled texts?")
	case kept == 0 && res.Erased == 0:
		return res, fmt.Errorf("import labels %s: no usable record, %d bad: %w", o.Dataset, bad, feedlake.ErrRejected)
	}
	sum := hex.EncodeToString(digest.Sum(nil))
	old, err := o.Lake.Property(ctx, "ml.labels", labelDigest(o.Dataset))
	if err != nil {
		return res, err
	}
	if old == sum {
		res.Known = true
		return res, nil
	}
	part := lake.MakePartition("dataset", o.Dataset)
	var add []string
	if kept > 0 {
		path, err := o.write(ctx, part, labeller, sum, erased)
		if err != nil {
			return res, fmt.Errorf("import labels %s: %w", o.Dataset, err)
		}
		add = append(add, path)
	}
	_, err = o.Lake.Commit(ctx, lake.Commit{
		Table: "ml.labels", ID: "labels " + o.Dataset + " " + sum, Add: add, Replace: []lake.Partition{part},
		Set:     map[string]string{labelDigest(o.Dataset): sum},
		Expect:  map[string]string{labelDigest(o.Dataset): old},
		Summary: map[string]string{lake.SummaryRunID: o.RunID, "feedlake.dataset": o.Dataset},
	})
	if err != nil {
		return res, fmt.Errorf("import labels %s: %w", o.Dataset, err)
	}
	res.Added = kept
	return res, nil
}

// rows reads the set, and adds each of its texts to a digest.
func (o *LabelImport) rows(ctx context.Context, labeller string, digest hash.Hash, good func(LabelRow) error, bad func(BadLabel)) error {
	return o.Read(func(l Labelled) error {
		id := l.ID
		if id == "" {
			sum := sha256.Sum256([]byte(l.Text))
			id = hex.EncodeToString(sum[:8])
		}
		_, _ = fmt.Fprintf(digest, "%q %q %q %d\n", id, l.Text, l.Lang, l.Label)
		return errors.Join(ctx.Err(), good(LabelRow{
			Source: "labels", ID: id, Text: l.Text, Lang: l.Lang, Label: sentimentLabels[l.Label],
			Labeller: labeller, Dataset: o.Dataset, LabelledAt: o.Now().UTC(), RunID: o.RunID,
		}))
	}, bad)
}

// write brings the set into a file, and fails when it is another one than sum
// tells.
func (o *LabelImport) write(ctx context.Context, part lake.Partition, labeller, sum string, erased *lake.Erasures) (string, error) {
	w, err := lake.NewRowWriter[LabelRow](o.Lake, "ml.labels", part)
	if err != nil {
		return "", err
	}
	const at = 1024
	rows, digest := make([]LabelRow, 0, at), sha256.New()
	err = o.rows(ctx, labeller, digest, func(r LabelRow) error {
		if erased.Label(o.Dataset, r.ID) {
			return nil
		}
		if rows = append(rows, r); len(rows) < at {
			return nil
		}
		err := w.Write(rows)
		rows = rows[:0]
		return err
	}, func(BadLabel) {})
	if err == nil {
		err = w.Write(rows)
	}
	if err == nil && hex.EncodeToString(digest.Sum(nil)) != sum {
		err = feedlake.Hint(fmt.Errorf("the texts changed while they were read: %w", feedlake.ErrConflict), "run again when nobody writes the file")
	}
	if err != nil {
		w.Abort()
		return "", err
	}
	return w.Close(ctx)
}
