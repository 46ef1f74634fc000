package transforms

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// hourly is a part of a plan: partitions of one day of which only some hours are
// computed.
type hourly struct {
	partitions []lake.Partition
	hours      []time.Time // sorted
}

// maxCompared bounds the rows that are compared to find the hours in which a
// replaced input partition differs: of more, its outputs are computed whole.
const maxCompared = 200_000

// growHours takes out of a plan the partitions of which some hours suffice: the
// model is by hours, and it can be told in which hours the rows of its inputs
// differ. That is so where rows came, and where a small partition was replaced,
// such as one of another model by hours.
func (r *runner) growHours(ctx context.Context, m *Model, st *state, inputs []source, output []lake.File, p *plan) error {
	if m.Grows != ByHours || p.reason != reasonChanged || len(p.partitions) == 0 || r.guess {
		return nil
	}
	has := map[lake.Partition]bool{}
	for _, f := range output {
		has[f.Partition] = true
	}
	for _, h := range st.Held {
		delete(has, h)
	}
	touched := map[lake.Partition][]touch{}
	for i := range inputs {
		s := &inputs[i]
		if s.lookup {
			continue
		}
		hour := slices.ContainsFunc(s.columns, func(c lake.Column) bool { return c.Name == hourColumn && c.Type == "TIMESTAMPTZ" })
		g := newMapping(m, s)
		for _, d := range s.changed {
			to := g.project(d.Partition, 0)
			if !hour || len(g.shared) < 1 {
				delete(has, to)
			}
			touched[to] = append(touched[to], touch{s, d})
		}
	}
	byDay := map[string]*hourly{}
	var days []string
	var rest []lake.Partition
	for _, c := range p.partitions {
		hours, ok := []time.Time(nil), has[c]
		if ok {
			var err error
			if hours, ok, err = r.touchedHours(ctx, touched[c]); err != nil {
				return err
			}
		}
		if !ok {
			rest = append(rest, c)
			continue
		}
		day, _ := c.Value(dayColumn)
		if byDay[day] == nil {
			byDay[day] = &hourly{}
			days = append(days, day)
		}
		byDay[day].partitions = append(byDay[day].partitions, c)
		byDay[day].hours = append(byDay[day].hours, hours...)
	}
	p.partitions = rest
	for _, day := range days {
		h := byDay[day]
		slices.SortFunc(h.hours, time.Time.Compare)
		h.hours = slices.CompactFunc(h.hours, time.Time.Equal)
		p.hourly = append(p.hourly, *h)
	}
	return nil
}

// hourInputs leaves out the files that have no rows of some hours; lookups stay whole.
func hourInputs(inputs []source, hours []time.Time) []source {
	out := slices.Clone(inputs)
	for i := range out {
		if !out[i].lookup {
			out[i].files = slices.DeleteFunc(slices.Clone(out[i].files), func(f lake.File) bool { return !f.Hours.MayHold(hours) })
		}
	}
	return out
}

// touch is a difference of one input partition.
type touch struct {
	*source
	d lake.Difference
}

// touchedHours lists the hours in which rows of the inputs differ; ok is false
// where that is not told cheaply.
func (r *runner) touchedHours(ctx context.Context, list []touch) (hours []time.Time, ok bool, err error) {
	for _, t := range list {
		var rows int64
		for _, f := range slices.Concat(t.d.Added, t.d.Removed) {
			rows += f.Rows
		}
		if len(t.d.Removed) > 0 && rows > maxCompared {
			return nil, false, nil
		}
		if h, ok := oneHour(t.d); ok {
			hours = append(hours, h)
			continue
		}
		found, err := r.verify.hours(ctx, t.columns, t.d, rows)
		if err != nil {
			return nil, false, fmt.Errorf("look for hours of %s: %w", t.table, err)
		}
		for _, text := range found {
			h, perr := strconv.ParseInt(text, 10, 64)
			if perr != nil { // a row without an hour
				return nil, false, nil
			}
			hours = append(hours, time.UnixMicro(h).UTC())
		}
	}
	return hours, true, nil
}

// oneHour is the hour of all rows of a difference, where they have one and the
// files tell it.
func oneHour(d lake.Difference) (time.Time, bool) {
	if len(d.Removed) > 0 || len(d.Added) == 0 {
		return time.Time{}, false
	}
	h := d.Added[0].Hours
	for _, f := range d.Added {
		if f.Hours != h {
			return time.Time{}, false
		}
	}
	return time.UnixMicro(h.From).UTC(), h.Known && h.From == h.To
}

