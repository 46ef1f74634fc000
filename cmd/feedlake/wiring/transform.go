package wiring

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/cmd/feedlake/config"
	"github.com/feedlake/feedlake/schedules"
	"github.com/feedlake/feedlake/sql"
	"github.com/feedlake/feedlake/transforms"
	"github.com/feedlake/feedlake/transforms/duckdb"
)

// Selection chooses tables that SQL models build: by namespace, or by name.
type Selection struct {
	step      string // whose progress it is
	namespace string
	except    string
	Only      []string
}

// What the steps build, and what `feedlake transform` does.
var (
	Features   = Selection{step: StepFeatures, namespace: "features."}
	Marts      = Selection{step: StepMarts, namespace: "marts.", except: "marts.pipeline_runs"}
	Everything = Selection{step: KindTransform}
)

// LoadModels reads the SQL models that this program carries.
func LoadModels() (*transforms.Graph, error) {
	g, err := transforms.LoadWith(sql.Models, duckdb.Macros())
	if err != nil {
		return nil, fmt.Errorf("load models: %w", err)
	}
	return g, nil
}

// names resolves the Selection.
func (s Selection) names(g *transforms.Graph) []string {
	if s.Only != nil || s.namespace == "" {
		return s.Only
	}
	var out []string
	for _, m := range g.Models() {
		if strings.HasPrefix(m.Name, s.namespace) && m.Name != s.except {
			out = append(out, m.Name)
		}
	}
	return out
}

// Transform brings the chosen tables up to date.
func (a *App) Transform(ctx context.Context, s Selection, full bool) error {
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
	detail := fmt.Sprintf("%s up to date", feedlake.Plural(int64(len(rep.Models)), "table"))
	if built > 0 {
		detail = fmt.Sprintf("%d of %s built, %s", built, feedlake.Plural(int64(len(rep.Models)), "table"), feedlake.Plural(int64(partitions), "partition"))
	}
	if held > 0 {
		detail += fmt.Sprintf(", %d with partitions held back by checks", held)
	}
	if on != "" && a.Config.Engine.Kind != config.DuckDB {
		detail += "; " + on
	}
	schedules.Report(ctx, schedules.Counts{RowsIn: in, RowsOut: rows, Detail: detail})
	return err
}

// transformOnly builds tables outside a run of the ledger: the history itself,
// a few rows for which no cluster is asked.
func (a *App) transformOnly(ctx context.Context, tables []string) error {
	local := *a
	local.Config.Engine.Kind = config.DuckDB
	_, _, err := local.build(ctx, Selection{step: "record", Only: tables}, false, "record")
	return err
}

// tables tells the progress of tables that are built side by side as one.
func (a *App) tables(ctx context.Context, step string) func(transforms.Progress) {
	done, of := map[string]int{}, map[string]int{}
	var total, all int
	return func(p transforms.Progress) {
		if p.Of == 0 {
			return
		}
		total, all = total+p.Partitions-done[p.Model], all+p.Of-of[p.Model]
		done[p.Model], of[p.Model] = p.Partitions, p.Of
		a.Progress(ctx, step, int64(total), int64(all), "partitions", p.Model)
	}
}

// build runs the models on the engine that fits, and says which and why.
func (a *App) build(ctx context.Context, s Selection, full bool, runID string) (rep transforms.Report, on string, err error) {
	g, err := LoadModels()
	if err != nil {
		return rep, "", err
	}
	tmp := filepath.Join(a.Lake.Dir(), "tmp")
	o := transforms.Options{
		Lake: a.Lake, Graph: g, Only: s.names(g), RunID: runID, Full: full, TempDir: tmp,
		Parallel: a.Config.Engine.Queries(a.parallel), Now: a.Now, Log: a.Log, Progress: a.tables(ctx, s.step),
	}
	kind, why, err := a.chooseEngine(ctx, o)
	if err != nil {
		return rep, "", err
	}
	on = "on " + kind + ": " + why
	a.Log.InfoContext(ctx, "engine chosen", "engine", kind, "reason", why)
	if o.Engine, err = a.OpenEngine(ctx, kind, tmp); err != nil {
		return rep, on, err
	}
	defer func() { err = errors.Join(err, o.Engine.Close()) }()
	rep, err = transforms.Run(ctx, o)
	return rep, on, err
}
