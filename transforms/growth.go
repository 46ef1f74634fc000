package transforms

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// hourColumn is the column by which models that grow by hours are parted.
const hourColumn = "hour"

// checkGrowth holds what a model says of its growth against its head and its
// SELECT.
func (g *Graph) checkGrowth(m *Model) []error {
	var unit []string
	var wrong string
	switch m.Grows {
	case ByRows:
		unit, wrong = g.rowUnit(m)
	case ByHours:
		unit, wrong = g.hourUnit(m)
	default:
		return nil
	}
	fault := func(line int, what string) error {
		return feedlake.Hint(fmt.Errorf("%s:%d: the head says 'grows: %s': %s: %w", m.File, line, m.Grows, what, feedlake.ErrConfig),
			"say 'grows: partition', or let every row depend on the input rows with its own %s alone", strings.Join(unit, " and "))
	}
	if wrong != "" {
		return []error{fault(1, wrong)}
	}
	var faults []error
	for _, f := range shapeFaults(m.SQL, unit, lookups(m)) {
		faults = append(faults, fault(m.Line+strings.Count(m.SQL[:f.at], "\n"), "the SELECT has "+f.what))
	}
	return faults
}

func lookups(m *Model) (tables []string) {
	for _, in := range m.Inputs {
		if in.Lookup {
			tables = append(tables, in.Table)
		}
	}
	return tables
}

// rowUnit is the key of the input whose rows a model by rows reads. New keys there
// must be new keys here, so that no row of before is touched and what is unique
// stays so.
func (g *Graph) rowUnit(m *Model) (unit []string, wrong string) {
	in, wrong := rowInput(m)
	if wrong != "" {
		return nil, wrong
	}
	if unit = g.keyOf(in.Table); len(unit) == 0 {
		return nil, "input " + in.Table + " has no key"
	}
	if len(m.Partition) == 0 {
		return unit, "the table has no partitions"
	}
	return unit, within(m, unit)
}

// within wants the unit in the key, and in whatever is to be unique.
func within(m *Model, unit []string) string {
	lists := [][]string{m.Key}
	for _, c := range m.Checks {
		if c.Kind == Unique {
			lists = append(lists, c.Columns)
		}
	}
	for _, list := range lists {
		for _, u := range unit {
			if !slices.Contains(list, u) {
				return fmt.Sprintf("%s is not in (%s), which is to be unique", u, strings.Join(list, ", "))
			}
		}
	}
	return ""
}

// rowInput is the one input that a model by rows follows. features.scattered may
// stand beside raw.posts: it holds the posts that are not to be taken from there.
func rowInput(m *Model) (in Input, wrong string) {
	for _, i := range m.Inputs {
		switch {
		case i.Lookup || in.Table == lake.RawPosts().Name && i.Table == lake.Scattered().Name:
		case in.Table != "":
			return in, "it reads " + in.Table + " and " + i.Table
		case i.Back > 0:
			return in, "input " + i.Table + " has a look-back"
		default:
			in = i
		}
	}
	if in.Table == "" {
		return in, "it has lookups alone"
	}
	if s, ok := fixed(in.Table); ok && s.Landed && in.Table != lake.RawPosts().Name {
		return in, "rows of " + in.Table + " may land again"
	}
	return in, ""
}

// hourUnit is the hour, for a model that is parted by it.
func (g *Graph) hourUnit(m *Model) (unit []string, wrong string) {
	unit = []string{hourColumn}
	if !slices.Contains(m.Partition, dayColumn) {
		return unit, "the table is not partitioned by day"
	}
	for _, in := range m.Inputs {
		if in.Back > 0 {
			return unit, "input " + in.Table + " has a look-back"
		}
	}
	return unit, within(m, unit)
}

// keyOf lists the columns that tell the rows of a table apart. Of raw.posts it is
// the posts: the versions of one belong together.
func (g *Graph) keyOf(table string) []string {
	if table == lake.RawPosts().Name {
		return []string{"source", "id"}
	}
	if m, ok := g.Model(table); ok {
		return m.Key
	}
	s, _ := fixed(table)
	return s.Key
}

func fixed(table string) (lake.Spec, bool) {
	list := lake.Fixed()
	i := slices.IndexFunc(list, func(s lake.Spec) bool { return s.Name == table })
	if i < 0 {
		return lake.Spec{}, false
	}
	return list[i], true
}

// grow takes out of a plan the partitions whose new input rows can be computed
// without the old ones: the model is by rows, its input gained rows and lost none,
// and of raw.posts the rows are of posts that were nowhere before. Whatever else
// there is, an edit or a deletion, a change of another input, a partition that is
// held back, leaves the partition to be computed whole.
func (r *runner) grow(ctx context.Context, m *Model, st *state, inputs []source, p *plan) {
	if m.Grows != ByRows || p.reason != reasonChanged || len(p.partitions) == 0 {
		return
	}
	in, wrong := rowInput(m)
	i := slices.IndexFunc(inputs, func(s source) bool { return s.table == in.Table })
	if wrong != "" || i < 0 {
		return
	}
	s := &inputs[i]
	g := newMapping(m, s)
	if len(g.shared) != len(m.Partition) {
		return
	}
	whole := map[lake.Partition]bool{}
	for _, h := range st.Held {
		whole[h] = true
	}
	for k := range inputs {
		if k != i && !inputs[k].lookup {
			for _, d := range inputs[k].changed {
				whole[newMapping(m, &inputs[k]).project(d.Partition, 0)] = true
			}
		}
	}
	landed := in.Table == lake.RawPosts().Name
	came := r.arrived
	if landed && !r.guess && !r.covers(ctx, came, st.Inputs[in.Table], s.snapshot) {
		return
	}
	had := map[lake.Partition]int64{} // rows now, less those that came
	for _, f := range s.files {
		had[g.project(f.Partition, 0)] += f.Rows
	}
	for _, d := range s.changed {
		to := g.project(d.Partition, 0)
		whole[to] = whole[to] || len(d.Removed) > 0 || landed && !r.guess && came.known[d.Partition]
		for _, f := range d.Added {
			had[to] -= f.Rows
		}
	}
	var rest []lake.Partition
	for _, c := range p.partitions {
		if whole[c] || had[c] <= 0 {
			rest = append(rest, c)
		} else {
			p.grown = append(p.grown, c)
		}
	}
	p.partitions = rest
}

// grownInputs are the inputs of the partitions that grow: of the input that is
// followed the new rows, of lookups all, of others none.
func grownInputs(m *Model, inputs []source) []source {
	in, _ := rowInput(m)
	out := slices.Clone(inputs)
	for i := range out {
		if out[i].lookup {
			continue
		}
		out[i].files = nil
		if out[i].table != in.Table {
			continue
		}
		for _, d := range out[i].changed {
			out[i].files = append(out[i].files, d.Added...)
		}
	}
	return out
}
