package lake

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	icesql "github.com/apache/iceberg-go/catalog/sql"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake/filelock"
)

// careLock keeps operations of lake care apart: those that rewrite or remove
// files of one lake, in every process. Writers never take it.
type careLock interface {
	// tryLock takes the lock for the named work, or fails with
	// feedlake.ErrBusy at once. The lock ends with its process, however that
	// dies.
	tryLock(ctx context.Context, work string) (unlock func() error, err error)
}

// careLock is the lock of this lake's kind.
func (l *Lake) careLock() careLock {
	if l.kind == icesql.Postgres {
		return databaseLock{l.db}
	}
	return fileLock(filepath.Join(l.dir, "care.lock"))
}

// databaseLock is an advisory lock of the catalog's PostgreSQL, for machines
// that share no folder. It ends with its connection.
type databaseLock struct{ db *sql.DB }

func (d databaseLock) tryLock(ctx context.Context, _ string) (func() error, error) {
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("lock lake: %w", err)
	}
	const key = "(hashtextextended('feedlake care of ' || current_schema(), 0))"
	var ours bool
	if err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock"+key).Scan(&ours); err != nil {
		return nil, errors.Join(fmt.Errorf("lock lake: %w", err), conn.Close())
	}
	if !ours {
		return nil, errors.Join(feedlake.Hint(fmt.Errorf("lock lake: another machine or process holds it: %w", feedlake.ErrBusy), busyHint), conn.Close())
	}
	return func() error {
		_, err := conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock"+key)
		return errors.Join(err, conn.Close())
	}, nil
}

const busyHint = "wait for it to end, then run again; only one compact, expire, orphans or restore works on a lake at a time"

// fileLock is a file that the operating system locks. The file stays: removing
// it would let two holders lock two files of one name.
type fileLock string

func (p fileLock) tryLock(ctx context.Context, work string) (func() error, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("lock lake: %w", err)
	}
	f, err := os.OpenFile(string(p), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, feedlake.Hint(fmt.Errorf("lock lake: %w: %w", err, feedlake.ErrConfig), "the lake's folder must be writable")
	}
	ours, err := filelock.Try(f, filelock.Exclusive)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock lake: %w", err), f.Close())
	}
	if !ours {
		holder, _ := io.ReadAll(io.LimitReader(f, 200)) // only told to a person
		err = fmt.Errorf("lock lake: %s: %w", strings.TrimSpace(string(holder)), feedlake.ErrBusy)
		return nil, errors.Join(feedlake.Hint(err, busyHint), f.Close())
	}
	line := fmt.Sprintf("%s of process %d\n", work, os.Getpid())
	if _, err := f.WriteAt([]byte(line), 0); err != nil {
		return nil, errors.Join(fmt.Errorf("lock lake: %w", err), f.Close())
	}
	if err := f.Truncate(int64(len(line))); err != nil {
		return nil, errors.Join(fmt.Errorf("lock lake: %w", err), f.Close())
	}
	return f.Close, nil
}

// readersFile is locked by the readers of this machine that hold the lake.
const readersFile = "readers.lock"

// readersLock waits for a share of the readers' lock.
func (l *Lake) readersLock(ctx context.Context) (release func() error, err error) {
	f, err := filelock.Open(ctx, filepath.Join(l.dir, readersFile), filelock.Shared)
	if err != nil {
		return nil, fmt.Errorf("hold lake: %w", err)
	}
	return f.Close, nil
}

// tryAlone takes the readers' lock as a whole, or says that a reader holds it.
func (l *Lake) tryAlone(ctx context.Context) (free func() error, held bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	f, err := os.OpenFile(filepath.Join(l.dir, readersFile), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, false, fmt.Errorf("look for readers: %w", err)
	}
	ours, err := filelock.Try(f, filelock.Exclusive)
	if err != nil || !ours {
		return nil, err == nil, errors.Join(err, f.Close())
	}
	return f.Close, false, nil
}

// carefulEach does work on each of the named tables, or on all, while it holds
// the lake's care lock.
func (l *Lake) carefulEach(ctx context.Context, work string, named []string, do func(name string) error) error {
	return l.careful(ctx, work, func() error {
		names, err := l.careTables(ctx, named)
		if err != nil {
			return fmt.Errorf("%s: %w", work, err)
		}
		for _, name := range names {
			if err := do(name); err != nil {
				return fmt.Errorf("%s %s: %w", work, name, err)
			}
		}
		return nil
	})
}

// careful does work while it holds the lake's care lock.
func (l *Lake) careful(ctx context.Context, work string, do func() error) (err error) {
	unlock, err := l.careLock().tryLock(ctx, work)
	if err != nil {
		return fmt.Errorf("%s: %w", work, err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	return do()
}
