package training

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/feedlake/feedlake"
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
