package serving

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// Batch is the new content of some windows of one table.
type Batch struct {
	ID           string // names table, windows and snapshot
	Table        string // as the lake calls it: "marts.volume"
	Columns      []lake.Column
	Key          []string          // columns that identify a row; NULLs compare equal
	WindowColumn string            // DATE or TIMESTAMPTZ column that Windows speak of; "": the batch is the whole table
	Windows      []feedlake.Window // sorted, apart, bounded on both sides; with none, only the provenance moves on
	Base         int64             // the snapshot that the target must hold before; 0: any
	Provenance   Provenance
	// Rows yields the rows, each with one value per column: nil, or string
	// (VARCHAR), int64 (BIGINT, INTEGER), float64 (DOUBLE), bool (BOOLEAN),
	// time.Time (DATE, TIMESTAMPTZ), []string (VARCHAR[]). An error ends it.
	Rows iter.Seq2[[]any, error]
}

// Provenance says where the rows of a batch come from.
type Provenance struct {
	Snapshot    int64     // the lake's snapshot of the table
	CommittedAt time.Time // when the lake made it
	Model       string    // the SQL model that built it, such as "marts.volume@3f2a…"
	Inputs      string    // the snapshots that it was built from
	RunID       string    // the run that publishes
	PublishedAt time.Time
}

// String is the provenance for a person who meets the table in a database.
func (p Provenance) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "feedlake: snapshot %d of %s", p.Snapshot, p.CommittedAt.UTC().Format(time.RFC3339))
	for _, kv := range [][2]string{{"model", p.Model}, {"inputs", p.Inputs}, {"published by run", p.RunID}} {
		if kv[1] != "" {
			fmt.Fprintf(&b, "; %s %s", kv[0], kv[1])
		}
	}
	return b.String()
}

// Validate reports the first reason why no target could take b, wrapping
// feedlake.ErrConfig.
func (b Batch) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("batch %q: %s: %w", b.ID, fmt.Sprintf(format, args...), feedlake.ErrConfig)
	}
	if ns, name, ok := strings.Cut(b.Table, "."); b.ID == "" || !ok || ns == "" || name == "" || b.Rows == nil || len(b.Columns) == 0 {
		return bad("table %q: id, table, columns and rows are required", b.Table)
	}
	seen := map[string]bool{}
	for _, c := range b.Columns {
		if c.Name == "" || seen[strings.ToLower(c.Name)] {
			return bad("column %q is empty or named twice", c.Name)
		}
		seen[strings.ToLower(c.Name)] = true
		if !slices.Contains(columnTypes(), c.Type) {
			return bad("column %s has type %q, want one of %v", c.Name, c.Type, columnTypes())
		}
	}
	for _, k := range b.Key {
		if b.column(k) < 0 {
			return bad("key column %s is no column", k)
		}
	}
	return b.validateWindows(bad)
}

func (b Batch) validateWindows(bad func(string, ...any) error) error {
	if b.WindowColumn == "" {
		if len(b.Windows) > 0 {
			return bad("windows without a window column")
		}
		return nil
	}
	i := b.column(b.WindowColumn)
	if i < 0 || (b.Columns[i].Type != "DATE" && b.Columns[i].Type != "TIMESTAMPTZ") {
		return bad("window column %s is no DATE or TIMESTAMPTZ column", b.WindowColumn)
	}
	for i, w := range b.Windows {
		if w.Start.IsZero() || !w.Start.Before(w.End) || (i > 0 && w.Start.Before(b.Windows[i-1].End)) {
			return bad("windows must be bounded, sorted and apart")
		}
	}
	return nil
}

