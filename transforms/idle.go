package transforms

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// idle takes out of the changed partitions of living inputs those that got nothing
// but deletions of posts that they do not hold, and reports whether there were any.
// A stream of all posts of a network tells of deletions over the posts of years: most
// are of posts that nobody here has seen. The deletions stay in the input, so that a
// post which comes later, from a backfill or another source, is known to be gone.
func (r *runner) idle(ctx context.Context, m *Model, st *state, inputs []source) (some bool, err error) {
	if !st.Built || r.Full || st.Lost != "" || st.Model != m.Hash {
		return false, nil // everything is computed
	}
	for i, in := range m.Inputs {
		if !in.Living || len(inputs[i].changed) == 0 {
			continue
		}
		quiet, err := r.quiet(ctx, &inputs[i])
		if err != nil {
			return false, fmt.Errorf("look for deletions in %s: %w", in.Table, err)
		}
		n := len(inputs[i].changed)
		inputs[i].changed = slices.DeleteFunc(slices.Clone(inputs[i].changed), func(d lake.Difference) bool { return quiet[d.Partition] })
		some = some || len(inputs[i].changed) < n
	}
	return some, nil
}

// quiet lists the changed partitions that idle takes out. One that lost rows is
// none of them.
func (r *runner) quiet(ctx context.Context, s *source) (map[lake.Partition]bool, error) {
	quiet, came := map[lake.Partition]bool{}, map[string]bool{}
	var added []lake.File
	for _, d := range s.changed {
		if len(d.Removed) == 0 {
			quiet[d.Partition] = true
			added = append(added, d.Added...)
		}
	}
	for _, f := range added {
		came[f.Path] = true
	}
	files := func(list []lake.File, added bool) (some []lake.File, rows int64) {
		for _, f := range list {
			if quiet[f.Partition] && came[f.Path] == added {
				some, rows = append(some, f), rows+f.Rows
			}
		}
		return some, rows
	}
	added, rows := files(added, true)
	err := r.drop(ctx, quiet, rows, added, func(text string) string {
		return "SELECT source, cast(created_at AS date) AS day FROM (" + text + ") WHERE NOT coalesce(deleted, false)"
	}, s.columns)
	if err != nil || len(quiet) == 0 {
		return quiet, err
	}
	added, rows = files(added, true)
	known, more := files(s.files, false)
	local, release, err := r.Lake.Local(ctx, known)
	if err != nil {
		return nil, err
	}
	defer release()
	err = r.drop(ctx, quiet, rows+more, added, func(text string) string {
		return "SELECT k.source, cast(k.created_at AS date) AS day FROM (" + query.Select(s.columns, local) + ") k SEMI JOIN (" + text +
			") a ON a.source = k.source AND a.id = k.id AND cast(a.created_at AS date) = cast(k.created_at AS date)"
	}, s.columns)
	return quiet, err
}

// drop takes the partitions (source, day) that a query over files finds out of
// quiet.
func (r *runner) drop(ctx context.Context, quiet map[lake.Partition]bool, rows int64, files []lake.File, text func(from string) string, cols []lake.Column) (err error) {
	if len(files) == 0 {
		return nil
	}
	db, done, err := r.verify.open(ctx, rows)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	local, release, err := r.Lake.Local(ctx, files)
	if err != nil {
		return err
	}
	defer release()
	found, err := db.QueryContext(ctx, "SELECT DISTINCT source, cast(day AS varchar) FROM ("+text(query.Select(cols, local))+")")
	if err != nil {
		return err
	}
	defer found.Close() //nolint:errcheck // found.Err tells
	for found.Next() {
		var name, day string
		if err := found.Scan(&name, &day); err != nil {
			return err
		}
		delete(quiet, lake.MakePartition("source", name, "day", day))
	}
	return found.Err()
}
