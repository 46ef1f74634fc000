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
	"slices"
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

// Engine runs transforms on one DuckDB instance, one query at a time.
type Engine struct {
	mu      sync.Mutex // the views and settings of a query are the instance's
	db      *query.DB
	files   query.Files
	threads int    // at most
	now     int    // set at present
	spill   string // folder of its own; "": none
	// described are the columns of models, by their SQL and the columns that it
	// reads: a build of many partitions asks again with every query.
	described map[string][]lake.Column
}

var _ transforms.Engine = (*Engine)(nil)

// Open starts the engine.
func Open(ctx context.Context, o Options) (*Engine, error) {
	if o.Memory == "" {
		o.Memory = DefaultMemory
	}
	if o.Threads == 0 {
		o.Threads = runtime.NumCPU()
	}
	e := &Engine{files: o.Files, threads: o.Threads, now: o.Threads, described: map[string][]lake.Column{}}
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
	db, err := query.Open(context.WithoutCancel(ctx), query.Options{
		Memory: o.Memory, Threads: o.Threads, TempDir: e.spill, Setup: append([]string{macros}, o.Setup...),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open engine: %w", err), os.RemoveAll(e.spill))
	}
	e.db = db
	return e, nil
}

// Close stops DuckDB and removes what it spilled.
func (e *Engine) Close() error {
	return errors.Join(e.db.Close(), os.RemoveAll(e.spill))
}

// Run computes q. See transforms.Engine for what it promises.
func (e *Engine) Run(ctx context.Context, q transforms.Query) (out transforms.Output, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.setThreads(ctx, q); err != nil {
		return out, err
	}
	for _, in := range q.Model.Inputs {
		if err := e.view(ctx, in.Table, q.Columns[in.Table], q.Inputs[in.Table]); err != nil {
			return out, fmt.Errorf("%s: read %s: %w", q.Model.File, in.Table, err)
		}
	}
	defer func() { err = errors.Join(err, e.dropViews(context.WithoutCancel(ctx), q)) }()
	key := fmt.Sprint(q.Model.SQL, q.Columns)
	s := statement{q: q, db: e.db.SQL(), cols: slices.Clone(e.described[key])}
	if s.cols == nil {
		if err := s.describe(ctx); err != nil {
			return out, err
		}
		e.described[key] = slices.Clone(s.cols)
	}
	if out.Columns, err = s.columns(); err != nil {
		return out, err
	}
	if out.Files, err = s.write(ctx); err != nil {
		return transforms.Output{}, err
	}
	for _, f := range out.Files {
		out.Rows += f.Rows
	}
	return out, nil
}

// view shows an input's files to DuckDB.
func (e *Engine) view(ctx context.Context, table string, cols []lake.Column, files []lake.File) error {
	if e.files == nil {
		return e.db.View(ctx, table, cols, files)
	}
	return e.db.ViewOf(ctx, e.files, table, cols, files)
}

// setThreads fits the number of threads to the rows of a query.
func (e *Engine) setThreads(ctx context.Context, q transforms.Query) error {
	var rows int64
	for _, files := range q.Inputs {
		for _, f := range files {
			rows += f.Rows
		}
	}
	want := int(min(1+rows/rowsPerThread, int64(e.threads)))
	if want == e.now {
		return nil
	}
	if _, err := e.db.SQL().ExecContext(ctx, fmt.Sprintf("SET threads = %d", want)); err != nil {
		return fmt.Errorf("%s: set threads: %w", q.Model.File, err)
	}
	e.now = want
	return nil
}

// dropViews takes the inputs away, so that the next query sees only its own.
func (e *Engine) dropViews(ctx context.Context, q transforms.Query) error {
	for _, in := range q.Model.Inputs {
		if err := e.db.Drop(ctx, in.Table); err != nil {
			return err
		}
	}
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
