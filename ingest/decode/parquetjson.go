package decode

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// parquetNode writes one column of a Parquet file, or a group of them, as JSON.
// It puts nested rows together from their repetition and definition levels as
// the Dremel paper describes (Melnik et al. 2010, section 4.3).
type parquetNode struct {
	name     string // `"name":`
	kind     parquetKind
	optional bool
	repeated bool
	rep, def int // levels at which the node itself repeats and is defined
	from, to int // its leaves
	kids     []*parquetNode
	leaf     func(b []byte, v parquet.Value) []byte
	columns  [][]parquet.Value // of the root: one row's values by leaf
	most     int               // bytes of JSON that a row may become; longer ones panic with an OverError
}

type parquetKind uint8

const (
	parquetLeaf parquetKind = iota
	parquetGroup
	parquetList // a group that only holds the elements of a list
	parquetMap  // a group that only holds keys and values
)

// parquetShape makes the writer of a file's rows.
func parquetShape(root *parquet.Column, most int64) *parquetNode {
	leaf := 0
	n := shapeOf(root, 0, 0, &leaf)
	n.bound(int(most))
	n.kind, n.columns = parquetGroup, make([][]parquet.Value, leaf)
	return n
}

// bound sets the most that a row may become.
func (n *parquetNode) bound(most int) {
	n.most = most
	for _, k := range n.kids {
		k.bound(most)
	}
}

// fits panics when a row has become longer than max_record_bytes. It is asked
// before each value with what the value adds at least: many rows may refer to one
// long value of a dictionary, and a row to it many times.
func (n *parquetNode) fits(b []byte, v parquet.Value) {
	size := len(b)
	if k := v.Kind(); k == parquet.ByteArray || k == parquet.FixedLenByteArray {
		size += len(v.ByteArray())
	}
	if size > n.most {
		panic(&OverError{What: "a record", Asks: int64(size), Most: int64(n.most), Key: "max_record_bytes"})
	}
}

func shapeOf(c *parquet.Column, rep, def int, leaf *int) *parquetNode {
	n := &parquetNode{name: string(append(appendJSON(nil, c.Name()), ':')), kind: parquetGroup, optional: c.Optional(), repeated: c.Repeated(), from: *leaf}
	if n.optional || n.repeated {
		def++
	}
	if n.repeated {
		rep++
	}
	n.rep, n.def = rep, def
	if c.Leaf() {
		n.kind, n.leaf = parquetLeaf, leafWriter(c.Type())
		*leaf++
		n.to = *leaf
		return n
	}
	for _, k := range c.Columns() {
		n.kids = append(n.kids, shapeOf(k, rep, def, leaf))
	}
	n.to = *leaf
	if t := c.Type().LogicalType(); t != nil && len(n.kids) == 1 && n.kids[0].repeated {
		switch inner := n.kids[0]; t.Value.(type) {
		case *format.ListType:
			n.kind = parquetList
		case *format.MapType:
			if len(inner.kids) == 2 && inner.kids[0].kind == parquetLeaf {
				n.kind = parquetMap
			}
		}
	}
	return n
}

// append writes one row as a JSON object; b is empty. Row.Range would count the columns
// instead of asking the values, and mix them up where a damaged row has a gap.
func (n *parquetNode) append(b []byte, row parquet.Row) []byte {
	clear(n.columns)
	for from, to := 0, 0; from < len(row); from = to {
		leaf := row[from].Column()
		for to < len(row) && row[to].Column() == leaf {
			to++
		}
		n.columns[leaf] = row[from:to]
	}
	b = n.object(b, n.columns)
	n.fits(b, parquet.Value{})
	return b
}

// value writes the node's value in one context; columns are the values of all
// leaves within it.
func (n *parquetNode) value(b []byte, columns [][]parquet.Value) []byte {
	if n.repeated {
		return n.list(b, columns, n.one)
	}
	if n.optional && !n.defined(columns) {
		return append(b, "null"...)
	}
	return n.one(b, columns)
}

func (n *parquetNode) defined(columns [][]parquet.Value) bool {
	first := columns[n.from]
	return len(first) > 0 && first[0].DefinitionLevel() >= n.def
}

