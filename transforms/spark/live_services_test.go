//go:build services

package spark

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/parquet-go/parquet-go"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/transforms"
)

// server is a Spark of the test's own, with Spark's status pages.
type server struct {
	port int
	env  []string
}

// startServer starts one on a free port; up and down are infra/dev/spark.sh.
func startServer(t *testing.T) *server {
	t.Helper()
	port := freePorts(t)
	s := &server{port: port, env: append(os.Environ(), "FEEDLAKE_SPARK_PORT="+strconv.Itoa(port), "FEEDLAKE_SPARK_MEMORY=1g")}
	s.script(t, "up")
	t.Cleanup(func() {
		s.script(t, "down")
		if err := os.RemoveAll(fmt.Sprintf("../../.deps/spark/run-%d", port)); err != nil {
			t.Error(err)
		}
	})
	return s
}

// freePorts finds a port that is free, as is the one after it.
func freePorts(t *testing.T) int {
	t.Helper()
	for range 50 {
		a, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr, ok := a.Addr().(*net.TCPAddr)
		if !ok {
			t.Fatalf("listening on %v", a.Addr())
		}
		port := addr.Port
		b, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		_ = a.Close()
		if err == nil {
			_ = b.Close()
			return port
		}
	}
	t.Fatal("no two free ports side by side")
	return 0
}

func (s *server) script(t *testing.T, verb string) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "../../infra/dev/spark.sh", verb)
	cmd.Env = s.env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("spark.sh %s: %v\n%s", verb, err, out)
	}
}

// kill ends the server as a crash would.
func (s *server) kill(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("../../.deps/spark/run-%d/pid", s.port))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
}

func (s *server) open(t *testing.T) *Engine {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	e, err := Open(t.Context(), Options{Remote: fmt.Sprintf("sc://127.0.0.1:%d", s.port), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// get reads Spark's status pages.
func (s *server) get(t *testing.T, path string, into any) {
	t.Helper()
	var apps []struct{ ID string }
	for _, p := range []struct {
		path string
		into any
	}{{"applications", &apps}, {"applications/%s/" + path, into}} {
		if len(apps) > 0 {
			p.path = fmt.Sprintf(p.path, apps[0].ID)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/api/v1/%s", s.port+1, p.path), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		err = json.NewDecoder(resp.Body).Decode(p.into)
		if cerr := resp.Body.Close(); err != nil || cerr != nil {
			t.Fatal(p.path, err, cerr)
		}
	}
}

// activeTasks counts what the server is computing.
func (s *server) activeTasks(t *testing.T) (n int) {
	t.Helper()
	var executors []struct{ ActiveTasks int }
	s.get(t, "executors", &executors)
	for _, e := range executors {
		n += e.ActiveTasks
	}
	return n
}

// eventually polls until ok, for a minute at most.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !ok() {
		if err := feedlake.Sleep(ctx, 50*time.Millisecond); err != nil {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// endless is a query that would run for many minutes. It reads a file: Spark's
// tasks look whether they are to stop when they take up more input, and not in
// a loop over numbers of their own.
func endless(t *testing.T, dir string) transforms.Query {
	t.Helper()
	type row struct {
		ID int64 `parquet:"id,optional"`
	}
	path := filepath.Join(t.TempDir(), "in.parquet")
	rows := make([]row, 2_000_000)
	for i := range rows {
		rows[i].ID = int64(i)
	}
	if err := parquet.WriteFile(path, rows, parquet.MaxRowsPerRowGroup(100_000)); err != nil {
		t.Fatal(err)
	}
	m, err := transforms.ParseModel("models/endless.sql", []byte("-- model: features.endless\n-- inputs: raw.t\n-- key: id\n\n"+
		"select max(md5(cast(id * n as string))) as id from (select id, explode(sequence(1, 2000)) as n from raw.t) x\n"))
	if err != nil {
		t.Fatal(err)
	}
	return transforms.Query{
		Model:   m,
		Columns: map[string][]lake.Column{"raw.t": {{Name: "id", Type: "BIGINT"}}},
		Inputs:  map[string][]lake.File{"raw.t": {{Path: path, Rows: int64(len(rows))}}},
		Staging: func(lake.Partition) (string, error) { return filepath.Join(dir, "out.parquet"), nil },
	}
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil || len(list) > 0 {
		t.Errorf("%d entries left behind, such as %v: %v", len(list), list, err)
	}
}

// TestServiceLive watches jobs on a server of its own, which it kills in the end.
func TestServiceLive(t *testing.T) {
	s := startServer(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, *server)
	}{
		{"cancel stops the job", cancelStopsTheJob},
		{"cancel while writing", cancelWhileWriting},
		{"close releases the session", closeReleasesTheSession},
		{"killed server", killedServer},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, s) })
	}
}

func cancelStopsTheJob(t *testing.T, s *server) {
	e := s.open(t)
	defer func() { _ = e.Close() }()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := e.Run(ctx, endless(t, dir))
		ended <- err
	}()
	eventually(t, "the job runs", func() bool { return s.activeTasks(t) > 0 })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	wantEmpty(t, dir)
	eventually(t, "no task runs on the server", func() bool { return s.activeTasks(t) == 0 })
	var jobs []struct{ Status string }
	s.get(t, "jobs?status=running", &jobs)
	if len(jobs) > 0 {
		t.Errorf("jobs still run: %v", jobs)
	}
	wantEmpty(t, dir) // nor did a task write after the engine had cleaned up
}

