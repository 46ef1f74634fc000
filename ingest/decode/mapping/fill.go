package mapping

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
)

// fill puts one column's value into p.
func (d *Decoder) fill(t *target, p *feedlake.Post) error {
	v, err := d.source(t)
	if err != nil {
		return err
	}
	if v.kind == isAbsent || v.text == "" {
		if t.absent == nil {
			return nil
		}
		v = value{isText, *t.absent}
	}
	return d.store(t, v, p)
}

// source finds the value that the declaration names, with match and values
// applied.
func (d *Decoder) source(t *target) (value, error) {
	if t.constant != nil {
		return value{isText, *t.constant}, nil
	}
	v := d.values[t.slots[0]]
	if len(t.slots) > 1 {
		var err error
		if v, err = d.join(t); err != nil {
			return value{}, err
		}
	}
	if v.kind == isAbsent || v.text == "" || v.kind == isList || v.kind == isObject {
		return v, nil
	}
	if t.match != nil {
		m := t.match.FindStringSubmatchIndex(v.text)
		if m == nil {
			return value{}, nil
		}
		g := m[:2]
		if len(m) > 2 {
			g = m[2:4]
		}
		if g[0] < 0 {
			return value{}, nil
		}
		v = value{isText, v.text[g[0]:g[1]]}
	}
	if t.values != nil {
		if to, ok := t.values[v.text]; ok {
			return value{isText, to}, nil
		}
		if t.other != nil {
			return value{isText, *t.other}, nil
		}
	}
	return v, nil
}

// join joins the texts of several fields, the empty ones left out.
func (d *Decoder) join(t *target) (value, error) {
	d.items = d.items[:0]
	for _, s := range t.slots {
		switch v := d.values[s]; {
		case v.kind == isList || v.kind == isObject || v.kind == isTruth:
			return v, reject("want text at %s, got %s", d.plan.paths[s], v.kind)
		case v.text != "":
			d.items = append(d.items, v.text)
		}
	}
	switch len(d.items) {
	case 0:
		return value{}, nil
	case 1:
		return value{isText, d.items[0]}, nil
	}
	return value{isText, strings.Join(d.items, t.sep)}, nil
}

// store converts a value to the column's type.
func (d *Decoder) store(t *target, v value, p *feedlake.Post) error {
	switch c := &t.column; {
	case c.text != nil:
		return storeText(t, v, c.text(p))
	case c.count != nil:
		n, err := wholeNumber(v, t.grouped)
		if err != nil {
			return err
		}
		*c.count(p) = d.count(n)
	case c.time != nil:
		at, err := parseTime(t, v)
		if err != nil {
			return err
		}
		*c.time(p) = at
	case c.truth != nil:
		b, err := truth(v)
		if err != nil {
			return err
		}
		*c.truth(p) = b
	default:
		return storeList(t, v, c.list(p))
	}
	return nil
}

// count keeps n beside those of many other posts: one allocation for a page.
func (d *Decoder) count(n int64) *int64 {
	if len(d.counts) == cap(d.counts) {
		d.counts = make([]int64, 0, 2048)
	}
	d.counts = append(d.counts, n)
	return &d.counts[len(d.counts)-1]
}

func storeText(t *target, v value, to *string) error {
	if v.kind != isText && v.kind != isNumber {
		return reject("want text, got %s", v.kind)
	}
	s := v.text
	if t.column.ident {
		var err error
		if s, err = ident(v); err != nil {
			return err
		}
	}
	if t.unescape && strings.IndexByte(s, '&') >= 0 {
		s = html.UnescapeString(s)
	}
	if t.column.lower {
		s = languageTag(s)
	}
	if t.column.oneOf != nil && !slices.Contains(t.column.oneOf, s) {
		return reject("%q is none of %s", clip(s), strings.Join(t.column.oneOf, ", "))
	}
	*to = s
	return nil
}

// languageTag spells a language as BCP 47 in lower case: en_US is en-us.
func languageTag(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if strings.IndexByte(s, '_') >= 0 {
		s = strings.ReplaceAll(s, "_", "-")
	}
	return s
}

func storeList(t *target, v value, to *[]string) error {
	if v.kind == isText {
		if list, ok := listOf(v.text); ok {
			v = list
		}
	}
	switch {
	case v.kind == isAbsent:
		return nil
	case v.kind == isText && t.split:
		*to = []string{}
		for item := range strings.SplitSeq(v.text, t.sep) {
			addItem(t, strings.TrimSpace(item), to)
		}
		return nil
	case v.kind == isText || v.kind == isNumber:
		*to = []string{}
		addItem(t, v.text, to)
		return nil
	case v.kind != isList:
		return reject("want a list of texts, got %s", v.kind)
	}
	return storeItems(t, gjson.Parse(v.text), to)
}

// storeItems stores the items of a list: texts, numbers, or objects that hold the
// text.
func storeItems(t *target, list gjson.Result, to *[]string) (err error) {
	items := []string{}
	list.ForEach(func(_, r gjson.Result) bool {
		item := valueOf(r.Raw)
		for i := 0; item.kind == isObject && i < len(t.column.keys); i++ {
			if inner := valueOf(r.Get(t.column.keys[i]).Raw); inner.kind == isText {
				item = inner
			}
		}
		if item.kind != isText && item.kind != isNumber {
			err = reject("want a list of texts, got one with %s", item.kind)
			return false
		}
		addItem(t, item.text, &items)
		return true
	})
	if err == nil {
		*to = items
	}
	return err
}

