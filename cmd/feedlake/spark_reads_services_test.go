//go:build services

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/transforms"
)

// sparkCounts lets Spark count every table through the Iceberg catalog, each at
// its newest snapshot.
func sparkCounts(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	var out, said bytes.Buffer
	o := &options{
		config: filepath.Join(dir, "feedlake.yaml"), quiet: true,
		env: env{stdin: &out, stdout: &out, stderr: &said, getenv: os.LookupEnv, now: time.Now},
	}
	a, err := o.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.close(); err != nil {
			t.Error(err)
		}
	}()
	a.cfg.Engine.Remote = setting(t, "FEEDLAKE_TEST_SPARK")
	e, err := a.openEngine(t.Context(), engineSpark, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	tables, err := a.lake.Tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int64{}
	for _, table := range tables {
		counts[table] = sparkCount(t, a, e, table)
	}
	return counts
}

func sparkCount(t *testing.T, a *app, e transforms.Engine, table string) int64 {
	t.Helper()
	m, err := transforms.ParseModel("test/count.sql", []byte("-- model: test.count\n-- inputs: "+table+"\n-- key: n\n\nselect count(*) as n from "+table+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	cur, err := a.lake.Current(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	files, err := a.lake.Files(t.Context(), table, cur.ID)
	if err != nil {
		t.Fatal(err)
	}
	cols, err := a.lake.Columns(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	made, err := e.Run(t.Context(), transforms.Query{
		Model: m, Inputs: map[string][]lake.File{table: files}, Columns: map[string][]lake.Column{table: cols}, Snapshots: map[string]int64{table: cur.ID},
		Staging: func(p lake.Partition) (string, error) { return a.lake.NewPath("test.count", p) },
	})
	if err != nil {
		t.Fatalf("%s: %v", table, err)
	}
	local, release, err := a.lake.Local(t.Context(), made.Files)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	db, err := query.Open(t.Context(), query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int64
	if err := db.SQL().QueryRowContext(t.Context(), "select n from ("+query.Select(made.Columns, local)+")").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
