package schedules

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/serving/postgres/pgtest"
)

func TestBeginRaces(t *testing.T) {
	each(t, func(t *testing.T, place places) {
		home := place(t)
		ledgers := []*Ledger{openTest(t, home), openTest(t, home)}
		const locks = 200
		var won [locks]atomic.Int64
		var all sync.WaitGroup
		start := make(chan struct{})
		for i := range locks {
			for _, l := range ledgers {
				all.Go(func() {
					<-start
					_, _, err := l.Begin(t.Context(), Run{Job: "race", Lock: strconv.Itoa(i)})
					switch {
					case err == nil:
						won[i].Add(1)
					case !errors.Is(err, feedlake.ErrBusy):
						t.Error(err)
					}
				})
			}
		}
		close(start)
		all.Wait()
		for i := range won {
			if n := won[i].Load(); n != 1 {
				t.Errorf("lock %d has %d holders", i, n)
			}
		}
		if n := len(states(t, ledgers[0], "race")); n != locks {
			t.Errorf("%d runs, want %d", n, locks)
		}
	})
}

func TestSchemasAreApart(t *testing.T) {
	homes := []LedgerConfig{inSchema(t), inSchema(t), inSchema(t)}
	homes[2].Schema = `Lake "ø"; drop schema x --?` + homes[2].Schema
	for _, home := range homes {
		l := openTest(t, home)
		if _, run := begin(t, l, Run{Job: "a"}); !strings.HasSuffix(run.ID, "-1") {
			t.Errorf("the schema is not empty: %s", run.ID)
		}
		if _, _, err := openTest(t, home).Begin(t.Context(), Run{Job: "a"}); !errors.Is(err, feedlake.ErrBusy) {
			t.Errorf("opened again it is another ledger: %v", err)
		}
	}
}

func TestOpenPostgresRejects(t *testing.T) {
	s := sharedServer.Server(t)
	home := inSchema(t)
	newer, foreign := inSchema(t).Schema, inSchema(t).Schema
	ident := func(name string) string { return pgx.Identifier{name}.Sanitize() }
	s.Exec("postgres",
		"drop role if exists poor", "create role poor login password 's3cret-pw'",
		"create schema "+ident(newer), "create table "+ident(newer)+".ledger as select 99 as version",
		"create schema "+ident(foreign), "create table "+ident(foreign)+".runs (x int)",
	)
	openTest(t, home)
	down, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "postgres://poor:s3cret-pw@" + down.Addr().String() + "/postgres?sslmode=disable"
	if err := down.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dsn, schema string
		kind        error
		says        string
	}{
		"wrong password":    {s.UserDSN("poor", "s3cret-pwx", "postgres"), "x", feedlake.ErrConfig, "password authentication"},
		"no server":         {nobody, "x", nil, "connect to 127.0.0.1:"},
		"no database":       {s.DSN("nosuch"), "x", feedlake.ErrConfig, "nosuch"},
		"no right to make":  {s.UserDSN("poor", "s3cret-pw", "postgres"), "x", feedlake.ErrConfig, "permission denied"},
		"no right to enter": {s.UserDSN("poor", "s3cret-pw", "postgres"), home.Schema, feedlake.ErrConfig, "permission denied"},
		"only reads":        {s.DSN("postgres") + "&default_transaction_read_only=on", "x", feedlake.ErrConfig, "read-only"},
		"newer":             {s.DSN("postgres"), newer, feedlake.ErrConfig, "version 99"},
		"not a ledger":      {s.DSN("postgres"), foreign, feedlake.ErrConfig, "exists"},
		"long name":         {s.DSN("postgres"), strings.Repeat("x", 64), feedlake.ErrConfig, "64 bytes"},
		"not a url":         {"postgres://poor:s3cret-pw%zz@h/postgres", "x", feedlake.ErrConfig, "dsn"},
		"not a port":        {"postgres://poor:s3cret-pw@h:x/postgres", "x", feedlake.ErrConfig, "dsn"},
		"key=value":         {"host=h password=s3cret-pw port", "x", feedlake.ErrConfig, "dsn"},
	} {
		_, err := OpenLedger(t.Context(), LedgerConfig{DSN: c.dsn, Schema: c.schema, Now: time.Now})
		if err == nil || c.kind != nil && !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		hint, ok := errors.AsType[*feedlake.HintError](err)
		if !ok && name != "long name" {
			t.Errorf("%s: no hint: %v", name, err)
		}
		if text := err.Error(); strings.Contains(text, "s3cret") || ok && strings.Contains(hint.Hint, "s3cret") {
			t.Errorf("%s: the password shows: %s", name, text)
		}
	}
}

