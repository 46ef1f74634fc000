package lake

import (
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
			v := footerValue(p, column, bound)
			if v == nil {
				continue
			}
			of := f.Transform.Apply(iceberg.Optional[iceberg.Literal]{Val: v, Valid: true})
			if !of.Valid {
				continue
			}
			if got := partitionValue(f.Transform, of.Val.Any()); got != want {
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

// footerValue decodes a bound; nil for a type, or a unit of time, that lake
// tables are not partitioned by. Parquet and Iceberg write the others alike.
func footerValue(p *parquet.File, column iceberg.NestedField, b []byte) iceberg.Literal {
	switch column.Type.(type) {
	case iceberg.TimestampTzType:
		if !inMicros(p, column.Name) {
			return nil
		}
	case iceberg.StringType, iceberg.Int32Type, iceberg.Int64Type, iceberg.DateType:
	default:
		return nil
	}
	v, err := iceberg.LiteralFromBytes(column.Type, b)
	if err != nil { // a bound of another length says nothing
		return nil
	}
	return v
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