// cancelWhileWriting stops a job that has begun to write its files.
func cancelWhileWriting(t *testing.T, s *server) {
	e := s.open(t)
	defer func() { _ = e.Close() }()
	dir := t.TempDir()
	q := endless(t, dir)
	q.Model.SQL, q.Model.Partition = "select cast(id as string) as id, cast(id as string) as source from range(20000)", []string{"source"}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := e.Run(ctx, q)
		ended <- err
	}()
	eventually(t, "a file", func() bool {
		found, err := filepath.Glob(filepath.Join(dir, "out", "_temporary", "*", "_temporary", "*", "*", "*.parquet"))
		return err == nil && len(found) > 0
	})
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	eventually(t, "no task runs on the server", func() bool { return s.activeTasks(t) == 0 })
	wantEmpty(t, dir)
}

// closeReleasesTheSession asks the server for a session that was
// closed, and for the job that ran in it.
func closeReleasesTheSession(t *testing.T, s *server) {
	e, other := s.open(t), s.open(t)
	defer func() { _ = other.Close() }()
	if err := e.session.statement(t.Context(), "CREATE TEMPORARY VIEW v AS SELECT 1 AS x"); err != nil {
		t.Fatal(err)
	}
	var got int64
	err := e.session.rows(t.Context(), text("SELECT count(*) FROM v"), func(b arrow.RecordBatch) error {
		got += b.NumRows()
		return nil
	})
	if err != nil || got != 1 {
		t.Fatalf("%d rows, %v", got, err)
	}
	if err := other.session.statement(t.Context(), "SELECT * FROM v"); err == nil {
		t.Error("one session sees the view of another")
	}
	if ok, err := other.session.alive(t.Context()); !ok || err != nil {
		t.Errorf("the other session is alive: %t, %v", ok, err)
	}
	dir := t.TempDir()
	ended := make(chan error, 1)
	go func() {
		_, err := e.Run(t.Context(), endless(t, dir))
		ended <- err
	}()
	eventually(t, "the job runs", func() bool { return s.activeTasks(t) > 0 })
	released := &session{client: other.client, id: e.session.id, server: e.session.server}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("a query outlived its session")
	}
	if ok, err := released.alive(t.Context()); ok || err != nil {
		t.Errorf("the closed session is alive: %t, %v", ok, err)
	}
	eventually(t, "no task runs on the server", func() bool { return s.activeTasks(t) == 0 })
	wantEmpty(t, dir)
}

// killedServer kills the server under a job: a clear error soon, no
// file, and the same engine goes on when the server is back.
func killedServer(t *testing.T, s *server) {
	e := s.open(t)
	defer func() { _ = e.Close() }()
	dir := t.TempDir()
	ended := make(chan error, 1)
	go func() {
		_, err := e.Run(t.Context(), endless(t, dir))
		ended <- err
	}()
	eventually(t, "the job runs", func() bool { return s.activeTasks(t) > 0 })
	s.kill(t)
	select {
	case err := <-ended:
		wantLost(t, err)
	case <-time.After(time.Minute):
		t.Fatal("no answer a minute after the server was killed")
	}
	wantEmpty(t, dir)
	_, err := e.Run(t.Context(), endless(t, dir))
	wantLost(t, err)

	s.script(t, "down")
	s.script(t, "up")
	q := endless(t, dir)
	q.Model.SQL = "select 'a' as id"
	out, err := e.Run(t.Context(), q)
	if err != nil || out.Rows != 1 {
		t.Errorf("after the server came back: %d rows, %v", out.Rows, err)
	}
}

func wantLost(t *testing.T, err error) {
	t.Helper()
	var hint *feedlake.HintError
	if err == nil || errors.Is(err, feedlake.ErrUnknown) || !errors.As(err, &hint) {
		t.Fatalf("got %v, want an error with a hint", err)
	}
	for _, want := range []string{"127.0.0.1", "models/endless.sql"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
	if !strings.Contains(hint.Hint, "nothing was committed") || !strings.Contains(hint.Hint, "run again") {
		t.Errorf("hint %q does not say what to do", hint.Hint)
	}
	t.Logf("%v (%s)", err, hint.Hint)
}