func TestOpenPostgresWithFewRights(t *testing.T) {
	s, home := sharedServer.Server(t), inSchema(t)
	s.Exec("postgres", "drop role if exists owner", "create role owner login password 'pw'",
		"create schema "+pgx.Identifier{home.Schema}.Sanitize()+" authorization owner")
	t.Cleanup(func() { s.Exec("postgres", "drop owned by owner", "drop role owner") })
	home.DSN = s.UserDSN("owner", "pw", "postgres") // may not make a schema, and need not
	begin(t, openTest(t, home), Run{Job: "a"})
}

func TestCloseClosesConnections(t *testing.T) {
	home := inSchema(t)
	name := rand.Text()
	home.DSN += "&application_name=" + name
	l := openTest(t, home)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() { begin(t, l, Run{Job: "a", Lock: strconv.Itoa(i)}) })
	}
	all.Wait()
	watch := openTest(t, inSchema(t))
	count := func() (n int) {
		err := watch.read(t.Context(), func(q querier) error {
			return q.QueryRowContext(t.Context(), "select count(*) from pg_stat_activity where application_name = ?", name).Scan(&n)
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count(); n == 0 || n > maxConns {
		t.Errorf("%d connections", n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no connections", func() bool { return count() == 0 })
}

// eventually waits for what another process does.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestBeginHearsItsContext(t *testing.T) {
	home := inSchema(t)
	l, other := openTest(t, home), openTest(t, home)
	err := other.tx(t.Context(), func(querier) error { // holds the lock
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, _, err := l.Begin(ctx, Run{Job: "a"})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	begin(t, l, Run{Job: "a"})
}

func TestServerRestarts(t *testing.T) {
	s := sharedServer.Server(t)
	for name, end := range map[string]func(){"stopped": s.Stop, "crashed": s.Kill} {
		t.Run(name, func(t *testing.T) {
			l := openTest(t, inSchema(t))
			held, run := begin(t, l, Run{Job: "a"})
			end()
			t.Cleanup(s.Restart) // should the test end early
			told := make(chan error, 1)
			go func() { told <- l.Step(t.Context(), Step{Run: run.ID, Job: "ingest", Try: 1, State: Done}) }()
			select {
			case err := <-told:
				t.Fatalf("told nobody: %v", err)
			case <-time.After(200 * time.Millisecond):
			}
			s.Restart()
			if err := <-told; err != nil {
				t.Fatal(err)
			}
			if held.Err() != nil {
				t.Errorf("the run was lost: %v", context.Cause(held))
			}
			if _, err := l.Finish(t.Context(), run.ID, Done, nil); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]State{Done}, states(t, l, "a")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFinishIsToldLater(t *testing.T) {
	home := inSchema(t)
	way := newWay(t, home.DSN)
	home.DSN = way.dsn
	l := openTest(t, home, func(c *LedgerConfig) { c.Lease = 3 * time.Second })
	_, run := begin(t, l, Run{Job: "a"})
	way.block(true)
	if _, err := l.Finish(t.Context(), run.ID, Partial, errors.New("2 rejects")); err == nil {
		t.Fatal("told nobody")
	}
	way.block(false)
	eventually(t, "finished", func() bool {
		got, err := l.Run(t.Context(), run.ID)
		return err == nil && got.State == Partial && got.Err == "2 rejects" && !got.Ended.IsZero()
	})
	begin(t, l, Run{Job: "next"})
}

func TestRunsAreLostWithoutAServer(t *testing.T) {
	home := inSchema(t)
	way := newWay(t, home.DSN)
	near := openTest(t, home)
	home.DSN = way.dsn
	l := openTest(t, home, func(c *LedgerConfig) { c.Lease = time.Second })
	held, run := begin(t, l, Run{Job: "a"})
	way.block(true)
	select {
	case <-held.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the run goes on")
	}
	if !errors.Is(context.Cause(held), feedlake.ErrBusy) {
		t.Error(context.Cause(held))
	}
	if _, err := l.Finish(t.Context(), run.ID, Failed, nil); err == nil {
		t.Error("told nobody")
	}
	way.block(false)
	_, next := begin(t, l, Run{Job: "a"})
	if diff := cmp.Diff([]State{Abandoned, Running}, states(t, near, "a")); diff != "" {
		t.Error(diff)
	}
	if _, err := l.Finish(t.Context(), next.ID, Done, nil); err != nil {
		t.Error(err)
	}
}

// TestBrokenCommits cuts the connection at a commit: before the server hears of
// it, or before its answer arrives.
func TestBrokenCommits(t *testing.T) {
	for name, heard := range map[string]bool{"not heard": false, "heard": true} {
		t.Run(name, func(t *testing.T) {
			home := inSchema(t)
			near := openTest(t, home)
			way := newWay(t, home.DSN)
			home.DSN = way.dsn
			l := openTest(t, home, func(c *LedgerConfig) { c.Lease = 3 * time.Second })
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
				if !way.hasCut() {
					t.Fatal("nothing was cut")
				}
			}

			way.cutAtCommit(heard, false)
			_, run, err := l.Begin(t.Context(), Run{Job: "a"})
			must(err)
			way.cutAtCommit(heard, false)
			must(l.Step(t.Context(), Step{Run: run.ID, Job: "ingest", Try: 1, State: Done}))
			way.cutAtCommit(heard, false)
			ended, err := l.Finish(t.Context(), run.ID, Done, nil)
			must(err)
			if diff := cmp.Diff([]State{Done}, states(t, near, "a")); diff != "" || ended.State != Done {
				t.Error(diff, ended)
			}

			// The server stays away: whether the run began is not known until it is back.
			way.cutAtCommit(heard, true)
			_, _, err = l.Begin(t.Context(), Run{Job: "b"})
			if !errors.Is(err, feedlake.ErrUnknown) {
				t.Errorf("began: %v", err)
			}
			way.block(false)
			eventually(t, "the window is free", func() bool {
				_, _, err := near.Begin(t.Context(), Run{Job: "c"})
				if err != nil && !errors.Is(err, feedlake.ErrBusy) {
					t.Fatal(err)
				}
				return err == nil
			})
		})
	}
}

// TestSilentLedger wants no call to wait for ever on a server that hangs.
func TestSilentLedger(t *testing.T) {
	t.Parallel()
	home := inSchema(t)
	dsn, hush := pgtest.Quiet(t, home.DSN)
	home.DSN = dsn
	short := func(c *LedgerConfig) { c.Silence, c.Lease = 400*time.Millisecond, time.Second }
	l := openTest(t, home, short)
	hush(true)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for name, call := range map[string]func() error{
		"runs":  func() error { _, err := l.Runs(ctx, Filter{}); return err },
		"begin": func() error { _, _, err := l.Begin(ctx, Run{Job: "a"}); return err },
		"open":  func() error { short(&home); _, err := OpenLedger(ctx, home); return err },
	} {
		var hint *feedlake.HintError
		if err := call(); err == nil || ctx.Err() != nil || !errors.As(err, &hint) {
			t.Errorf("%s: %v, want an error with a hint", name, err)
		}
	}
	hush(false)
}
