package publishertest

import (
	"math"
	"testing"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/serving"
)

func everyType(t *testing.T, tg Target) {
	cols := []lake.Column{
		{Name: "id", Type: "BIGINT"},
		{Name: "text", Type: "VARCHAR"},
		{Name: "small", Type: "INTEGER"},
		{Name: "share", Type: "DOUBLE"},
		{Name: "trending", Type: "BOOLEAN"},
		{Name: "day", Type: "DATE"},
		{Name: "hour", Type: "TIMESTAMPTZ"},
		{Name: "tags", Type: "VARCHAR[]"},
	}
	rows := [][]any{
		{int64(1), "plain", int64(7), 0.25, true, day(1), at("2016-10-06T13:00:00Z"), []string{"a", "b"}},
		{int64(2), nil, nil, nil, nil, nil, nil, nil},
		{int64(3), "", int64(0), 0.0, false, at("1969-12-31T00:00:00Z"), at("1969-12-31T23:59:59.999999Z"), []string{}},
		{int64(4), "emoji 👩‍👩‍👧 \U0001F600, Ελλάδα, العربية, 漢字, e\u0301", int64(math.MaxInt32), math.MaxFloat64, true, at("9999-12-31T00:00:00Z"), at("2106-02-07T06:28:15.123456Z"), []string{"漢字", "#İ", ""}},
		{int64(5), "tab\t newline\n return\r quote' \" back\\slash \\N \\. , ; \u2028", int64(math.MinInt32), -1e-300, false, day(2), day(2), []string{`a"b`, `c\d`, "e,f", "{g}", "NULL", "null"}},
		{int64(6), "NULL", int64(-1), math.Inf(1), true, day(3), day(3), []string{"x"}},
		{int64(math.MinInt64), "\\x00", int64(1), math.NaN(), true, day(3), day(3), []string{"\\x00"}},
		{int64(math.MaxInt64), "last", int64(1), math.Inf(-1), true, day(3), day(3), []string{"x"}},
	}
	b := whole(1, rows...)
	b.Columns, b.Key = cols, []string{"id"}
	publish(t, tg, b)
	wantRows(t, tg, table, columnNames(b), rows...)

	nul := b
	nul.ID, nul.Rows = "nul", from([]any{int64(1), "a\x00b", nil, nil, nil, nil, nil, []string{"\x00"}})
	publish(t, tg, nul)
	wantRows(t, tg, table, []string{"text", "tags"}, []any{"a\uFFFDb", []string{"\uFFFD"}})
}

func names(t *testing.T, tg Target) {
	b := whole(1, []any{day(1), int64(2), "three", 4.0})
	b.ID, b.Table = "names", "marts.Order"
	b.Columns = []lake.Column{
		{Name: "select", Type: "DATE"},
		{Name: "Mixed Case", Type: "BIGINT"},
		{Name: `quo"te'd`, Type: "VARCHAR"},
		{Name: "größe", Type: "DOUBLE"},
	}
	b.Key = []string{"select", `quo"te'd`}
	b.Provenance.Model = "o'neill\\' $1"
	publish(t, tg, b)
	wantRows(t, tg, b.Table, columnNames(b), []any{day(1), int64(2), "three", 4.0})
}

func columnAdded(t *testing.T, tg Target) {
	publish(t, tg, whole(1, row(1, "a", 1), row(2, "a", 2)))
	b := part(2, 1, nil, []any{day(2), "en", "a", int64(3), 0.5})
	b.Windows = append(b.Windows, window(2, 3))
	b.Columns = []lake.Column{
		{Name: "day", Type: "DATE"},
		{Name: "lang", Type: "VARCHAR"},
		{Name: "source", Type: "VARCHAR"},
		{Name: "posts", Type: "BIGINT"},
		{Name: "rate", Type: "DOUBLE"},
	}
	publish(t, tg, b)
	wantRows(t, tg, table, []string{"day", "source", "posts", "lang", "rate"},
		[]any{day(1), "a", int64(1), nil, nil}, []any{day(2), "a", int64(3), "en", 0.5})
}

func columnNames(b serving.Batch) []string {
	out := make([]string, len(b.Columns))
	for i, c := range b.Columns {
		out[i] = c.Name
	}
	return out
}
