package lake

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	iceberg "github.com/apache/iceberg-go"
)

// Partition names one partition of a table in the manner of Hive, such as
// "source=reddit/day=2016-10-06": the partition columns in the table's order,
// their values path-escaped. An unpartitioned table has the one partition "".
type Partition string

// MakePartition builds a Partition from column, value, column, value and so on.
func MakePartition(pairs ...string) Partition {
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		if i > 0 {
			b.WriteByte('/')
		}
		b.WriteString(pairs[i])
		b.WriteByte('=')
		b.WriteString(url.PathEscape(pairs[i+1]))
	}
	return Partition(b.String())
}

// Value returns the value of a partition column, unescaped.
func (p Partition) Value(column string) (string, bool) {
	for part := range strings.SplitSeq(string(p), "/") {
		if k, v, ok := strings.Cut(part, "="); ok && k == column {
			s, err := url.PathUnescape(v)
			return s, err == nil
		}
	}
	return "", false
}

// File is one immutable Parquet file of a snapshot.
type File struct {
	Path      string // local path, or location in a bucket; see Lake.Local
	Rows      int64
	Bytes     int64
	Partition Partition
	Hours     Hours // of its rows, where the table has a column hour
}

// Diff lists the partitions whose set of files differs between two snapshots,
// sorted. Rows of the others are the same in both.
func Diff(before, after []File) []Partition {
	seen := make(map[string]bool, len(before))
	changed := map[Partition]bool{}
	for _, f := range before {
		seen[f.Path] = true
	}
	for _, f := range after {
		if seen[f.Path] {
			delete(seen, f.Path)
		} else {
			changed[f.Partition] = true
		}
	}
	for _, f := range before {
		if seen[f.Path] {
			changed[f.Partition] = true
		}
	}
	out := make([]Partition, 0, len(changed))
	for p := range changed {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

// partitionOf spells a data file's partition tuple.
func partitionOf(spec iceberg.PartitionSpec, df iceberg.DataFile) Partition {
	values := df.Partition()
	var pairs []string
	for _, f := range spec.Fields() {
		pairs = append(pairs, f.Name, partitionValue(f.Transform, values[f.FieldID]))
	}
	return MakePartition(pairs...)
}

func partitionValue(tr iceberg.Transform, v any) string {
	day := func(n int64) string { return time.Unix(n*86400, 0).UTC().Format(time.DateOnly) }
	switch v := v.(type) {
	case nil:
		return "__null__"
	case iceberg.Date:
		return day(int64(v))
	case int32:
		if _, ok := tr.(iceberg.DayTransform); ok {
			return day(int64(v))
		}
		return fmt.Sprint(v)
	default:
		return fmt.Sprint(v)
	}
}