// columnTypes are the types that every target takes: those of the lake.
func columnTypes() []string {
	return []string{"VARCHAR", "BIGINT", "INTEGER", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMPTZ", "VARCHAR[]"}
}

func (b Batch) column(name string) int {
	return slices.IndexFunc(b.Columns, func(c lake.Column) bool { return c.Name == name })
}

// Checked yields b.Rows and fails with feedlake.ErrRejected at the first row
// that has the wrong number of values, a value of the wrong type, text that is
// not UTF-8, or a place outside the windows. The character NUL, which databases
// refuse, becomes U+FFFD. Targets read the batch through it.
func (b Batch) Checked() iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		window := b.column(b.WindowColumn)
		n := 0
		for row, err := range b.Rows {
			n++
			if err == nil {
				err = b.checkRow(row, window)
				if err != nil {
					err = fmt.Errorf("row %d: %w: %w", n, err, feedlake.ErrRejected)
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}

func (b Batch) checkRow(row []any, window int) error {
	if len(row) != len(b.Columns) {
		return fmt.Errorf("%d values for %d columns", len(row), len(b.Columns))
	}
	for i, v := range row {
		if err := checkValue(b.Columns[i].Type, v); err != nil {
			return fmt.Errorf("column %s: %w", b.Columns[i].Name, err)
		}
		row[i] = withoutNUL(v)
	}
	if window < 0 {
		return nil
	}
	t, ok := row[window].(time.Time)
	inside := ok && slices.ContainsFunc(b.Windows, func(w feedlake.Window) bool { return w.Contains(t) })
	if !inside {
		return fmt.Errorf("%s %v lies outside the batch's windows", b.WindowColumn, row[window])
	}
	return nil
}

func checkValue(typ string, v any) error {
	ok := true
	switch v := v.(type) {
	case nil:
	case string:
		if ok = typ == "VARCHAR"; ok && !utf8.ValidString(v) {
			return fmt.Errorf("text %.40q is not UTF-8", v)
		}
	case int64:
		ok = typ == "BIGINT" || (typ == "INTEGER" && v == int64(int32(v))) //nolint:gosec // the conversion is the range check
	case float64:
		ok = typ == "DOUBLE"
	case bool:
		ok = typ == "BOOLEAN"
	case time.Time:
		ok = typ == "DATE" || typ == "TIMESTAMPTZ"
	case []string:
		if ok = typ == "VARCHAR[]"; ok {
			for _, s := range v {
				if !utf8.ValidString(s) {
					return fmt.Errorf("text %.40q is not UTF-8", s)
				}
			}
		}
	default:
		ok = false
	}
	if !ok {
		return fmt.Errorf("value %v of type %T in a column of type %s", v, v, typ)
	}
	return nil
}

// withoutNUL replaces the character NUL in text.
func withoutNUL(v any) any {
	const nul, replacement = "\x00", "\uFFFD"
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, nul, replacement)
	case []string:
		for i, s := range v {
			v[i] = strings.ReplaceAll(s, nul, replacement)
		}
	}
	return v
}

// readFiles yields the rows of the lake's files.
func readFiles(ctx context.Context, l *lake.Lake, db *query.DB, cols []lake.Column, files []lake.File) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		files, release, err := l.Readable(ctx, files)
		if err != nil {
			yield(nil, fmt.Errorf("read lake: %w", err))
			return
		}
		defer release()
		rows, err := db.SQL().QueryContext(ctx, query.Select(cols, files))
		if err != nil {
			yield(nil, fmt.Errorf("read lake: %w", err))
			return
		}
		defer rows.Close() //nolint:errcheck // rows.Err below says more
		if yieldRows(rows, len(cols), yield) {
			if err := rows.Err(); err != nil {
				yield(nil, fmt.Errorf("read lake: %w", err))
			}
		}
	}
}

// yieldRows passes rows on and reports whether more were wanted at their end.
func yieldRows(rows *sql.Rows, n int, yield func([]any, error) bool) bool {
	for rows.Next() {
		row := make([]any, n)
		at := make([]any, n)
		for i := range row {
			at[i] = &row[i]
		}
		if err := rows.Scan(at...); err != nil {
			yield(nil, fmt.Errorf("read lake: %w", err))
			return false
		}
		for i, v := range row {
			row[i] = plainValue(v)
		}
		if !yield(row, nil) {
			return false
		}
	}
	return true
}

// plainValue turns DuckDB's Go types into those of Batch.Rows. A NULL inside a
// list is left out: the lake's lists hold none.
func plainValue(v any) any {
	switch v := v.(type) {
	case int32:
		return int64(v)
	case time.Time:
		return v.UTC()
	case []any:
		list := make([]string, 0, len(v))
		for _, e := range v {
			if s, ok := e.(string); ok {
				list = append(list, s)
			}
		}
		return list
	}
	return v
}
