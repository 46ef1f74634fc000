package transforms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// DefaultMaxRows is how many input rows a query reads at most, where
// Options.MaxRows is 0: with the engine's own limit it bounds memory and
// temporary disk on a first build.
const DefaultMaxRows = 1_000_000

// Options says what Run builds, and with what.
type Options struct {
	Lake   *lake.Lake
	Engine Engine
	Graph  *Graph
	Only   []string // models to build; empty: all
	RunID  string   // stands in every row and snapshot that the run makes
	Full   bool     // compute every partition, changed or not
	// MaxRows parts a big rebuild into queries of about so many input rows;
	// their files still land in one snapshot. 0: DefaultMaxRows.
	MaxRows  int64
	TempDir  string // where checks spill; "" means that they do not
	Now      func() time.Time
	Log      *slog.Logger
	Progress func(Progress) // nil: none; called from Run's own goroutine
}

// Progress tells how far a run is.
type Progress struct {
	Model      string
	Index      int   // of the model, from 0
	Models     int   // to build
	State      State // "" while the model is computed
	Partitions int   // computed so far
	Of         int   // partitions to compute; 0 while unknown
	Rows       int64 // computed so far
}

// Run brings the tables of the models up to date, each in one snapshot, in
// graph order. A model whose inputs did not change costs no commit. A partition
// that fails a check keeps its old rows and is tried again by every run; the
// others are published, and models after it run on what is published.
//
// The report tells every model's fate. The error joins those of failed models
// and wraps feedlake.ErrRejected when a partition is held back; only a
// cancelled context stops the run early.
func Run(ctx context.Context, o Options) (rep Report, err error) {
	rep.RunID = o.RunID
	if o.Lake == nil || o.Engine == nil || o.Graph == nil || o.Now == nil || o.Log == nil || o.RunID == "" {
		return rep, fmt.Errorf("run transforms: lake, engine, graph, clock, logger and run id are required: %w", feedlake.ErrConfig)
	}
	models, err := o.Graph.Select(o.Only...)
	if err != nil {
		return rep, fmt.Errorf("run transforms: %w", err)
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	o.MaxRows = cmp.Or(o.MaxRows, DefaultMaxRows)
	r := &runner{Options: o, verify: &verifier{lake: o.Lake, temp: o.TempDir}, files: map[fileKey][]lake.File{}, changes: map[changeKey][]lake.Partition{}}
	defer func() { err = errors.Join(err, r.verify.close()) }()
	if err := r.scattered(ctx, models); err != nil {
		return rep, fmt.Errorf("run transforms: %w", err)
	}
	for i := range models {
		m := r.model(ctx, &models[i], Progress{Model: models[i].Name, Index: i, Models: len(models)})
		rep.Models = append(rep.Models, m)
		if ctx.Err() != nil {
			return rep, fmt.Errorf("run transforms: %w", ctx.Err())
		}
	}
	return rep, rep.Err()
}

// runner is one call of Run.
type runner struct {
	Options
	verify  *verifier
	files   map[fileKey][]lake.File // plans of this run: models share inputs
	changes map[changeKey][]lake.Partition
}

type fileKey struct {
	table    string
	snapshot int64
}

type changeKey struct {
	table         string
	before, after int64
}

// model gives one model its turn. A lost commit race is computed once more on
// what the winner left.
func (r *runner) model(ctx context.Context, m *Model, at Progress) ModelReport {
	start := r.Now()
	r.Progress(at)
	rep := ModelReport{Model: m.Name}
	err := r.turn(ctx, m, &rep, at)
	if errors.Is(err, errLostRace) {
		r.Log.InfoContext(ctx, "another run was faster, computing again", "model", m.Name, "err", err)
		rep = ModelReport{Model: m.Name}
		err = r.turn(ctx, m, &rep, at)
	}
	if err != nil {
		rep.State, rep.Err, rep.Error = Failed, err, err.Error()
	}
	rep.Took = r.Now().Sub(start)
	r.log(ctx, &rep)
	at.State, at.Partitions, at.Rows = rep.State, len(rep.Partitions), rep.Rows
	r.Progress(at)
	return rep
}

// log writes the one line of a model. A failure is in the returned error and
// is not logged too.
func (r *runner) log(ctx context.Context, rep *ModelReport) {
	args := []any{"model", rep.Model, "state", rep.State, "rows", rep.Rows, "partitions", len(rep.Partitions), "snapshot", rep.Snapshot, "took", rep.Took}
	switch rep.State {
	case Built:
		r.Log.InfoContext(ctx, "built table", append(args, "reason", rep.Reason)...)
	case Held:
		r.Log.WarnContext(ctx, "held back partitions", append(args, "failures", len(rep.Failures), "first", rep.Failures[0].String())...)
	case Waiting:
		r.Log.InfoContext(ctx, "waiting for an input", append(args, "reason", rep.Reason)...)
	case UpToDate, Failed:
		r.Log.DebugContext(ctx, "nothing to publish", args...)
	}
	for _, w := range rep.Warnings {
		r.Log.WarnContext(ctx, "table is not fresh", "model", rep.Model, "warning", w)
	}
}

// turn plans, computes, checks and publishes one model.
func (r *runner) turn(ctx context.Context, m *Model, rep *ModelReport, at Progress) error {
	st, err := readState(ctx, r.Lake, m.Name)
	if err != nil {
		return err
	}
	inputs, err := r.pin(ctx, m, &st)
	if errors.Is(err, feedlake.ErrNotFound) {
		rep.State, rep.Reason, rep.Snapshot = Waiting, err.Error(), st.Base
		return nil
	}
	if err != nil {
		return err
	}
	idle, err := r.idle(ctx, m, &st, inputs)
	if err != nil {
		return err
	}
	output, err := r.filesAt(ctx, m.Name, st.Base)
	if err != nil {
		return err
	}
	b := &build{runner: r, m: m, st: st, inputs: inputs, output: output, rep: rep, at: at}
	b.plan = makePlan(m, st, inputs, output, r.Full)
	if st.Built && b.plan.nothing() && len(st.Held) == 0 {
		rep.State, rep.Snapshot = UpToDate, st.Base
		if idle { // what was looked at is not looked at again
			if err := b.settle(ctx); err != nil {
				return err
			}
		}
		return b.freshness(ctx, output)
	}
	rep.Reason = b.plan.reason
	return b.run(ctx)
}

// pin fixes the snapshot of every input, and reads its files and what changed
// in it. A missing table is feedlake.ErrNotFound.
func (r *runner) pin(ctx context.Context, m *Model, st *state) ([]source, error) {
	inputs := make([]source, len(m.Inputs))
	for i, in := range m.Inputs {
		cur, err := r.Lake.Current(ctx, in.Table)
		if err != nil {
			return nil, fmt.Errorf("read input: %w", err)
		}
		s := source{table: in.Table, back: in.Back, snapshot: cur.ID}
		if s.columns, err = r.Lake.Columns(ctx, in.Table); err != nil {
			return nil, fmt.Errorf("read input: %w", err)
		}
		if s.files, err = r.filesAt(ctx, in.Table, cur.ID); err != nil {
			return nil, fmt.Errorf("read input: %w", err)
		}
		if in.Lookup {
			inputs[i] = s
			continue
		}
		s.changed, err = r.changedSince(ctx, in.Table, st.Inputs[in.Table], cur.ID)
		switch {
		case errors.Is(err, feedlake.ErrNotFound):
			st.Lost = fmt.Sprintf("snapshot %d of %s is gone", st.Inputs[in.Table], in.Table)
		case err != nil:
			return nil, fmt.Errorf("read input: %w", err)
		}
		inputs[i] = s
	}
	return inputs, nil
}

// filesAt plans a snapshot once per run.
func (r *runner) filesAt(ctx context.Context, table string, snapshot int64) ([]lake.File, error) {
	key := fileKey{table, snapshot}
	if files, ok := r.files[key]; ok {
		return files, nil
	}
	files, err := r.Lake.Files(ctx, table, snapshot)
	if err != nil {
		return nil, err
	}
	r.files[key] = files
	return files, nil
}

// changedSince compares two snapshots of a table once per run.
func (r *runner) changedSince(ctx context.Context, table string, before, after int64) ([]lake.Partition, error) {
	key := changeKey{table, before, after}
	if list, ok := r.changes[key]; ok {
		return list, nil
	}
	list, err := r.Lake.Changed(ctx, table, before, after)
	if err != nil {
		return nil, err
	}
	r.changes[key] = list
	return list, nil
}
