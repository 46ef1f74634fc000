package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/feedlake/feedlake/schedules"
	"github.com/feedlake/feedlake/sql"
	"github.com/feedlake/feedlake/transforms"
	"github.com/feedlake/feedlake/transforms/duckdb"
)

// selection chooses tables that SQL models build: by namespace, or by name.
type selection struct {
	step      string // whose progress it is
	namespace string
	except    string
	only      []string
}

var (
	features   = selection{step: stepFeatures, namespace: "features."}
	marts      = selection{step: stepMarts, namespace: "marts.", except: "marts.pipeline_runs"}
	everything = selection{step: kindTransform}
)

// loadModels reads the SQL models that this program carries.
func loadModels() (*transforms.Graph, error) {
	g, err := transforms.LoadWith(sql.Models, duckdb.Macros())
	if err != nil {
		return nil, fmt.Errorf("load models: %w", err)
	}
	return g, nil
}

// names resolves the selection.
func (s selection) names(g *transforms.Graph) []string {
	if s.only != nil || s.namespace == "" {
		return s.only
	}
	var out []string
	for _, m := range g.Models() {
		if strings.HasPrefix(m.Name, s.namespace) && m.Name != s.except {
			out = append(out, m.Name)
		}
	}
	return out
}

// transform brings the chosen tables up to date.
func (a *app) transform(ctx context.Context, s selection, full bool) error {
	rep, on, err := a.build(ctx, s, full, schedules.RunOf(ctx).ID)
	var rows, in int64
	built, held, partitions := 0, 0, 0
	for _, m := range rep.Models {
		in += m.InputRows
		switch m.State {
		case transforms.Held:
			held++
			fallthrough
		case transforms.Built:
			built++
			rows += m.Rows
			partitions += len(m.Partitions)
		}
	}
	detail := fmt.Sprintf("%s up to date", plural(int64(len(rep.Models)), "table"))
	if built > 0 {
		detail = fmt.Sprintf("%d of %s built, %s", built, plural(int64(len(rep.Models)), "table"), plural(int64(partitions), "partition"))
	}
	if held > 0 {
		detail += fmt.Sprintf(", %d with partitions held back by checks", held)
	}
	if on != "" && a.cfg.Engine.Kind != engineDuckDB {
		detail += "; " + on
	}
	schedules.Report(ctx, schedules.Counts{RowsIn: in, RowsOut: rows, Detail: detail})
	return err
}

// transformOnly builds tables outside a run of the ledger: the history itself,
// a few rows for which no cluster is asked.
func (a *app) transformOnly(ctx context.Context, tables []string) error {
	local := *a
	local.cfg.Engine.Kind = engineDuckDB
	_, _, err := local.build(ctx, selection{step: "record", only: tables}, false, "record")
	return err
}

// build runs the models on the engine that fits, and says which and why.
func (a *app) build(ctx context.Context, s selection, full bool, runID string) (rep transforms.Report, on string, err error) {
	g, err := loadModels()
	if err != nil {
		return rep, "", err
	}
	tmp := filepath.Join(a.lake.Dir(), "tmp")
	o := transforms.Options{
		Lake: a.lake, Graph: g, Only: s.names(g), RunID: runID, Full: full, TempDir: tmp,
		Now: a.o.env.now, Log: a.log,
		Progress: func(p transforms.Progress) {
			if p.Of > 0 {
				a.bars.update(ctx, s.step, int64(p.Partitions), int64(p.Of), "partitions", p.Model)
			}
		},
	}
	kind, why, err := a.chooseEngine(ctx, o)
	if err != nil {
		return rep, "", err
	}
	on = "on " + kind + ": " + why
	a.log.InfoContext(ctx, "engine chosen", "engine", kind, "reason", why)
	if o.Engine, err = a.openEngine(ctx, kind, tmp); err != nil {
		return rep, on, err
	}
	defer func() { err = errors.Join(err, o.Engine.Close()) }()
	rep, err = transforms.Run(ctx, o)
	return rep, on, err
}
