package lake

import (
	"context"
	"database/sql/driver"
	"os"
	"path/filepath"
	"time"

	icesql "github.com/apache/iceberg-go/catalog/sql"

	"github.com/feedlake/feedlake/lake/filelock"
)

// turnWait bounds how long a commit waits for its turn.
const turnWait = 5 * time.Second

// turn lets one writer at a time try to commit to a table. Nothing rests on it:
// the catalog's compare-and-swap decides. But without it three busy writers make
// each other plan again and again, and on a slow machine one of them may never
// be the fastest. Who waits too long, because the holder hangs, goes on without.
func (l *Lake) turn(ctx context.Context, name string) (done func()) {
	ctx, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	select { // within this process first: a turn in the database costs a connection
	case l.turns <- struct{}{}:
	case <-ctx.Done():
		return func() {}
	}
	var release func()
	if l.kind == icesql.Postgres {
		release = l.databaseTurn(ctx, name)
	} else {
		release = l.fileTurn(ctx, name)
	}
	return func() {
		release()
		<-l.turns
	}
}

// fileTurn waits for a file lock. It ends with its process, however that dies.
func (l *Lake) fileTurn(ctx context.Context, name string) func() {
	dir := filepath.Join(l.dir, "locks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return func() {}
	}
	f, err := filelock.Open(ctx, filepath.Join(dir, name), filelock.Exclusive)
	if err != nil {
		return func() {}
	}
	return func() { _ = f.Close() }
}

// databaseTurn waits for an advisory lock of the catalog's PostgreSQL.
func (l *Lake) databaseTurn(ctx context.Context, name string) func() {
	conn, err := l.db.Conn(ctx)
	if err != nil {
		return func() {}
	}
	const key = "(hashtextextended('feedlake commit to ' || current_schema() || '.' || $1, 0))"
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock"+key, name); err != nil {
		_ = conn.Close()
		return func() {}
	}
	return func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), turnWait)
		defer cancel()
		if _, err := conn.ExecContext(last, "SELECT pg_advisory_unlock"+key, name); err != nil {
			_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // the lock ends with the connection
		}
		_ = conn.Close()
	}
}
