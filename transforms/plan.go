package transforms

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/feedlake/feedlake/lake"
)

// dayColumn is the partition column that look-backs count in.
const dayColumn = "day"

// source is one input of a model at a pinned snapshot.
type source struct {
	table    string
	back     int
	snapshot int64
	columns  []lake.Column
	lookup   bool
	files    []lake.File       // of snapshot
	changed  []lake.Difference // since the snapshot that the output was made from
}

// plan says which output partitions to compute.
type plan struct {
	reason     string
	all        bool             // the model or its inputs leave the partitions open: compute everything at once
	partitions []lake.Partition // computed whole; by day, then by name; empty with all
	grown      []lake.Partition // of which new input rows are computed, and appended; in the same order
	hourly     []hourly         // of which some hours are computed
}

// reasonChanged is the reason of a plan that the difference of the inputs decides.
const reasonChanged = "inputs changed"

// nothing reports whether there is no work.
func (p *plan) nothing() bool { return !p.all && len(p.partitions)+len(p.grown)+len(p.hourly) == 0 }

// count is how many partitions are to be computed, in whole or in part.
func (p *plan) count() int {
	n := len(p.partitions) + len(p.grown)
	for _, h := range p.hourly {
		n += len(h.partitions)
	}
	return n
}

// mapping relates the partitions of one input to those of the output by the
// columns that both have. An input without such columns feeds every partition.
type mapping struct {
	shared []string
	back   int
}

func newMapping(m *Model, s *source) mapping {
	out := mapping{back: s.back}
	var have []string
	switch { // an empty input is partitioned as it was before
	case len(s.files) > 0:
		have = partitionColumns(s.files[0].Partition)
	case len(s.changed) > 0:
		have = partitionColumns(s.changed[0].Partition)
	}
	for _, c := range m.Partition {
		if slices.Contains(have, c) {
			out.shared = append(out.shared, c)
		}
	}
	return out
}

func partitionColumns(p lake.Partition) []string {
	if p == "" {
		return nil
	}
	var cols []string
	for part := range strings.SplitSeq(string(p), "/") {
		name, _, _ := strings.Cut(part, "=")
		cols = append(cols, name)
	}
	return cols
}

// project keeps the shared columns of a partition and moves its day.
func (g mapping) project(p lake.Partition, days int) lake.Partition {
	pairs := make([]string, 0, 2*len(g.shared))
	for _, c := range g.shared {
		v, _ := p.Value(c)
		if c == dayColumn && days != 0 {
			v = shiftDay(v, days)
		}
		pairs = append(pairs, c, v)
	}
	return lake.MakePartition(pairs...)
}

// shiftDay moves a date; what is no date stays.
func shiftDay(day string, days int) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return day
	}
	return t.AddDate(0, 0, days).Format(time.DateOnly)
}

// makePlan decides what to compute. st is the state in the output table, output
// its files now.
//
// A row of output partition P needs an input partition that maps to P without
// look-back: so the partitions that may have rows are those of the inputs, and
// those that the output has already must be seen again in case they are to be
// emptied.
func makePlan(m *Model, st state, inputs []source, output []lake.File, full bool) plan {
	reason := rebuildReason(m, st, inputs, full)
	if len(m.Partition) == 0 {
		if reason = openReason(reason, st, inputs); reason == "" {
			return plan{}
		}
		return plan{reason: reason, partitions: []lake.Partition{""}}
	}
	candidates, closed := candidatePartitions(m, inputs, output)
	if !closed {
		if reason = openReason(reason, st, inputs); reason == "" {
			return plan{}
		}
		return plan{reason: reason, all: true}
	}
	if reason != "" {
		return plan{reason: reason, partitions: candidates}
	}
	dirty := map[lake.Partition]bool{}
	for _, p := range st.Held {
		dirty[p] = true
	}
	for i := range inputs {
		markDirty(m, &inputs[i], candidates, dirty)
	}
	p := plan{reason: reasonChanged}
	for _, c := range candidates {
		if dirty[c] {
			p.partitions = append(p.partitions, c)
		}
	}
	return p
}

// rebuildReason says why everything must be computed; "" when the difference of
// the inputs decides.
func rebuildReason(m *Model, st state, inputs []source, full bool) string {
	switch {
	case !st.Built:
		return "first build"
	case full:
		return "full rebuild asked for"
	case st.Model != m.Hash:
		return "model changed"
	}
	for _, s := range inputs {
		if _, ok := st.Inputs[s.table]; !ok {
			return "new input " + s.table
		}
	}
	return st.Lost
}

// openReason says why a model is computed whose partitions cannot be told
// apart beforehand; "" when it need not be.
func openReason(reason string, st state, inputs []source) string {
	switch {
	case reason != "":
		return reason
	case anyChanged(inputs):
		return reasonChanged
	case len(st.Held) > 0:
		return "held back before"
	}
	return ""
}

func anyChanged(inputs []source) bool {
	return slices.ContainsFunc(inputs, func(s source) bool { return len(s.changed) > 0 })
}

// candidatePartitions lists the output partitions that may have rows, by day.
// closed is false when no input tells them.
func candidatePartitions(m *Model, inputs []source, output []lake.File) (list []lake.Partition, closed bool) {
	set := map[lake.Partition]bool{}
	some := false
	for i := range inputs {
		g := newMapping(m, &inputs[i])
		some = some || len(inputs[i].files) > 0
		if len(g.shared) != len(m.Partition) {
			continue
		}
		closed = true
		for _, f := range inputs[i].files {
			set[g.project(f.Partition, 0)] = true
		}
	}
	for _, f := range output {
		set[f.Partition] = true
	}
	for p := range set {
		list = append(list, p)
	}
	slices.SortFunc(list, byDay)
	return list, closed || !some
}

