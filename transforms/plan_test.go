package transforms

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake/lake"
)

// file makes a file of source x and a day of January 2026; version tells two
// files of one day apart.
func file(day int, version string) lake.File {
	return lake.File{Path: fmt.Sprintf("%02d-%s", day, version), Partition: xday(day), Rows: 10, Bytes: 100}
}

func xday(day int) lake.Partition {
	return lake.MakePartition("source", "x", "day", fmt.Sprintf("2026-01-%02d", day))
}

func days(version string, list ...int) []lake.File {
	var out []lake.File
	for _, d := range list {
		out = append(out, file(d, version))
	}
	return out
}

func xdays(list ...int) []lake.Partition {
	var out []lake.Partition
	for _, d := range list {
		out = append(out, xday(d))
	}
	return out
}

func onlyDays(list ...int) []lake.Partition {
	var out []lake.Partition
	for _, d := range list {
		out = append(out, lake.MakePartition("day", fmt.Sprintf("2026-01-%02d", d)))
	}
	return out
}

// built is the state of a table made from inputs a and b by model "h".
func built(held ...lake.Partition) state {
	return state{Exists: true, Built: true, Model: "h", Inputs: map[string]int64{"a": 1, "b": 1}, Held: held}
}

// moved is an input with its files then and now.
type moved struct {
	table         string
	back          int
	before, files []lake.File
}

// differences is what lake.Differences says of two plans.
func differences(before, after []lake.File) (out []lake.Difference) {
	without := func(a, b []lake.File, p lake.Partition) []lake.File {
		return slices.DeleteFunc(slices.Clone(a), func(f lake.File) bool { return f.Partition != p || slices.Contains(b, f) })
	}
	for _, p := range lake.Diff(before, after) {
		out = append(out, lake.Difference{Partition: p, Added: without(after, before, p), Removed: without(before, after, p)})
	}
	return out
}

func sources(list []moved) []source {
	out := make([]source, len(list))
	for i, m := range list {
		out[i] = source{table: m.table, back: m.back, files: m.files, changed: differences(m.before, m.files)}
	}
	return out
}

