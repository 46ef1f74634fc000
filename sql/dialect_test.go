package sql_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// rule is a trap for SQL that two engines run: bare patterns are looked for
// outside literals and comments.
type rule struct{ why, pattern string }

func rules() []rule {
	return []rule{
		{"no double quotes: a name for one engine, a text for the other", `"`},
		{"Spark has no such syntax", `(?i)\b(unnest|time_bucket|by name|exclude|asof)\b|::|\bfilter\s*\(\s*where`},
		{"DuckDB has no such syntax", `(?i)\b(lateral view|rlike|div)\b|\barray\s*\(|->`},
		{"only one engine has QUALIFY", `(?i)\bqualify\b`},
		{"the order of NULLs must be said where the order goes down", `(?i)\b\w*(name|score|payload|run_id|text)\s+desc\b(\s+nulls\s+last)?`},
		{"a double needs its exponent, or it is a decimal in Spark", `[^\w.'](\d+\.\d+|\.\d+)([^\deE]|$)`},
		{"no list indexing: the engines count from 0 and from 1", `[\w)]\[`},
		{"a sum of doubles depends on its order: sum scaled integers", `(?i)\bavg\s*\(`},
		{"cast what is counted or summed: its type differs", `(?i)(^|[^(\w])(sum|count|row_number)\([^)]*\)(\s+over\s*\([^)]*\))?\s+as\s+\w+`},
	}
}

// faults lists what in a model's SQL the two engines would take differently.
func faults(sql string) (out []string) {
	bare, text := blanked(sql)
	line := func(at int) int { return 1 + strings.Count(sql[:at], "\n") }
	for i, r := range text {
		if r == '\\' {
			out = append(out, fmt.Sprintf("%d: a backslash: write replace('`p{L}', '`', chr(92))", line(i)))
		}
	}
	for _, r := range rules() {
		for _, at := range regexp.MustCompile(`(?m)`+r.pattern).FindAllStringIndex(bare, -1) {
			found := bare[at[0]:at[1]]
			if !strings.Contains(strings.ToLower(found), "nulls last") && !strings.Contains(found, " as place") {
				out = append(out, fmt.Sprintf("%d: %s: %q", line(at[0]), r.why, strings.TrimSpace(found)))
			}
		}
	}
	for _, name := range []string{"regexp_extract(", "regexp_extract_all("} {
		for at := range indexes(bare, name) {
			if n := arguments(bare[at+len(name):]); n != 3 {
				out = append(out, fmt.Sprintf("%d: %s…) has %d arguments: name the group, the defaults differ", line(at), name, n))
			}
		}
	}
	return out
}

// blanked returns the SQL without comments and literals, and without comments
// alone; offsets stay.
func blanked(sql string) (bare, text string) {
	b, t := []byte(sql), []byte(sql)
	quoted := false
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '\'':
			quoted = !quoted
		case quoted:
			b[i] = 'x'
		case strings.HasPrefix(sql[i:], "--"):
			for ; i < len(b) && b[i] != '\n'; i++ {
				b[i], t[i] = ' ', ' '
			}
		}
	}
	return string(b), string(t)
}

func indexes(s, sub string) func(func(int) bool) {
	return func(yield func(int) bool) {
		for from := 0; ; {
			i := strings.Index(s[from:], sub)
			if i < 0 || !yield(from+i) {
				return
			}
			from += i + len(sub)
		}
	}
}

// arguments counts the arguments of a call whose parenthesis is open.
func arguments(s string) int {
	n, depth := 1, 0
	for _, c := range s {
		switch {
		case c == '(':
			depth++
		case c == ')' && depth == 0:
			return n
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			n++
		}
	}
	return n
}

// TestOneDialect holds the rules that let DuckDB and Spark run the same text
// and give the same rows. What Spark makes of a model is tested where there is
// a Spark; these are the traps that a look at the text finds.
func TestOneDialect(t *testing.T) {
	for _, m := range load(t).Models() {
		for _, f := range faults(m.SQL) {
			t.Errorf("%s (line after the head) %s", m.File, f)
		}
	}
}

func TestOneDialectSees(t *testing.T) {
	for _, bad := range []string{
		`select '\d'`, `select "a"`, `select unnest(a)`, `select a::bigint`, `select count(*) filter (where a)`, `select a from t lateral view explode(a)`,
		`select a div 2`, `select array(1)`, `select transform(a, x -> x)`, `select a from t qualify a = 1`, `select a from t order by score desc`,
		`select 1.5 * a`, `select a[1]`, `select avg(a)`, `select count(*) as n`, `select sum(a) over (partition by b) as n`,
		`select regexp_extract_all(a, 'x')`, `select regexp_extract(concat(a, b), 'x,y')`,
	} {
		if len(faults(bad)) == 0 {
			t.Errorf("%s: no fault found", bad)
		}
	}
	for _, good := range []string{
		`select cast(count(*) as bigint) as n, 1.5e0 as f, '"::' as s -- avg(x) \d`, `select a from t order by score desc nulls last`,
		"select regexp_extract(a, replace('(`d,`d)', '`', chr(92)), 1)",
	} {
		if f := faults(good); len(f) != 0 {
			t.Errorf("%s: %v", good, f)
		}
	}
}

// TestHeadsAreComplete wants every model documented: a sentence, every column,
// and a file of its name.
func TestHeadsAreComplete(t *testing.T) {
	for _, m := range load(t).Models() {
		if m.About == "" || len(m.Order) == 0 || len(m.Checks) == 0 {
			t.Errorf("%s: about %q, %d columns, %d checks", m.File, m.About, len(m.Order), len(m.Checks))
		}
		if want := strings.ReplaceAll(m.Name, ".", "/") + ".sql"; m.File != want {
			t.Errorf("%s makes %s: want it in %s", m.File, m.Name, want)
		}
	}
}
