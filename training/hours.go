package training

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
)

// trainedTags bounds the hashtags that the count model is fitted on, by source,
// the ones with the most posts first; and trainedHours how many of the newest
// hours of each.
const (
	trainedTags  = 150
	trainedHours = 8 * 7 * 24
)

// topQuery makes the table top_hours: the hours with posts of the busiest
// hashtags, of the hours that are fitted on and of the 28 days before, which
// describe the first of them.
const topQuery = `
create or replace temp table top_hours as
with top as (
  select source, hashtag from features.hashtag_hourly
  where not list_contains(string_split(?, chr(31)), source)
  group by source, hashtag
  qualify row_number() over (partition by source order by sum(posts) desc, hashtag) <= ?
),
last as (select source, max(hour) as hour from features.hashtag_hourly group by source)
select h.source, h.hashtag, epoch_us(h.hour) // 3600000000 as h, h.posts
from features.hashtag_hourly h join top using (source, hashtag) join last using (source)
where h.hour >= last.hour - to_hours(?)`

// activeQuery lists the hours in which sources had posts, as far as hours with
// hashtags tell them: their own, and the first that they know of.
const activeQuery = `
with hours as (select distinct source, epoch_us(hour) // 3600000000 as h, hours_known from features.hashtag_hourly)
select source, '', h, 0 from hours union select source, '', h - hours_known, 0 from hours order by 1, 3`

// sourceHours is what a source's hours are described by.
type sourceHours struct {
	active []int64
	tags   []string // sorted
	past   map[string][]HourPosts
}

// hourly is one hour of the grid, with its place in the order.
type hourly struct {
	hour int64
	TagHour
}

// readHours reads what the count model is fitted on, oldest first, and tells by
// which rules sources were left out. It spreads the busiest hashtags over every
// hour of their source, hours without posts included, because
// features.hashtag_hourly has rows only for hours with posts: a model fitted on
// those alone would never expect less than one post. The hours before a hashtag
// was first seen are among them, or the model would learn that a new hashtag
// always comes with posts.
func readHours(ctx context.Context, l *lake.Lake, db *query.DB, barred []feedlake.Prohibition) (_ []TagHour, leftOut []string, snapshot int64, _ error) {
	cur, err := l.Current(ctx, hoursTable)
	if err != nil {
		return nil, nil, 0, err
	}
	if cur.ID == 0 {
		return nil, nil, 0, fmt.Errorf("table %s holds nothing: %w", hoursTable, feedlake.ErrNotFound)
	}
	if err := db.PinTable(ctx, l, hoursTable, cur.ID); err != nil {
		return nil, nil, 0, err
	}
	if leftOut, err = db.Prohibited(ctx, hoursTable, barred); err != nil {
		return nil, nil, 0, err
	}
	sources, err := readSources(ctx, db, barred)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("read hours: %w", err)
	}
	var grid []hourly
	for _, s := range sources {
		grid = append(grid, s.grid()...)
	}
	slices.SortStableFunc(grid, func(a, b hourly) int { return cmp.Compare(a.hour, b.hour) })
	out := make([]TagHour, len(grid))
	for i, h := range grid {
		out[i] = h.TagHour
	}
	if len(out) == 0 && len(leftOut) > 0 {
		return nil, leftOut, cur.ID, fmt.Errorf("table %s: %s: %w", hoursTable, strings.Join(leftOut, "; "), feedlake.ErrForbidden)
	}
	if len(out) == 0 {
		return nil, nil, 0, fmt.Errorf("table %s holds nothing: %w", hoursTable, feedlake.ErrNotFound)
	}
	return out, leftOut, cur.ID, nil
}

// readSources reads the hours of the busiest hashtags, by source.
func readSources(ctx context.Context, db *query.DB, barred []feedlake.Prohibition) ([]*sourceHours, error) {
	_, err := db.SQL().ExecContext(ctx, topQuery, query.ProhibitedSources(barred), trainedTags, trainedHours+672)
	if err != nil {
		return nil, err
	}
	var list []*sourceHours
	byName := map[string]*sourceHours{}
	err = eachHour(ctx, db, "select source, hashtag, h, posts from top_hours order by 1, 2, 3", func(source, tag string, hour, posts int64) {
		s := byName[source]
		if s == nil {
			s = &sourceHours{past: map[string][]HourPosts{}}
			byName[source], list = s, append(list, s)
		}
		if len(s.past[tag]) == 0 {
			s.tags = append(s.tags, tag)
		}
		s.past[tag] = append(s.past[tag], HourPosts{hour, posts})
	})
	if err != nil {
		return nil, err
	}
	return list, eachHour(ctx, db, activeQuery, func(source, _ string, hour, _ int64) {
		if s := byName[source]; s != nil {
			s.active = append(s.active, hour)
		}
	})
}

func eachHour(ctx context.Context, db *query.DB, sql string, each func(source, tag string, hour, posts int64)) (err error) {
	rows, err := db.SQL().QueryContext(ctx, sql)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var source, tag string
		var hour, posts int64
		if err := rows.Scan(&source, &tag, &hour, &posts); err != nil {
			return err
		}
		each(source, tag, hour, posts)
	}
	return rows.Err()
}

// grid describes every hour of every hashtag, the newest trainedHours at most.
func (s *sourceHours) grid() []hourly {
	last := s.active[len(s.active)-1]
	var at []int64
	for h := max(s.active[0], last-trainedHours); h <= last; h++ {
		at = append(at, h)
	}
	out := make([]hourly, 0, len(at)*len(s.tags))
	for _, tag := range s.tags {
		for i, h := range Describe(s.past[tag], s.active, at) {
			out = append(out, hourly{at[i], h})
		}
	}
	return out
}
