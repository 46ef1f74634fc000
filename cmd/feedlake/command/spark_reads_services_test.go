//go:build services

package command

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/feedlake/feedlake/cmd/feedlake/config"
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
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	a.Config.Engine.Remote = setting(t, "FEEDLAKE_TEST_SPARK")
	e, err := a.OpenEngine(t.Context(), config.SparkConnect, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	return sparkCount(t, a, e)
}

// sparkCount counts in one query: Spark starts slowly.
func sparkCount(t *testing.T, a *app, e transforms.Engine) map[string]int64 {
	t.Helper()
	tables, err := a.Lake.Tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	q := transforms.Query{
		Inputs: map[string][]lake.File{}, Columns: map[string][]lake.Column{}, Snapshots: map[string]int64{},
		Staging: func(p lake.Partition) (string, error) { return a.Lake.NewPath("test.count", p) },
	}
	var counts []string
	for _, table := range tables {
		counts = append(counts, fmt.Sprintf("select '%s' as name, count(*) as n from %[1]s", table))
		cur, err := a.Lake.Current(t.Context(), table)
		if err != nil {
			t.Fatal(err)
		}
		if q.Inputs[table], err = a.Lake.Files(t.Context(), table, cur.ID); err != nil {
			t.Fatal(err)
		}
		if q.Columns[table], err = a.Lake.Columns(t.Context(), table); err != nil {
			t.Fatal(err)
		}
		q.Snapshots[table] = cur.ID
	}
	head := "-- model: test.count\n-- inputs: " + strings.Join(tables, ", ") + "\n-- key: name\n\n"
	if q.Model, err = transforms.ParseModel("test/count.sql", []byte(head+strings.Join(counts, "\nunion all ")+"\n")); err != nil {
		t.Fatal(err)
	}
	made, err := e.Run(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return readCounts(t, a, made)
}

func readCounts(t *testing.T, a *app, made transforms.Output) map[string]int64 {
	t.Helper()
	local, release, err := a.Lake.Local(t.Context(), made.Files)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	db, err := query.Open(t.Context(), query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.SQL().QueryContext(t.Context(), "select name, n from ("+query.Select(made.Columns, local)+")")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	counts := map[string]int64{}
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			t.Fatal(err)
		}
		counts[name] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return counts
}
