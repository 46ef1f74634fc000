package transforms

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
)

// errLostRace marks a commit that another run outran.
var errLostRace = errors.New("the table moved while it was computed")

// build is one attempt at one model.
type build struct {
	*runner
	m      *Model
	st     state
	inputs []source
	output []lake.File             // of the table before
	had    map[lake.Partition]bool // of output
	plan   plan
	rep    *ModelReport

	counting sync.Mutex
	at       Progress

	columns  []lake.Column
	keep     []lake.Column
	add      []lake.File // staged and sound
	replaced []lake.Partition
	grown    []lake.Partition // get rows, or hours, beside those that they have
	drop     []lake.File      // leave, of partitions that grow
	held     []lake.Partition
}

// run computes the plan query by query, then publishes all of it at once.
func (b *build) run(ctx context.Context) error {
	if err := b.compute(ctx); err != nil {
		b.discard(b.add)
		return err
	}
	if err := b.publish(ctx); err != nil {
		if errors.Is(err, errLostRace) {
			b.discard(b.add) // sure to be in no snapshot; after any other answer they stay
		}
		return err
	}
	return b.freshness(ctx, b.published())
}

func (b *build) compute(ctx context.Context) error {
	var err error
	b.had = map[lake.Partition]bool{}
	for _, f := range b.output {
		b.had[f.Partition] = true
	}
	if b.st.Exists {
		if b.keep, err = b.Lake.Columns(ctx, b.m.Name); err != nil {
			return err
		}
	}
	list := chunks(b.m, b.plan, b.inputs, b.MaxRows)
	if len(list) == 0 && !b.st.Built { // no rows yet: the empty query tells the columns
		list = chunks(b.m, plan{all: true}, b.inputs, b.MaxRows)
	}
	b.at.Of = b.plan.count()
	results := make([]result, len(list))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(b.Parallel)
	for i, c := range list {
		g.Go(func() (err error) {
			results[i], err = b.chunk(gctx, c)
			return err
		})
	}
	err = g.Wait()
	for i := range list { // in order, so that what is published does not depend on who was faster
		if err == nil {
			err = b.take(list[i], results[i])
		}
		if err != nil {
			b.discard(results[i].out.Files)
		}
	}
	return err
}

// result is what one query computed, and what checks say of it.
type result struct {
	out      Output
	failures []CheckFailure
	same     map[lake.Partition]bool // whose rows came out as they were
	stay     map[lake.Partition]kept // where some hours were computed
}

// bad lists the partitions that a check holds back.
func (r *result) bad() map[lake.Partition]bool {
	bad := map[lake.Partition]bool{}
	for _, f := range r.failures {
		bad[f.Partition] = true
	}
	return bad
}

// chunk computes and checks one query.
func (b *build) chunk(ctx context.Context, c chunk) (result, error) {
	if err := b.slots.Acquire(ctx, 1); err != nil {
		return result{}, err
	}
	defer b.slots.Release(1)
	q := Query{
		Model: *b.m, Inputs: c.inputs, Columns: map[string][]lake.Column{}, Snapshots: map[string]int64{}, Partitions: c.partitions, Hours: c.hours,
		Extra: []Constant{{"_run_id", b.RunID}, {"_model", b.m.ID()}, {"_inputs", provenance(b.inputs)}},
		Keep:  b.keep,
		Staging: func(p lake.Partition) (string, error) {
			return b.Lake.NewPath(b.m.Name, p)
		},
	}
	for _, s := range b.inputs {
		q.Columns[s.table] = s.columns
		if !c.grown || s.lookup { // new rows are these files, which are no partition of a snapshot
			q.Snapshots[s.table] = s.snapshot
		}
	}
	out, err := b.Engine.Run(ctx, q)
	if err != nil {
		return result{}, err
	}
	r := result{out: out}
	had := map[lake.Partition]int64{} // rows that stay
	switch {
	case c.hours != nil:
		if r.stay, err = b.others(ctx, c, had); err != nil {
			return b.carried(r), err
		}
	case c.grown:
		for _, f := range b.output {
			had[f.Partition] += f.Rows
		}
	}
	computed, made := b.computed(c, out)
	var emptied []lake.Partition
	for _, p := range computed {
		if b.had[p] && !made[p] && !c.grown {
			emptied = append(emptied, p)
		}
	}
	if r.failures, err = b.verify.check(ctx, b.m, out, emptied, had); err != nil {
		return b.carried(r), err
	}
	if !c.grown {
		if r.same, err = b.same(ctx, c, &r); err != nil {
			return b.carried(r), err
		}
	}
	b.progress(c, out)
	return b.carried(r), nil
}