// one writes the node's value, which is there.
func (n *parquetNode) one(b []byte, columns [][]parquet.Value) []byte {
	switch n.kind {
	case parquetLeaf:
		if v := columns[n.from]; len(v) > 0 && !v[0].IsNull() {
			n.fits(b, v[0])
			return n.leaf(b, v[0])
		}
		return append(b, "null"...)
	case parquetList:
		inner := n.kids[0]
		element := inner.one
		if inner.kind == parquetGroup && len(inner.kids) == 1 { // the three-level form
			element = inner.kids[0].value
		}
		return inner.list(b, columns, element)
	case parquetMap:
		return n.kids[0].entries(b, columns)
	case parquetGroup:
	}
	return n.object(b, columns)
}

func (n *parquetNode) object(b []byte, columns [][]parquet.Value) []byte {
	b = append(b, '{')
	for i, k := range n.kids {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, k.name...)
		b = k.value(b, columns)
	}
	return append(b, '}')
}

// list writes a repeated node as an array.
func (n *parquetNode) list(b []byte, columns [][]parquet.Value, element func([]byte, [][]parquet.Value) []byte) []byte {
	b = append(b, '[')
	first := true
	n.each(columns, func(part [][]parquet.Value) {
		if !first {
			b = append(b, ',')
		}
		first = false
		n.fits(b, parquet.Value{})
		b = element(b, part)
	})
	return append(b, ']')
}

// entries writes the repeated key and value of a map as an object.
func (n *parquetNode) entries(b []byte, columns [][]parquet.Value) []byte {
	b = append(b, '{')
	first := true
	n.each(columns, func(part [][]parquet.Value) {
		if !first {
			b = append(b, ',')
		}
		first = false
		n.fits(b, parquet.Value{})
		key := n.kids[0].value(nil, part)
		if len(key) == 0 || key[0] != '"' {
			key = appendJSON(nil, string(key))
		}
		b = append(append(b, key...), ':')
		b = n.kids[1].value(b, part)
	})
	return append(b, '}')
}

// each calls do for every repetition of n: a new one begins where the
// repetition level is not above n's.
func (n *parquetNode) each(columns [][]parquet.Value, do func(part [][]parquet.Value)) {
	if !n.defined(columns) {
		return
	}
	part, at := make([][]parquet.Value, len(columns)), make([]int, len(columns))
	for at[n.from] < len(columns[n.from]) {
		for i := n.from; i < n.to; i++ {
			end := at[i] + 1
			for end < len(columns[i]) && columns[i][end].RepetitionLevel() > n.rep {
				end++
			}
			end = min(end, len(columns[i]))
			part[i] = columns[i][min(at[i], end):end]
			at[i] = end
		}
		do(part)
	}
}

// leafWriter returns how values of a type are written.
func leafWriter(t parquet.Type) func(b []byte, v parquet.Value) []byte {
	if lt := t.LogicalType(); lt != nil {
		if w := logicalWriter(lt, t.Kind()); w != nil {
			return w
		}
	}
	switch t.Kind() {
	case parquet.Boolean:
		return func(b []byte, v parquet.Value) []byte { return strconv.AppendBool(b, v.Boolean()) }
	case parquet.Int32:
		return func(b []byte, v parquet.Value) []byte { return strconv.AppendInt(b, int64(v.Int32()), 10) }
	case parquet.Int64:
		return func(b []byte, v parquet.Value) []byte { return strconv.AppendInt(b, v.Int64(), 10) }
	case parquet.Int96:
		return func(b []byte, v parquet.Value) []byte { return appendTime(b, impalaTime(v)) }
	case parquet.Float:
		return func(b []byte, v parquet.Value) []byte { return appendFloat(b, float64(v.Float()), 32) }
	case parquet.Double:
		return func(b []byte, v parquet.Value) []byte { return appendFloat(b, v.Double(), 64) }
	}
	return func(b []byte, v parquet.Value) []byte {
		if s := v.ByteArray(); !utf8.Valid(s) {
			return appendJSON(b, base64.StdEncoding.EncodeToString(s))
		}
		return appendJSON(b, string(v.ByteArray()))
	}
}