func byDay(a, b lake.Partition) int {
	da, _ := a.Value(dayColumn)
	db, _ := b.Value(dayColumn)
	return cmp.Or(cmp.Compare(da, db), cmp.Compare(a, b))
}

// markDirty adds the candidates that a changed input partition feeds.
func markDirty(m *Model, s *source, candidates []lake.Partition, dirty map[lake.Partition]bool) {
	g := newMapping(m, s)
	keys := map[lake.Partition]bool{}
	for _, d := range s.changed {
		for k := 0; k <= g.back; k++ {
			keys[g.project(d.Partition, k)] = true
		}
	}
	if len(keys) == 0 {
		return
	}
	for _, c := range candidates {
		if keys[g.project(c, 0)] {
			dirty[c] = true
		}
	}
}

// feeder finds the files of one input that an output partition needs.
type feeder struct {
	mapping
	files []lake.File
	byKey map[lake.Partition][]int
}

func newFeeder(m *Model, s *source) feeder {
	f := feeder{mapping: newMapping(m, s), files: s.files, byKey: map[lake.Partition][]int{}}
	for i, file := range s.files {
		key := f.project(file.Partition, 0)
		f.byKey[key] = append(f.byKey[key], i)
	}
	return f
}

// need calls yield for every file that feeds p; own tells those of p's own day
// from the look-back.
func (f *feeder) need(p lake.Partition, yield func(file int, own bool)) {
	for k := 0; k <= f.back; k++ {
		for _, i := range f.byKey[f.project(p, -k)] {
			yield(i, k == 0)
		}
	}
}

// chunk is what one query computes.
type chunk struct {
	partitions []lake.Partition // nil: all
	grown      bool             // inputs are the new rows alone
	hours      []time.Time      // computed of the partitions; nil: all
	inputs     map[string][]lake.File
	rows       int64 // of inputs
}

// maxPartitions bounds how many partitions one query writes: an engine holds a
// buffer for each. Where days are small, what a query costs by itself counts.
const maxPartitions = 256

// chunks parts a plan into queries of about maxRows input rows. Rows of a
// look-back are read again by the next chunk, so a chunk goes on until its own
// rows are as many: reading at most doubles, however long the look-back.
//
// What grows is computed in queries of its own, over the new rows, or a day at a
// time over the rows of the hours in question.
func chunks(m *Model, p plan, inputs []source, maxRows int64) []chunk {
	if len(p.hourly) > 0 {
		out := chunks(m, plan{partitions: p.partitions}, inputs, maxRows)
		for _, h := range p.hourly {
			for _, c := range chunks(m, plan{partitions: h.partitions}, hourInputs(inputs, h.hours), math.MaxInt64) {
				c.hours = h.hours
				out = append(out, c)
			}
		}
		return out
	}
	if len(p.grown) > 0 {
		out := chunks(m, plan{partitions: p.partitions}, inputs, maxRows)
		for _, c := range chunks(m, plan{partitions: p.grown}, grownInputs(m, inputs), maxRows) {
			c.grown = true
			out = append(out, c)
		}
		return out
	}
	if p.all {
		whole := chunk{inputs: map[string][]lake.File{}}
		for _, s := range inputs {
			whole.add(s.table, s.files...)
		}
		return []chunk{whole}
	}
	feeders := make([]feeder, len(inputs))
	for i := range inputs {
		feeders[i] = newFeeder(m, &inputs[i])
	}
	var out []chunk
	for i := 0; i < len(p.partitions); {
		c, n := nextChunk(p.partitions[i:], inputs, feeders, maxRows)
		out = append(out, c)
		i += n
	}
	return out
}

// nextChunk takes partitions from the front of list, at least one.
func nextChunk(list []lake.Partition, inputs []source, feeders []feeder, maxRows int64) (chunk, int) {
	c := chunk{inputs: map[string][]lake.File{}}
	taken := make([]map[int]bool, len(feeders)) // file -> counted as own
	for i := range taken {
		taken[i] = map[int]bool{}
	}
	var own int64
	n := 0
	for ; n < len(list) && n < maxPartitions; n++ {
		var add, addOwn int64
		each(feeders, list[n], func(i, file int, mine bool) {
			counted, have := taken[i][file]
			if !have {
				add += feeders[i].files[file].Rows
			}
			if mine && !counted {
				addOwn += feeders[i].files[file].Rows
			}
		})
		if n > 0 && c.rows+add > maxRows && own >= c.rows-own {
			break
		}
		each(feeders, list[n], func(i, file int, mine bool) { taken[i][file] = taken[i][file] || mine })
		c.rows, own = c.rows+add, own+addOwn
	}
	c.partitions = slices.Clone(list[:n])
	for i, f := range feeders {
		for file := range f.files { // in the order of the plan, for the same query on every run
			if _, ok := taken[i][file]; ok {
				c.inputs[inputs[i].table] = append(c.inputs[inputs[i].table], f.files[file])
			}
		}
	}
	return c, n
}

func each(feeders []feeder, p lake.Partition, yield func(input, file int, own bool)) {
	for i := range feeders {
		feeders[i].need(p, func(file int, own bool) { yield(i, file, own) })
	}
}

func (c *chunk) add(table string, files ...lake.File) {
	c.inputs[table] = append(c.inputs[table], files...)
	for _, f := range files {
		c.rows += f.Rows
	}
}
