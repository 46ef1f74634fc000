package erasure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// trainedOn lists the model versions that learnt from what goes. It must run
// before anything is removed.
func (w *Work) trainedOn(ctx context.Context) error {
	versions, err := w.o.Models(ctx)
	if err != nil {
		return err
	}
	for _, v := range versions {
		m := Model{Model: v.Model, Version: v.Version, InUse: v.InUse}
		if m.Rows, m.Basis, err = w.learnt(ctx, v); err != nil {
			return err
		}
		if m.Rows > 0 {
			w.rep.addModel(m)
		}
	}
	return nil
}

// learnt counts what a version learnt from, and says how that is known.
func (w *Work) learnt(ctx context.Context, c Version) (int64, string, error) {
	if snapshot, ok := c.Data["ml.labels"]; ok {
		return w.learntLabels(ctx, c, snapshot)
	}
	if _, ok := c.Data["features.hashtag_hourly"]; !ok {
		return 0, "", nil
	}
	var n int64
	err := w.db.SQL().QueryRowContext(ctx, `
		SELECT count(DISTINCT (p.source, p.id)) FROM raw.posts p
		SEMI JOIN erase.posts g ON g.source = p.source AND g.id = p.id
		WHERE coalesce(p.observed_at, p.created_at) <= ?::TIMESTAMPTZ AND (len(p.hashtags) > 0 OR contains(p.text, '#') OR contains(p.text, '＃'))`,
		c.CreatedAt.UTC().Format(time.RFC3339Nano)).Scan(&n)
	if err != nil {
		return 0, "", fmt.Errorf("erase: count posts behind %s version %d: %w", c.Model, c.Version, err)
	}
	return n, "posts with hashtags that were seen before the version was made", nil
}

// learntLabels looks at the labels as they were. Where that snapshot is gone,
// it looks at today's of the same data sets that are not newer.
func (w *Work) learntLabels(ctx context.Context, c Version, snapshot int64) (int64, string, error) {
	l, rule := w.o.Lake, ruleFor("ml.labels")
	cols, err := l.Columns(ctx, rule.table)
	if err != nil {
		return 0, "", err
	}
	files, err := l.Files(ctx, rule.table, snapshot)
	where, basis := rule.remove, fmt.Sprintf("ml.labels@%d", snapshot)
	if errors.Is(err, feedlake.ErrNotFound) {
		cur, cerr := l.Current(ctx, rule.table)
		if cerr != nil {
			return 0, "", cerr
		}
		if files, err = l.Files(ctx, rule.table, cur.ID); err != nil {
			return 0, "", err
		}
		files = slices.DeleteFunc(files, func(f lake.File) bool {
			set, _ := f.Partition.Value("dataset")
			return !slices.Contains(c.Datasets, set)
		})
		where = "(" + where + ") AND labelled_at <= " + query.Quote(c.CreatedAt.UTC().Format(time.RFC3339Nano)) + "::TIMESTAMPTZ"
		basis = "today's labels of its data sets: its snapshot has expired"
	}
	if err != nil {
		return 0, "", err
	}
	local, release, err := l.Local(ctx, files)
	if err != nil {
		return 0, "", err
	}
	defer release()
	found, err := query.Rows{DB: w.db, Remove: where}.Find(ctx, cols, local)
	if err != nil {
		return 0, "", err
	}
	var n int64
	for _, a := range found {
		n += a.Removed
	}
	return n, basis, nil
}
