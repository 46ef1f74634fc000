package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/serving"
	"github.com/feedlake/feedlake/serving/postgres"
	"github.com/feedlake/feedlake/serving/postgres/pgtest"
	"github.com/feedlake/feedlake/serving/publishertest"
)

const secret = "s3cr3t/pass:word@x"

func newPublisher(t *testing.T, dsn string) *postgres.Publisher {
	t.Helper()
	p, err := postgres.New(postgres.Options{DSN: dsn, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// reader reads a table through a connection of its own, as a BI tool would.
func reader(ctx context.Context, dsn string) func(table string, columns []string) ([][]any, error) {
	return func(table string, columns []string) ([][]any, error) {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return nil, err
		}
		defer conn.Close(ctx)
		quoted := make([]string, len(columns))
		for i, c := range columns {
			quoted[i] = pgx.Identifier{c}.Sanitize()
		}
		_, name, _ := strings.Cut(table, ".")
		rows, err := conn.Query(ctx, "SELECT "+strings.Join(quoted, ", ")+" FROM "+pgx.Identifier{"marts", name}.Sanitize())
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, func(r pgx.CollectableRow) ([]any, error) {
			vs, err := r.Values()
			for i, v := range vs {
				vs[i] = plain(v)
			}
			return vs, err
		})
	}
}

// plain turns pgx's Go types into those of serving.Batch.
func plain(v any) any {
	switch v := v.(type) {
	case int32:
		return int64(v)
	case time.Time:
		return v.UTC()
	case []any:
		list := make([]string, len(v))
		for i, e := range v {
			list[i] = fmt.Sprint(e)
		}
		return list
	}
	return v
}

func TestContract(t *testing.T) {
	srv := pgtest.Start(t)
	n := 0
	publishertest.Run(t, func(t *testing.T) publishertest.Target {
		n++
		db := fmt.Sprintf("contract_%d", n)
		srv.CreateDatabase(db)
		return publishertest.Target{Publisher: newPublisher(t, srv.DSN(db)), Rows: reader(t.Context(), srv.DSN(db))}
	})
}

// batch is one row for marts.volume.
func batch(snapshot int64, posts int64) serving.Batch {
	day := time.Date(2016, 10, 6, 0, 0, 0, 0, time.UTC)
	return serving.Batch{
		ID: fmt.Sprintf("marts.volume@%d", snapshot), Table: "marts.volume", Key: []string{"source", "day"},
		Columns:      []lake.Column{{Name: "day", Type: "DATE"}, {Name: "source", Type: "VARCHAR"}, {Name: "posts", Type: "BIGINT"}},
		WindowColumn: "day", Windows: []feedlake.Window{{Start: day, End: day.AddDate(0, 0, 1)}},
		Provenance: serving.Provenance{Snapshot: snapshot, CommittedAt: day, Model: "marts.volume@abc", Inputs: "features.posts@7", RunID: "run-1", PublishedAt: day},
		Rows:       func(yield func([]any, error) bool) { yield([]any{day, "reddit", posts}, nil) },
	}
}

func TestSchema(t *testing.T) {
	srv := pgtest.Start(t)
	if err := newPublisher(t, srv.DSN("postgres")).Publish(t.Context(), batch(1, 5)); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), srv.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var got [][]string
	for _, q := range []string{
		`SELECT string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_schema = 'marts' AND table_name = 'volume'`,
		`SELECT string_agg(indexdef, '; ' ORDER BY indexname) FROM pg_indexes WHERE tablename = 'volume'`,
		`SELECT obj_description('marts.volume'::regclass)`,
		`SELECT concat_ws(',', table_name, snapshot_id, model, run_id, published_at AT TIME ZONE 'UTC', rows) FROM marts.feedlake_published`,
	} {
		var s string
		if err := conn.QueryRow(t.Context(), q).Scan(&s); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		got = append(got, []string{s})
	}
	want := [][]string{
		{"day date, source text, posts bigint"},
		{"CREATE INDEX volume_day ON marts.volume USING btree (day); CREATE UNIQUE INDEX volume_key ON marts.volume USING btree (source, day) NULLS NOT DISTINCT"},
		{"feedlake: snapshot 1 of 2016-10-06T00:00:00Z; model marts.volume@abc; inputs features.posts@7; published by run run-1"},
		{"volume,1,marts.volume@abc,run-1,2016-10-06 00:00:00,1"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("database (-want +got):\n%s", d)
	}
}

// TestKeyChanges publishes the same table with another key.
func TestKeyChanges(t *testing.T) {
	srv := pgtest.Start(t)
	p := newPublisher(t, srv.DSN("postgres"))
	for i, key := range [][]string{{"source", "day"}, {"day"}, nil} {
		b := batch(int64(i+1), 1)
		b.Key = key
		if err := p.Publish(t.Context(), b); err != nil {
			t.Fatalf("key %v: %v", key, err)
		}
	}
}

// TestReaderRights follows the grants of the package's documentation: the
// reader reads, also a table that came later, and cannot write.
func TestReaderRights(t *testing.T) {
	srv := pgtest.Start(t)
	srv.Exec("postgres",
		"CREATE ROLE feedlake LOGIN PASSWORD '"+secret+"'", "CREATE ROLE reader LOGIN PASSWORD 'r'",
		"GRANT CREATE, TEMPORARY ON DATABASE postgres TO feedlake")
	p := newPublisher(t, srv.UserDSN("feedlake", secret, "postgres"))
	if err := p.Publish(t.Context(), batch(1, 5)); err != nil {
		t.Fatal(err)
	}
	srv.Exec("postgres", "GRANT USAGE ON SCHEMA marts TO reader", "GRANT SELECT ON ALL TABLES IN SCHEMA marts TO reader",
		"ALTER DEFAULT PRIVILEGES FOR ROLE feedlake IN SCHEMA marts GRANT SELECT ON TABLES TO reader")
	later := batch(1, 6)
	later.ID, later.Table = "later", "marts.later"
	if err := p.Publish(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	read := reader(t.Context(), srv.UserDSN("reader", "r", "postgres"))
	for _, table := range []string{"marts.volume", "marts.later", "marts.feedlake_published"} {
		if rows, err := read(table, nil); err != nil || len(rows) == 0 {
			t.Errorf("read %s: %d rows, %v", table, len(rows), err)
		}
	}
	conn, err := pgx.Connect(t.Context(), srv.UserDSN("reader", "r", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "DELETE FROM marts.volume"); err == nil {
		t.Error("a reader could delete")
	}
}

// TestErrors wants every fault of the set-up sorted, explained, and silent
// about the password.
func TestErrors(t *testing.T) {
	srv := pgtest.Start(t)
	srv.Exec("postgres", "CREATE ROLE feedlake LOGIN PASSWORD '"+secret+"'", "CREATE DATABASE typed", "CREATE DATABASE viewed")
	srv.Exec("typed", "CREATE SCHEMA marts", "CREATE TABLE marts.volume (day date, source text, posts text)")
	srv.Exec("viewed", "CREATE SCHEMA marts", "CREATE VIEW marts.volume AS SELECT date '2016-10-06' AS day, 'a'::text AS source, 1::bigint AS posts")
	gone := pgtest.Start(t)
	gone.Stop()
	for _, c := range []struct {
		name, dsn  string
		kind       error
		text, hint string
	}{
		{"wrong password", srv.UserDSN("feedlake", secret+"-wrong", "postgres"), feedlake.ErrConfig, "password authentication failed", "PGPASSWORD"},
		{"no such user", srv.UserDSN("nobody", secret, "postgres"), feedlake.ErrConfig, "password authentication failed", "check user nobody"},
		{"no database", srv.DSN("nope"), feedlake.ErrConfig, `database "nope" does not exist`, "createdb"},
		{"no right", srv.UserDSN("feedlake", secret, "postgres"), feedlake.ErrConfig, "permission denied", `GRANT CREATE, TEMPORARY ON DATABASE "postgres" TO "feedlake"`},
		{"other type", srv.DSN("typed"), feedlake.ErrConfig, "column posts is text in the database, bigint in the lake", "DROP TABLE"},
		{"a view", srv.DSN("viewed"), feedlake.ErrConfig, "volume", "no table has that name"},
		{"no server", gone.UserDSN("feedlake", secret, "postgres"), nil, "connection refused", "is the server running"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := newPublisher(t, c.dsn).Publish(t.Context(), batch(1, 5))
			checkError(t, err, c.kind, c.text, c.hint)
		})
	}
	for _, dsn := range []string{"postgres://feedlake:" + secret + "@host:port/db", "://" + secret, "host=h password=" + secret + " port=x", "postgres://u:" + secret + "%zz@h/db"} {
		_, err := postgres.New(postgres.Options{DSN: dsn})
		checkError(t, err, feedlake.ErrConfig, "read postgres dsn", "percent-encode")
	}
}

func checkError(t *testing.T, err, kind error, text, hint string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	h, ok := errors.AsType[*feedlake.HintError](err)
	if !ok || !strings.Contains(h.Hint, hint) {
		t.Errorf("error %v has hint %+v, want one with %q", err, h, hint)
	}
	if !strings.Contains(err.Error(), text) || (kind != nil && !errors.Is(err, kind)) {
		t.Errorf("error %v, want %q and kind %v", err, text, kind)
	}
	if _, retry := errors.AsType[*feedlake.RetryError](err); kind == nil && !retry {
		t.Errorf("error %v is no RetryError", err)
	}
	for _, piece := range []string{secret, "s3cr3t", "pass:word"} {
		if strings.Contains(fmt.Sprintf("%v %+v", err, h), piece) {
			t.Errorf("error tells the password: %v %+v", err, h)
		}
	}
}

// TestServerGone kills the server while a batch is half sent.
func TestServerGone(t *testing.T) {
	for name, end := range map[string]func(*pgtest.Server){"killed": (*pgtest.Server).Kill, "stopped": (*pgtest.Server).Stop} {
		t.Run(name, func(t *testing.T) {
			srv := pgtest.Start(t)
			p := newPublisher(t, srv.DSN("postgres"))
			if err := p.Publish(t.Context(), batch(1, 5)); err != nil {
				t.Fatal(err)
			}
			b := batch(2, 6)
			b.Key = nil
			b.Rows = func(yield func([]any, error) bool) {
				for i := range int64(50_000) {
					if i == 25_000 {
						end(srv)
					}
					if !yield([]any{b.Windows[0].Start, "reddit", i}, nil) {
						return
					}
				}
			}
			checkError(t, p.Publish(t.Context(), b), nil, "", "publish again once the server is back")
			srv.Restart()
			rows, err := reader(t.Context(), srv.DSN("postgres"))("marts.volume", []string{"posts"})
			if d := cmp.Diff([][]any{{int64(5)}}, rows); err != nil || d != "" {
				t.Errorf("after the fault: %v (-want +got):\n%s", err, d)
			}
			held, err := p.Published(t.Context(), "marts.volume")
			if err != nil || held.Snapshot != 1 {
				t.Errorf("held %+v, %v; want snapshot 1", held, err)
			}
		})
	}
}
