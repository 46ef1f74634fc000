package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire/scan"
)

// RecordError says why a record is no post. It wraps feedlake.ErrRejected.
type RecordError struct {
	Column string // the post's column, "" when the whole record is at fault
	Reason string
}

// Error says the column, where there is one, and the reason.
func (e *RecordError) Error() string {
	if e.Column == "" {
		return e.Reason
	}
	return e.Column + ": " + e.Reason
}

// Unwrap returns feedlake.ErrRejected.
func (e *RecordError) Unwrap() error { return feedlake.ErrRejected }

func reject(format string, args ...any) error {
	return &RecordError{Reason: fmt.Sprintf(format, args...)}
}

// kind is the JSON type of a value.
type kind uint8

const (
	isAbsent kind = iota // not there, or null
	isText
	isNumber // text holds the digits as written
	isTruth
	isList   // text holds the JSON
	isObject // text holds the JSON
)

func (k kind) String() string {
	return [...]string{"nothing", "text", "a number", "a truth value", "a list", "an object"}[k]
}

type value struct {
	kind kind
	text string
}

// valueOf is a value of sound JSON, as it is spelled; "" when it is absent.
func valueOf(raw string) value {
	if raw == "" {
		return value{}
	}
	switch raw[0] {
	case '"':
		return value{isText, scan.Text(raw)}
	case 'n':
		return value{}
	case 't', 'f':
		return value{isTruth, raw}
	case '[':
		return value{isList, raw}
	case '{':
		return value{isObject, raw}
	}
	return value{isNumber, raw}
}

// Decoder decodes records by a Plan. It is for one goroutine.
type Decoder struct {
	plan   *Plan
	root   *walker
	values []value
	counts []int64 // room for the counts of many posts
	items  []string
	notes  []string
}

// Notes say which values of the last record could not be read, and were left out
// of its post: columns that a post can be without. They belong to the Decoder.
func (d *Decoder) Notes() []string { return d.notes }

// Decoder returns a new decoder.
func (p *Plan) Decoder() *Decoder {
	d := &Decoder{plan: p, values: make([]value, p.slots)}
	d.root = newWalker(d, &p.root)
	return d
}

// Decode fills p from one record: a JSON object. The post shares the record's
// memory. An error is a *RecordError and leaves p undefined. The record is
// checked whole: UTF-8, syntax, no key twice at the levels that the mapping
// reads, the post's own rules at the time of observation now. A bad value of a column
// that a post can be without is no error: see Notes.
func (d *Decoder) Decode(record string, now time.Time, p *feedlake.Post) error {
	if !utf8.ValidString(record) {
		return reject("not valid UTF-8 at byte %d of the record", invalidAt(record))
	}
	clear(d.values)
	d.notes = d.notes[:0]
	if err := d.walk(record); err != nil {
		return err
	}
	for _, c := range d.plan.complex {
		d.values[c.slot] = valueOf(gjson.Get(record, c.path).Raw)
	}
	*p = feedlake.Post{Source: d.plan.opts.Source, Kind: feedlake.KindPost, ObservedAt: now, Payload: record}
	for i := range d.plan.targets {
		t := &d.plan.targets[i]
		if err := d.fill(t, p); err != nil {
			if re, ok := errors.AsType[*RecordError](err); ok {
				re.Column = t.name
			}
			if t.column.must {
				return err
			}
			d.notes = append(d.notes, err.Error())
		}
	}
	return d.check(p, now)
}

// walk collects the values that the plan reads by their keys, and checks the
// syntax of the record on the way.
func (d *Decoder) walk(record string) error {
	s := scan.New(record, 0)
	if s.At() != '{' {
		if !Valid(record) {
			return reject("broken JSON: %s", syntaxError(record))
		}
		return reject("want an object, got %s", valueOf(s.Value()).kind)
	}
	key, twice := d.root.walk(&s)
	switch {
	case twice && Valid(record):
		return reject("key %q stands twice in the record", clip(key))
	case !s.End():
		return reject("broken JSON: %s", syntaxError(record))
	}
	return nil
}

// check holds the post's own rules.
func (d *Decoder) check(p *feedlake.Post, now time.Time) error {
	switch {
	case p.ID == "":
		return &RecordError{Column: "id", Reason: d.missing("id")}
	case p.CreatedAt.IsZero():
		return &RecordError{Column: "created_at", Reason: d.missing("created_at")}
	}
	if err := p.Validate(now); err != nil {
		return &RecordError{Reason: strings.TrimSuffix(err.Error(), ": "+feedlake.ErrRejected.Error())}
	}
	return nil
}

// missing says what a required column lacked.
func (d *Decoder) missing(name string) string {
	for _, t := range d.plan.targets {
		if t.name != name || len(t.slots) == 0 {
			continue
		}
		path := d.plan.paths[t.slots[0]]
		if v := d.values[t.slots[0]]; t.match != nil && v.text != "" {
			return fmt.Sprintf("%q at %s does not match %s", clip(v.text), path, t.match)
		}
		return fmt.Sprintf("the record has no %s", path)
	}
	return "missing"
}

// Valid reports whether a record is whole JSON, at most scan.MaxDepth deep.
func Valid(record string) bool { return scan.Valid(record) }

// syntaxError says what is wrong in a broken record, and where.
func syntaxError(record string) string {
	if strings.TrimSpace(record) == "" {
		return "nothing but space"
	}
	var raw json.RawMessage
	err := json.Unmarshal([]byte(record), &raw)
	if syn, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("%s (byte %d of the record)", syn.Error(), syn.Offset)
	}
	return fmt.Sprintf("nested deeper than %d levels", scan.MaxDepth)
}

func invalidAt(s string) int {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return i
			}
		}
	}
	return len(s)
}

// clip shortens a value for a message.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