// computed lists the partitions that a query answers for, and of them those that
// have rows.
func (b *build) computed(c chunk, out Output) (list []lake.Partition, made map[lake.Partition]bool) {
	made = map[lake.Partition]bool{}
	for _, f := range out.Files {
		made[f.Partition] = true
	}
	if c.partitions == nil {
		return union(made, b.had), made
	}
	return c.partitions, made
}

// progress tells that a query is done.
func (b *build) progress(c chunk, out Output) {
	b.counting.Lock()
	defer b.counting.Unlock()
	b.at.Rows += out.Rows
	b.at.Partitions += len(c.partitions)
	b.tell(b.at)
}

// take sorts the partitions of a query into those to publish and those to hold
// back.
func (b *build) take(c chunk, r result) error {
	for _, files := range c.inputs {
		for _, f := range files {
			b.rep.InputFiles++
			b.rep.InputBytes += f.Bytes
			b.rep.InputRows += f.Rows
		}
	}
	if err := b.sameColumns(r.out.Columns); err != nil {
		return err
	}
	computed, made := b.computed(c, r.out)
	b.rep.Failures = append(b.rep.Failures, r.failures...)
	bad := r.bad()
	b.rep.Equal += len(r.same)
	for _, p := range computed {
		switch {
		case bad[p]:
			b.held = append(b.held, p)
		case r.same[p]:
		case c.grown && made[p] || len(r.stay[p].drop) > 0 || c.hours != nil && made[p]:
			b.grown = append(b.grown, p)
			b.drop = append(b.drop, r.stay[p].drop...)
		case c.grown || c.hours != nil:
		case b.had[p] || made[p]:
			b.replaced = append(b.replaced, p)
		}
	}
	var reject []lake.File
	for _, f := range r.out.Files {
		if bad[f.Partition] || r.same[f.Partition] {
			reject = append(reject, f)
		} else {
			b.add = append(b.add, f)
		}
	}
	b.discard(reject)
	return nil
}

// sameColumns holds a result's columns against the head and against the other
// queries of the build.
func (b *build) sameColumns(cols []lake.Column) error {
	if b.columns != nil {
		if !slices.Equal(b.columns, cols) {
			return fmt.Errorf("%s: columns differ between two queries: %v and %v: %w", b.m.File, b.columns, cols, feedlake.ErrRejected)
		}
		return nil
	}
	has := func(name string) bool {
		return slices.ContainsFunc(cols, func(c lake.Column) bool { return c.Name == name })
	}
	want := slices.Concat(b.m.Order, b.m.Partition, b.m.Key)
	for _, c := range b.m.Checks {
		want = append(want, c.Columns...)
	}
	for _, name := range want {
		if !has(name) {
			return feedlake.Hint(fmt.Errorf("%s: the head names column %s, which the SELECT does not make: %w", b.m.File, name, feedlake.ErrConfig),
				"correct the name in the head, or add the column to the SELECT")
		}
	}
	b.columns = cols
	return nil
}

// publish lands rows and state in one snapshot.
func (b *build) publish(ctx context.Context) error {
	if b.columns != nil {
		if err := b.Lake.Ensure(ctx, b.m.spec(b.columns)); err != nil {
			return feedlake.Hint(err, "columns of %s come from %s: give a changed column a new name", b.m.Name, b.m.File)
		}
	}
	set, err := properties(b.m, b.inputs, b.held)
	if err != nil {
		return err
	}
	b.rep.State, b.rep.Snapshot = Built, b.st.Base
	switch {
	case len(b.held) > 0:
		b.rep.State = Held
	case b.rep.Equal > 0 && len(b.replaced)+len(b.add)+len(b.drop) == 0:
		b.rep.State = UpToDate
	}
	if len(b.add) > 0 || len(b.replaced) > 0 || len(b.drop) > 0 || b.stateMoved(set) {
		snap, err := b.commit(ctx, set)
		if err != nil {
			return err
		}
		b.rep.Snapshot = snap.ID
		for i := range b.add {
			b.add[i].Path = b.Lake.Committed(b.add[i].Path)
		}
	}
	b.rep.Partitions, b.rep.Grown, b.rep.Files = slices.Concat(b.replaced, b.grown), len(b.grown), len(b.add)
	slices.SortStableFunc(b.rep.Partitions, byDay)
	for _, f := range b.add {
		b.rep.Rows += f.Rows
	}
	return nil
}

