package transforms

import (
	"context"
	"errors"
	"fmt"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// Estimate is what a run would have to read, known before it begins.
type Estimate struct {
	Models     int   `json:"models"`     // with work to do
	Partitions int   `json:"partitions"` // to compute
	Files      int   `json:"files"`      // to read
	Rows       int64 `json:"rows"`
	Bytes      int64 `json:"bytes"` // of Parquet
}

func (e *Estimate) add(o Estimate) {
	e.Models += o.Models
	e.Partitions += o.Partitions
	e.Files += o.Files
	e.Rows += o.Rows
	e.Bytes += o.Bytes
}

// Plan estimates Run(ctx, o) without computing anything; o.Engine may be nil. What
// came to raw.posts is taken for new posts: whether it is would have to be looked up. A
// model whose input is itself to be computed in the run is taken to read as much
// as that input reads: outputs are seldom larger than what they are made from.
func Plan(ctx context.Context, o Options) (Estimate, error) {
	models, err := o.Graph.Select(o.Only...)
	if err != nil {
		return Estimate{}, fmt.Errorf("plan transforms: %w", err)
	}
	if o.MaxRows == 0 {
		o.MaxRows = DefaultMaxRows
	}
	r := &runner{Options: o, files: newMemo[fileKey, []lake.File](), changes: newMemo[changeKey, []lake.Difference](), guess: true}
	var total Estimate
	byModel := map[string]Estimate{}
	for i := range models {
		e, err := r.estimate(ctx, &models[i], byModel)
		if err != nil {
			return Estimate{}, fmt.Errorf("plan %s: %w", models[i].Name, err)
		}
		byModel[models[i].Name] = e
		total.add(e)
	}
	return total, nil
}

// estimate plans one model after those that it reads from.
func (r *runner) estimate(ctx context.Context, m *Model, before map[string]Estimate) (Estimate, error) {
	var e Estimate
	for _, in := range m.Inputs {
		up := before[in.Table]
		e.Files, e.Rows, e.Bytes, e.Partitions = e.Files+up.Files, e.Rows+up.Rows, e.Bytes+up.Bytes, max(e.Partitions, up.Partitions)
	}
	known, err := r.known(ctx, m)
	if err != nil {
		return e, err
	}
	if known.Bytes > e.Bytes {
		e = known
	}
	if e.Bytes > 0 {
		e.Models = 1
	}
	return e, nil
}

// known plans one model on the tables as they are. A table that is not there
// yet is nothing.
func (r *runner) known(ctx context.Context, m *Model) (Estimate, error) {
	st, err := readState(ctx, r.Lake, m.Name)
	if err != nil {
		return Estimate{}, err
	}
	inputs, err := r.pin(ctx, m, &st)
	if errors.Is(err, feedlake.ErrNotFound) {
		return Estimate{}, nil
	}
	if err != nil {
		return Estimate{}, err
	}
	output, err := r.filesAt(ctx, m.Name, st.Base)
	if err != nil {
		return Estimate{}, err
	}
	p := makePlan(m, st, inputs, output, r.Full)
	r.grow(ctx, m, &st, inputs, &p)
	if p.nothing() {
		return Estimate{}, nil
	}
	e := Estimate{Partitions: p.count()}
	for _, c := range chunks(m, p, inputs, r.MaxRows) {
		for _, files := range c.inputs {
			for _, f := range files {
				e.Files++
				e.Rows += f.Rows
				e.Bytes += f.Bytes
			}
		}
	}
	return e, nil
}
