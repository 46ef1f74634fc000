package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// inspectLake prints what lake.Check finds.
func inspectLake(ctx context.Context, a *app, tables []string, keys bool) (err error) {
	o := lake.CheckOptions{Tables: tables}
	if keys {
		db, err := a.DuckDB(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		o.Duplicates = func(ctx context.Context, _ string, key []string, cols []lake.Column, files []lake.File) (int64, error) {
			return duplicates(ctx, db, a.Lake, key, cols, files)
		}
	}
	rep, err := a.Lake.Check(ctx, o)
	if err != nil {
		return err
	}
	w := a.o.env.stdout
	if a.o.json {
		if err := printJSON(w, rep); err != nil {
			return err
		}
	} else {
		printf(w, "%s, %s, %s, %s looked at\n", feedlake.Plural(int64(rep.Tables), "table"), feedlake.Plural(int64(rep.Snapshots), "snapshot"), feedlake.Plural(int64(rep.Files), "file"), feedlake.Plural(rep.Rows, "row"))
		if rep.Repeated > 0 {
			printf(w, "%s delivered more than once; each counts once in features and marts\n", feedlake.Plural(rep.Repeated, "row"))
		}
		for _, p := range rep.Problems {
			at := p.Table
			if p.Snapshot != 0 {
				at += fmt.Sprintf(", snapshot %d", p.Snapshot)
			}
			if p.File != "" {
				at += ", " + p.File
			}
			printf(w, "PROBLEM  %s: %s\n         hint: %s\n", at, p.What, p.Hint)
		}
	}
	if len(rep.Problems) > 0 {
		return fmt.Errorf("the lake has %s: %w", feedlake.Plural(int64(len(rep.Problems)), "problem"), feedlake.ErrRejected)
	}
	return nil
}

// duplicates counts the rows beyond the first of each key.
func duplicates(ctx context.Context, db *query.DB, l *lake.Lake, key []string, cols []lake.Column, files []lake.File) (int64, error) {
	local, release, err := l.Readable(ctx, files)
	if err != nil {
		return 0, err
	}
	defer release()
	names := make([]string, len(key))
	for i, k := range key {
		names[i] = query.Ident(k)
	}
	list := strings.Join(names, ", ")
	var n int64
	text := "SELECT CAST(coalesce(sum(n - 1), 0) AS BIGINT) FROM (SELECT count(*) AS n FROM (" + query.Select(cols, local) + ") GROUP BY " + list + ")"
	err = db.SQL().QueryRowContext(ctx, text).Scan(&n)
	return n, err
}
