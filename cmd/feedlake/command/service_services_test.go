//go:build services

package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/feedlake/feedlake/cmd/feedlake/wiring"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/serving/postgres/pgtest"
)

// setting reads what infra/dev/services.sh env tells.
func setting(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s is not set: make services-up, then make test-services", name)
	}
	return v
}

// Ways to run one config: embedded, in service, and in service on Spark.
const (
	embedded = "{dir: lake}"
	service  = `{dir: lake, catalog: "${FEEDLAKE_DSN}", s3: {endpoint: "${FEEDLAKE_S3_ENDPOINT}", bucket: "${FEEDLAKE_S3_BUCKET}", key: "${FEEDLAKE_S3_KEY}", secret: "${FEEDLAKE_S3_SECRET}"}}`
	onSpark  = "\nengine: {kind: spark, remote: \"${FEEDLAKE_SPARK}\"}\n"
)

// serviceDir is killDir with the lake at another place, a database and a bucket
// of its own.
func serviceDir(t *testing.T, lake, more string) string {
	t.Helper()
	dir := killDir(t)
	text := strings.Replace(killConfig, embedded, lake, 1) + more
	if err := os.WriteFile(filepath.Join(dir, "feedlake.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FEEDLAKE_S3_ENDPOINT", setting(t, "FEEDLAKE_TEST_S3"))
	t.Setenv("FEEDLAKE_S3_KEY", setting(t, "FEEDLAKE_TEST_S3_KEY"))
	t.Setenv("FEEDLAKE_S3_SECRET", setting(t, "FEEDLAKE_TEST_S3_SECRET"))
	t.Setenv("FEEDLAKE_S3_BUCKET", makeBucket(t))
	t.Setenv("FEEDLAKE_SPARK", setting(t, "FEEDLAKE_TEST_SPARK"))
	t.Setenv("FEEDLAKE_DSN", makeDatabase(t))
	return dir
}

// storeClient asks the test's store without feedlake's help.
func storeClient(t *testing.T) *minio.Client {
	t.Helper()
	u, err := url.Parse(setting(t, "FEEDLAKE_TEST_S3"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := minio.New(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(setting(t, "FEEDLAKE_TEST_S3_KEY"), setting(t, "FEEDLAKE_TEST_S3_SECRET"), ""), Region: "us-east-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func makeBucket(t *testing.T) string {
	t.Helper()
	c := storeClient(t)
	name := fmt.Sprintf("cmd-test-%x", rand.Uint64())
	if err := c.MakeBucket(t.Context(), name, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	return name
}

func makeDatabase(t *testing.T) string {
	t.Helper()
	pg := pgtest.Start(t)
	pg.CreateDatabase("lake")
	return pg.DSN("lake")
}

// TestServiceSameTablesEverywhere runs one config embedded, in service, and in
// service on Spark: every table must hold the same rows, and programs of others
// must read as many.
func TestServiceSameTablesEverywhere(t *testing.T) {
	dir := killDir(t)
	runWhole(t, dir)
	want := contents(t, dir)
	t.Run("read by others from a folder", func(t *testing.T) {
		othersRead(t, dir, map[string]string{
			"uri": "sqlite:///" + filepath.Join(dir, "lake", "catalog.db"), "warehouse": "file://" + filepath.Join(dir, "lake", "warehouse"),
		})
	})
	for name, more := range map[string]string{"duckdb": "", "spark": onSpark} {
		t.Run(name, func(t *testing.T) {
			dir := serviceDir(t, service, more)
			runWhole(t, dir)
			if d := cmp.Diff(want, contents(t, dir)); d != "" {
				t.Errorf("tables differ (-embedded +service): %s", d)
			}
			if out := say(t, dir, "run"); !strings.Contains(out, "nothing new: no post, no row and no partition was added or changed") {
				t.Errorf("a second run did something:\n%s", out)
			}
			othersRead(t, dir, map[string]string{
				"uri": strings.Replace(os.Getenv("FEEDLAKE_DSN"), "postgres://", "postgresql+psycopg2://", 1), "warehouse": "s3://" + os.Getenv("FEEDLAKE_S3_BUCKET") + "/warehouse",
				"s3.endpoint": os.Getenv("FEEDLAKE_S3_ENDPOINT"), "s3.access-key-id": os.Getenv("FEEDLAKE_S3_KEY"), "s3.secret-access-key": os.Getenv("FEEDLAKE_S3_SECRET"), "s3.region": "us-east-1",
			})
		})
	}
}

// say runs a command that must succeed and returns what it printed.
func say(t *testing.T, dir string, args ...string) string {
	t.Helper()
	var said bytes.Buffer
	cmd := program(t, dir, args...)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(args, " "), err, out, said.String())
	}
	return string(out)
}

// tableCounts asks for the rows of every table, and how many different values
// their first column has.
func tableCounts(t *testing.T, dir string) (rows, distinct map[string]int64) {
	t.Helper()
	columns := firstColumns(t)
	var tables []struct {
		Table string
		Rows  int64
	}
	if err := json.Unmarshal([]byte(say(t, dir, "lake", "ls", "--json")), &tables); err != nil {
		t.Fatal(err)
	}
	rows = map[string]int64{}
	var counts []string
	for _, tbl := range tables {
		rows[tbl.Table] = tbl.Rows
		if columns[tbl.Table] == "" {
			t.Fatalf("no model makes table %s, and feedlake has no such table", tbl.Table)
		}
		counts = append(counts, fmt.Sprintf(`select '%[1]s' as name, count(distinct "%[2]s") + coalesce(max(case when "%[2]s" is null then 1 end), 0) as n from %[1]s`,
			tbl.Table, columns[tbl.Table]))
	}
	var found []struct {
		Name string
		N    int64
	}
	ask(t, dir, &found, strings.Join(counts, " union all "))
	distinct = map[string]int64{}
	for _, f := range found {
		distinct[f.Name] = f.N
	}
	return rows, distinct
}

// firstColumns names the first column of every table.
func firstColumns(t *testing.T) map[string]string {
	t.Helper()
	g, err := wiring.LoadModels()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, m := range g.Models() {
		out[m.Name] = m.Order[0]
	}
	for _, s := range lake.Fixed() {
		out[s.Name] = s.Columns[0].Name
	}
	return out
}

// ask reads the rows of a query.
func ask(t *testing.T, dir string, into any, query string) {
	t.Helper()
	if err := json.Unmarshal([]byte(say(t, dir, "sql", "--json", query)), into); err != nil {
		t.Fatal(err)
	}
}

// othersRead wants pyiceberg, Spark and the DuckDB command line to count what
// feedlake counts in every table.
func othersRead(t *testing.T, dir string, catalog map[string]string) {
	t.Helper()
	rows, distinct := tableCounts(t, dir)
	if len(rows) < 16 {
		t.Fatalf("the lake has only %d tables", len(rows))
	}
	props, err := json.Marshal(catalog)
	if err != nil {
		t.Fatal(err)
	}
	py := exec.CommandContext(t.Context(), setting(t, "FEEDLAKE_TEST_PYTHON"), filepath.Join("testdata", "read_lake.py"))
	var said bytes.Buffer
	py.Stdin, py.Stderr = bytes.NewReader(props), &said
	out, err := py.Output()
	if err != nil {
		t.Fatalf("pyiceberg: %v\n%s", err, said.String())
	}
	var read map[string][3]int64
	if err := json.Unmarshal(out, &read); err != nil {
		t.Fatal(err)
	}
	got, planned, first := map[string]int64{}, map[string]int64{}, map[string]int64{}
	for table, n := range read {
		got[table], planned[table], first[table] = n[0], n[1], n[2]
	}
	for what, d := range map[string]string{"rows": cmp.Diff(rows, got), "planned rows": cmp.Diff(rows, planned), "values of the first column": cmp.Diff(distinct, first)} {
		if d != "" {
			t.Errorf("pyiceberg counts other %s (-feedlake +pyiceberg): %s", what, d)
		}
	}
	if d := cmp.Diff(rows, sparkCounts(t, dir)); d != "" {
		t.Errorf("Spark counts others (-feedlake +spark): %s", d)
	}
	if d := cmp.Diff(rows, duckdbCounts(t, dir, rows)); d != "" {
		t.Errorf("the DuckDB command line counts others (-feedlake +duckdb): %s", d)
	}
}

// duckdbCounts opens the views that `lake views` prints in the DuckDB command
// line. Its extension for buckets is there already, so it need not be installed.
func duckdbCounts(t *testing.T, dir string, tables map[string]int64) map[string]int64 {
	t.Helper()
	views := say(t, dir, "lake", "views")
	views = strings.Replace(views, "INSTALL httpfs;\nLOAD httpfs;", "LOAD '"+setting(t, "FEEDLAKE_TEST_HTTPFS")+"';", 1)
	if secret := os.Getenv("FEEDLAKE_S3_SECRET"); secret != "" && strings.Contains(views, secret) {
		t.Error("the views tell the secret")
	}
	file := filepath.Join(t.TempDir(), "lake.sql")
	if err := os.WriteFile(file, []byte(views), 0o600); err != nil {
		t.Fatal(err)
	}
	var count []string
	for table := range tables {
		count = append(count, fmt.Sprintf("select '%s' as name, count(*) as n from %s", table, table))
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), setting(t, "FEEDLAKE_TEST_DUCKDB"), "-init", file, "-json", "-c", strings.Join(count, " union all "))
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("duckdb: %v\n%s", err, said.String())
	}
	var rows []struct {
		Name string
		N    int64
	}
	if i := bytes.LastIndex(out, []byte("[{\"name\"")); i > 0 { // what -init printed stands before it
		out = out[i:]
	}
	if err := json.Unmarshal(out, &rows); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := map[string]int64{}
	for _, r := range rows {
		got[r.Name] = r.N
	}
	return got
}

// TestServiceMigrate moves a lake's catalog and history to PostgreSQL and back:
// rows, runs and cursors stay.
func TestServiceMigrate(t *testing.T) {
	dir := serviceDir(t, embedded, "")
	runWhole(t, dir)
	want := contents(t, dir)
	say(t, dir, "lake", "migrate", "--to", "postgres")
	refusedBy(t, dir, 2, "moved to PostgreSQL database lake", "status")
	config := func(lake string) {
		text := strings.Replace(killConfig, embedded, lake, 1)
		if err := os.WriteFile(filepath.Join(dir, "feedlake.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config(`{dir: lake, catalog: "${FEEDLAKE_DSN}"}`)
	if out := say(t, dir, "run"); !strings.Contains(out, "nothing new") {
		t.Errorf("the first run after the move did something:\n%s", out)
	}
	if d := cmp.Diff(want, contents(t, dir)); d != "" {
		t.Errorf("tables differ after the move: %s", d)
	}
	say(t, dir, "lake", "migrate", "--to", "sqlite")
	config(embedded)
	if d := cmp.Diff(want, contents(t, dir)); d != "" {
		t.Errorf("tables differ after the move back: %s", d)
	}
	var st struct{ Runs []struct{ State string } }
	if err := json.Unmarshal([]byte(say(t, dir, "status", "--json")), &st); err != nil || len(st.Runs) != 2 {
		t.Errorf("%d runs in the history, %v, want those of before and of between", len(st.Runs), err)
	}
}

// refusedBy wants a command to end with a code, a message and a hint, without
// the secrets.
func refusedBy(t *testing.T, dir string, code int, message string, args ...string) {
	t.Helper()
	out, err := program(t, dir, args...).CombinedOutput()
	got := 0
	if e, ok := err.(*exec.ExitError); ok { //nolint:errorlint // exec returns it as it is
		got = e.ExitCode()
	}
	if got != code || !strings.Contains(string(out), message) || !strings.Contains(string(out), "hint:") {
		t.Errorf("%s: exit code %d, want %d with %q and a hint:\n%s", strings.Join(args, " "), got, code, message, out)
	}
	for _, secret := range []string{"sesame-42", os.Getenv("FEEDLAKE_TEST_S3_SECRET")} {
		if strings.Contains(string(out), secret) {
			t.Errorf("%s tells a secret:\n%s", strings.Join(args, " "), out)
		}
	}
}

// TestServiceBadInput gives wrong places and secrets: a message, a hint, the
// exit code, and nothing half done.
func TestServiceBadInput(t *testing.T) {
	dir := serviceDir(t, service, "\nengine: {kind: auto, remote: \"${FEEDLAKE_SPARK}\"}\n")
	for _, c := range []struct {
		name, variable, value, message string
		code                           int
	}{
		{"wrong secret", "FEEDLAKE_S3_SECRET", "sesame-42", "signature", 2},
		{"wrong key", "FEEDLAKE_S3_KEY", "nobody", "key", 2},
		{"missing bucket", "FEEDLAKE_S3_BUCKET", "no-such-bucket-here", "bucket", 2},
		{"no store there", "FEEDLAKE_S3_ENDPOINT", "http://127.0.0.1:1", "127.0.0.1:1", 1},
		{"no URL", "FEEDLAKE_S3_ENDPOINT", "127.0.0.1:9000", "lake.s3.endpoint", 2},
		{"wrong password", "FEEDLAKE_DSN", "postgres://nobody:sesame-42@127.0.0.1:1/lake?connect_timeout=2", "cannot be reached", 1},
		{"no DSN", "FEEDLAKE_DSN", "postgres://nobody:sesame-42@:port/", "cannot be read", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(c.variable, c.value)
			refusedBy(t, dir, c.code, c.message, "run")
		})
	}
	t.Run("spark is not there", func(t *testing.T) {
		t.Setenv("FEEDLAKE_SPARK", "sc://127.0.0.1:1")
		refusedBy(t, dir, 1, "127.0.0.1:1", "run", "--engine", "spark")
		if out := say(t, dir, "lake", "ls", "--json"); strings.Contains(out, "features.posts") {
			t.Errorf("a run without its engine left tables:\n%s", out)
		}
		refusedBy(t, dir, 2, "--engine flink", "run", "--engine", "flink")
	})
	t.Run("secret in the file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "plain.yaml")
		if err := os.WriteFile(file, []byte("lake:\n  s3:\n    endpoint: http://x\n    bucket: b\n    secret: sesame-42\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		refusedBy(t, dir, 2, "plain.yaml:5: secret is written into the file", "check", "-c", file)
	})
	if out := say(t, dir, "run", "--engine", "auto"); !strings.Contains(out, "on duckdb:") {
		t.Errorf("with everything right the run does not say which engine and why:\n%s", out)
	}
}
