// Package duckdb runs transforms on DuckDB, in this process: the Spark-dialect
// SQL of the models unchanged, after a set of macros.
package duckdb

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/transforms"
)

// macros teach DuckDB the functions of Spark that the models may call.
//
//go:embed macros.sql
var macros string

// Macros returns the SQL that teaches DuckDB the functions of Spark that models
// may call, for a shell that is to run a model by hand.
func Macros() string { return macros }

// DefaultMemory is the memory limit where Options.Memory is empty.
const DefaultMemory = "700MB"

// Options bounds the engine.
type Options struct {
	Memory  string // DuckDB's limit, such as "2GB"; "": DefaultMemory
	Threads int    // 0: one per core
	// TempDir is where it spills beyond Memory, in a folder of its own that
	// Close removes. "": it does not spill, and big queries fail.
	TempDir string
	Setup   []string // more statements that DuckDB starts with
	// Files makes the inputs' files ones that this machine can open; *lake.Lake
	// does. nil: they are.
	Files query.Files
}

// rowsPerThread is how many input rows make another thread worth its while. A
// DuckDB thread without work polls: with two threads on one night's rows, a
// third of the CPU time was waiting.
const rowsPerThread = 500_000

// Engine runs transforms on one DuckDB instance, each query in a session of its
// own. A query of few rows runs on the thread that asks for it, beside others,
// and so its files are the same to the byte each time; one of many rows has the
// instance, and all its threads, for itself. Memory is shared out by DuckDB.
type Engine struct {
	db      *query.DB
	files   query.Files
	threads int    // of one query at most
	spill   string // folder of its own; "": none

	alone sync.RWMutex // written: by a query that has the instance for itself
	mu    sync.Mutex
	free  []*query.Session
}

var _ transforms.Engine = (*Engine)(nil)

// Open starts the engine.
func Open(ctx context.Context, o Options) (*Engine, error) {
	if o.Memory == "" {
		o.Memory = DefaultMemory
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	e := &Engine{files: o.Files, threads: o.Threads}
	if o.TempDir != "" { // two instances in one folder would overwrite each other's files
		if err := os.MkdirAll(o.TempDir, 0o755); err != nil {
			return nil, fmt.Errorf("open engine: %w", err)
		}
		dir, err := os.MkdirTemp(o.TempDir, "spill-")
		if err != nil {
			return nil, fmt.Errorf("open engine: %w", err)
		}
		e.spill = dir
	}
	db, err := query.Open(context.WithoutCancel(ctx), query.Options{Memory: o.Memory, Threads: 1, TempDir: e.spill, Setup: o.Setup})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open engine: %w", err), os.RemoveAll(e.spill))
	}
	e.db = db
	return e, nil
}

// Close stops DuckDB and removes what it spilled.
func (e *Engine) Close() error {
	var errs []error
	for _, s := range e.free {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, e.db.Close(), os.RemoveAll(e.spill))...)
}

// Run computes q. See transforms.Engine for what it promises.
func (e *Engine) Run(ctx context.Context, q transforms.Query) (out transforms.Output, err error) {
	leave, err := e.enter(ctx, q)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, leave()) }()
	s, err := e.session(ctx)
	if err != nil {
		return out, fmt.Errorf("%s: %w", q.Model.File, err)
	}
	defer func() { err = errors.Join(err, e.put(context.WithoutCancel(ctx), s, q)) }()
	for _, in := range q.Model.Inputs {
		if err := e.view(ctx, s, in.Table, q.Columns[in.Table], q.Inputs[in.Table]); err != nil {
			return out, fmt.Errorf("%s: read %s: %w", q.Model.File, in.Table, err)
		}
	}
	st := statement{q: q, db: s.SQL()}
	if out.Columns, err = st.columns(ctx); err != nil {
		return out, err
	}
	if out.Files, err = st.write(ctx); err != nil {
		return transforms.Output{}, err
	}
	for _, f := range out.Files {
		out.Rows += f.Rows
	}
	return out, nil
}

// view shows an input's files to DuckDB.
func (e *Engine) view(ctx context.Context, s *query.Session, table string, cols []lake.Column, files []lake.File) error {
	if e.files == nil {
		return s.View(ctx, table, cols, files)
	}
	return s.ViewOf(ctx, e.files, table, cols, files)
}

// enter waits for a query's turn, and fits the number of threads to its rows.
func (e *Engine) enter(ctx context.Context, q transforms.Query) (leave func() error, err error) {
	var rows int64
	for _, files := range q.Inputs {
		for _, f := range files {
			rows += f.Rows
		}
	}
	threads := int(min(1+rows/rowsPerThread, int64(e.threads)))
	if threads == 1 {
		e.alone.RLock()
		return func() error { e.alone.RUnlock(); return nil }, nil
	}
	e.alone.Lock()
	set := func(ctx context.Context, n int) error {
		if _, err := e.db.SQL().ExecContext(ctx, fmt.Sprintf("SET threads = %d", n)); err != nil {
			return fmt.Errorf("%s: set threads: %w", q.Model.File, err)
		}
		return nil
	}
	if err := set(ctx, threads); err != nil {
		e.alone.Unlock()
		return nil, err
	}
	return func() error {
		defer e.alone.Unlock()
		return set(context.WithoutCancel(ctx), 1)
	}, nil
}

// session takes a session that is free, or opens one.
func (e *Engine) session(ctx context.Context) (*query.Session, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := len(e.free); n > 0 {
		s := e.free[n-1]
		e.free = e.free[:n-1]
		return s, nil
	}
	return e.db.Session(context.WithoutCancel(ctx), macros)
}

// put gives a session back, without the inputs of its query, so that the next
// query sees only its own.
func (e *Engine) put(ctx context.Context, s *query.Session, q transforms.Query) error {
	for _, in := range q.Model.Inputs {
		if err := s.Drop(ctx, in.Table); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.free = append(e.free, s)
	return nil
}

// tableTypes are the column types that lake tables have.
func tableTypes() []string {
	return []string{"VARCHAR", "BIGINT", "INTEGER", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMPTZ", "VARCHAR[]"}
}

func column(name, typ string) lake.Column {
	if typ == "TIMESTAMP WITH TIME ZONE" {
		typ = "TIMESTAMPTZ"
	}
	return lake.Column{Name: name, Type: typ}
}