func addItem(t *target, s string, to *[]string) {
	if t.column.strip != 0 && s != "" && s[0] == t.column.strip {
		s = s[1:]
	}
	if t.unescape && strings.IndexByte(s, '&') >= 0 {
		s = html.UnescapeString(s)
	}
	if s != "" {
		*to = append(*to, s)
	}
}

// wholeNumber reads a count: 12, "12", 12.0 and "1,234"; with another character
// between thousands where that is declared.
func wholeNumber(v value, thousands string) (int64, error) {
	if v.kind != isNumber && v.kind != isText {
		return 0, reject("want a whole number, got %s", v.kind)
	}
	if n, err := strconv.ParseInt(v.text, 10, 64); err == nil {
		return n, nil
	}
	s := strings.TrimSpace(v.text)
	if v.kind == isText {
		s = bare(s)
		switch {
		case thousands == "" && groupedByDots(s):
			return 0, reject("want a whole number, got %q, which may be one or a thousand times as much; declare the mapping's \"thousands\"", clip(v.text))
		case thousands == ".":
			s = strings.NewReplacer(".", ",", ",", ".").Replace(s)
		case thousands != "":
			s = strings.ReplaceAll(s, thousands, ",")
		}
	}
	s = ungroup(s)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	const exact = 1 << 53 // beyond it a float has no units
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || strings.ContainsAny(s, "xXpP_nN") || f != math.Trunc(f) || math.Abs(f) > exact {
		return 0, reject("want a whole number, got %q", clip(v.text))
	}
	return int64(f), nil
}

// groupedByDots reports whether a number has dots as one with thousands has.
func groupedByDots(s string) bool {
	return strings.IndexByte(s, '.') >= 0 && strings.IndexByte(s, ',') < 0 && ungroup(strings.ReplaceAll(s, ".", ",")) != strings.ReplaceAll(s, ".", ",")
}

// ungroup takes the commas out of 1,234,567; it leaves other uses of a comma.
func ungroup(s string) string {
	whole, _, _ := strings.Cut(s, ".")
	groups := strings.Split(strings.TrimLeft(whole, "+-"), ",")
	if len(groups) == 1 {
		return s
	}
	for i, g := range groups {
		if (i > 0 && len(g) != 3) || (i == 0 && (g == "" || len(g) > 3)) {
			return s
		}
	}
	return strings.ReplaceAll(whole, ",", "") + s[len(whole):]
}

func truth(v value) (bool, error) {
	if v.kind != isList && v.kind != isObject {
		switch strings.ToLower(strings.TrimSpace(v.text)) {
		case "true", "t", "yes", "y", "1":
			return true, nil
		case "false", "f", "no", "n", "0":
			return false, nil
		}
		return false, reject("want true or false, got %q", clip(v.text))
	}
	return false, reject("want true or false, got %s", v.kind)
}

// Names of time formats; every other format is a Go layout.
const (
	timeRFC3339   = "rfc3339"
	timeUnix      = "unix"
	timeUnixMilli = "unix_ms"
	timeUnixMicro = "unix_us"
)

// checkFormat refuses a layout that holds no part of a time, such as a
// misspelt name or a strftime pattern.
func checkFormat(format string) error {
	switch format {
	case timeRFC3339, timeUnix, timeUnixMilli, timeUnixMicro:
		return nil
	}
	a := time.Date(2001, 1, 1, 1, 1, 1, 0, time.UTC)
	b := time.Date(2012, 12, 12, 12, 12, 12, 0, time.UTC)
	if format == "" || a.Format(format) == b.Format(format) {
		return feedlake.Hint(fmt.Errorf("time: %q is no layout", format),
			"name rfc3339, unix, unix_ms or unix_us, or write Go's reference time in your format: 2006-01-02 15:04:05")
	}
	return nil
}

func parseTime(t *target, v value) (time.Time, error) {
	if v.kind != isText && v.kind != isNumber {
		return time.Time{}, reject("want a time, got %s", v.kind)
	}
	text, unknown := v.text, ""
	if v.kind == isText {
		text = bare(text)
	}
	for _, format := range t.times {
		switch format {
		case timeRFC3339:
			if at, err := time.Parse(time.RFC3339, text); err == nil {
				return at.UTC(), nil
			}
		case timeUnix, timeUnixMilli, timeUnixMicro:
			if at, ok := unixTime(format, text); ok {
				return at, nil
			}
		default:
			at, err := time.ParseInLocation(format, text, t.zone)
			if err != nil {
				continue
			}
			if at, ok := zoned(at, t.zone); ok {
				return at.UTC(), nil
			}
			unknown, _ = at.Zone()
		}
	}
	if unknown != "" {
		return time.Time{}, reject("the zone %s in %q is none, or of several places: declare the mapping's \"zone\", such as Asia/Shanghai", unknown, clip(v.text))
	}
	return time.Time{}, reject("want a time as %s, got %q", strings.Join(t.times, " or "), clip(v.text))
}

// unixTime reads seconds, milliseconds or microseconds since 1970, with a
// fraction if need be, to the microsecond.
func unixTime(format, s string) (time.Time, bool) {
	micros := unitMicros(format)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if n > math.MaxInt64/micros || n < math.MinInt64/micros {
			return time.Time{}, false
		}
		return time.UnixMicro(n * micros).UTC(), true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.Abs(f*float64(micros)) > math.MaxInt64/2 {
		return time.Time{}, false
	}
	return time.UnixMicro(int64(math.Round(f * float64(micros)))).UTC(), true
}

func unitMicros(format string) int64 {
	switch format {
	case timeUnix:
		return 1e6
	case timeUnixMilli:
		return 1e3
	}
	return 1
}