// hours lists the hours, in microseconds, in which the rows of a difference are.
func (v *verifier) hours(ctx context.Context, cols []lake.Column, d lake.Difference, rows int64) (_ []string, err error) {
	_, done, err := v.open(ctx, rows)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	added, release, err := v.lake.Local(ctx, d.Added)
	if err != nil {
		return nil, err
	}
	defer release()
	removed, letGo, err := v.lake.Local(ctx, d.Removed)
	if err != nil {
		return nil, err
	}
	defer letGo()
	const distinct = "SELECT DISTINCT coalesce(CAST(epoch_us(hour) AS VARCHAR), 'none') FROM "
	if len(removed) == 0 {
		return v.db.Texts(ctx, distinct+"("+query.Select(hourOf(cols), added)+")")
	}
	said := slices.DeleteFunc(slices.Clone(cols), made)
	a, b := query.Select(said, added), query.Select(said, removed)
	return v.db.Texts(ctx, distinct+"((("+a+") EXCEPT ALL ("+b+")) UNION ALL (("+b+") EXCEPT ALL ("+a+")))")
}

// hourOf keeps the column of the hour.
func hourOf(cols []lake.Column) []lake.Column {
	return slices.DeleteFunc(slices.Clone(cols), func(c lake.Column) bool { return c.Name != hourColumn })
}

// kept is what stays of a partition of which some hours are computed.
type kept struct {
	drop []lake.File // have rows of these hours
	rows int64       // of the other hours
	add  *lake.File  // the rows of other hours that were in drop; nil: none
}

// keepOthers sorts out the files of a partition, and writes the rows of other hours anew
// where they share a file with rows of these.
func (b *build) keepOthers(ctx context.Context, p lake.Partition, hours []time.Time) (k kept, err error) {
	var files []lake.File
	for _, f := range b.output {
		if f.Partition == p {
			k.rows += f.Rows
			if f.Hours.MayHold(hours) {
				files = append(files, f)
			}
		}
	}
	if len(files) == 0 {
		return k, nil
	}
	local, release, err := b.Lake.Local(ctx, files)
	if err != nil {
		return k, err
	}
	defer release()
	_, done, err := b.verify.open(ctx, k.rows)
	if err != nil {
		return k, err
	}
	defer func() { err = errors.Join(err, done()) }()
	arms := make([]string, len(local))
	for i, f := range local {
		arms[i] = fmt.Sprintf("SELECT %d AS file, count(*) FILTER (WHERE %s) AS n FROM (%s)", i, among(hours), query.Select(hourOf(b.keep), []lake.File{f}))
	}
	shared, err := b.verify.db.Texts(ctx, "SELECT file || ' ' || n FROM ("+strings.Join(arms, " UNION ALL ")+") WHERE n > 0 ORDER BY file")
	if err != nil {
		return k, err
	}
	var mixed []lake.File
	for _, text := range shared {
		var file int
		var n int64
		if _, err := fmt.Sscan(text, &file, &n); err != nil {
			return k, err
		}
		k.drop, k.rows = append(k.drop, files[file]), k.rows-n
		if n < files[file].Rows {
			mixed = append(mixed, local[file])
		}
	}
	if len(mixed) > 0 {
		k.add, err = b.otherRows(ctx, p, mixed, hours)
	}
	return k, err
}

// otherRows writes the rows of other hours.
func (b *build) otherRows(ctx context.Context, p lake.Partition, files []lake.File, hours []time.Time) (*lake.File, error) {
	path, err := b.Lake.NewPath(b.m.Name, p)
	if err != nil {
		return nil, err
	}
	f := lake.File{Path: path, Partition: p}
	err = b.verify.db.SQL().QueryRowContext(ctx, "COPY (SELECT * FROM ("+query.Select(b.keep, files)+") WHERE NOT ("+among(hours)+")) TO "+query.Quote(path)+
		" ("+query.CopyOptions+")").Scan(&f.Rows)
	if err == nil {
		var info os.FileInfo
		if info, err = os.Stat(path); err == nil {
			f.Bytes = info.Size()
			return &f, nil
		}
	}
	b.discard([]lake.File{f})
	return nil, fmt.Errorf("keep other hours: %w", err)
}

// among spells, for the checks' DuckDB, the condition that a row is of these hours.
func among(hours []time.Time) string {
	list := make([]string, len(hours))
	for i, h := range hours {
		list[i] = query.Instant(h)
	}
	return "coalesce(" + hourColumn + " IN (" + strings.Join(list, ", ") + "), false)"
}

// others finds out what stays of the partitions of a query over some hours, and
// counts its rows.
func (b *build) others(ctx context.Context, c chunk, had map[lake.Partition]int64) (map[lake.Partition]kept, error) {
	stay := map[lake.Partition]kept{}
	for _, p := range c.partitions {
		k, err := b.keepOthers(ctx, p, c.hours)
		if err != nil {
			return stay, err
		}
		stay[p], had[p] = k, k.rows
	}
	return stay, nil
}

// carried puts the files with rows of other hours beside the computed ones: they
// have the same fate.
func (b *build) carried(r result) result {
	for _, k := range r.stay {
		if k.add != nil {
			r.out.Files = append(r.out.Files, *k.add)
		}
	}
	return r
}
