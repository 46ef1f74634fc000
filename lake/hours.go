package lake

import (
	"encoding/binary"
	"slices"
	"time"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// Hours are the least and the greatest value of a file's column hour, as table
// metadata has them, and that every row has one. The zero value tells nothing.
type Hours struct {
	Known    bool
	From, To int64 // microseconds since 1970
}

// MayHold reports whether the file can have rows of one of these hours.
func (h Hours) MayHold(list []time.Time) bool {
	return !h.Known || slices.ContainsFunc(list, func(t time.Time) bool { return t.UnixMicro() >= h.From && t.UnixMicro() <= h.To })
}

// hourField is the id of a table's column hour; 0: it has none.
func hourField(t *table.Table) int {
	f, ok := t.Schema().FindFieldByName("hour")
	if !ok || !f.Type.Equals(iceberg.PrimitiveTypes.TimestampTz) {
		return 0
	}
	return f.ID
}

// hoursOf reads the bounds of a field from a file's entry.
func hoursOf(df iceberg.DataFile, field int) Hours {
	low, high := df.LowerBoundValues()[field], df.UpperBoundValues()[field]
	if nulls, ok := df.NullValueCounts()[field]; field == 0 || !ok || nulls > 0 || len(low) != 8 || len(high) != 8 {
		return Hours{}
	}
	return Hours{true, int64(binary.LittleEndian.Uint64(low)), int64(binary.LittleEndian.Uint64(high))} //nolint:gosec // they were signed
}