// settle notes the inputs of an output that needs no computing.
func (b *build) settle(ctx context.Context) error {
	set, err := properties(b.m, b.inputs, nil)
	if err != nil || !b.stateMoved(set) {
		return err
	}
	_, err = b.commit(ctx, set)
	return err
}

// stateMoved reports whether the table's properties say something else. Inputs
// that moved without touching a partition are written with the next rows.
func (b *build) stateMoved(set map[string]string) bool {
	var held string
	if len(b.st.Held) > 0 {
		old, err := properties(b.m, b.inputs, b.st.Held)
		if err != nil {
			return true
		}
		held = old[PropertyHeld]
	}
	return !b.st.Built || b.st.Model != set[PropertyModel] || b.st.raw != set[PropertyInputs] || held != set[PropertyHeld]
}

// commit lands the build.
func (b *build) commit(ctx context.Context, set map[string]string) (lake.Snapshot, error) {
	add := make([]string, len(b.add))
	for i, f := range b.add {
		add[i] = f.Path
	}
	drop := make([]string, len(b.drop))
	for i, f := range b.drop {
		drop[i] = f.Path
	}
	c := lake.Commit{
		Drop:  drop,
		Table: b.m.Name, ID: b.commitID(), Add: add, Replace: b.replaced, Base: b.st.Base, Set: set,
		Expect: map[string]string{PropertyInputs: b.st.raw},
		Summary: map[string]string{
			lake.SummaryRunID: b.RunID, lake.SummaryModel: b.m.ID(), lake.SummaryInputs: provenance(b.inputs),
		},
	}
	snap, err := b.Lake.CommitOrAsk(ctx, c)
	if errors.Is(err, feedlake.ErrConflict) {
		return snap, fmt.Errorf("%w: %w", errLostRace, err)
	}
	return snap, err
}

// commitID names the change: model, inputs, run, and what it replaces.
func (b *build) commitID() string {
	var text strings.Builder
	fmt.Fprintln(&text, b.m.ID(), provenance(b.inputs), b.RunID)
	for _, p := range slices.Sorted(slices.Values(b.replaced)) {
		fmt.Fprintln(&text, p)
	}
	for _, p := range slices.Sorted(slices.Values(b.grown)) {
		fmt.Fprintln(&text, "grown", p)
	}
	for _, f := range b.drop {
		fmt.Fprintln(&text, "drop", f.Path)
	}
	sum := sha256.Sum256([]byte(text.String()))
	return "transform-" + strings.ReplaceAll(b.m.Name, ".", "-") + "-" + hex.EncodeToString(sum[:])[:24]
}

// published lists the table's files after the build.
func (b *build) published() []lake.File {
	gone := map[lake.Partition]bool{}
	for _, p := range b.replaced {
		gone[p] = true
	}
	files := slices.DeleteFunc(slices.Clone(b.output), func(f lake.File) bool { return gone[f.Partition] || slices.Contains(b.drop, f) })
	return append(files, b.add...)
}

// freshness adds the warnings of fresh checks over the table's files.
func (b *build) freshness(ctx context.Context, files []lake.File) error {
	cols := b.columns
	if cols == nil {
		var err error
		if cols, err = b.Lake.Columns(ctx, b.m.Name); err != nil {
			return err
		}
	}
	var err error
	b.rep.Warnings, err = b.verify.fresh(ctx, b.m, cols, files, b.Now())
	return err
}

// discard removes staged files that no snapshot names; one that stays is an
// orphan, which is harmless.
func (b *build) discard(files []lake.File) {
	for _, f := range files {
		b.Lake.Discard(f.Path)
	}
}

func union(a, b map[lake.Partition]bool) []lake.Partition {
	var out []lake.Partition
	for p := range a {
		out = append(out, p)
	}
	for p := range b {
		if !a[p] {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, byDay)
	return out
}
