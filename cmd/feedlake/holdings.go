package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// holdings reads out of raw.posts what sources ask for.
type holdings struct{ a *app }

var _ ingest.Holdings = holdings{}

// latest are the posts of a source as they were seen last.
const latest = `WITH latest AS (
  SELECT id, arg_max(author_id, coalesce(observed_at, TIMESTAMPTZ '1970-01-01 00:00:00+00')) FILTER (WHERE NOT deleted) AS author_id, arg_max(deleted, coalesce(observed_at, TIMESTAMPTZ '1970-01-01 00:00:00+00')) AS deleted
  FROM raw.posts WHERE source = $1 AND kind IN ('post', 'reply', 'repost', 'quote', 'comment') GROUP BY id
)`

// PostIDs lists posts that are not deleted.
func (h holdings) PostIDs(ctx context.Context, source, after string) iter.Seq2[string, error] {
	return h.texts(ctx, latest+" SELECT id FROM latest WHERE NOT deleted AND id > $2 ORDER BY id", source, after)
}

// AuthorIDs lists their authors.
func (h holdings) AuthorIDs(ctx context.Context, source, after string) iter.Seq2[string, error] {
	return h.texts(ctx, latest+" SELECT DISTINCT author_id FROM latest WHERE NOT deleted AND author_id > $2 ORDER BY author_id", source, after)
}

func (h holdings) texts(ctx context.Context, text, source, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		more := true
		err := h.each(ctx, text, source, after, func(id string) bool {
			more = yield(id, nil)
			return more
		})
		if err != nil && more {
			yield("", fmt.Errorf("list what the lake holds of %s: %w", source, err))
		}
	}
}

func (h holdings) each(ctx context.Context, text, source, after string, yield func(string) bool) (err error) {
	db, err := h.a.duckdb(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := h.view(ctx, db, source, feedlake.Window{}); err != nil {
		return err
	}
	rows, err := db.SQL().QueryContext(ctx, text, source, after)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		if !yield(id) {
			return nil
		}
	}
	return rows.Err()
}

// view shows the source's rows of raw.posts as they are now, of the days of a
// window.
func (h holdings) view(ctx context.Context, db *query.DB, source string, w feedlake.Window) error {
	table := lake.RawPosts().Name
	cur, err := h.a.lake.Current(ctx, table)
	if err != nil {
		return err
	}
	cols, err := h.a.lake.Columns(ctx, table)
	if err != nil {
		return err
	}
	files, err := h.a.lake.Files(ctx, table, cur.ID)
	if err != nil {
		return err
	}
	return db.ViewOf(ctx, h.a.lake, table, cols, slices.DeleteFunc(files, func(f lake.File) bool {
		of, _ := f.Partition.Value("source")
		day, _ := f.Partition.Value("day")
		return of != source || !w.Start.IsZero() && day < w.Start.Format(time.DateOnly) || !w.End.IsZero() && day > w.End.Format(time.DateOnly)
	}))
}
