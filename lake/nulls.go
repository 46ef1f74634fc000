package lake

import (
	"fmt"
	"math/bits"
	"reflect"
	"slices"
	"strings"
	"time"
)

// blockRows is how many rows parquet-go looks at together for NULLs.
const blockRows = 64

// pieceBytes is about how much text goes to parquet-go at once, where a row is
// not longer: it writes pages out only between two pieces.
const pieceBytes = 4 << 20

// A blockWriter hands rows to parquet-go in pieces in which NULL stays NULL.
//
// Version 0.32.0 of the library looks at 64 rows of a column at a time, as a
// bit mask of the rows that hold a value, and compares the mask from row y on
// with (1<<y)-1 where it means (1<<(64-y))-1: it asks for y values where it
// means values up to the end of the mask. So where the last values of a block
// begin at row y and are y in number, every NULL after them is written as
// the zero value: NULL, a, NULL, NULL is read as NULL, a, "", "". The
// column must be optional, and its field neither a pointer nor a slice nor a
// time. The whole report is in docs/adr/0016-null-stays-null.md.
//
// A blockWriter cuts a block after such values. Values that end with the block
// are written right, and a block of two rows always is. It also cuts where much
// text comes together.
type blockWriter struct {
	fields [][]int // places of the fields that the fault concerns
	values []uint64
	bytes  [blockRows]int // of text in the rows of the block
	group  int            // rows in the open row group: the library cuts blocks at its end too
}

// newBlockWriter finds the fields of a row type that the fault concerns.
func newBlockWriter(row reflect.Type) (*blockWriter, error) {
	if row.Kind() != reflect.Struct {
		return nil, fmt.Errorf("rows of %s: not a struct", row)
	}
	fields, err := zeroIsNull(row, nil)
	if err != nil {
		return nil, fmt.Errorf("rows of %s: %w", row, err)
	}
	return &blockWriter{fields: fields, values: make([]uint64, len(fields))}, nil
}

// zeroIsNull lists the fields of a struct, and of structs in it, whose zero
// value is stored as NULL by way of a mask.
func zeroIsNull(row reflect.Type, at []int) (out [][]int, err error) {
	for i := range row.NumField() {
		f := row.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("parquet"), ",")
		if name == "-" || !f.IsExported() && !f.Anonymous {
			continue
		}
		place := append(slices.Clone(at), i)
		optional := slices.Contains(strings.Split(options, ","), "optional")
		switch kind := f.Type.Kind(); {
		case f.Type == reflect.TypeFor[time.Time](), kind == reflect.Pointer:
		case kind == reflect.Struct:
			inner, err := zeroIsNull(f.Type, place)
			if err != nil {
				return nil, err
			}
			out = append(out, inner...)
		case kind == reflect.Slice && isScalar(f.Type.Elem()) && f.Type.Elem().Kind() != reflect.Uint8:
		case kind == reflect.Slice && f.Type.Elem().Kind() == reflect.Uint8, isScalar(f.Type):
			if optional {
				out = append(out, place)
			}
		default:
			return nil, fmt.Errorf("field %s is of type %s, for which NULL is not known to stay NULL", f.Name, f.Type)
		}
	}
	return out, nil
}

func isScalar(t reflect.Type) bool {
	k := t.Kind()
	return k >= reflect.Bool && k <= reflect.Float64 && k != reflect.Uintptr || k == reflect.String
}

// write passes a slice of rows on in pieces.
func (b *blockWriter) write(rows reflect.Value, piece func(from, to int) error) error {
	for from := 0; from < rows.Len(); {
		n := min(blockRows, rows.Len()-from, RowsPerGroup-b.group)
		b.look(rows, from, n)
		for begin, end := from, from+n; from < end; {
			n := b.safe(b.light(from-begin, end-from))
			if err := piece(from, from+n); err != nil {
				return err
			}
			for i := range b.values {
				b.values[i] >>= n
			}
			from += n
			b.group = (b.group + n) % RowsPerGroup
		}
	}
	return nil
}

// look notes which of n rows hold a value, by field.
func (b *blockWriter) look(rows reflect.Value, from, n int) {
	clear(b.values)
	for i := range n {
		row := rows.Index(from + i)
		b.bytes[i] = 0
		for f, place := range b.fields {
			v := row.FieldByIndex(place)
			var set bool
			if v.Kind() == reflect.String {
				n := v.Len()
				b.bytes[i] += n
				set = n > 0
			} else {
				set = !v.IsZero()
			}
			if set {
				b.values[f] |= 1 << i
			}
		}
	}
}

// light returns how many of n rows of the block, from one on, are not too much
// text for one piece.
func (b *blockWriter) light(from, n int) int {
	sum := 0
	for i := range n {
		if sum += b.bytes[from+i]; sum > pieceBytes {
			return max(i, 1)
		}
	}
	return n
}

// safe returns how many of the next n rows may be written at once.
func (b *blockWriter) safe(n int) int {
	for again := true; again; {
		again = false
		for _, values := range b.values {
			values &= ^uint64(0) >> (blockRows - n)
			end := bits.Len64(values) // after the last value
			run := bits.LeadingZeros64(^(values << (blockRows - end)))
			if run > 0 && end == 2*run && end < n {
				n, again = end, true
			}
		}
	}
	return n
}
