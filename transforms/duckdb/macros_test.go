package duckdb_test

import (
	"regexp"
	"testing"

	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/transforms/duckdb"
)

// TestMacrosAnswerAsSpark holds what Spark 4.1 answers to the same expression.
func TestMacrosAnswerAsSpark(t *testing.T) {
	db, err := query.Open(t.Context(), query.Options{Setup: []string{duckdb.Macros()}, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	const ts, list = "timestamptz '2026-03-08 13:47:11.123456+00'", "split('b a c', ' ')"
	cases := []struct{ name, expr, want string }{
		{"explode", "(select max(w) from (select explode(" + list + ") as w))", "c"},
		{"size", "size(" + list + ")", "3"},
		{"regexp_like", "regexp_like('Hi @bob', '@b')", "true"},
		{"regexp_count", "regexp_count('a#b#', '#')", "2"},
		{"regexp_count", "regexp_count('aBÇdE ÀB', replace('`p{Lu}', '`', chr(92)))", "5"},
		{"regexp_count", "regexp_count('aBçdE', '\\p{Lu}') || regexp_count('aBCdE', '\\p{Lu}') || regexp_count('', '\\p{Lu}')", "230"},
		{"regexp_replace", "regexp_replace('a-b-c', '-', '+')", "a+b+c"},
		{"octet_length", "octet_length('été')", "5"},
		{"locate", "locate('b', 'abc')", "2"},
		{"startswith", "startswith('Hi', 'H')", "true"},
		{"sha2", "sha2('a', 256)", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"},
		{"nvl", "nvl(null, 'x')", "x"},
		{"pmod", "pmod(-7, 3)", "2"},
		{"unix_seconds", "unix_seconds(" + ts + ")", "1772977631"},
		{"unix_micros", "unix_micros(" + ts + ")", "1772977631123456"},
		{"timestamp_seconds", "timestamp_seconds(1767225600)", "2026-01-01 00:00:00+00"},
		{"datediff", "datediff(date '2026-03-08', date '2026-03-01')", "7"},
		{"date_add", "date_add(date '2026-02-28', 1)", "2026-03-01"},
		{"add_months", "add_months(date '2026-01-31', 1)", "2026-02-28"},
		{"dayofweek", "dayofweek(date '2026-03-08')", "1"},
		{"weekday", "weekday(date '2026-03-08')", "6"},
		{"to_date", "to_date('2026-01-02')", "2026-01-02"},
		{"sort_array", "sort_array(" + list + ")", "[a, b, c]"},
		{"array_join", "array_join(" + list + ", '-')", "b-a-c"},
		{"element_at", "element_at(" + list + ", 2)", "a"},
		{"slice", "slice(" + list + ", 2, 2)", "[a, c]"},
		{"sequence", "sequence(1, 3)", "[1, 2, 3]"},
		{"collect_list", "(select collect_list(x) from (values (1), (null)) v(x))", "[1]"},
	}
	tried := map[string]bool{}
	for _, c := range cases {
		tried[c.name] = true
		var got string
		if err := db.SQL().QueryRowContext(t.Context(), "SELECT CAST("+c.expr+" AS VARCHAR)").Scan(&got); err != nil {
			t.Errorf("%s: %v", c.expr, err)
		} else if got != c.want {
			t.Errorf("%s = %s, Spark answers %s", c.expr, got, c.want)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^create or replace macro (\w+)`).FindAllStringSubmatch(duckdb.Macros(), -1) {
		if !tried[m[1]] {
			t.Errorf("macro %s is not tried", m[1])
		}
	}
}
