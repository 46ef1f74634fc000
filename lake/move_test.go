package lake_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/serving/postgres/pgtest"
)

func try(t *testing.T, c lake.Config) (*lake.Lake, error) {
	t.Helper()
	c.Now, c.Log = func() time.Time { return noon }, slog.New(slog.DiscardHandler)
	return lake.Open(t.Context(), c)
}

// refused wants a lake not to open, with a hint and without the secret.
func refused(t *testing.T, c lake.Config, want, secret string) {
	t.Helper()
	l, err := try(t, c)
	if err == nil {
		t.Errorf("lake was opened, want %q", want)
		_ = l.Close()
		return
	}
	var hint *feedlake.HintError
	if !errors.As(err, &hint) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q and a hint", err, want)
	}
	if secret != "" && strings.Contains(err.Error()+hint.Hint, secret) {
		t.Errorf("%v tells the password", err)
	}
}

// TestMoveCatalog moves a lake to PostgreSQL and back while its history, its
// rows and its time travel stay, and while somebody still writes.
func TestMoveCatalog(t *testing.T) {
	pg := pgtest.Start(t)
	pg.CreateDatabase("lake")
	dir, ctx := t.TempDir(), t.Context()
	embedded, service := lake.Config{Dir: dir}, lake.Config{Dir: dir, Catalog: pg.DSN("lake")}
	old := openAt(t, embedded, nil)
	if err := old.Ensure(ctx, lake.RawPosts()); err != nil {
		t.Fatal(err)
	}
	add := func(l *lake.Lake, id string) error {
		_, err := l.Commit(ctx, lake.Commit{Table: "raw.posts", ID: id, Add: []string{write(t, l, "a", noon, id)}})
		return err
	}
	for _, id := range []string{"1", "2"} {
		if err := add(old, id); err != nil {
			t.Fatal(err)
		}
	}
	before, err := old.Snapshots(ctx, "raw.posts")
	if err != nil {
		t.Fatal(err)
	}
	move := func(from *lake.Lake, to lake.Config) *lake.Lake {
		t.Helper()
		to.Receiving = true
		target := openAt(t, to, nil)
		if n, err := from.MoveCatalog(ctx, target); n != 1 || err != nil {
			t.Fatalf("moved %d tables, %v", n, err)
		}
		return target
	}
	served := move(old, service)
	if err := add(old, "lost"); err == nil {
		t.Error("a writer of the old catalog could commit after the move")
	}
	refused(t, embedded, "moved to PostgreSQL database lake", "")
	if err := add(served, "3"); err != nil {
		t.Fatal(err)
	}
	back := move(openAt(t, service, nil), embedded)
	refused(t, service, "moved to SQLite", "")
	if err := add(back, "4"); err != nil {
		t.Fatal(err)
	}
	again := openAt(t, embedded, nil)
	if d := cmp.Diff([]string{"a/1", "a/2", "a/3", "a/4"}, ids(t, again)); d != "" {
		t.Error(d)
	}
	after, err := again.Snapshots(ctx, "raw.posts")
	if err != nil || len(after) != 4 {
		t.Fatalf("%d snapshots, %v", len(after), err)
	}
	if d := cmp.Diff(before, after[:2]); d != "" {
		t.Errorf("the old snapshots are others: %s", d)
	}
}

func TestMoveCatalogRefuses(t *testing.T) {
	pg := pgtest.Start(t)
	pg.CreateDatabase("taken")
	ctx := t.Context()
	other := openAt(t, lake.Config{Dir: t.TempDir(), Catalog: pg.DSN("taken")}, nil)
	from := openAt(t, lake.Config{Dir: t.TempDir()}, nil)
	for _, l := range []*lake.Lake{other, from} {
		if err := l.Ensure(ctx, lake.RawPosts()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := from.MoveCatalog(ctx, other); !errors.Is(err, feedlake.ErrConfig) {
		t.Errorf("another warehouse: %v", err)
	}
	same := openAt(t, lake.Config{Dir: from.Dir(), Catalog: pg.DSN("taken"), Receiving: true}, nil)
	if _, err := from.MoveCatalog(ctx, same); !errors.Is(err, feedlake.ErrConflict) {
		t.Errorf("a catalog that holds another lake: %v", err)
	}
	if tables, err := from.Tables(ctx); err != nil || !slices.Equal(tables, []string{"raw.posts"}) {
		t.Errorf("after a refused move the lake has %v, %v", tables, err)
	}
}

// TestMoveCatalogCutOff wants a move that broke off before the old catalog was
// emptied to leave the old one in charge, and to be repeatable.
func TestMoveCatalogCutOff(t *testing.T) {
	pg := pgtest.Start(t)
	pg.CreateDatabase("lake")
	dir := t.TempDir()
	from := openAt(t, lake.Config{Dir: dir}, nil)
	if err := from.Ensure(t.Context(), lake.RawPosts()); err != nil {
		t.Fatal(err)
	}
	to := openAt(t, lake.Config{Dir: dir, Catalog: pg.DSN("lake"), Receiving: true}, nil)
	// The old catalog cannot be written: a reader holds it, as a full disk would.
	ctx, cancel := context.WithCancel(t.Context())
	release := lake.HoldCatalog(t, from)
	done := make(chan error, 1)
	go func() {
		_, err := from.MoveCatalog(ctx, to)
		done <- err
	}()
	lake.AwaitMoving(t, to)
	cancel()
	if err := <-done; err == nil {
		t.Fatal("the move went through a locked catalog")
	}
	release()
	refused(t, lake.Config{Dir: dir, Catalog: pg.DSN("lake")}, "not finished", "")
	if _, err := openAt(t, lake.Config{Dir: dir}, nil).MoveCatalog(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	if tables, err := openAt(t, lake.Config{Dir: dir, Catalog: pg.DSN("lake")}, nil).Tables(t.Context()); err != nil || !slices.Equal(tables, []string{"raw.posts"}) {
		t.Errorf("tables %v, %v", tables, err)
	}
}

func TestCatalogRefused(t *testing.T) {
	pg := pgtest.Start(t)
	pg.CreateDatabase("lake")
	pg.Exec("lake", "CREATE ROLE reader LOGIN PASSWORD 'sesame-42'")
	at := func(dsn string) lake.Config { return lake.Config{Dir: t.TempDir(), Catalog: dsn} }
	refused(t, at(pg.UserDSN("reader", "wrong-sesame", "lake")), "password authentication failed", "wrong-sesame")
	refused(t, at(pg.UserDSN("reader", "sesame-42", "lake")), "permission denied", "sesame-42")
	refused(t, at(pg.DSN("missing")), "does not exist", "")
	refused(t, at("postgres://me:sesame-42@localhost:port/x"), "cannot be read", "sesame-42")
	refused(t, at(fmt.Sprintf("postgres://me:sesame-42@127.0.0.1:%d/x?connect_timeout=2", 1)), "cannot be reached", "sesame-42")
	openAt(t, at(pg.DSN("lake")), nil)
	pg.Exec("lake", "UPDATE feedlake_catalog SET value = '99' WHERE name = 'version'")
	refused(t, at(pg.DSN("lake")), "version 99, this program knows 1", "")
}