func TestPlan(t *testing.T) {
	bySourceDay := []string{"source", "day"}
	still := days("v1", 1, 2, 3, 9)
	unpartitioned := func(version string) []lake.File { return []lake.File{{Path: version}} }
	for _, c := range []struct {
		name      string
		partition []string
		st        state
		full      bool
		inputs    []moved
		output    []lake.File
		want      []lake.Partition
		all       bool
		reason    string
	}{
		{name: "first build", partition: bySourceDay, inputs: []moved{{table: "a", files: days("v1", 2, 1)}}, want: xdays(1, 2), reason: "first build"},
		{name: "first build of nothing", partition: bySourceDay, inputs: []moved{{table: "a"}}, reason: "first build"},
		{name: "nothing changed", partition: bySourceDay, st: built(), inputs: []moved{{table: "a", before: still, files: still}}, output: still, reason: "inputs changed"},
		{name: "late post", partition: bySourceDay, st: built(), inputs: []moved{{table: "a", before: still, files: append(days("late", 2), still...)}}, output: still, want: xdays(2), reason: "inputs changed"},
		{name: "edit replaces a file", partition: bySourceDay, st: built(), inputs: []moved{{table: "a", before: still, files: append(days("v2", 2), days("v1", 1, 3, 9)...)}}, output: still, want: xdays(2), reason: "inputs changed"},
		{name: "new day", partition: bySourceDay, st: built(), inputs: []moved{{table: "a", before: still, files: append(days("v1", 4), still...)}}, output: still, want: xdays(4), reason: "inputs changed"},
		{name: "deletion empties a day", partition: bySourceDay, st: built(), inputs: []moved{{table: "a", before: still, files: days("v1", 1, 3, 9)}}, output: still, want: xdays(2), reason: "inputs changed"},
		{name: "all deleted", partition: bySourceDay, st: built(), inputs: []moved{{table: "a", before: still}}, output: still, want: xdays(1, 2, 3, 9), reason: "inputs changed"},
		{name: "look-back widens", partition: bySourceDay, st: built(), inputs: []moved{{table: "a", back: 2, before: still, files: append(days("late", 1), still...)}}, output: still, want: xdays(1, 2, 3), reason: "inputs changed"},
		{name: "look-back of a deleted day", partition: bySourceDay, st: built(), inputs: []moved{{table: "a", back: 7, before: still, files: days("v1", 1, 3, 9)}}, output: still, want: xdays(2, 3, 9), reason: "inputs changed"},
		{name: "look-back leaves other sources", partition: bySourceDay, st: built(), inputs: []moved{{
			table: "a", back: 7, before: append([]lake.File{{Path: "y", Partition: "source=y/day=2026-01-03"}}, still...),
			files: append([]lake.File{{Path: "y", Partition: "source=y/day=2026-01-03"}, file(1, "late")}, still...),
		}}, output: still, want: xdays(1, 2, 3), reason: "inputs changed"},
		{name: "two inputs", partition: bySourceDay, st: built(), inputs: []moved{
			{table: "a", before: still, files: append(days("late", 1), still...)},
			{table: "b", before: days("b", 3), files: days("b2", 3)},
		}, output: still, want: xdays(1, 3), reason: "inputs changed"},
		{name: "coarser output", partition: []string{"day"}, st: built(), inputs: []moved{{table: "a", before: still, files: append(days("late", 2), still...)}}, want: onlyDays(2), reason: "inputs changed"},
		{name: "coarser output and an input without partitions", partition: []string{"day"}, st: built(), inputs: []moved{
			{table: "a", before: still, files: still}, {table: "b", before: unpartitioned("v1"), files: unpartitioned("v2")},
		}, want: onlyDays(1, 2, 3, 9), reason: "inputs changed"},
		{name: "model changed", partition: bySourceDay, st: state{Exists: true, Built: true, Model: "old", Inputs: map[string]int64{"a": 1}}, inputs: []moved{{table: "a", before: still, files: still}}, output: days("o", 2, 5), want: xdays(1, 2, 3, 5, 9), reason: "model changed"},
		{name: "full", partition: bySourceDay, st: built(), full: true, inputs: []moved{{table: "a", before: still, files: still}}, want: xdays(1, 2, 3, 9), reason: "full rebuild asked for"},
		{name: "input not known before", partition: bySourceDay, st: state{Exists: true, Built: true, Model: "h", Inputs: map[string]int64{"a": 1}}, inputs: []moved{{table: "a", before: still, files: still}, {table: "b"}}, want: xdays(1, 2, 3, 9), reason: "new input b"},
		{name: "snapshot expired", partition: bySourceDay, st: state{Exists: true, Built: true, Model: "h", Inputs: map[string]int64{"a": 1}, Lost: "snapshot 1 of a is gone"}, inputs: []moved{{table: "a", files: still}}, want: xdays(1, 2, 3, 9), reason: "snapshot 1 of a is gone"},
		{name: "held partition", partition: bySourceDay, st: built(xday(3)), inputs: []moved{{table: "a", before: still, files: append(days("late", 1), still...)}}, output: still, want: xdays(1, 3), reason: "inputs changed"},
		{name: "held partition that is gone", partition: bySourceDay, st: built(xday(8)), inputs: []moved{{table: "a", before: still, files: still}}, output: still, reason: "inputs changed"},
		{name: "one partition, changed", st: built(), inputs: []moved{{table: "a", before: still, files: days("v1", 1)}}, want: []lake.Partition{""}, reason: "inputs changed"},
		{name: "one partition, not changed", st: built(), inputs: []moved{{table: "a", before: still, files: still}}},
		{name: "one partition, held", st: built(""), inputs: []moved{{table: "a", before: still, files: still}}, want: []lake.Partition{""}, reason: "held back before"},
		{name: "partitions that no input tells", partition: []string{"day"}, st: built(), inputs: []moved{{table: "a", before: unpartitioned("v1"), files: unpartitioned("v2")}}, all: true, reason: "inputs changed"},
		{name: "partitions that no input tells, not changed", partition: []string{"day"}, st: built(), inputs: []moved{{table: "a", before: unpartitioned("v1"), files: unpartitioned("v1")}}},
		{name: "partitions that no input tells, held", partition: []string{"day"}, st: built(onlyDays(3)...), inputs: []moved{{table: "a", before: unpartitioned("v1"), files: unpartitioned("v1")}}, all: true, reason: "held back before"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &Model{Hash: "h", Partition: c.partition}
			got := makePlan(m, c.st, sources(c.inputs), c.output, c.full)
			if diff := cmp.Diff(c.want, got.partitions); diff != "" || got.all != c.all || got.reason != c.reason {
				t.Errorf("reason %q, all %v, partitions (-want +got):\n%s", got.reason, got.all, diff)
			}
		})
	}
}

