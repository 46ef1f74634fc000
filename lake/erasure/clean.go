package erasure

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
)

// expireOrder lists the tables whose old snapshots may hold what was erased.
// raw.posts comes last: as long as its old snapshots are there, an erasure that
// was stopped knows that the others must go too.
func (w *Work) expireOrder(ctx context.Context) ([]string, error) {
	all, err := w.o.Lake.Tables(ctx)
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
func (w *Work) affected(ctx context.Context, table string) (bool, error) {
	i := slices.IndexFunc(w.rep.Tables, func(t lake.EraseResult) bool { return t.Table == table })
	if i >= 0 && w.rep.Tables[i].Partitions > 0 && w.touched() {
		return true, nil
	}
	list, err := w.o.Lake.Snapshots(ctx, table) // the oldest is first
	if err != nil {
		return false, err
	}
	return slices.IndexFunc(list, func(s lake.Snapshot) bool { return s.Summary[lake.SummaryErased] != "" && s.ID != list[0].ID }) > 0, nil
}

// expire lets every old snapshot of the affected tables go, with its files.
func (w *Work) expire(ctx context.Context, dry bool) error {
	tables, err := w.expireOrder(ctx)
	if err != nil {
		return err
	}
	for _, t := range tables {
		hit, err := w.affected(ctx, t)
		if err != nil {
			return err
		}
		if !hit && (!dry || !w.touched()) {
			continue
		}
		rep, err := w.o.Lake.Expire(ctx, lake.ExpireOptions{Tables: []string{t}, All: true, DryRun: dry})
		if err != nil {
			return err
		}
		for _, x := range rep.Tables {
			if len(x.Expired) > 0 {
				w.rep.Expired = append(w.rep.Expired, Expired{Table: x.Table, Snapshots: len(x.Expired), Files: x.Files, Bytes: x.Bytes})
			}
		}
		if dry {
			continue
		}
		if err := w.interrupt("expire " + t); err != nil {
			return err
		}
	}
	return nil
}

// clean removes files that no table names, whatever their age, what was
// spilled, and what a person asked about the posts in the SQL shell. Under the
// lake's lock nobody else writes.
func (w *Work) clean(ctx context.Context) error {
	if err := w.closeSession(); err != nil { // it spills where the search is
		return err
	}
	rep, err := w.o.Lake.Orphans(ctx, lake.OrphanOptions{OlderThan: time.Nanosecond, Force: true})
	if err != nil {
		return err
	}
	w.rep.Orphans += len(rep.Files)
	dropped, inUse, err := w.o.Lake.Prune(ctx) // what another machine's expire removed is still copied here
	if err != nil {
		return err
	}
	w.rep.Dropped, w.rep.InUse = w.rep.Dropped+dropped, inUse
	for _, folder := range []string{"tmp", "staging"} { // staging: of a bucket's lake, where uploads wait
		if err := emptyFolder(filepath.Join(w.o.Lake.Dir(), folder), &w.rep.Orphans); err != nil {
			return err
		}
	}
	if w.rep.Rows > 0 {
		err := os.Remove(filepath.Join(w.o.Lake.Dir(), "sql_history"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("clean: %w", err)
		}
	}
	w.o.Say(ctx, 0, int64(len(rep.Files)), feedlake.Plural(int64(len(rep.Files)), "file"))
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

// publish brings the tables to every place. A place that fails does not stop
// the work on the lake; the report names it.
func (w *Work) publish(ctx context.Context) (err error) {
	db, err := w.o.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	w.rep.Places = []Place{}
	var failed []error
	for _, p := range w.o.Places {
		rows, err := p.Publish(ctx, db)
		if err == nil && w.rep.Rows > 0 {
			err = p.Scrub(ctx)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		place := Place{Name: p.Name, State: Done, Rows: rows}
		if err != nil {
			place.State = "failed: it may still hold what was erased"
			failed = append(failed, fmt.Errorf("%s: %s", p.Name, err.Error()))
		}
		w.rep.Places = append(w.rep.Places, place)
		w.o.Say(ctx, 0, rows, "")
	}
	if len(failed) > 0 {
		return feedlake.Hint(fmt.Errorf("publish: %w: %w", feedlake.ErrPartial, errors.Join(failed...)), "mend it, then run the same command again")
	}
	return nil
}
