package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/schedules"
)

// expireOrder lists the tables whose old snapshots may hold what was erased.
// raw.posts comes last: as long as its old snapshots are there, an erasure that
// was stopped knows that the others must go too.
func (e *erasure) expireOrder(ctx context.Context) ([]string, error) {
	all, err := e.a.lake.Tables(ctx)
	if err != nil {
		return nil, err
	}
	late := []string{"raw.rejects", "ml.labels", "ml.sentiment_scores", "raw.posts"}
	var out []string
	for _, t := range all {
		ns, _, _ := strings.Cut(t, ".")
		switch {
		case slices.Contains(late, t), t == "ml.champions", t == "ml.confusion", t == "marts.pipeline_runs", t == lake.Erased().Name:
		case ns == "marts", ns == "features", ns == "ml", t == "ops.steps":
			out = append(out, t)
		}
	}
	return append(out, late...), nil
}

// affected reports whether old snapshots of a table may hold rows of a request:
// this one changed the table, or one of its snapshots says that it was made to
// remove rows and older ones are still there.
func (e *erasure) affected(ctx context.Context, table string) (bool, error) {
	i := slices.IndexFunc(e.rep.Tables, func(t lake.EraseResult) bool { return t.Table == table })
	if i >= 0 && e.rep.Tables[i].Partitions > 0 && e.touched() {
		return true, nil
	}
	list, err := e.a.lake.Snapshots(ctx, table) // the oldest is first
	if err != nil {
		return false, err
	}
	return slices.IndexFunc(list, func(s lake.Snapshot) bool { return s.Summary[lake.SummaryErased] != "" && s.ID != list[0].ID }) > 0, nil
}

// expire lets every old snapshot of the affected tables go, with its files.
func (e *erasure) expire(ctx context.Context, dry bool) error {
	tables, err := e.expireOrder(ctx)
	if err != nil {
		return err
	}
	for _, t := range tables {
		hit, err := e.affected(ctx, t)
		if err != nil {
			return err
		}
		if !hit && (!dry || !e.touched()) {
			continue
		}
		rep, err := e.a.lake.Expire(ctx, lake.ExpireOptions{Tables: []string{t}, All: true, DryRun: dry})
		if err != nil {
			return err
		}
		for _, x := range rep.Tables {
			if len(x.Expired) > 0 {
				e.rep.Expired = append(e.rep.Expired, eraseExpired{Table: x.Table, Snapshots: len(x.Expired), Files: x.Files, Bytes: x.Bytes})
			}
		}
		if dry {
			continue
		}
		if err := e.interrupt("expire " + t); err != nil {
			return err
		}
	}
	return nil
}

// clean removes files that no table names, whatever their age, what was
// spilled, and what a person asked about the posts in the SQL shell. Under the
// lake's lock nobody else writes.
func (e *erasure) clean(ctx context.Context) error {
	if err := e.closeSession(); err != nil { // it spills where the search is
		return err
	}
	rep, err := e.a.lake.Orphans(ctx, lake.OrphanOptions{OlderThan: time.Nanosecond, Force: true})
	if err != nil {
		return err
	}
	e.rep.Orphans += len(rep.Files)
	dropped, inUse, err := e.a.lake.Prune(ctx) // what another machine's expire removed is still copied here
	if err != nil {
		return err
	}
	e.rep.Dropped, e.rep.InUse = e.rep.Dropped+dropped, inUse
	for _, folder := range []string{"tmp", "staging"} { // staging: of a bucket's lake, where uploads wait
		if err := emptyFolder(filepath.Join(e.a.lake.Dir(), folder), &e.rep.Orphans); err != nil {
			return err
		}
	}
	if e.rep.Rows > 0 {
		err := os.Remove(filepath.Join(e.a.lake.Dir(), "sql_history"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("clean: %w", err)
		}
	}
	schedules.Report(ctx, schedules.Counts{RowsOut: int64(len(rep.Files)), Detail: plural(int64(len(rep.Files)), "file")})
	return nil
}

// emptyFolder removes what lies in a folder, and counts it.
func emptyFolder(dir string, n *int) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("empty %s: %w", dir, err)
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return fmt.Errorf("empty %s: %w", dir, err)
		}
		*n++
	}
	return nil
}

// scrubber is a place that keeps the bytes of rows that were replaced until it
// is asked to let go of them.
type scrubber interface {
	Scrub(ctx context.Context) error
}

// publish brings the tables to every place. A place that fails does not stop
// the work on the lake; the report names it.
func (e *erasure) publish(ctx context.Context) (err error) {
	db, err := e.a.duckdb(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	e.rep.Places = []erasePlace{}
	var failed []error
	for _, p := range e.a.cfg.Publish {
		res, name, err := e.a.publishOne(ctx, db, p, nil)
		if err == nil && e.rep.Rows > 0 {
			err = e.scrub(ctx, p)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		place := erasePlace{Name: name, State: eraseDone, Rows: res.Rows}
		if err != nil {
			place.State = "failed: it may still hold what was erased"
			failed = append(failed, fmt.Errorf("%s: %s", name, err.Error()))
		}
		e.rep.Places = append(e.rep.Places, place)
		schedules.Report(ctx, schedules.Counts{RowsOut: res.Rows})
	}
	if len(failed) > 0 {
		return feedlake.Hint(fmt.Errorf("publish: %w: %w", feedlake.ErrPartial, errors.Join(failed...)), "mend it, then run the same command again")
	}
	return nil
}

func (e *erasure) scrub(ctx context.Context, p publishConfig) error {
	pub, err := e.a.publisher(p)
	if err != nil {
		return err
	}
	if s, ok := pub.(scrubber); ok {
		return s.Scrub(ctx)
	}
	return nil
}
