// Package holdings tells sources what the lake holds of them in raw.posts.
package holdings

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/frontier"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// Holdings reads out of raw.posts what sources ask for.
type Holdings struct {
	Lake *lake.Lake
	Open func(context.Context) (*query.DB, error) // called for each question
}

var _ ingest.Holdings = Holdings{}

// latest are the posts of a source as they were seen last.
const latest = `WITH latest AS (
  SELECT id, arg_max(author_id, coalesce(observed_at, TIMESTAMPTZ '1970-01-01 00:00:00+00')) FILTER (WHERE NOT deleted) AS author_id, arg_max(deleted, coalesce(observed_at, TIMESTAMPTZ '1970-01-01 00:00:00+00')) AS deleted
  FROM raw.posts WHERE source = $1 AND kind IN ('post', 'reply', 'repost', 'quote', 'comment') GROUP BY id
)`

// PostIDs lists posts that are not deleted.
func (h Holdings) PostIDs(ctx context.Context, source, after string) iter.Seq2[string, error] {
	return h.texts(ctx, latest+" SELECT id FROM latest WHERE NOT deleted AND id > $2 ORDER BY id", source, after)
}

// AuthorIDs lists their authors.
func (h Holdings) AuthorIDs(ctx context.Context, source, after string) iter.Seq2[string, error] {
	return h.texts(ctx, latest+" SELECT DISTINCT author_id FROM latest WHERE NOT deleted AND author_id > $2 ORDER BY author_id", source, after)
}

func (h Holdings) texts(ctx context.Context, text, source, after string) iter.Seq2[string, error] {
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

func (h Holdings) each(ctx context.Context, text, source, after string, yield func(string) bool) (err error) {
	db, err := h.Open(ctx)
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

// newest are the posts of a source that were created in a window, as they were
// seen last.
const newest = `SELECT id, kind, coalesce(text, ''), likes, reposts, replies, views FROM (
  SELECT *, row_number() OVER (PARTITION BY id ORDER BY coalesce(observed_at, TIMESTAMPTZ '1970-01-01 00:00:00+00') DESC, seq DESC NULLS LAST) AS n
  FROM raw.posts WHERE created_at >= $1 AND created_at < $2
) WHERE n = 1 AND NOT deleted AND kind IN ('post', 'reply', 'repost', 'quote', 'comment')`

// Versions are what the posts of a source say that were created in a window, by
// their ids: frontier.Version of each.
func (h Holdings) Versions(ctx context.Context, source string, w feedlake.Window) (out map[string]string, err error) {
	db, err := h.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := h.view(ctx, db, source, w); err != nil {
		return nil, err
	}
	rows, err := db.SQL().QueryContext(ctx, newest, w.Start.UTC(), w.End.UTC())
	if err != nil {
		return nil, fmt.Errorf("list what the lake holds of %s: %w", source, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	out = map[string]string{}
	for rows.Next() {
		var p feedlake.Post
		if err := rows.Scan(&p.ID, &p.Kind, &p.Text, &p.Likes, &p.Reposts, &p.Replies, &p.Views); err != nil {
			return nil, fmt.Errorf("list what the lake holds of %s: %w", source, err)
		}
		out[p.ID] = frontier.Version(&p)
	}
	return out, rows.Err()
}

// view shows the source's rows of raw.posts as they are now, of the days of a
// window.
func (h Holdings) view(ctx context.Context, db *query.DB, source string, w feedlake.Window) error {
	table := lake.RawPosts().Name
	cur, err := h.Lake.Current(ctx, table)
	if err != nil {
		return err
	}
	cols, err := h.Lake.Columns(ctx, table)
	if err != nil {
		return err
	}
	files, err := h.Lake.Files(ctx, table, cur.ID)
	if err != nil {
		return err
	}
	return db.ViewOf(ctx, h.Lake, table, cols, slices.DeleteFunc(files, func(f lake.File) bool {
		of, _ := f.Partition.Value("source")
		day, _ := f.Partition.Value("day")
		return of != source || !w.Start.IsZero() && day < w.Start.Format(time.DateOnly) || !w.End.IsZero() && day > w.End.Format(time.DateOnly)
	}))
}
