package files

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/mapping"
)

// A mapping is judged by records from the beginnings of some of the files: the
// first, the last and others between them.
const (
	sampledFiles   = 8
	sampledRecords = 2000 // of all these files
	leastOfFile    = 250  // records of one
	enough         = 100  // records that have a path show that it is right, and not rare
	sureOf         = 1000 // records, without which a path may be missing by chance
	rare           = 100  // of so many records one has the path: less is worth a warning
	shownPaths     = 40
)

// sample counts in how many records the paths of the mapping are.
type sample struct {
	records int
	has     map[string]int  // by path
	known   map[string]bool // paths that the records have
	long    int             // ids of more digits than a spreadsheet keeps
	rounded int             // of those: that end as if cut
}

// judge compares the mapping with the records. A path that none of them has is an
// error that wraps feedlake.ErrConfig: a column would be lost without a word. One
// that few have is worth a warning. Unless sure, few records judge nothing.
func (s *source) judge(ctx context.Context, all []object, sure bool) (warning string, err error) {
	if s.shape != nil || len(all) == 0 || !slices.ContainsFunc(s.plans[false].Declared(), func(p mapping.Path) bool { return !p.Optional }) {
		return "", nil
	}
	got, err := s.look(ctx, all)
	if err != nil || got.records == 0 {
		return "", err
	}
	for _, p := range s.plans[false].Declared() {
		switch n := got.has[p.Path]; {
		case p.Optional:
		case n == 0 && (sure || got.records >= sureOf):
			return "", got.missing(p.Key, p.Path)
		case n == 0:
			warning = fmt.Sprintf("%s: none of the %d records looked at has %q", p.Key, got.records, p.Path)
		case got.records >= sureOf && n*rare < got.records:
			warning = fmt.Sprintf("%s: only %d of the %d records looked at have %q", p.Key, n, got.records, p.Path)
		}
	}
	return cmp.Or(warning, got.roundedIDs()), nil
}

// roundedIDs warns of ids that a spreadsheet seems to have cut, as it does without
// a word: then posts have become one.
func (g *sample) roundedIDs() string {
	if g.rounded < 2 || g.rounded*10 < g.long {
		return ""
	}
	return fmt.Sprintf("map.id: %d of %d long ids end with 000, as those do that a spreadsheet has cut; export ids as text", g.rounded, g.long)
}

// id counts one id.
func (g *sample) id(id string) {
	const kept = 15 // digits
	if len(id) > kept && strings.Trim(id, "0123456789") == "" {
		g.long++
		if strings.HasSuffix(id, "000") { // of others one in a thousand does
			g.rounded++
		}
	}
}

// missing is the error about a path that no record has.
func (g *sample) missing(key, path string) error {
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

// look takes the sample.
func (s *source) look(ctx context.Context, all []object) (*sample, error) {
	got := &sample{has: map[string]int{}, known: map[string]bool{}}
	declared := s.plans[false].Declared()
	usual := s.limits
	defer func() { s.limits = usual }()
	s.limits.block = min(s.limits.block, 64<<10) // a file is not read further than it must
	chosen := s.some(all)
	most := max(leastOfFile, sampledRecords/max(len(chosen), 1))
	for _, o := range chosen {
		columns := s.cfg.kindOf(o.name).format == formatCSV
		err := s.beginning(ctx, o, most, got.id, func(record string) {
			got.records++
			for _, p := range declared {
				if got.has[p.Path] < enough && present(record, p.Path, columns) {
					got.has[p.Path]++
				}
			}
			if got.records <= leastOfFile {
				flatten(got.known, "", gjson.Parse(record), columns)
			}
		})
		if err != nil && !(&unreadable{}).alone(ctx, o.name, err) { // reading it will tell
			return nil, err
		}
	}
	return got, nil
}

// some chooses files that lie evenly among all. Parquet, members of tar archives and
// objects of a bucket are read whole to be looked at: of those, one.
func (s *source) some(all []object) []object {
	all = slices.DeleteFunc(slices.Clone(all), func(o object) bool { return o.end })
	if len(all) == 0 {
		return nil
	}
	most, first := sampledFiles, all[0]
	_, remote := s.archives.store.(*bucket)
	if remote || s.cfg.kindOf(first.name).format == formatParquet || first.member != nil && archiveOf(first.member.archive.name) == archiveTar {
		most = 1
	}
	if len(all) <= most {
		return all
	}
	out := make([]object, 0, most)
	for i := range most {
		out = append(out, all[i*(len(all)-1)/max(most-1, 1)])
	}
	return out
}

// beginning hands out the first records of a file, as JSON, sound or not, and the
// ids of the sound ones.
func (s *source) beginning(ctx context.Context, o object, most int, id, record func(string)) (err error) {
	f, err := s.openAt(ctx, o, entry{})
	if err != nil { // reading it tells
		return nil //nolint:nilerr // see above
	}
	defer func() { err = errors.Join(err, f.close()) }()
	if head := header(f.reader); head != "" {
		record(head)
		return nil
	}
	for left := most; left > 0; {
		p := &page{now: s.env.Now().UTC(), limits: limits{bytes: s.limits.bytes, records: min(left, s.limits.records), block: s.limits.block}}
		bad := f.reader.read(ctx, p)
		for i := range p.posts[:min(left, len(p.posts))] {
			id(p.posts[i].ID)
			record(p.posts[i].Payload)
		}
		left -= min(left, len(p.posts))
		for _, r := range p.rejects[:min(left, len(p.rejects))] {
			if len(r.Payload) < feedlake.MaxRejectPayload && strings.HasPrefix(r.Payload, "{") && gjson.Valid(r.Payload) {
				record(r.Payload)
			}
		}
		left -= min(left, len(p.rejects))
		switch {
		case errors.Is(bad, io.EOF):
			return nil
		case bad != nil:
			return bad
		}
	}
	return nil
}

// noColumn begins the fault of a file without a column that the mapping must have.
const noColumn = "file has no column"

// header spells the columns of a file as a record, where the mapping lacks some
// without which no row can be read.
func header(r reader) string {
	var names []string
	switch r := r.(type) {
	case *csvReader:
		if !strings.HasPrefix(r.fault, noColumn) {
			return ""
		}
		names = r.names
	case *parquetReader:
		if !strings.HasPrefix(r.fault, noColumn) || r.file == nil {
			return ""
		}
		for _, c := range r.file.Root().Columns() {
			names = append(names, c.Name())
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
