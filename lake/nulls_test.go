package lake_test

import (
	"context"
	"encoding/json"
	"fmt"
	randv2 "math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// kindsRow has a field of every kind that the tables of feedlake are made of,
// and of the kinds that they may come to have.
type kindsRow struct {
	N      int64     `parquet:"n"`
	Text   string    `parquet:"text,optional"`
	Dict   string    `parquet:"dict,optional,dict"`
	Bytes  []byte    `parquet:"bytes,optional"`
	Bool   bool      `parquet:"bool,optional"`
	Small  int32     `parquet:"small,optional"`
	Day    int32     `parquet:"day,optional,date"`
	Big    int64     `parquet:"big,optional"`
	Ratio  float64   `parquet:"ratio,optional"`
	Single float32   `parquet:"single,optional"`
	At     time.Time `parquet:"stamp,optional,timestamp(microsecond)"`
	Count  *int64    `parquet:"count,optional"`
	Name   *string   `parquet:"name,optional"`
	Tags   []string  `parquet:"tags,optional,list"`
	Nested struct {
		Word string `parquet:"word,optional"`
	} `parquet:"nested"`
}

// kinds are the columns of kindsRow that may be NULL: how DuckDB reads one, how
// a row gets a value, and the value of row n in JSON.
var kinds = []struct {
	name string
	set  func(r *kindsRow)
	want func(n int64) string
}{
	{"text", func(r *kindsRow) { r.Text = fmt.Sprint("t", r.N) }, func(n int64) string { return fmt.Sprintf(`"t%d"`, n) }},
	{"dict", func(r *kindsRow) { r.Dict = fmt.Sprint("d", r.N%5) }, func(n int64) string { return fmt.Sprintf(`"d%d"`, n%5) }},
	{"bytes::varchar", func(r *kindsRow) { r.Bytes = []byte("b") }, func(int64) string { return `"b"` }},
	{"bool", func(r *kindsRow) { r.Bool = true }, func(int64) string { return "true" }},
	{"small", func(r *kindsRow) { r.Small = int32(r.N) + 1 }, func(n int64) string { return fmt.Sprint(n + 1) }},
	{"day - date '1970-01-01'", func(r *kindsRow) { r.Day = int32(r.N) + 1 }, func(n int64) string { return fmt.Sprint(n + 1) }},
	{"big", func(r *kindsRow) { r.Big = -1 - r.N }, func(n int64) string { return fmt.Sprint(-1 - n) }},
	{"ratio", func(r *kindsRow) { r.Ratio = 0.5 }, func(int64) string { return "0.5" }},
	{"single", func(r *kindsRow) { r.Single = 0.5 }, func(int64) string { return "0.5" }},
	{"epoch_us(stamp)", func(r *kindsRow) { r.At = time.UnixMicro(r.N) }, func(n int64) string { return fmt.Sprint(n) }},
	{"count", func(r *kindsRow) { r.Count = new(int64) }, func(int64) string { return "0" }},
	{"name", func(r *kindsRow) { r.Name = new(string) }, func(int64) string { return `""` }},
	{"tags", func(r *kindsRow) { r.Tags = []string{"a", ""} }, func(int64) string { return `["a",""]` }},
	{"nested.word", func(r *kindsRow) { r.Nested.Word = "w" }, func(int64) string { return `"w"` }},
}

// nullPattern makes n rows; has says whether column c of row i holds a value.
func nullPattern(n int, has func(i, c int) bool) (rows []kindsRow, want []string) {
	for i := range n {
		r := kindsRow{N: int64(i)}
		line := []string{fmt.Sprint(i)}
		for c, k := range kinds {
			value := "null"
			if has(i, c) {
				k.set(&r)
				value = k.want(r.N)
			}
			line = append(line, value)
		}
		rows = append(rows, r)
		want = append(want, "["+strings.Join(line, ",")+"]")
	}
	return rows, want
}

// nullCase is rows as they are given to calls of Write.
type nullCase struct {
	name  string
	calls [][]kindsRow
	want  []string
}

// nullCases are all runs of NULLs and values up to a block and a half, and
// random rows of every length up to that, cut into calls at random.
func nullCases(random *randv2.Rand) (out []nullCase) {
	add := func(name string, n int, has func(i, c int) bool) {
		rows, want := nullPattern(n, has)
		calls := [][]kindsRow{rows}
		if at := random.IntN(3 * (n + 1)); at < n {
			calls = [][]kindsRow{rows[:at], nil, rows[at:]}
		}
		out = append(out, nullCase{name, calls, want})
	}
	for k := range 36 {
		add(fmt.Sprintf("%d NULLs, as many values, then NULLs", k), 2*k+8, func(i, _ int) bool { return i >= k && i < 2*k })
		add(fmt.Sprintf("a value, NULLs, from %d on as many values, then NULLs", k), 2*k+3, func(i, _ int) bool { return i == 0 || i >= k && i < 2*k })
		add(fmt.Sprintf("columns that begin one after the other, %d", k), 70+k, func(i, c int) bool { return i%64 >= k%8+c && i%64 < 2*(k%8+c) })
	}
	for n := range 71 {
		share := random.Float64()
		add(fmt.Sprintf("random of %d", n), n, func(int, int) bool { return random.Float64() < share })
	}
	for _, n := range []int{127, 128, 129, 1023, 1024, 1025} {
		add(fmt.Sprintf("none of %d", n), n, func(int, int) bool { return false })
		add(fmt.Sprintf("all of %d", n), n, func(int, int) bool { return true })
		add(fmt.Sprintf("few of %d", n), n, func(int, int) bool { return random.IntN(20) == 0 })
	}
	return out
}

// writeCalls writes a file by several calls of Write.
func writeCalls[T any](ctx context.Context, t *testing.T, l *lake.Lake, calls [][]T) string {
	t.Helper()
	w, err := lake.NewRowWriter[T](l, "raw.kinds", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, rows := range calls {
		if err := w.Write(rows); err != nil {
			t.Fatal(err)
		}
	}
	path, err := w.Close(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// scan returns the first column of a query's rows.
func scan[T any](t *testing.T, db *query.DB, q string) (out []T) {
	t.Helper()
	rows, err := db.SQL().QueryContext(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func duck(t *testing.T) *query.DB {
	t.Helper()
	db, err := query.Open(t.Context(), query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// TestNullStaysNull reads with DuckDB what the lake's writer wrote.
func TestNullStaysNull(t *testing.T) {
	t.Parallel()
	l, db := open(t, t.TempDir(), nil), duck(t)
	var columns []string
	for _, k := range kinds {
		columns = append(columns, "to_json("+k.name+")")
	}
	for _, c := range nullCases(randv2.New(randv2.NewPCG(14, 2))) {
		path := writeCalls(t.Context(), t, l, c.calls)
		got := scan[string](t, db, fmt.Sprintf("select json_array(n, %s)::varchar from '%s' order by n", strings.Join(columns, ", "), path))
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, diff)
		}
	}
}

// TestNullStaysNullAcrossRowGroups counts values around the end of a row group,
// where the library begins a block anew.
func TestNullStaysNullAcrossRowGroups(t *testing.T) {
	t.Parallel()
	type row struct {
		N    int64  `parquet:"n"`
		Text string `parquet:"text,optional"`
	}
	l, db := open(t, t.TempDir(), nil), duck(t)
	for _, first := range []int{0, 1, 3, 50, 63, 64, 65} {
		calls := [][]row{make([]row, first), make([]row, lake.RowsPerGroup+200-first)}
		n := int64(0)
		for _, rows := range calls {
			for i := range rows {
				rows[i].N = n
				// A NULL, a value, NULLs: counted from the row group's end and its begin.
				if at := n - lake.RowsPerGroup; at == 1 || at == -1 || at == -60 || at == 66 {
					rows[i].Text = "x"
				}
				n++
			}
		}
		path := writeCalls(t.Context(), t, l, calls)
		got := scan[int64](t, db, fmt.Sprintf("select n - %d from '%s' where text is not null order by n", lake.RowsPerGroup, path))
		if diff := cmp.Diff([]int64{-60, -1, 1, 66}, got); diff != "" {
			t.Errorf("first call %d rows (-want +got)\n%s", first, diff)
		}
	}
}

// TestNullStaysNullBesideLongTexts has texts so long that few rows go to the
// library at once.
func TestNullStaysNullBesideLongTexts(t *testing.T) {
	t.Parallel()
	type row struct {
		N    int64  `parquet:"n"`
		Text string `parquet:"text,optional"`
		Rare string `parquet:"rare,optional"`
	}
	l, db := open(t, t.TempDir(), nil), duck(t)
	long := strings.Repeat("x", 5<<20)
	for _, every := range []int{1, 2, 3, 5} {
		rows, want := make([]row, 20), make([]string, 20)
		for i := range rows {
			rows[i].N, want[i] = int64(i), "["
			if i%7 == 1 {
				rows[i].Rare = "r"
			}
			if i%every == 0 {
				rows[i].Text = long[:(i%4)*(5<<18)]
			}
			for _, s := range []string{rows[i].Text, rows[i].Rare} {
				if s == "" {
					want[i] += "null,"
				} else {
					want[i] += fmt.Sprint(len(s), ",")
				}
			}
			want[i] = strings.TrimSuffix(want[i], ",") + "]"
		}
		path := writeCalls(t.Context(), t, l, [][]row{rows})
		got := scan[string](t, db, fmt.Sprintf("select json_array(length(text), length(rare))::varchar from '%s' order by n", path))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("a text in every %d rows (-want +got)\n%s", every, diff)
		}
	}
}

// TestPostsHoldNullForNothing says it of raw.posts, column by column: a zero
// time, place and reading are NULL as well.
func TestPostsHoldNullForNothing(t *testing.T) {
	t.Parallel()
	l, db := open(t, t.TempDir(), nil), duck(t)
	rows := make([]feedlake.Post, 70)
	full := reflect.New(reflect.TypeFor[feedlake.Post]()).Elem()
	for _, f := range reflect.VisibleFields(full.Type()) {
		v := full.FieldByIndex(f.Index)
		switch v.Kind() {
		case reflect.String:
			v.SetString("s")
		case reflect.Int64:
			v.SetInt(1)
		case reflect.Pointer:
			v.Set(reflect.ValueOf(new(int64)))
		case reflect.Slice:
			v.Set(reflect.ValueOf([]string{"s"}))
		case reflect.Bool: // not optional
		case reflect.Struct:
			v.Set(reflect.ValueOf(noon))
		default:
			t.Fatalf("a kind of field that the test does not know: %s", f.Name)
		}
	}
	rows[1] = full.Interface().(feedlake.Post) //nolint:errcheck,forcetypeassert // made of one
	path := writeCalls(t.Context(), t, l, [][]feedlake.Post{rows})
	var counts map[string]int
	got := scan[string](t, db, fmt.Sprintf("select to_json(c)::varchar from (select count(columns(* exclude deleted)) from '%s') c", path))
	if err := json.Unmarshal([]byte(got[0]), &counts); err != nil {
		t.Fatal(err)
	}
	if want := reflect.TypeFor[feedlake.Post]().NumField() - 1; len(counts) != want {
		t.Errorf("%d columns, want %d", len(counts), want)
	}
	for column, n := range counts {
		if n != 1 {
			t.Errorf("%s: %d values, want the one of row 1", column, n)
		}
	}
}

// TestRowsOfUnknownKinds has the writer refuse what it cannot vouch for.
func TestRowsOfUnknownKinds(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), nil)
	type inner struct {
		Word string `parquet:"word,optional"`
	}
	type list struct {
		Inner []inner `parquet:"inner,list"`
	}
	type pairs struct {
		Pairs map[string]string `parquet:"pairs"`
	}
	_, err := lake.NewRowWriter[list](l, "raw.kinds", "")
	_, err2 := lake.NewRowWriter[pairs](l, "raw.kinds", "")
	_, err3 := lake.NewRowWriter[map[string]string](l, "raw.kinds", "")
	for want, err := range map[string]error{"field Inner is of type": err, "field Pairs is of type": err2, "not a struct": err3} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
