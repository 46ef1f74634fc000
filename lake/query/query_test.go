package query_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

func open(t *testing.T, o query.Options) *query.DB {
	t.Helper()
	db, err := query.Open(t.Context(), o)
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

func TestEmptyViewKeepsTypes(t *testing.T) {
	db := open(t, query.Options{})
	spec := lake.RawPosts()
	if err := db.View(t.Context(), spec.Name, spec.Columns, nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range spec.Columns {
		var n int
		var typ string
		q := "select (select count(*) from raw.posts), (select column_type from (describe raw.posts) where column_name = ?)"
		if err := db.SQL().QueryRowContext(t.Context(), q, c.Name).Scan(&n, &typ); err != nil {
			t.Fatal(err)
		}
		want := strings.Replace(c.Type, "TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE", 1)
		if n != 0 || typ != want {
			t.Errorf("%s: %d rows of %s, want 0 of %s", c.Name, n, typ, want)
		}
	}
}

func TestOptionsReachEveryConnection(t *testing.T) {
	db := open(t, query.Options{Memory: "123MB", Threads: 1, TempDir: t.TempDir(), Setup: []string{"create macro twice(x) as x * 2"}})
	for range 3 { // each pinned connection is a new one
		conn, err := db.SQL().Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		var zone, mem string
		var threads, four int
		q := "select current_setting('TimeZone'), current_setting('memory_limit'), current_setting('threads'), twice(2)"
		if err := conn.QueryRowContext(t.Context(), q).Scan(&zone, &mem, &threads, &four); err != nil {
			t.Fatal(err)
		}
		if zone != "UTC" || !strings.HasPrefix(mem, "117.3") || threads != 1 || four != 4 {
			t.Errorf("zone %s, memory %s, threads %d, macro %d", zone, mem, threads, four)
		}
	}
}

func TestQuoting(t *testing.T) {
	db := open(t, query.Options{})
	for _, s := range []string{"", "it's", `"`, "a;b--c", "ä\n\\"} {
		var value, name string
		if err := db.SQL().QueryRowContext(t.Context(), "select "+query.Quote(s)).Scan(&value); err != nil || value != s {
			t.Errorf("literal %q came back as %q, %v", s, value, err)
		}
		if s == "" {
			continue
		}
		rows, err := db.SQL().QueryContext(t.Context(), "select 1 as "+query.Ident(s))
		if err != nil {
			t.Fatal(err)
		}
		cols, err := rows.Columns()
		if cerr := rows.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
		if name = cols[0]; name != s {
			t.Errorf("identifier %q came back as %q", s, name)
		}
	}
}

func TestErrors(t *testing.T) {
	if _, err := query.Open(t.Context(), query.Options{Memory: "a lot"}); err == nil {
		t.Error("a memory limit that is none was taken")
	}
	db := open(t, query.Options{})
	if err := db.View(t.Context(), "posts", nil, nil); !errors.Is(err, feedlake.ErrConfig) {
		t.Errorf("view without a schema: %v", err)
	}
	gone := []lake.File{{Path: t.TempDir() + "/gone.parquet"}}
	if err := db.View(t.Context(), "raw.posts", lake.RawPosts().Columns, gone); err == nil {
		t.Error("a view over a missing file was made")
	}
}
