package training

import (
	"context"
	"errors"
	"fmt"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// barPosts makes the table barred_texts: the texts of the posts of barred
// sources, which no model may learn from with whatever label.
func barPosts(ctx context.Context, l *lake.Lake, db *query.DB, barred []feedlake.Prohibition) (rules []string, err error) {
	const posts = "features.posts"
	fill := "select null::varchar as text where false"
	var args []any
	if len(barred) > 0 {
		cur, err := l.Current(ctx, posts)
		if err != nil && !errors.Is(err, feedlake.ErrNotFound) {
			return nil, err
		}
		if cur.ID != 0 {
			if err := db.PinTable(ctx, l, posts, cur.ID); err != nil {
				return nil, err
			}
			if rules, err = db.Prohibited(ctx, posts, barred); err != nil {
				return nil, err
			}
			fill = "select distinct text from " + posts + " where list_contains(string_split(?, chr(31)), source) and text is not null"
			args = append(args, query.ProhibitedSources(barred))
		}
	}
	if _, err := db.SQL().ExecContext(ctx, "create or replace table barred_texts as "+fill, args...); err != nil {
		return nil, fmt.Errorf("read texts that may not be learnt from: %w", err)
	}
	return rules, nil
}
