package transforms

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
)

const goodModel = `-- model: features.tags
-- about: one line for people
-- inputs: features.entities back=28d, raw.posts
-- partition: source, day
-- key: source, id
-- column source: where it comes from
-- column day: UTC day
-- column id: the id: unique
-- column n: posts
-- check: not_null(source, id)
-- check: accepted(source: x, y z)
-- check: range(n: 1..)
-- check: range(n: -0.5..2e3)
-- check: rows(..9)
-- check: fresh(day, 48h)

-- model: not the head any more
select source, day, id, 1 as n -- from ml.trends; 'it''s
from features.entities /* ; */ where id <> ';'
`

func TestParseModel(t *testing.T) {
	got, err := ParseModel("features/tags.sql", []byte(goodModel))
	if err != nil {
		t.Fatal(err)
	}
	inf := math.Inf(1)
	want := Model{
		Name: "features.tags", About: "one line for people", File: "features/tags.sql", Line: 16, Hash: got.Hash, SQL: got.SQL,
		Inputs:    []Input{{Table: "features.entities", Back: 28}, {Table: "raw.posts"}},
		Partition: []string{"source", "day"}, Key: []string{"source", "id"}, Grows: ByPartition,
		Columns: map[string]string{"source": "where it comes from", "day": "UTC day", "id": "the id: unique", "n": "posts"},
		Order:   []string{"source", "day", "id", "n"},
		Checks: []Check{
			{Kind: NotNull, Columns: []string{"source", "id"}, Min: -inf, Max: inf, Text: "not_null(source, id)", Line: 10},
			{Kind: Accepted, Columns: []string{"source"}, Values: []string{"x", "y z"}, Min: -inf, Max: inf, Text: "accepted(source: x, y z)", Line: 11},
			{Kind: Range, Columns: []string{"n"}, Min: 1, Max: inf, Text: "range(n: 1..)", Line: 12},
			{Kind: Range, Columns: []string{"n"}, Min: -0.5, Max: 2000, Text: "range(n: -0.5..2e3)", Line: 13},
			{Kind: Rows, Min: -inf, Max: 9, Text: "rows(..9)", Line: 14},
			{Kind: Fresh, Columns: []string{"day"}, Age: 48 * time.Hour, Min: -inf, Max: inf, Text: "fresh(day, 48h)", Line: 15},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(strings.TrimSpace(got.SQL), "-- model: not the head") || !strings.HasSuffix(got.SQL, "id <> ';'") {
		t.Errorf("SQL is %q", got.SQL)
	}
	crlf, err := ParseModel("features/tags.sql", []byte("\ufeff"+strings.ReplaceAll(goodModel, "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, crlf); diff != "" {
		t.Errorf("with CRLF and a byte order mark (-LF +CRLF):\n%s", diff)
	}
}

func TestParseLookup(t *testing.T) {
	m, err := ParseModel("m.sql", []byte("-- model: a.b\n-- inputs: raw.t, ml.known lookup\n-- partition: day\n-- key: id\n\nselect 1 as id\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Input{{Table: "raw.t"}, {Table: "ml.known", Lookup: true}}, m.Inputs); diff != "" {
		t.Error(diff)
	}
}

func TestHashFollowsWhatRowsDependOn(t *testing.T) {
	base, err := ParseModel("m.sql", []byte(goodModel))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		old, new string
		same     bool
	}{
		{"one line for people", "another line", true},
		{"-- check: rows(..9)\n", "", true},
		{"column n: posts", "column n: number of posts", true},
		{"-- model: not the head any more\n", "\n", true},
		{"1 as n", "2 as n", false},
		{"back=28d", "back=7d", false},
		{"features.entities back=28d", "features.entities lookup", false},
		{"-- key: source, id", "-- key: id", false},
		{"-- partition: source, day", "-- partition: day", false},
	} {
		m, err := ParseModel("m.sql", []byte(strings.Replace(goodModel, c.old, c.new, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if (m.Hash == base.Hash) != c.same {
			t.Errorf("%q -> %q: same hash %v, want %v", c.old, c.new, m.Hash == base.Hash, c.same)
		}
	}
}

func TestParseModelRefuses(t *testing.T) {
	const ok = "-- model: a.b\n-- inputs: raw.t\n-- partition: day\n-- key: id\n\nselect 1 as id\n"
	for _, c := range []struct{ name, text, where, message string }{
		{"empty file", "", "m.sql:1", `no "model"`},
		{"no head", "select 1", "m.sql:1", `no "model"`},
		{"no inputs", "-- model: a.b\n-- key: id\n\nselect 1", "m.sql:1", `no "inputs"`},
		{"no key", "-- model: a.b\n-- inputs: raw.t\n\nselect 1", "m.sql:1", `no "key"`},
		{"unknown key", "-- modle: a.b\n" + ok, "m.sql:1", `"modle" is not known`},
		{"a comment in the head", strings.Replace(ok, "-- key", "-- just text\n-- key", 1), "m.sql:4", "is not known"},
		{"key twice", "-- key: id\n" + ok, "m.sql:5", `"key" stands twice`},
		{"column twice", "-- column id: x\n-- column id: y\n" + ok, "m.sql:2", "stands twice"},
		{"key without value", "-- about:\n" + ok, "m.sql:1", "has no value"},
		{"bad model name", strings.Replace(ok, "a.b", "A.b", 1), "m.sql:1", `"A.b" is not a table name`},
		{"bad input", strings.Replace(ok, "raw.t", "raw", 1), "m.sql:2", `input "raw"`},
		{"input twice", strings.Replace(ok, "raw.t", "raw.t, raw.t", 1), "m.sql:2", "stands twice"},
		{"bad look-back", strings.Replace(ok, "raw.t", "raw.t back=4w", 1), "m.sql:2", `"back=4w"`},
		{"look-back of no days", strings.Replace(ok, "raw.t", "raw.t back=0d", 1), "m.sql:2", "back=0d"},
		{"endless look-back", strings.Replace(ok, "raw.t", "raw.t back=99999999999d", 1), "m.sql:2", "back="},
		{"look-back without day", strings.Replace(strings.Replace(ok, "raw.t", "raw.t back=4d", 1), "partition: day", "partition: source", 1), "m.sql:2", "no partition by day"},
		{"bad column", strings.Replace(ok, "key: id", "key: id, Name", 1), "m.sql:4", "are not understood"},
		{"column named twice in the key", strings.Replace(ok, "key: id", "key: id, id", 1), "m.sql:4", "are not understood"},
		{"unknown check", "-- check: nice(id)\n" + ok, "m.sql:1", `"nice(id)"`},
		{"check without bounds", "-- check: range(id)\n" + ok, "m.sql:1", "range(id)"},
		{"check with crossed bounds", "-- check: range(id: 2..1)\n" + ok, "m.sql:1", "range"},
		{"check with two columns", "-- check: range(id, day: 1..2)\n" + ok, "m.sql:1", "range"},
		{"check of bad number", "-- check: rows(1..x)\n" + ok, "m.sql:1", "rows"},
		{"check of bad age", "-- check: fresh(id, soon)\n" + ok, "m.sql:1", "fresh"},
		{"check without values", "-- check: accepted(id)\n" + ok, "m.sql:1", "accepted"},
		{"check left open", "-- check: unique(id\n" + ok, "m.sql:1", "unique"},
		{"key not documented", "-- column day: x\n" + ok, "m.sql:5", `key column "id" is not documented`},
		{"check not documented", "-- column day: x\n-- column id: x\n-- check: not_null(n)\n" + ok, "m.sql:3", `check column "n" is not documented`},
		{"no SQL", "-- model: a.b\n-- inputs: raw.t\n-- key: id\n", "m.sql:4", "has no SQL"},
		{"only comments", "-- model: a.b\n-- inputs: raw.t\n-- key: id\n\n-- later\n/* more */", "m.sql:4", "has no SQL"},
		{"not a SELECT", strings.Replace(ok, "select 1", "drop table x", 1), "m.sql:5", `begins with "drop"`},
		{"two statements", ok + "\n;select 2", "m.sql:8", "semicolon"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseModel("m.sql", []byte(c.text))
			var hint *feedlake.HintError
			if !errors.Is(err, feedlake.ErrConfig) || !errors.As(err, &hint) || hint.Hint == "" {
				t.Fatalf("got %v, want an error wrapping ErrConfig with a hint", err)
			}
			if !strings.HasPrefix(err.Error(), c.where+": ") || !strings.Contains(err.Error(), c.message) {
				t.Errorf("got %q, want %s and %s", err, c.where, c.message)
			}
		})
	}
}

func FuzzParseModel(f *testing.F) {
	f.Add(goodModel)
	f.Add("-- model: a.b\n-- inputs: raw.t\n-- key: id\n\nselect 'x")
	f.Add("-- check: range(n: 1..2)\n-- column x:\n--")
	f.Add("/* \"` ' */ -- ")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseModel("m.sql", []byte(text))
		if err != nil {
			if !errors.Is(err, feedlake.ErrConfig) || !strings.HasPrefix(err.Error(), "m.sql:") {
				t.Fatalf("error %v does not say where", err)
			}
			return
		}
		if !isTable(m.Name) || len(m.Inputs) == 0 || len(m.Key) == 0 || len(m.Hash) != 12 || m.SQL == "" {
			t.Fatalf("accepted without the needful: %+v", m)
		}
		if bare := blank(m.SQL); len(bare) != len(m.SQL) || strings.Contains(bare, ";") || strings.Count(bare, "\n") != strings.Count(m.SQL, "\n") {
			t.Fatalf("blank(%q) = %q", m.SQL, bare)
		}
	})
}
