// Package mapping turns records of any shape into posts, by a declaration and
// without code for a data set: which field of the record fills which column of a
// post, and how times, numbers and names are written there.
package mapping

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/feedlake/feedlake"
)

// Config maps columns of a post to fields of a record.
type Config struct {
	Map          map[string]Field `yaml:"map"`           // by column of raw.posts; id and created_at are required
	UnescapeHTML []string         `yaml:"unescape_html"` // columns in which &amp; and its like become characters
}

// Field says where one column comes from. In YAML its short form is the path
// alone: "likes: ups" is "likes: {path: ups}".
type Field struct {
	Path     string            `yaml:"path"`      // gjson path into the record; a column's name for CSV and Parquet
	Const    *Scalar           `yaml:"const"`     // this value for every record
	Join     []string          `yaml:"join"`      // paths whose texts are joined; empty ones are left out
	Sep      *string           `yaml:"sep"`       // between joined texts, one space when absent; for a list column: splits one text into items
	Match    string            `yaml:"match"`     // regular expression; its first group, or all of it, is the value
	Values   map[string]Scalar `yaml:"values"`    // replaces a value by another
	Else     *Scalar           `yaml:"else"`      // for a value that Values does not list; without it the value passes
	Default  *Scalar           `yaml:"default"`   // for a record without the value, or with an empty one
	Time     Formats           `yaml:"time"`      // rfc3339 (default), unix, unix_ms, unix_us, or Go layouts, tried in turn
	Zone     string            `yaml:"zone"`      // IANA zone of times that do not say theirs; UTC when absent
	Thousand string            `yaml:"thousands"` // one character that groups the digits of counts, such as "." for 1.234.567; then a comma, or a dot, is the decimal mark
	Option   bool              `yaml:"optional"`  // records may lack the path: that none has it is no mistake
}

// field is Field without its methods, so that decoding it does not recurse.
type field Field

// UnmarshalYAML reads the short or the long form.
func (f *Field) UnmarshalYAML(decode func(any) error) error {
	var path string
	if err := decode(&path); err == nil {
		*f = Field{Path: path}
		return nil
	}
	var long field
	if err := decode(&long); err != nil {
		return err
	}
	*f = Field(long)
	return nil
}

// Scalar is any YAML scalar as text: true, 1 and "1" alike.
type Scalar string

// UnmarshalYAML reads any scalar.
func (s *Scalar) UnmarshalYAML(decode func(any) error) error {
	var v any
	if err := decode(&v); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		*s = ""
	case string:
		*s = Scalar(v)
	case bool, int, int64, uint64, float64:
		*s = Scalar(fmt.Sprint(v))
	default:
		return fmt.Errorf("want one text, number or truth value, got %T: %w", v, feedlake.ErrConfig)
	}
	return nil
}

// Formats is one format of time or several.
type Formats []string

// UnmarshalYAML reads one text or a list of them.
func (f *Formats) UnmarshalYAML(decode func(any) error) error {
	var one string
	if err := decode(&one); err == nil {
		*f = Formats{one}
		return nil
	}
	var many []string
	if err := decode(&many); err != nil {
		return err
	}
	*f = many
	return nil
}

// Options says how records look that a Plan will read.
type Options struct {
	Source  string           // configured name of the source, where the mapping gives none
	Columns bool             // records are rows: a path is a column's name, dots and all
	Now     func() time.Time // observation time, where the mapping gives none
}

// Plan is a compiled Config. It is read-only: any number of Decoders share it.
type Plan struct {
	opts    Options
	root    node
	slots   int // values that the walk over a record collects
	complex []complexPath
	targets []target
	paths   []string // as declared, in the order of their slots
}

// complexPath is a path that needs gjson's own search: queries, modifiers,
// array indexes.
type complexPath struct {
	path string
	slot int
}

// target fills one column of a post.
type target struct {
	name     string
	column   column
	slots    []int
	sep      string
	split    bool
	constant *string
	match    *regexp.Regexp
	values   map[string]string
	other    *string // for values that are not listed
	absent   *string
	times    []string
	zone     *time.Location
	unescape bool
	option   bool
	grouped  string // what groups the digits of a count; "" when not declared
}