func TestChunks(t *testing.T) {
	m := &Model{Partition: []string{"source", "day"}}
	type want struct {
		partitions []lake.Partition
		read       map[string]int // files per input
		rows       int64
	}
	for _, c := range []struct {
		name   string
		inputs []source
		rows   int64
		want   []want
	}{
		{"all in one", []source{{table: "a", files: days("v", 1, 2, 3)}}, 30, []want{{xdays(1, 2, 3), map[string]int{"a": 3}, 30}}},
		{"by rows", []source{{table: "a", files: days("v", 1, 2, 3)}}, 20, []want{{xdays(1, 2), map[string]int{"a": 2}, 20}, {xdays(3), map[string]int{"a": 1}, 10}}},
		{"a partition bigger than that", []source{{table: "a", files: days("v", 1, 2)}}, 5, []want{{xdays(1), map[string]int{"a": 1}, 10}, {xdays(2), map[string]int{"a": 1}, 10}}},
		{"only the files needed", []source{{table: "a", files: days("v", 1, 2)}, {table: "b", files: days("w", 2, 7)}, {table: "c", files: []lake.File{{Path: "c", Rows: 3}}}}, 5, []want{
			{xdays(1), map[string]int{"a": 1, "c": 1}, 13}, {xdays(2), map[string]int{"a": 1, "b": 1, "c": 1}, 23},
		}},
		{"look-back reads the days before", []source{{table: "a", back: 2, files: days("v", 1, 2, 3, 4, 5, 6)}}, 10, []want{
			{xdays(1), map[string]int{"a": 1}, 10},    // its own day
			{xdays(2), map[string]int{"a": 2}, 20},    // own 2, before 1: as many
			{xdays(3, 4), map[string]int{"a": 4}, 40}, // own 3 and 4 against 1 and 2
			{xdays(5, 6), map[string]int{"a": 4}, 40}, // own 5 and 6 against 3 and 4
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := makePlan(m, state{}, c.inputs, nil, false)
			if c.name == "only the files needed" {
				p.partitions = xdays(1, 2)
			}
			var got []want
			for _, ch := range chunks(m, p, c.inputs, c.rows) {
				w := want{ch.partitions, map[string]int{}, ch.rows}
				for table, files := range ch.inputs {
					w.read[table] = len(files)
				}
				got = append(got, w)
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	list := chunks(m, plan{partitions: makeDays(3*maxPartitions + 1)}, []source{{table: "a"}}, 1)
	if len(list) != 4 || len(list[0].partitions) != maxPartitions {
		t.Errorf("%d partitions without rows: %d chunks, want 4", 3*maxPartitions+1, len(list))
	}
}

func makeDays(n int) []lake.Partition {
	var out []lake.Partition
	for i := range n {
		out = append(out, lake.MakePartition("source", fmt.Sprint(i), "day", "2026-01-01"))
	}
	return out
}

// TestChunksReadAtMostTwice holds the cost of a look-back: however long it is,
// a rebuild reads little more than twice the rows.
func TestChunksReadAtMostTwice(t *testing.T) {
	m := &Model{Partition: []string{"source", "day"}}
	var files []lake.File
	for d := range 365 {
		files = append(files, lake.File{Path: fmt.Sprint(d), Rows: 10, Partition: xday(0)})
		files[d].Partition = lake.MakePartition("source", "x", "day", shiftDay("2026-01-01", d))
	}
	inputs := []source{{table: "a", back: 28, files: files}}
	var rows int64
	for _, c := range chunks(m, makePlan(m, state{}, inputs, nil, false), inputs, 50) {
		rows += c.rows
	}
	if total := int64(3650); rows > 2*total+300 {
		t.Errorf("read %d rows of %d", rows, total)
	}
}
