package lake_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/serving/postgres/pgtest"
)

// TestSilentCatalog wants no call to wait for ever on a PostgreSQL that takes
// connections and says nothing: not the opening, not one of an open lake.
func TestSilentCatalog(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	pg.CreateDatabase("lake")
	dsn, hush := pgtest.Quiet(t, pg.DSN("lake"))
	c := lake.Config{Dir: t.TempDir(), Catalog: dsn, Silence: 400 * time.Millisecond, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	direct := openAt(t, lake.Config{Dir: c.Dir, Catalog: pg.DSN("lake")}, nil)
	if err := direct.Ensure(t.Context(), lake.RawPosts()); err != nil {
		t.Fatal(err)
	}
	path := write(t, direct, "a", noon, "1")
	l := openAt(t, c, nil)
	hush(true)
	if other, err := lake.Open(t.Context(), c); err == nil {
		t.Error("opened at a silent server")
		_ = other.Close()
	}
	add := lake.Commit{Table: "raw.posts", ID: "1", Add: []string{path}}
	for name, call := range map[string]func() error{
		"tables":  func() error { _, err := l.Tables(t.Context()); return err },
		"current": func() error { _, err := l.Current(t.Context(), "raw.posts"); return err },
		"commit":  func() error { _, err := l.Commit(t.Context(), add); return err },
		"ensure":  func() error { return l.Ensure(t.Context(), lake.RawRejects()) },
		"expire":  func() error { _, err := l.Expire(t.Context(), lake.ExpireOptions{}); return err },
	} {
		if err := call(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	commit(t, direct, add)
}

// TestCatalogLimits wants the server to end what waits or works too long.
func TestCatalogLimits(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	pg.CreateDatabase("lake")
	l := openAt(t, lake.Config{Dir: t.TempDir(), Catalog: pg.DSN("lake")}, nil)
	for _, name := range []string{"lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"} {
		if got := lake.CatalogSetting(t, l, name); got == "0" || got == "" {
			t.Errorf("%s is %q", name, got)
		}
	}
}
