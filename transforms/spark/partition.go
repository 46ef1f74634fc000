package spark

import (
	"slices"
	"strings"
	"time"

	"github.com/feedlake/feedlake/lake"
)

// partKey is one partition column: the name it has in a lake.Partition, and
// the expression and type behind it.
type partKey struct {
	name   string
	column string // spelled
	typ    string // of column, as lake names it
	days   bool   // partitioned by the UTC day of column, a TIMESTAMPTZ
}

// nullValue is how the lake spells the value of a partition whose column is NULL.
const nullValue = "__null__"

// inputKeys finds the partition columns of an input table: columns of that
// name, or, in feedlake's own tables, the day of a time.
func inputKeys(table string, cols []lake.Column, p lake.Partition) []partKey {
	spec := slices.IndexFunc(lake.Fixed(), func(s lake.Spec) bool { return s.Name == table })
	var keys []partKey
	for pair := range strings.SplitSeq(string(p), "/") {
		name, _, ok := strings.Cut(pair, "=")
		if !ok {
			continue
		}
		k := partKey{name: name, column: ident(name), typ: typeOf(cols, name)}
		if k.typ == "" && spec >= 0 {
			for _, field := range lake.Fixed()[spec].Partition {
				if inner, ok := strings.CutPrefix(field, name+"("); ok {
					column := strings.TrimSuffix(inner, ")")
					k = partKey{name: name, column: ident(column), typ: typeOf(cols, column), days: true}
				}
			}
		}
		keys = append(keys, k)
	}
	return keys
}

func typeOf(cols []lake.Column, name string) string {
	if i := slices.IndexFunc(cols, func(c lake.Column) bool { return c.Name == name }); i >= 0 {
		return cols[i].Type
	}
	return ""
}

// within spells the condition that a row lies in one of the partitions, as
// comparisons of columns with literals, by which Spark and Iceberg leave files
// out. Partitions that differ in the last column only share a condition, and
// there runs of days become ranges.
func within(keys []partKey, parts []lake.Partition) string {
	last := len(keys) - 1
	groups := map[string][]string{} // condition of the columns before the last: values of the last
	var order []string
	for _, p := range parts {
		var head []string
		for _, k := range keys[:last] {
			v, _ := p.Value(k.name)
			head = append(head, k.holds([]string{v}))
		}
		group := strings.Join(head, " AND ")
		if _, ok := groups[group]; !ok {
			order = append(order, group)
		}
		v, _ := p.Value(keys[last].name)
		groups[group] = append(groups[group], v)
	}
	var out []string
	for _, group := range order {
		cond := keys[last].holds(groups[group])
		if group != "" {
			cond = group + " AND " + cond
		}
		out = append(out, "("+cond+")")
	}
	return "(" + strings.Join(out, " OR ") + ")"
}

// holds spells the condition that the column has one of the values.
func (k partKey) holds(values []string) string {
	values = slices.Compact(slices.Sorted(slices.Values(values)))
	var conds, list []string
	if i := slices.Index(values, nullValue); i >= 0 {
		conds = append(conds, k.column+" IS NULL")
		values = slices.Delete(values, i, i+1)
	}
	if k.days || k.typ == "DATE" {
		for _, r := range dayRuns(values) {
			conds = append(conds, k.between(r[0], r[1]))
		}
	} else {
		for _, v := range values {
			list = append(list, "CAST("+quote(v)+" AS "+sparkType(k.typ)+")")
		}
		if len(list) > 0 {
			conds = append(conds, k.column+" IN ("+strings.Join(list, ", ")+")")
		}
	}
	if len(conds) == 1 {
		return conds[0]
	}
	return "(" + strings.Join(conds, " OR ") + ")"
}

// between spells the condition of the days first to last.
func (k partKey) between(first, last time.Time) string {
	if k.days {
		return "(" + k.column + " >= TIMESTAMP '" + first.Format(time.DateOnly) + " 00:00:00 UTC' AND " +
			k.column + " < TIMESTAMP '" + last.AddDate(0, 0, 1).Format(time.DateOnly) + " 00:00:00 UTC')"
	}
	return "(" + k.column + " >= DATE '" + first.Format(time.DateOnly) + "' AND " + k.column + " <= DATE '" + last.Format(time.DateOnly) + "')"
}

// dayRuns joins sorted days into runs without a gap. A value that is no day
// can be in no partition that the lake made; it matches nothing.
func dayRuns(values []string) [][2]time.Time {
	var runs [][2]time.Time
	for _, v := range values {
		day, err := time.Parse(time.DateOnly, v)
		if err != nil {
			continue
		}
		if n := len(runs); n > 0 && runs[n-1][1].AddDate(0, 0, 1).Equal(day) {
			runs[n-1][1] = day
		} else {
			runs = append(runs, [2]time.Time{day, day})
		}
	}
	return runs
}