// Compile checks c and makes a plan of it. Its errors wrap feedlake.ErrConfig
// and name the column.
func Compile(c Config, o Options) (*Plan, error) {
	p := &Plan{opts: o, root: newNode()}
	known := columns()
	for _, name := range slices.Sorted(maps.Keys(c.Map)) {
		col, ok := known[name]
		if !ok {
			return nil, feedlake.Hint(fmt.Errorf("map.%s: no such column of a post: %w", name, feedlake.ErrConfig),
				"columns: %s", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		t, err := p.compile(name, col, c.Map[name])
		if err != nil {
			return nil, fmt.Errorf("map.%s: %w: %w", name, err, feedlake.ErrConfig)
		}
		p.targets = append(p.targets, t)
	}
	for _, name := range []string{"id", "created_at"} {
		if _, ok := c.Map[name]; !ok {
			return nil, feedlake.Hint(fmt.Errorf("map.%s: missing: %w", name, feedlake.ErrConfig),
				"every post needs id and created_at; say which field holds them, such as \"map: {id: id, created_at: created_at}\"")
		}
	}
	for _, name := range c.UnescapeHTML {
		i := slices.IndexFunc(p.targets, func(t target) bool { return t.name == name })
		if i < 0 || (p.targets[i].column.text == nil && p.targets[i].column.list == nil) {
			return nil, fmt.Errorf("unescape_html: %q is no mapped text column: %w", name, feedlake.ErrConfig)
		}
		p.targets[i].unescape = true
	}
	// The network's name first: other columns' errors do not depend on it, but
	// the order must not depend on a map.
	slices.SortStableFunc(p.targets, func(a, b target) int { return a.column.order - b.column.order })
	return p, nil
}

// Path is a path that a plan reads.
type Path struct {
	Path     string // as declared
	Key      string // the key of Config that declares it, such as "map.text"
	Optional bool
}

// Declared lists the paths that the plan reads, in the order of the columns that
// they fill.
func (p *Plan) Declared() []Path {
	var out []Path
	for _, t := range p.targets {
		for _, s := range t.slots {
			out = append(out, Path{p.paths[s], "map." + t.name, t.option})
		}
	}
	return out
}

// Paths lists the paths that the plan reads from the top of a record, as
// declared, with the column that each fills.
func (p *Plan) Paths() map[string]string {
	m := map[string]string{}
	for _, t := range p.targets {
		for _, s := range t.slots {
			m[p.paths[s]] = t.name
		}
	}
	return m
}

func (p *Plan) compile(name string, col column, f Field) (target, error) {
	t := target{name: name, column: col, sep: " ", zone: time.UTC, option: f.Option, grouped: f.Thousand}
	if f.Thousand != "" && (col.count == nil || utf8.RuneCountInString(f.Thousand) != 1 || strings.ContainsAny(f.Thousand, "0123456789+-eE")) {
		return t, fmt.Errorf("thousands: one character, and only for a count")
	}
	ways := 0
	for _, given := range []bool{f.Path != "", f.Const != nil, len(f.Join) > 0} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return t, fmt.Errorf("give one of path, const and join")
	}
	if f.Sep != nil {
		t.sep, t.split = *f.Sep, col.list != nil
	}
	if t.split && t.sep == "" {
		return t, fmt.Errorf("sep: a list cannot be split at nothing")
	}
	if col.list != nil && (f.Match != "" || len(f.Values) > 0) {
		return t, fmt.Errorf("match and values: not for a list column")
	}
	if len(f.Join) > 0 && col.text == nil {
		return t, fmt.Errorf("join: only a text column can be joined")
	}
	paths := f.Join
	if f.Path != "" {
		paths = []string{f.Path}
	}
	for _, path := range paths {
		s, err := p.slot(path)
		if err != nil {
			return t, err
		}
		t.slots = append(t.slots, s)
	}
	t.constant, t.other, t.absent = text(f.Const), text(f.Else), text(f.Default)
	if len(f.Values) > 0 {
		t.values = make(map[string]string, len(f.Values))
		for k, v := range f.Values {
			t.values[k] = string(v)
		}
	} else if f.Else != nil {
		return t, fmt.Errorf("else: only with values")
	}
	if err := t.compileMatch(f.Match); err != nil {
		return t, err
	}
	return t, t.compileTime(f)
}

func text(s *Scalar) *string {
	if s == nil {
		return nil
	}
	v := string(*s)
	return &v
}

func (t *target) compileMatch(expr string) error {
	if expr == "" {
		return nil
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return fmt.Errorf("match: %w", err)
	}
	t.match = re
	return nil
}

func (t *target) compileTime(f Field) error {
	if t.column.time == nil {
		if len(f.Time) > 0 || f.Zone != "" {
			return fmt.Errorf("time and zone: only for created_at and observed_at")
		}
		return t.checkConstants()
	}
	t.times = f.Time
	if len(t.times) == 0 {
		t.times = Formats{timeRFC3339}
	}
	for _, format := range t.times {
		if err := checkFormat(format); err != nil {
			return err
		}
	}
	if f.Zone != "" {
		zone, err := time.LoadLocation(f.Zone)
		if err != nil {
			return fmt.Errorf("zone: %w", err)
		}
		t.zone = zone
	}
	return t.checkConstants()
}

// checkConstants tries every value that the declaration itself gives, so that a
// misspelt one is found before the first record.
func (t *target) checkConstants() error {
	var all []string
	for _, v := range []*string{t.constant, t.other, t.absent} {
		if v != nil && *v != "" {
			all = append(all, *v)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(t.values)) {
		if v := t.values[k]; v != "" {
			all = append(all, v)
		}
	}
	d := &Decoder{}
	for _, v := range all {
		var p feedlake.Post
		if err := d.store(t, value{kind: isText, text: v}, &p); err != nil {
			return fmt.Errorf("value %s: %v", strconv.Quote(v), err) //nolint:errorlint // a fault of the declaration, not of a record
		}
	}
	return nil
}
