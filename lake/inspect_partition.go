package lake

import (
	"encoding/binary"
	"fmt"
	"slices"

	iceberg "github.com/apache/iceberg-go"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// wrongPartitions says which partition values of a data file its own footer
// denies: the smallest and the largest value of the column must give the value
// that is recorded. A column without statistics says nothing.
func (i *inspection) wrongPartitions(p *parquet.File, data iceberg.DataFile) []string {
	var spec iceberg.PartitionSpec
	for _, s := range i.t.Metadata().PartitionSpecs() {
		if s.ID() == int(data.SpecID()) {
			spec = s
		}
	}
	recorded := partitionOf(spec, data)
	var wrong []string
	for _, f := range spec.Fields() {
		column, ok := i.t.Schema().FindFieldByID(f.SourceIDs[0])
		if !ok {
			continue
		}
		want, _ := recorded.Value(f.Name)
		for _, bound := range footerBounds(p, column.Name) {
			v, ok := footerValue(p, column, bound)
			if !ok {
				continue
			}
			if got := partitionValue(f.Transform, transformed(f.Transform, v)); got != want {
				wrong = append(wrong, fmt.Sprintf("has rows of %s=%s, recorded is %s", f.Name, got, want))
				break
			}
		}
	}
	return wrong
}

// footerBounds lists the smallest and largest value of a column in every row
// group.
func footerBounds(p *parquet.File, column string) [][]byte {
	var out [][]byte
	for _, g := range p.Metadata().RowGroups {
		for _, c := range g.Columns {
			if slices.Equal(c.MetaData.PathInSchema, []string{column}) {
				out = append(out, boundsOf(c.MetaData.Statistics)...)
			}
		}
	}
	return out
}

func boundsOf(s format.Statistics) [][]byte {
	var out [][]byte
	for _, b := range [][]byte{s.MinValue, s.MaxValue} {
		if len(b) > 0 {
			out = append(out, b)
		}
	}
	return out
}

// microsPerDay converts timestamps, which the lake keeps in microseconds.
const microsPerDay = 86400 * 1_000_000

// footerValue decodes a bound; false for a type, or a unit of time, that lake
// tables are not partitioned by.
func footerValue(p *parquet.File, column iceberg.NestedField, b []byte) (any, bool) {
	switch typ := column.Type.(type) {
	case iceberg.StringType:
		return string(b), true
	case iceberg.Int32Type, iceberg.DateType:
		if len(b) != 4 {
			return nil, false
		}
		n := int32(binary.LittleEndian.Uint32(b)) //nolint:gosec // the bits are the value
		if _, ok := typ.(iceberg.DateType); ok {
			return iceberg.Date(n), true
		}
		return n, true
	case iceberg.Int64Type, iceberg.TimestampTzType:
		if len(b) != 8 {
			return nil, false
		}
		n := int64(binary.LittleEndian.Uint64(b)) //nolint:gosec // the bits are the value
		if _, ok := typ.(iceberg.TimestampTzType); ok {
			return iceberg.Timestamp(n), inMicros(p, column.Name)
		}
		return n, true
	}
	return nil, false
}

// inMicros reports whether a column of timestamps counts microseconds.
func inMicros(p *parquet.File, column string) bool {
	leaf, ok := p.Schema().Lookup(column)
	if !ok || leaf.Node.Type().LogicalType() == nil {
		return false
	}
	ts, ok := leaf.Node.Type().LogicalType().Value.(*format.TimestampType)
	if !ok {
		return false
	}
	_, ok = ts.Unit.Value.(*format.MicroSeconds)
	return ok
}

// transformed applies the day transform; the others that tables have keep a
// value.
func transformed(tr iceberg.Transform, v any) any {
	micros, ok := v.(iceberg.Timestamp)
	if _, day := tr.(iceberg.DayTransform); !day || !ok {
		return v
	}
	days := int64(micros) / microsPerDay
	if int64(micros)%microsPerDay < 0 {
		days--
	}
	return iceberg.Date(days) //nolint:gosec // some millions at most
}