// maxScale is the most digits that a decimal may have behind its point. The
// format has no limit; no known writer goes beyond 76.
const maxScale = 1000

// maxDecimal is the most bytes of a decimal. Known writers end at 32, and turning
// one into digits takes the square of its length.
const maxDecimal = 256

// logicalWriter returns how values of a logical type are written; nil: like the
// physical type.
func logicalWriter(lt *format.LogicalType, kind parquet.Kind) func(b []byte, v parquet.Value) []byte {
	switch lt := lt.Value.(type) {
	case *format.StringType, *format.EnumType: // not checked: a broken text is a reject
		return func(b []byte, v parquet.Value) []byte { return appendJSON(b, string(v.ByteArray())) }
	case *format.JsonType:
		return func(b []byte, v parquet.Value) []byte {
			if j := v.ByteArray(); json.Valid(j) {
				return append(b, j...)
			}
			return appendJSON(b, string(v.ByteArray()))
		}
	case *format.TimestampType:
		if lt.Unit.Value == nil { // damaged
			return nil
		}
		unit := lt.Unit.Value.Duration()
		return func(b []byte, v parquet.Value) []byte { return appendTime(b, inUnits(v.Int64(), unit)) }
	case *format.DateType:
		return func(b []byte, v parquet.Value) []byte {
			return appendJSON(b, time.Unix(int64(v.Int32())*86400, 0).UTC().Format(time.DateOnly))
		}
	case *format.IntType:
		if !lt.IsSigned && kind == parquet.Int64 {
			return func(b []byte, v parquet.Value) []byte { return strconv.AppendUint(b, v.Uint64(), 10) }
		}
		if !lt.IsSigned {
			return func(b []byte, v parquet.Value) []byte { return strconv.AppendUint(b, uint64(v.Uint32()), 10) }
		}
	case *format.DecimalType:
		scale := int(lt.Scale)
		if scale < 0 || scale > maxScale {
			return nil
		}
		return func(b []byte, v parquet.Value) []byte { return append(b, decimal(v, scale)...) }
	case *format.UUIDType:
		return func(b []byte, v parquet.Value) []byte {
			id, err := uuid.FromBytes(v.ByteArray())
			if err != nil {
				return append(b, "null"...)
			}
			return appendJSON(b, id.String())
		}
	}
	return nil
}

func appendFloat(b []byte, f float64, bits int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, f, 'g', -1, bits)
}

func appendTime(b []byte, t time.Time) []byte {
	return append(t.AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
}

// inUnits is the instant n units after 1970.
func inUnits(n int64, unit time.Duration) time.Time {
	perSecond := int64(time.Second / unit)
	return time.Unix(n/perSecond, n%perSecond*int64(unit)).UTC()
}

// impalaTime reads INT96: nanoseconds of the day, then the Julian day.
func impalaTime(v parquet.Value) time.Time {
	b := make([]byte, 0, 12)
	for _, w := range v.Int96() {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	const epoch = 2440588                                                                                                // Julian day of 1970-01-01
	return time.Unix((int64(binary.LittleEndian.Uint32(b[8:]))-epoch)*86400, int64(binary.LittleEndian.Uint64(b))).UTC() //nolint:gosec // 12 bytes by definition
}

// decimal spells an unscaled value with its point.
func decimal(v parquet.Value, scale int) string {
	var n big.Int
	switch v.Kind() {
	case parquet.Int32:
		n.SetInt64(int64(v.Int32()))
	case parquet.Int64:
		n.SetInt64(v.Int64())
	default: // two's complement, big end first
		raw := v.ByteArray()
		if len(raw) > maxDecimal {
			return "null"
		}
		n.SetBytes(raw)
		if len(raw) > 0 && raw[0]&0x80 != 0 {
			n.Sub(&n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(raw))))
		}
	}
	s, sign := n.String(), ""
	if s[0] == '-' {
		s, sign = s[1:], "-"
	}
	if scale == 0 {
		return sign + s
	}
	if len(s) <= scale {
		s = strings.Repeat("0", scale-len(s)+1) + s
	}
	return sign + s[:len(s)-scale] + "." + s[len(s)-scale:]
}
