package transforms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// DefaultMaxRows is how many input rows a query reads at most, where
// Options.MaxRows is 0: with the engine's own limit it bounds memory and
// temporary disk on a first build. Smaller queries go side by side, each on one
// thread.
const DefaultMaxRows = 500_000

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
	MaxRows int64
	// Parallel is how many queries are computed at once, of one model or of models
	// that do not read each other. What is published does not depend on it. 0: as
	// many as the process has cores.
	Parallel int
	TempDir  string // where checks spill; "" means that they do not
	Now      func() time.Time
	Log      *slog.Logger
	Progress func(Progress) // nil: none; one call at a time
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

// Run brings the tables of the models up to date, each in one snapshot, a model
// after those that it reads. A model whose inputs did not change costs no commit. A partition
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
	o.Parallel = cmp.Or(o.Parallel, runtime.GOMAXPROCS(0))
	r := &runner{
		Options: o, verify: &verifier{lake: o.Lake, temp: o.TempDir, threads: o.Parallel}, slots: semaphore.NewWeighted(int64(o.Parallel)),
		files: newMemo[fileKey, []lake.File](), changes: newMemo[changeKey, []lake.Difference](),
	}
	defer func() { err = errors.Join(err, r.verify.close()) }()
	if err := r.scattered(ctx, models); err != nil {
		return rep, fmt.Errorf("run transforms: %w", err)
	}
	rep.Models = r.all(ctx, models)
	if ctx.Err() != nil {
		return rep, fmt.Errorf("run transforms: %w", ctx.Err())
	}
	return rep, rep.Err()
}

// runner is one call of Run.
type runner struct {
	Options
	verify  *verifier
	slots   *semaphore.Weighted                 // one for each query at once
	files   *memo[fileKey, []lake.File]         // plans of this run: models share inputs
	changes *memo[changeKey, []lake.Difference] // likewise
	telling sync.Mutex                          // of Progress
	arrived *arrivals                           // what came to raw.posts; nil: not known
	guess   bool                                // take it for new posts, nothing is computed
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
	r.tell(at)
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
	r.tell(at)
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
	r.grow(ctx, m, &st, inputs, &b.plan)
	if err := r.growHours(ctx, m, &st, inputs, output, &b.plan); err != nil {
		return err
	}
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
		cur, err := r.current(ctx, in.Table, st.Inputs[in.Table])
		if err != nil {
			return nil, fmt.Errorf("read input: %w", err)
		}
		s := source{table: in.Table, back: in.Back, lookup: in.Lookup, snapshot: cur}
		if s.columns, err = r.Lake.Columns(ctx, in.Table); err != nil {
			return nil, fmt.Errorf("read input: %w", err)
		}
		if s.files, err = r.filesAt(ctx, in.Table, cur); err != nil {
			return nil, fmt.Errorf("read input: %w", err)
		}
		if in.Lookup {
			inputs[i] = s
			continue
		}
		s.changed, err = r.changedSince(ctx, in.Table, st.Inputs[in.Table], cur)
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

// current is the snapshot of an input that this run reads. raw.posts, to which
// others land meanwhile, is read as it was when the run looked at what came to it,
// unless the output was made from something else than that look began with.
func (r *runner) current(ctx context.Context, table string, made int64) (int64, error) {
	if a := r.arrived; table == lake.RawPosts().Name && a != nil && r.covers(ctx, a, made, a.until) {
		return a.until, nil
	}
	cur, err := r.Lake.Current(ctx, table)
	return cur.ID, err
}

// filesAt plans a snapshot once per run.
func (r *runner) filesAt(ctx context.Context, table string, snapshot int64) ([]lake.File, error) {
	return r.files.get(fileKey{table, snapshot}, func() ([]lake.File, error) { return r.Lake.Files(ctx, table, snapshot) })
}

// changedSince compares two snapshots of a table once per run.
func (r *runner) changedSince(ctx context.Context, table string, before, after int64) ([]lake.Difference, error) {
	return r.changes.get(changeKey{table, before, after}, func() ([]lake.Difference, error) { return r.Lake.Differences(ctx, table, before, after) })
}
