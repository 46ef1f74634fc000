package decode

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/decode/mapping"
)

// A mapping is judged by a sample of the records.
const (
	fewRecords = 250  // whose paths are noted, to name them
	enough     = 100  // records that have a path show that it is right, and not rare
	sureOf     = 1000 // records, without which a path may be missing by chance
	rare       = 100  // of so many records one has the path: less is worth a warning
	shownPaths = 40
)

// Sample counts in how many records the paths of a mapping are.
type Sample struct {
	declared []mapping.Path
	records  int
	has      map[string]int  // by path
	known    map[string]bool // paths that the records have
	long     int             // ids of more digits than a spreadsheet keeps
	rounded  int             // of those: that end as if cut
}

// Sample returns an empty sample for the mapping; nil when there is nothing to
// judge.
func (r *Rules) Sample() *Sample {
	m := r.Mapping()
	if m == nil || !slices.ContainsFunc(m.Declared(), func(p mapping.Path) bool { return !p.Optional }) {
		return nil
	}
	return &Sample{declared: m.Declared(), has: map[string]int{}, known: map[string]bool{}}
}

// Add takes a record, JSON, sound or not; columns says that it is a row.
func (g *Sample) Add(record string, columns bool) {
	g.records++
	for _, p := range g.declared {
		if g.has[p.Path] < enough && present(record, p.Path, columns) {
			g.has[p.Path]++
		}
	}
	if g.records <= fewRecords {
		flatten(g.known, "", gjson.Parse(record), columns)
	}
}

// Judge compares the mapping with the sample. A path that none of the records has is
// an error that wraps feedlake.ErrConfig: a column would be lost without a word. One
// that few have is worth a warning. Unless sure, few records judge nothing.
func (g *Sample) Judge(sure bool) (warning string, err error) {
	if g.records == 0 {
		return "", nil
	}
	for _, p := range g.declared {
		switch n := g.has[p.Path]; {
		case p.Optional:
		case n == 0 && (sure || g.records >= sureOf):
			return "", g.missing(p.Key, p.Path)
		case n == 0:
			warning = fmt.Sprintf("%s: none of the %d records looked at has %q", p.Key, g.records, p.Path)
		case g.records >= sureOf && n*rare < g.records:
			warning = fmt.Sprintf("%s: only %d of the %d records looked at have %q", p.Key, n, g.records, p.Path)
		}
	}
	return cmp.Or(warning, g.roundedIDs()), nil
}

// roundedIDs warns of ids that a spreadsheet seems to have cut, as it does without
// a word: then posts have become one.
func (g *Sample) roundedIDs() string {
	if g.rounded < 2 || g.rounded*10 < g.long {
		return ""
	}
	return fmt.Sprintf("map.id: %d of %d long ids end with 000, as those do that a spreadsheet has cut; export ids as text", g.rounded, g.long)
}

// ID takes the id of a post.
func (g *Sample) ID(id string) {
	const kept = 15 // digits
	if len(id) > kept && strings.Trim(id, "0123456789") == "" {
		g.long++
		if strings.HasSuffix(id, "000") { // of others one in a thousand does
			g.rounded++
		}
	}
}

// missing is the error about a path that no record has.
func (g *Sample) missing(key, path string) error {
	known := slices.Sorted(maps.Keys(g.known))
	err := &ingest.KeyError{Key: key, Err: fmt.Errorf("none of the %d records looked at has %q: %w", g.records, path, feedlake.ErrConfig)}
	most := ""
	if len(known) > shownPaths {
		most, known = ", …", known[:shownPaths]
	}
	meant := ""
	if n := feedlake.Nearest(path, slices.Sorted(maps.Keys(g.known))); n != "" {
		meant = fmt.Sprintf("did you mean %q? ", n)
	}
	return feedlake.Hint(err, "%sthe records have: %s%s; if they may lack it, say \"{path: …, optional: true}\"", meant, strings.Join(known, ", "), most)
}

// noColumn begins the fault of a file without a column that the mapping must have.
const noColumn = "file has no column"

// Header spells the columns of a stream as a record, where the mapping lacks some
// without which no row can be read; "" for others.
func Header(c Cutter) string {
	var names []string
	switch c := c.(type) {
	case *csvCutter:
		if !strings.HasPrefix(c.fault, noColumn) {
			return ""
		}
		names = c.names
	case *ParquetCutter:
		if !strings.HasPrefix(c.fault, noColumn) || c.file == nil {
			return ""
		}
		for _, col := range c.file.Root().Columns() {
			names = append(names, col.Name())
		}
	default:
		return ""
	}
	b := []byte{'{'}
	for i, n := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(appendJSON(b, n), ':'), "null"...)
	}
	return string(append(b, '}'))
}

// present reports whether a record has a path, or may have it: what lies in
// something that is null or empty cannot be told.
func present(record, path string, column bool) bool {
	if column {
		path = gjson.Escape(path)
	}
	v := gjson.Get(record, path)
	if column || (v.Exists() && v.Raw != "[]") {
		return v.Exists()
	}
	if head, _, ok := strings.Cut(path, ".#"); ok {
		list := gjson.Get(record, head)
		return list.Type == gjson.Null && list.Exists() || list.IsArray() && !list.Get("0").Exists() || (!list.Exists() && maybe(record, head))
	}
	return v.Exists() || maybe(record, path)
}

// maybe reports that an object around a path is null.
func maybe(record, path string) bool {
	for at := strings.LastIndexByte(path, '.'); at > 0; at = strings.LastIndexByte(path[:at], '.') {
		if v := gjson.Get(record, path[:at]); v.Exists() {
			return v.Type == gjson.Null
		}
	}
	return false
}

// deepest is how far into a record paths are told.
const deepest = 4

// flatten notes the paths of a record.
func flatten(known map[string]bool, prefix string, v gjson.Result, columns bool) {
	if strings.Count(prefix, ".") >= deepest || len(known) > 10*shownPaths {
		return
	}
	v.ForEach(func(k, e gjson.Result) bool {
		at := prefix + k.Str
		if !columns {
			at = prefix + gjson.Escape(k.Str)
		}
		if e.IsObject() && !columns {
			flatten(known, at+".", e, columns)
		} else {
			known[at] = true
		}
		return true
	})
}
