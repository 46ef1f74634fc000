// Package erasure takes posts and authors out of every table, copy and old
// snapshot of a lake (Work), and posts that are older than their source keeps
// them (Retain). It knows the tables and no stage: what builds, judges and
// publishes is handed to it.
package erasure

import (
	"context"
	"errors"
	"time"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// Names of the steps that rebuild tables and places.
const (
	StepFeatures = "features"
	StepMarts    = "marts"
	StepPublish  = "publish"
)

// Options say what goes, and who helps.
type Options struct {
	Targets  []Target          // spelt as the lake spells them
	Networks map[string]string // source to the platform whose ids its posts carry

	Lake   *lake.Lake
	Open   func(context.Context) (*query.DB, error) // a DuckDB that spills into the lake's folder
	Now    func() time.Time
	RunOf  func(context.Context) string // names the run that a step belongs to
	Say    Say
	Redact func(ctx context.Context, secret func(text string) bool) (int64, error) // clears texts of the history of runs

	Deliver  func(ctx context.Context, runID string) error // brings rejects home that wait between two commits
	Models   func(context.Context) ([]Version, error)      // every version of every model
	Features []string                                      // tables that SQL builds from raw ones, in their order
	Marts    []string                                      // and from these
	Build    func(ctx context.Context, step, table, runID string) (Built, error)
	Judges   []Judge
	Places   []Publisher
	Folders  []string // beside the lake's that may hold what goes

	Stopped func(step string) error // a test's way to interrupt after a step; nil: none
}

// Say tells how many rows a step has read and changed, and for people what it did.
type Say func(ctx context.Context, in, out int64, detail string)

// Version is a version of a model.
type Version struct {
	Model     string
	Version   int
	InUse     bool
	CreatedAt time.Time
	Datasets  []string         // of labelled texts that it learnt from
	Data      map[string]int64 // table to the snapshot that it learnt from
}

// Built says what became of a table that was brought up to date.
type Built struct {
	Partitions int      // that were replaced
	Snapshot   int64    //
	In, Out    int64    // rows
	Held       []string // partitions that a check holds back
}

// Judge brings a table of a model's judgements up to date.
type Judge struct {
	Step  string
	Table string
	Run   func(context.Context) error
}

// Publisher is a place that tables are published to.
type Publisher struct {
	Name    string
	Publish func(ctx context.Context, db *query.DB) (rows int64, err error)
	Scrub   func(context.Context) error // lets go of the bytes of rows that were replaced
}

// Work is the work on one request. Its steps may be repeated, and another work
// on the same request goes on where this one was stopped.
type Work struct {
	o       Options
	request string
	rep     *Report

	db    *query.DB // holds the tables of the schema erase
	match *textMatcher
	names func(text string) bool // whether a text names one of the ids
	held  map[string][]string    // table to its partitions that a check holds back
}

// New begins the work that o says.
func New(o Options) *Work {
	w := &Work{o: o, request: requestOf(o.Targets), match: newTextMatcher(nil), held: map[string][]string{}}
	w.rep = &Report{
		Request: w.request, State: Running, StartedAt: o.Now().UTC(),
		Tables: []lake.EraseResult{}, Expired: []Expired{}, Places: []Place{}, Models: []Model{}, Left: []Left{}, Advice: []string{},
	}
	for _, t := range o.Targets {
		w.rep.Targets = append(w.rep.Targets, Found{Kind: t.Kind, Source: t.Source, Hash: t.hash()})
	}
	return w
}

// Report is what was done up to now.
func (w *Work) Report() *Report { return w.rep }

// Targets are what goes, in the order of the report.
func (w *Work) Targets() []Target { return w.o.Targets }

// Close gives back what the work holds open.
func (w *Work) Close() error { return w.closeSession() }

// Rehearse finds and counts, and changes nothing.
func (w *Work) Rehearse(ctx context.Context) error {
	w.rep.State = DryRun
	if err := w.find(ctx); err != nil {
		return err
	}
	if err := w.removeRows(ctx, true); err != nil {
		return err
	}
	w.rep.advise()
	return w.expire(ctx, true)
}

// Step is a part of the work that may be repeated.
type Step struct {
	Name string
	Run  func(context.Context) error
}

// Steps lists the parts, each after the one before. Those that find something
// missing say so as feedlake.ErrPartial, so that the others still run.
func (w *Work) Steps() []Step {
	steps := []Step{
		{"find", w.begin},
		{"tombstones", w.remember},
		{"rows", func(ctx context.Context) error { return w.removeRows(ctx, false) }},
		{StepFeatures, func(ctx context.Context) error { return w.rebuild(ctx, StepFeatures, w.o.Features) }},
	}
	for _, j := range w.o.Judges {
		steps = append(steps, Step{j.Step, func(ctx context.Context) error { return w.then(ctx, j.Run, j.Table) }})
	}
	steps = append(steps, []Step{
		{StepMarts, func(ctx context.Context) error { return w.rebuild(ctx, StepMarts, w.o.Marts) }},
		{StepPublish, w.publish},
		{"expire", func(ctx context.Context) error { return w.expire(ctx, false) }},
		{"clean", w.clean},
		{"verify", w.verify},
	}...)
	for i, s := range steps {
		steps[i].Run = func(ctx context.Context) error {
			return errors.Join(s.Run(ctx), w.rep.keep(ctx, w.o.Lake), w.interrupt(s.Name))
		}
	}
	return steps
}

// End says in the report how the work ended, and keeps the report in the lake.
func (w *Work) End(ctx context.Context, state string) error {
	w.rep.EndedAt = w.o.Now().UTC()
	if state != "" {
		w.rep.State = state
	}
	w.rep.advise()
	return w.rep.keep(ctx, w.o.Lake)
}

// begin takes over what a stopped run of the same request had done, brings
// rejects home that wait between two commits, and finds the posts.
func (w *Work) begin(ctx context.Context) error {
	w.rep.RunID = w.o.RunOf(ctx)
	if err := w.o.Lake.Pull(ctx, lake.ErasuresFolder); err != nil {
		return err
	}
	old, err := unfinished(w.o.Lake.Dir(), w.request)
	if err != nil {
		return err
	}
	for _, r := range old {
		if r.RunID != w.rep.RunID {
			w.rep.takeOver(r)
		}
	}
	if err := w.o.Deliver(ctx, w.rep.RunID); err != nil {
		return err
	}
	return w.find(ctx)
}

// then does a step and takes out of a table's metadata what it still says of
// files that left.
func (w *Work) then(ctx context.Context, do func(context.Context) error, table string) error {
	if err := do(ctx); err != nil || !w.touched() {
		return err
	}
	return w.sweep(ctx, table)
}

// interrupt lets a test stop the work after a step.
func (w *Work) interrupt(step string) error {
	if w.o.Stopped == nil {
		return nil
	}
	return w.o.Stopped(step)
}
