package training

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
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

// maxLabelLine bounds a line of a label file, in bytes.
const maxLabelLine = 1 << 20

// ReadLabels reads labelled texts from r (name stands in errors) and calls good
// or bad for every record. Labels are negative, neutral and positive, or 0, 1 and 2.
// An error means that the file as a whole cannot be read.
func ReadLabels(r io.Reader, name string, format Format, cols LabelColumns, good func(Labelled) error, bad func(BadLabel)) error {
	cols = cols.withDefaults()
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
			return fmt.Errorf("labels %s:%d: %w", name, line, err)
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
	cr := csv.NewReader(r)
	cr.FieldsPerRecord = -1
	cr.LazyQuotes = true
	return func() ([]string, int, error) {
		rec, err := cr.Read()
		line := 0
		if err == nil {
			line, _ = cr.FieldPos(0)
		}
		return rec, line, err
	}
}

func readLabelJSON(r io.Reader, name string, cols LabelColumns, good func(Labelled) error, bad func(BadLabel)) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), maxLabelLine)
	for line := 1; sc.Scan(); line++ {
		if strings.TrimSpace(sc.Text()) == "" {
			continue
		}
		var rec map[string]json.RawMessage
		if err := json.Unmarshal(sc.Bytes(), &rec); err != nil {
			bad(BadLabel{line, "not a JSON object: " + err.Error()})
			continue
		}
		get := func(c string) string { return plainJSON(rec[c]) }
		if err := useLabel(Labelled{ID: get(cols.ID), Text: get(cols.Text), Lang: get(cols.Lang)}, get(cols.Label), line, good, bad); err != nil {
			return err
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("labels %s: %w", name, err)
	}
	return nil
}

// plainJSON is a JSON value as a text: what a text says, every other value as it
// is written, since an id of many digits is no float; null and nothing are empty.
func plainJSON(v json.RawMessage) string {
	var s string
	if len(v) > 0 && v[0] == '"' && json.Unmarshal(v, &s) == nil {
		return s
	}
	if string(v) == "null" {
		return ""
	}
	return string(v)
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
	// Read calls good or bad for every record, as ReadLabels does.
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
	var rows []LabelRow
	digest := sha256.New()
	err = o.Read(func(l Labelled) error {
		id := l.ID
		if id == "" {
			sum := sha256.Sum256([]byte(l.Text))
			id = hex.EncodeToString(sum[:8])
		}
		_, _ = fmt.Fprintf(digest, "%q %q %q %d\n", id, l.Text, l.Lang, l.Label)
		if erased.Label(o.Dataset, id) {
			res.Erased++
			return ctx.Err()
		}
		rows = append(rows, LabelRow{
			Source: "labels", ID: id, Text: l.Text, Lang: l.Lang, Label: sentimentLabels[l.Label],
			Labeller: labeller, Dataset: o.Dataset, LabelledAt: o.Now().UTC(), RunID: o.RunID,
		})
		return ctx.Err()
	}, func(b BadLabel) { res.Bad = append(res.Bad, b) })
	if err != nil {
		return res, fmt.Errorf("import labels %s: %w", o.Dataset, err)
	}
	if len(rows) == 0 && res.Erased == 0 {
		return res, fmt.Errorf("import labels %s: no usable record, %d bad: %w", o.Dataset, len(res.Bad), feedlake.ErrRejected)
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
	if len(rows) > 0 {
		path, err := lake.WriteRows(ctx, o.Lake, "ml.labels", part, rows)
		if err != nil {
			return res, err
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
	res.Added = len(rows)
	return res, nil
}
