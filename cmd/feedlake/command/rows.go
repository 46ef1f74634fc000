package command

import (
	"bufio"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/big"
	"strings"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/feedlake/feedlake"
)

// eachRow calls do with the values of every row, in JSON's terms: dates and
// times as ISO 8601 text, lists as slices, NULL as nil.
func eachRow(rows *sql.Rows, do func([]any) error) error {
	types, err := rows.ColumnTypes()
	if err != nil {
		return fmt.Errorf("read result: %w", err)
	}
	vals, ptrs := make([]any, len(types)), make([]any, len(types))
	for i := range vals {
		ptrs[i] = &vals[i]
	}
	for rows.Next() {
		if err := rows.Scan(ptrs...); err != nil {
			return fmt.Errorf("read result: %w", err)
		}
		out := make([]any, len(vals))
		for i, v := range vals {
			out[i] = plain(v, types[i].DatabaseTypeName())
		}
		if err := do(out); err != nil {
			return err
		}
	}
	return rows.Err()
}

// plain turns a DuckDB value into one that encoding/json writes as a person
// expects.
func plain(v any, typ string) any {
	switch v := v.(type) {
	case time.Time:
		switch {
		case typ == "DATE":
			return v.Format(time.DateOnly)
		case strings.HasPrefix(typ, "TIME") && !strings.HasPrefix(typ, "TIMESTAMP"):
			return v.Format("15:04:05.999999")
		}
		return v.UTC().Format("2006-01-02T15:04:05.999999Z07:00")
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = plain(e, strings.TrimSuffix(typ, "[]"))
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = plain(e, "")
		}
		return out
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprint(v)
		}
		return v
	case float32:
		return plain(float64(v), typ)
	case *big.Int:
		return json.Number(v.String())
	case duckdb.Decimal:
		return json.Number(v.String())
	case duckdb.Map:
		out := map[string]any{}
		for k, e := range v {
			out[fmt.Sprint(plain(k, ""))] = plain(e, "")
		}
		return out
	case []byte:
		if typ == "UUID" && len(v) == 16 {
			return fmt.Sprintf("%x-%x-%x-%x-%x", v[:4], v[4:6], v[6:8], v[8:10], v[10:])
		}
		return string(v)
	case nil, string, bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, int:
		return v
	}
	return fmt.Sprint(v)
}

// writeJSONRows writes an array of objects, row by row.
func writeJSONRows(w io.Writer, rows *sql.Rows) error {
	names, err := rows.Columns()
	if err != nil {
		return fmt.Errorf("read result: %w", err)
	}
	keys := make([]string, len(names))
	for i, n := range names {
		b, err := json.Marshal(n)
		if err != nil {
			return fmt.Errorf("write JSON: %w", err)
		}
		keys[i] = string(b)
	}
	out := bufio.NewWriter(w)
	sep := "[\n"
	err = eachRow(rows, func(vals []any) error {
		_, _ = out.WriteString(sep + "  {")
		sep = ",\n"
		for i, v := range vals {
			if i > 0 {
				_, _ = out.WriteString(", ")
			}
			b, err := marshalPlain(v)
			if err != nil {
				return err
			}
			_, _ = out.WriteString(keys[i] + ": " + b)
		}
		_, err := out.WriteString("}")
		return err
	})
	if err != nil {
		return err
	}
	if sep == "[\n" {
		_, _ = out.WriteString("[]\n")
	} else {
		_, _ = out.WriteString("\n]\n")
	}
	return out.Flush()
}

// marshalPlain is JSON without escaping of <, > and &.
func marshalPlain(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", fmt.Errorf("write JSON: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

func writeCSVRows(w io.Writer, rows *sql.Rows) error {
	names, err := rows.Columns()
	if err != nil {
		return fmt.Errorf("read result: %w", err)
	}
	out := csv.NewWriter(w)
	if err := out.Write(names); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	if err := eachRow(rows, func(vals []any) error { return out.Write(texts(vals, "")) }); err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// writeTableRows writes a table for a screen and says how many rows it left out.
func writeTableRows(w io.Writer, rows *sql.Rows, most int) error {
	names, err := rows.Columns()
	if err != nil {
		return fmt.Errorf("read result: %w", err)
	}
	var shown [][]string
	more := int64(0)
	err = eachRow(rows, func(vals []any) error {
		if len(shown) == most {
			more++
			return nil
		}
		line := texts(vals, "NULL")
		for i, s := range line {
			line[i] = screen(s)
		}
		shown = append(shown, line)
		return nil
	})
	if err != nil {
		return err
	}
	printTable(w, names, shown)
	if more > 0 {
		printf(w, "… and %s; --json and --csv print all\n", feedlake.Plural(more, "more row"))
	} else {
		printLine(w, "("+feedlake.Plural(int64(len(shown)), "row")+")")
	}
	return nil
}

func texts(vals []any, null string) []string {
	out := make([]string, len(vals))
	for i, v := range vals {
		switch v := v.(type) {
		case nil:
			out[i] = null
		case string:
			out[i] = v
		case []any, map[string]any:
			s, err := marshalPlain(v)
			if err != nil {
				s = fmt.Sprint(v)
			}
			out[i] = s
		default:
			out[i] = fmt.Sprint(v)
		}
	}
	return out
}

// screen keeps a value on one line of bearable length, without control
// characters that a post's text could use against the terminal.
func screen(s string) string {
	const most = 100
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

func readAll(r io.Reader) (string, error) {
	b, err := io.ReadAll(r)
	return string(b), err
}
