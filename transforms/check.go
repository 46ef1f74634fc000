package transforms

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/feedlake/feedlake/lake/query"
)

// CheckKind names what a check looks at.
type CheckKind string

// Kinds of check. All but fresh hold a partition back when they fail.
const (
	NotNull  CheckKind = "not_null" // no NULL in the columns
	Unique   CheckKind = "unique"   // no two rows of a partition with the same columns
	Accepted CheckKind = "accepted" // the column holds one of the values, or NULL
	Range    CheckKind = "range"    // the column lies in Min to Max, or is NULL
	Rows     CheckKind = "rows"     // the partition has Min to Max rows
	Fresh    CheckKind = "fresh"    // the newest value is at most Age old; a warning only
)

// Check is one "-- check:" line of a head.
type Check struct {
	Kind     CheckKind
	Columns  []string
	Values   []string      // of Accepted
	Min, Max float64       // of Range and Rows; infinite where open
	Age      time.Duration // of Fresh
	Text     string        // as written
	Line     int
}

// parseCheck reads "kind(arguments)"; a hint says how it should be written.
func parseCheck(text string) (c Check, hint string) {
	const kinds = "the checks are not_null(a, b), unique(a, b), accepted(a: x, y), range(a: 1..9), rows(1..), fresh(a, 48h)"
	name, args, ok := strings.Cut(text, "(")
	args, closed := strings.CutSuffix(args, ")")
	if !ok || !closed {
		return Check{}, kinds
	}
	c = Check{Kind: CheckKind(name), Text: text, Min: math.Inf(-1), Max: math.Inf(1)}
	switch c.Kind {
	case NotNull, Unique:
		c.Columns, hint = splitColumns(args)
	case Accepted:
		hint = c.parseAccepted(args)
	case Range:
		column, bounds, _ := strings.Cut(args, ":")
		if c.Columns, hint = splitColumns(column); hint == "" {
			hint = c.parseBounds(bounds)
		}
	case Rows:
		hint = c.parseBounds(args)
	case Fresh:
		hint = c.parseFresh(args)
	default:
		hint = kinds
	}
	if hint == "" && len(c.Columns) > 1 && c.Kind != NotNull && c.Kind != Unique {
		hint = kinds
	}
	return c, hint
}

func (c *Check) parseAccepted(args string) (hint string) {
	column, values, ok := strings.Cut(args, ":")
	if c.Columns, hint = splitColumns(column); hint != "" {
		return hint
	}
	for v := range strings.SplitSeq(values, ",") {
		if v = strings.TrimSpace(v); v == "" || !ok {
			return "write the accepted values after a colon: accepted(kind: hashtag, mention, url)"
		}
		c.Values = append(c.Values, v)
	}
	return ""
}

// parseBounds reads "1..9", either side open.
func (c *Check) parseBounds(text string) (hint string) {
	const usage = "write the bounds as min..max, either side open, such as 1.. or 0..1"
	low, high, ok := strings.Cut(strings.TrimSpace(text), "..")
	if !ok || (low == "" && high == "") {
		return usage
	}
	for _, side := range []struct {
		text string
		to   *float64
	}{{low, &c.Min}, {high, &c.Max}} {
		if side.text == "" {
			continue
		}
		v, err := strconv.ParseFloat(side.text, 64)
		if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
			return usage
		}
		*side.to = v
	}
	if c.Min > c.Max {
		return "the lower bound is above the upper one"
	}
	return ""
}

func (c *Check) parseFresh(args string) (hint string) {
	const usage = "write a time column and the greatest age: fresh(hour, 48h)"
	column, age, ok := strings.Cut(args, ",")
	if c.Columns, hint = splitColumns(column); hint != "" {
		return hint
	}
	d, err := time.ParseDuration(strings.TrimSpace(age))
	if !ok || err != nil || d <= 0 {
		return usage
	}
	c.Age = d
	return ""
}

// violated spells the condition of a bad row; "" for checks that look at more
// than one row.
func (c *Check) violated() string {
	conds := make([]string, 0, len(c.Columns))
	switch c.Kind {
	case NotNull:
		for _, col := range c.Columns {
			conds = append(conds, query.Ident(col)+" IS NULL")
		}
	case Accepted:
		values := make([]string, len(c.Values))
		for i, v := range c.Values {
			values[i] = query.Quote(v)
		}
		conds = append(conds, fmt.Sprintf("CAST(%s AS VARCHAR) NOT IN (%s)", query.Ident(c.Columns[0]), strings.Join(values, ", ")))
	case Range:
		if !math.IsInf(c.Min, 0) {
			conds = append(conds, query.Ident(c.Columns[0])+" < "+number(c.Min))
		}
		if !math.IsInf(c.Max, 0) {
			conds = append(conds, query.Ident(c.Columns[0])+" > "+number(c.Max))
		}
	case Unique, Rows, Fresh:
	}
	return strings.Join(conds, " OR ")
}

// number spells a bound: whole ones as integers, so that BIGINT stays exact.
func number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'e', -1, 64)
}
