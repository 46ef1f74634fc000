// Package duckdb runs transforms on DuckDB, in this process: the Spark-dialect
// SQL of the models unchanged, after a set of macros.
package duckdb

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
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
	TempDir string // where it spills beyond Memory; "": it does not, and big queries fail
}

// Engine runs transforms on one DuckDB instance, one query at a time.
type Engine struct {
	mu sync.Mutex // the views of a query are the instance's
	db *query.DB
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
	db, err := query.Open(context.WithoutCancel(ctx), query.Options{
		Memory: o.Memory, Threads: o.Threads, TempDir: o.TempDir, Setup: []string{macros},
	})
	if err != nil {
		return nil, fmt.Errorf("open engine: %w", err)
	}
	return &Engine{db: db}, nil
}

// Close stops DuckDB.
func (e *Engine) Close() error { return e.db.Close() }

// Run computes q. See transforms.Engine for what it promises.
func (e *Engine) Run(ctx context.Context, q transforms.Query) (out transforms.Output, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, in := range q.Model.Inputs {
		if err := e.db.View(ctx, in.Table, q.Columns[in.Table], q.Inputs[in.Table]); err != nil {
			return out, fmt.Errorf("%s: read %s: %w", q.Model.File, in.Table, err)
		}
	}
	defer func() { err = errors.Join(err, e.dropViews(context.WithoutCancel(ctx), q)) }()
	s := statement{q: q, db: e.db.SQL()}
	if out.Columns, err = s.columns(ctx); err != nil {
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

// dropViews takes the inputs away, so that the next query sees only its own.
func (e *Engine) dropViews(ctx context.Context, q transforms.Query) error {
	for _, in := range q.Model.Inputs {
		schema, name, err := split(in.Table)
		if err != nil {
			return err
		}
		if _, err := e.db.SQL().ExecContext(ctx, "DROP VIEW IF EXISTS "+query.Ident(schema)+"."+query.Ident(name)); err != nil {
			return fmt.Errorf("drop view %s: %w", in.Table, err)
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
